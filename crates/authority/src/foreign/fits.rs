//! Whether a certificate says no more than it may.

use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, GeneralName, KeyUsage, decode_extended_key_usage, decode_subject_alt_name};
use x509::oids;

/// How a certificate is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It is for another key.
    OtherKey,
    /// The authority did not issue it, or it is not valid now.
    NotIssued,
    /// It names another subject.
    Subject,
    /// Its alternative names are not those that were asked for.
    AltName,
    /// It lasts longer than the profile allows.
    Validity,
    /// It makes an authority.
    Authority,
    /// It allows a use of the key that the profile does not, or any use.
    KeyUsage,
    /// It allows a purpose that the profile does not, or any purpose.
    Purpose,
    /// It has a critical extension that the profile does not give.
    CriticalExtension,
    /// It breaks a rule that holds for all certificates.
    Rule,
    /// A certificate of its number is recorded already.
    Known,
    /// Another subject got a certificate for its key meanwhile.
    KeyInUse,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "it is for another key",
            Self::NotIssued => "the authority did not issue it, or it is not valid now",
            Self::Subject => "it names another subject",
            Self::AltName => "its alternative names are not those that were asked for",
            Self::Validity => "it lasts longer than the profile allows",
            Self::Authority => "it makes an authority",
            Self::KeyUsage => "it allows a use of the key that the profile does not",
            Self::Purpose => "it allows a purpose that the profile does not",
            Self::CriticalExtension => "it has a critical extension that the profile does not give",
            Self::Rule => "it breaks a rule that holds for all certificates",
            Self::Known => "a certificate of its number is recorded already",
            Self::KeyInUse => "another subject has a certificate for its key",
        })
    }
}

/// Compares a certificate with what this installation would have signed. It may allow less; if it allows more it does not
/// fit. Its names are the same: by them it is known whose it is.
///
/// Identifiers of keys, places of lists and policies are the foreign authority's own, so they are not compared.
#[must_use]
pub fn fits(got: &TbsCertificate, expected: &TbsCertificate) -> Option<Misfit> {
    let checks = [
        (Misfit::OtherKey, got.subject_public_key == expected.subject_public_key),
        (Misfit::Subject, got.subject.matches(&expected.subject)),
        (Misfit::Validity, got.not_after <= expected.not_after),
        (Misfit::Authority, is_no_authority(got)),
        (Misfit::KeyUsage, key_usage_fits(got, expected)),
        (Misfit::Purpose, purposes_fit(got, expected)),
        (Misfit::AltName, names_fit(got, expected)),
        (Misfit::CriticalExtension, critical_extensions_fit(got, expected)),
    ];
    checks.into_iter().find_map(|(misfit, fits)| (!fits).then_some(misfit))
}

fn is_no_authority(got: &TbsCertificate) -> bool {
    let constraints = got.extension(oids::BASIC_CONSTRAINTS);
    constraints.is_none_or(|e| BasicConstraints::decode(&e.value).is_some_and(|c| !c.ca))
}

// An absent key usage allows everything, so it fits only where the profile leaves it out too.
fn key_usage_fits(got: &TbsCertificate, expected: &TbsCertificate) -> bool {
    let usage = |tbs: &TbsCertificate| tbs.extension(oids::KEY_USAGE).map(|e| KeyUsage::decode(&e.value));
    match (usage(got), usage(expected)) {
        (Some(Some(got)), Some(Some(expected))) => expected.has(got),
        (Some(Some(_)) | None, None) => true,
        _ => false,
    }
}

fn purposes_fit(got: &TbsCertificate, expected: &TbsCertificate) -> bool {
    let purposes =
        |tbs: &TbsCertificate| tbs.extension(oids::EXTENDED_KEY_USAGE).map(|e| decode_extended_key_usage(&e.value));
    match (purposes(got), purposes(expected)) {
        (Some(Some(got)), Some(Some(expected))) => got.iter().all(|purpose| expected.contains(purpose)),
        (Some(Some(_)) | None, None) => true,
        _ => false,
    }
}

fn names_fit(got: &TbsCertificate, expected: &TbsCertificate) -> bool {
    let names = |tbs: &TbsCertificate| -> Option<Vec<GeneralName>> {
        tbs.extension(oids::SUBJECT_ALT_NAME).map_or(Some(Vec::new()), |e| decode_subject_alt_name(&e.value))
    };
    match (names(got), names(expected)) {
        (Some(got), Some(expected)) => {
            got.iter().all(|name| expected.contains(name)) && expected.iter().all(|name| got.contains(name))
        }
        _ => false,
    }
}

