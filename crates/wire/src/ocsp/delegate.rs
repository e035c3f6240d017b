//! The delegated responder: a certificate that may sign nothing but status, and is renewed before it ends.

use super::oids;
use model::UnixTime;
use x509::extension::{KeyUsage, decode_extended_key_usage};
use x509::write::tag;
use x509::{Certificate, PublicKey, oids as x509_oids};

/// Why a certificate is none of a responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQualified {
    /// Not issued by the authority itself, or not valid now.
    NotIssued,
    /// For another key than the one that signs.
    OtherKey,
    /// It lacks id-kp-OCSPSigning (RFC 6960 §4.2.2.2).
    Purpose,
    /// It lacks id-pkix-ocsp-nocheck, so clients would have to ask somebody for its status.
    NoCheck,
    /// Its key usage does not allow signatures.
    KeyUsage,
    /// It has a critical extension that is not known here.
    CriticalExtension,
}

impl std::fmt::Display for NotQualified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotIssued => "the responder's certificate is not issued by the authority, or not valid now",
            Self::OtherKey => "the responder's certificate is for another key",
            Self::Purpose => "the responder's certificate lacks the purpose OCSPSigning",
            Self::NoCheck => "the responder's certificate lacks ocsp-nocheck",
            Self::KeyUsage => "the responder's certificate may not be used for signatures",
            Self::CriticalExtension => "the responder's certificate has a critical extension that is not known here",
        })
    }
}
impl std::error::Error for NotQualified {}

/// Checks that a certificate makes the holder of `key` a responder of `issuer` now.
///
/// # Errors
/// [`NotQualified`]. A responder whose certificate does not qualify answers with `internalError`.
pub fn qualifies(
    certificate: &Certificate,
    key: &PublicKey,
    issuer: &Certificate,
    now: UnixTime,
) -> Result<(), NotQualified> {
    if certificate.tbs().subject_public_key != *key {
        return Err(NotQualified::OtherKey);
    }
    may_respond(certificate, issuer, now)
}

/// Checks that `issuer` made whoever holds this certificate its responder.
pub(crate) fn may_respond(certificate: &Certificate, issuer: &Certificate, now: UnixTime) -> Result<(), NotQualified> {
    const KNOWN: [const_oid::ObjectIdentifier; 4] = [
        x509_oids::BASIC_CONSTRAINTS,
        x509_oids::KEY_USAGE,
        x509_oids::EXTENDED_KEY_USAGE,
        x509_oids::SUBJECT_ALT_NAME,
    ];
    let tbs = certificate.tbs();
    let purposes = tbs.extension(x509_oids::EXTENDED_KEY_USAGE).and_then(|e| decode_extended_key_usage(&e.value));
    if !purposes.is_some_and(|purposes| purposes.contains(&oids::OCSP_SIGNING)) {
        return Err(NotQualified::Purpose);
    }
    if tbs.extension(oids::NO_CHECK).is_none_or(|e| e.value != [tag::NULL, 0]) {
        return Err(NotQualified::NoCheck);
    }
    let usage = tbs.extension(x509_oids::KEY_USAGE).map(|e| KeyUsage::decode(&e.value));
    if usage.is_some_and(|usage| usage.is_none_or(|usage| !usage.has(KeyUsage::DIGITAL_SIGNATURE))) {
        return Err(NotQualified::KeyUsage);
    }
    if tbs.extensions.iter().any(|e| e.critical && !KNOWN.contains(&e.oid)) {
        return Err(NotQualified::CriticalExtension);
    }
    certificate.verify_issued_by(issuer, now).map_err(|_| NotQualified::NotIssued)
}

/// Whether a responder's certificate is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Its time has not begun: the clock is wrong, so a new one would be wrong too.
    NotYetValid,
    /// It lasts.
    Fresh,
    /// It serves, and a new one is to be asked for now.
    Due,
    /// It serves no more.
    Ended,
}

/// Decides whether a responder's certificate is to be renewed now.
///
/// `overlap_s` is how long before its end the new one is asked for: longer than responses hold, so that none is cut short.
/// It counts as half of the lifetime at most, or a certificate would be due from its first second on.
#[must_use]
pub fn renewal(not_before: UnixTime, not_after: UnixTime, now: UnixTime, overlap_s: u64) -> Renewal {
    let overlap_s = overlap_s.min(not_after.since_ms(not_before) / 2000);
    if now < not_before {
        Renewal::NotYetValid
    } else if now.whole_second() > not_after {
        Renewal::Ended
    } else if now >= not_after.minus_s(overlap_s) {
        Renewal::Due
    } else {
        Renewal::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now_s: u64, overlap_s: u64, expected: Renewal) {
        let [not_before, not_after, now] = [1_000, 2_000, now_s].map(UnixTime::from_s);
        assert_eq!(renewal(not_before, not_after, now, overlap_s), expected);
    }

    #[test]
    fn before_its_time() {
        check(999, 100, Renewal::NotYetValid);
    }
    #[test]
    fn in_its_first_second() {
        check(1_000, 100, Renewal::Fresh);
    }
    #[test]
    fn a_second_before_the_overlap() {
        check(1_899, 100, Renewal::Fresh);
    }
    #[test]
    fn in_the_overlap() {
        check(1_900, 100, Renewal::Due);
    }
    #[test]
    fn in_its_last_second() {
        check(2_000, 100, Renewal::Due);
    }
    #[test]
    fn after_its_last_second() {
        check(2_001, 100, Renewal::Ended);
    }
    #[test]
    fn an_overlap_longer_than_the_lifetime_is_half_of_it() {
        check(1_499, 9_999, Renewal::Fresh);
        check(1_500, 9_999, Renewal::Due);
    }
}
