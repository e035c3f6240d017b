//! What a renewal may ask for, and what is renewed.

use crate::enrol::Shown;
use crate::looked::Looked;
use crate::ra::Ra;
use issue::Profile;
use issue::profile::Protocol;
use model::{Base64, Reason, UnixTime};
use ports::store::authority::CertificateRow;
use std::sync::atomic::{AtomicU64, Ordering};
use x509::Certificate;
use x509::extension::decode_subject_alt_name;
use x509::oids;

/// RFC 7030 §4.2.2: the same subject and the same alternative names as in the certificate that is renewed.
pub(crate) fn is_renewal(request: &Looked, shown: &Shown, profile: &Profile) -> Result<(), Reason> {
    if shown.row.profile != *profile.name() {
        return Err(Reason::LabelMismatch);
    }
    let old = shown.read.tbs();
    // RFC 9483 §4.1.3: a template without a name asks for the one that there is.
    if request.subject.as_ref().is_some_and(|subject| !subject.matches(&old.subject)) {
        return Err(Reason::NameMismatch);
    }
    let asked = request.extensions.iter().find(|extension| extension.oid == oids::SUBJECT_ALT_NAME);
    let had = old.extension(oids::SUBJECT_ALT_NAME);
    let names = |extension: Option<&x509::Extension>| match extension {
        None => Ok(Vec::new()),
        Some(extension) => decode_subject_alt_name(&extension.value).ok_or(Reason::NameMismatch),
    };
    let (asked_names, had_names) = (names(asked)?, names(had)?);
    // Off-spec: many clients leave these names out. Where the registration decides them, the new certificate has the same.
    if asked.is_none() && !profile.takes_alt_names() {
        return Ok(());
    }
    let within = |some: &[x509::extension::GeneralName], all: &[x509::extension::GeneralName]| {
        some.iter().all(|name| all.contains(name))
    };
    if within(&asked_names, &had_names) && within(&had_names, &asked_names) {
        Ok(())
    } else {
        Err(Reason::NameMismatch)
    }
}

/// In which part of its lifetime a certificate is renewed: from two thirds of it on, for a twelfth. A quarter is left for servers that
/// are away.
pub(crate) fn window(not_before: UnixTime, not_after: UnixTime) -> (UnixTime, UnixTime) {
    let lifetime = not_after.s().saturating_sub(not_before.s());
    let start = not_before.plus_s(lifetime / 3 * 2);
    (start, start.plus_s((lifetime / 12).max(1)))
}

/// Seconds in which certificates are to be renewed, granted one after another so that however many there are, they come evenly.
pub(crate) struct Slots(AtomicU64);

impl Slots {
    /// Those that a process grants begin anywhere: what another one granted is as even, and so are both together.
    pub(crate) fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    /// The next one.
    ///
    /// Each step goes the golden part of the window on, which leaves no two gaps of very different length, whenever one stops
    /// counting (the three-gap theorem): unlike chance, which has busy seconds.
    pub(crate) fn grant(&self, not_before: UnixTime, not_after: UnixTime) -> UnixTime {
        // 2^64 divided by the golden ratio, and odd.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let (start, end) = window(not_before, not_after);
        let part = self.0.fetch_add(STEP, Ordering::Relaxed);
        let into = (u128::from(part) * u128::from(end.s().saturating_sub(start.s()))) >> 64;
        start.plus_s(u64::try_from(into).unwrap_or_default())
    }
}

impl Ra {
    /// In how many seconds a certificate that is given away now is to be renewed.
    pub(crate) fn renew_after_s(&self, certificate: &Base64) -> Option<u64> {
        let read = Certificate::decode(certificate.as_ref()).ok()?;
        let at = self.slots.grant(read.tbs().not_before, read.tbs().not_after);
        Some(at.s().saturating_sub(self.now().s()))
    }
}

/// How records name a protocol; EST, the first one, is not named.
pub(crate) const fn spoken(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Cmp => Some("CMP"),
        Protocol::Acme => Some("ACME"),
        Protocol::Scep => Some("SCEP"),
        Protocol::Est | Protocol::Bus | Protocol::Console => None,
    }
}

/// Whether a certificate has the key of this request.
pub(crate) fn is_for(row: &CertificateRow, request: &Looked) -> bool {
    Certificate::decode(&row.der).is_ok_and(|read| read.tbs().subject_public_key == request.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const DAY: u64 = 86_400;

    #[test]
    fn from_two_thirds_on_for_a_twelfth() {
        let at = UnixTime::from_s;
        assert_eq!(window(at(1000), at(1000 + 1200)), (at(1800), at(1900)));
        assert_eq!(window(at(1000), at(1000)), (at(1000), at(1001)));
    }

    /// How many come in the busiest of so many parts of the time in which any come, and how many if all parts were alike.
    fn busiest(granted: impl Iterator<Item = u64>, part_s: u64) -> (u64, u64) {
        let mut parts = BTreeMap::new();
        let mut all = 0;
        for at in granted {
            *parts.entry(at / part_s).or_insert(0_u64) += 1;
            all += 1;
        }
        (parts.values().copied().max().unwrap(), all / u64::try_from(parts.len()).unwrap())
    }

    #[test]
    fn a_hundred_thousand_devices_come_back_evenly() {
        for first in [0, 1, u64::MAX / 3, u64::MAX] {
            let slots = Slots::from(first);
            let none = UnixTime::from_s(0);
            // Made at once, for a year: by the hour.
            let (most, even) = busiest((0..100_000).map(|_| slots.grant(none, none.plus_s(360 * DAY)).s()), 3600);
            assert!(most * 10 <= even * 11, "{most} in the busiest hour, {even} on average");
            // For three hours and a third: by the second.
            let (most, even) = busiest((0..100_000).map(|_| slots.grant(none, none.plus_s(12_000)).s()), 1);
            assert!(most * 10 <= even * 11, "{most} in the busiest second, {even} on average");
        }
    }
    #[test]
    fn so_they_do_if_two_processes_and_many_restarts_have_granted_them() {
        let at = UnixTime::from_s(0);
        let granted = (0..100_u64).flat_map(|process| {
            let slots = Slots::from(
                x509::sha256(&process.to_be_bytes()).octets()[..8].iter().fold(0, |n, o| n << 8 | u64::from(*o)),
            );
            (0..1000).map(move |_| slots.grant(at, at.plus_s(12_000)).s())
        });
        let (most, even) = busiest(granted, 10);
        assert!(most * 10 <= even * 11, "{most} in the busiest ten seconds, {even} on average");
    }
    #[test]
    fn a_slot_is_within_its_window() {
        let slots = Slots::from(5);
        for lifetime in [0, 1, 11, 12, 5000, 360 * DAY] {
            let (from, until) = (UnixTime::from_s(77), UnixTime::from_s(77 + lifetime));
            let (start, end) = window(from, until);
            for _ in 0..100 {
                let at = slots.grant(from, until);
                assert!(start <= at && at < end, "{at} of {lifetime}");
            }
        }
    }
}