// Basic constraints, key usage and purposes were read above, whoever makes them critical.
fn critical_extensions_fit(got: &TbsCertificate, expected: &TbsCertificate) -> bool {
    let read = [oids::BASIC_CONSTRAINTS, oids::KEY_USAGE, oids::EXTENDED_KEY_USAGE, oids::SUBJECT_ALT_NAME];
    got.extensions.iter().all(|e| !e.critical || read.contains(&e.oid) || expected.extension(e.oid).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::UnixTime;
    use x509::extension::{extended_key_usage, subject_alt_name};
    use x509::name::Attribute;
    use x509::{Extension, KeyType, Name, PublicKey, SerialNumber, SignatureAlgorithm};

    fn named(text: &str) -> Name {
        Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }])
    }
    fn dns(name: &str) -> GeneralName {
        GeneralName::Dns(name.to_owned())
    }
    const NONE: BasicConstraints = BasicConstraints { ca: false, path_len: None };
    const CA: BasicConstraints = BasicConstraints { ca: true, path_len: None };

    /// What this installation would have signed.
    fn expected() -> TbsCertificate {
        TbsCertificate {
            serial_number: SerialNumber::from_hex("77").unwrap(),
            signature: SignatureAlgorithm::Ed25519,
            issuer: named("Foreign"),
            not_before: UnixTime::from_s(1_000),
            not_after: UnixTime::from_s(2_000),
            subject: named("device"),
            subject_public_key: PublicKey::from_bits(KeyType::Ed25519, &[9; 32]).unwrap(),
            extensions: vec![
                KeyUsage::DIGITAL_SIGNATURE.with(KeyUsage::KEY_AGREEMENT).extension(),
                extended_key_usage(&[oids::CLIENT_AUTH, oids::SERVER_AUTH]),
                subject_alt_name(&[dns("a.example"), dns("b.example")], false),
            ],
        }
    }
    fn set(tbs: &mut TbsCertificate, extension: Extension) {
        tbs.extensions.retain(|known| known.oid != extension.oid);
        tbs.extensions.push(extension);
    }
    fn without(tbs: &mut TbsCertificate, kind: &str) {
        tbs.extensions.retain(|known| known.oid.to_string() != kind);
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut TbsCertificate), misfit: Option<Misfit>) {
        let mut got = expected();
        change(&mut got);
        assert_eq!(fits(&got, &expected()), misfit);
    }

    #[test]
    fn the_same_with_another_number_and_issuer() {
        check(|c| c.serial_number = SerialNumber::from_hex("78").unwrap(), None);
    }
    #[test]
    fn another_key() {
        let other = PublicKey::from_bits(KeyType::Ed25519, &[8; 32]).unwrap();
        check(|c| c.subject_public_key = other, Some(Misfit::OtherKey));
    }
    #[test]
    fn another_subject() {
        check(|c| c.subject = named("another"), Some(Misfit::Subject));
    }
    #[test]
    fn the_last_second_and_the_one_after_it() {
        check(|c| c.not_after = UnixTime::from_s(1_999), None);
        check(|c| c.not_after = UnixTime::from_s(2_001), Some(Misfit::Validity));
    }
    #[test]
    fn an_authority() {
        check(|c| set(c, NONE.extension()), None);
        check(|c| set(c, CA.extension()), Some(Misfit::Authority));
        let broken = Extension { oid: oids::BASIC_CONSTRAINTS, critical: true, value: vec![5, 0] };
        check(|c| set(c, broken), Some(Misfit::Authority));
    }
    #[test]
    fn less_key_usage_and_more() {
        check(|c| set(c, KeyUsage::DIGITAL_SIGNATURE.extension()), None);
        check(
            |c| set(c, KeyUsage::DIGITAL_SIGNATURE.with(KeyUsage::KEY_CERT_SIGN).extension()),
            Some(Misfit::KeyUsage),
        );
        check(|c| without(c, &oids::KEY_USAGE.to_string()), Some(Misfit::KeyUsage));
    }
    #[test]
    fn fewer_purposes_and_more() {
        check(|c| set(c, extended_key_usage(&[oids::CLIENT_AUTH])), None);
        check(|c| set(c, extended_key_usage(&[oids::CLIENT_AUTH, oids::CODE_SIGNING])), Some(Misfit::Purpose));
        check(|c| set(c, extended_key_usage(&[oids::ANY_EXTENDED_KEY_USAGE])), Some(Misfit::Purpose));
        check(|c| without(c, &oids::EXTENDED_KEY_USAGE.to_string()), Some(Misfit::Purpose));
    }
    #[test]
    fn fewer_names_and_more() {
        check(|c| set(c, subject_alt_name(&[dns("b.example"), dns("a.example")], false)), None);
        check(|c| set(c, subject_alt_name(&[dns("b.example")], false)), Some(Misfit::AltName));
        check(|c| without(c, &oids::SUBJECT_ALT_NAME.to_string()), Some(Misfit::AltName));
        check(|c| set(c, subject_alt_name(&[dns("c.example")], false)), Some(Misfit::AltName));
    }
    #[test]
    fn an_extension_that_nobody_gave() {
        let unknown = |critical| Extension { oid: oids::NAME_CONSTRAINTS, critical, value: vec![0x30, 0] };
        check(|c| set(c, unknown(false)), None);
        check(|c| set(c, unknown(true)), Some(Misfit::CriticalExtension));
    }
    #[test]
    fn where_the_profile_leaves_key_usage_out_any_fits() {
        let mut open = expected();
        without(&mut open, &oids::KEY_USAGE.to_string());
        without(&mut open, &oids::EXTENDED_KEY_USAGE.to_string());
        assert_eq!(fits(&expected(), &open), None);
        assert_eq!(fits(&open, &open), None);
    }
}
