use super::*;
use crate::csr::write_signed;
use crate::name::Attribute;
use crate::points::{Covers, PointName};

const NOW: UnixTime = UnixTime::from_s(1_800_000_000);
const URI: &str = "http://pki.example/7.crl";

fn name() -> Name {
    Name::write(&[Attribute { oid: oids::COMMON_NAME, text: "issuer".into() }])
}
fn key() -> PublicKey {
    PublicKey::from_bits(crate::KeyType::Ed25519, &[9; 32]).unwrap()
}
fn with_head<T>(f: impl FnOnce(&CrlHead<'_>) -> T) -> T {
    let (issuer, issuer_key) = (name(), key());
    f(&CrlHead {
        signature: SignatureAlgorithm::Ed25519,
        issuer: &issuer,
        issuer_key: &issuer_key,
        this_update: NOW,
        next_update: NOW.plus_s(60),
        crl_number: 9,
    })
}
fn revoked(serial: &[u8], at: UnixTime, reason: RevocationReason) -> CrlEntry {
    CrlEntry::Revoked(RevokedCertificate {
        serial_number: SerialNumber::new(serial).unwrap(),
        revocation_date: at,
        reason,
    })
}
fn removed(serial: &[u8]) -> CrlEntry {
    CrlEntry::Removed { serial_number: SerialNumber::new(serial).unwrap(), since: NOW }
}
#[derive(Debug, PartialEq)]
struct Failed;
impl From<EntriesChanged> for Failed {
    fn from(_: EntriesChanged) -> Self {
        Self
    }
}
fn list(scope: &CrlScope, entries: &[CrlEntry]) -> Vec<u8> {
    let sign = |_: &[u8]| Ok::<_, Failed>(vec![5; 64]);
    with_head(|head| write_list(head, scope, || entries.iter().copied(), sign)).unwrap()
}
fn delta() -> CrlScope {
    CrlScope { base_crl_number: Some(7), ..CrlScope::default() }
}
fn shard() -> CrlScope {
    let name = Some(PointName::uris(&[URI]));
    let point = IssuingDistributionPoint { name, covers: Covers::UserCertificates, ..Default::default() };
    CrlScope { issuing_distribution_point: Some(point), ..CrlScope::default() }
}

/// What is written is read, with the same entries and scope.
#[track_caller]
fn check(scope: &CrlScope, entries: &[CrlEntry], ok: bool) {
    let read = CertificateList::decode(&list(scope, entries)).ok();
    assert_eq!(read.is_some(), ok);
    let Some(read) = read else { return };
    let of = |wanted: bool| entries.iter().filter(move |e| matches!(e, CrlEntry::Revoked(_)) == wanted);
    assert!(read.revoked.iter().copied().map(CrlEntry::Revoked).eq(of(true).copied()));
    assert!(read.removed.iter().eq(of(false).map(|entry| parts(entry).0)));
    assert_eq!(read.base_crl_number, scope.base_crl_number);
    assert_eq!(read.issuing_distribution_point, scope.issuing_distribution_point);
    assert_eq!(read.authority_key_identifier.key_identifier.unwrap(), key().key_identifier());
    assert_eq!(read.freshest_crl.len(), usize::from(!scope.freshest_crl.is_empty()));
}

#[test]
fn an_empty_list() {
    check(&CrlScope::default(), &[], true);
}
#[test]
fn every_reason_survives() {
    let entries: Vec<_> = RevocationReason::ALL.into_iter().map(|reason| revoked(&[1], NOW, reason)).collect();
    check(&CrlScope::default(), &entries, true);
}
#[test]
fn a_shard_survives() {
    check(&shard(), &[revoked(&[1], NOW, RevocationReason::CertificateHold)], true);
}
#[test]
fn a_delta_survives() {
    check(&delta(), &[revoked(&[1], NOW, RevocationReason::Superseded), removed(&[2])], true);
}
#[test]
fn a_delta_of_removals_only() {
    check(&delta(), &[removed(&[2])], true);
}
#[test]
fn a_delta_of_a_shard() {
    check(&CrlScope { base_crl_number: Some(0), ..shard() }, &[removed(&[1])], true);
}
#[test]
fn removals_in_a_complete_list_are_refused() {
    check(&CrlScope::default(), &[removed(&[1])], false);
}
#[test]
fn a_list_says_where_its_deltas_are() {
    check(&CrlScope { freshest_crl: vec![URI.into()], ..CrlScope::default() }, &[], true);
}
#[test]
fn an_indicator_that_is_not_critical_is_refused() {
    for scope in [delta(), shard()] {
        let der = list(&scope, &[]);
        assert!(CertificateList::decode(&der).is_ok());
        let mut w = Writer::default();
        with_head(|head| {
            let mut extensions = extensions(head, &scope);
            extensions.iter_mut().for_each(|extension| extension.critical = false);
            let stream = TbsStream::measure(head, &CrlScope::default(), []);
            let plain = CrlScope::default();
            let mut tail = Writer::default();
            tail.explicit(0, |w| Extension::write_all(&super::extensions(head, &plain), w));
            let mut tbs = Vec::new();
            stream.write([], |octets| tbs.extend_from_slice(octets)).unwrap();
            let body = &tbs[2..tbs.len() - tail.finish().len()];
            w.sequence(|w| {
                w.raw(body).explicit(0, |w| Extension::write_all(&extensions, w));
            });
        });
        let der = write_signed(&w.finish(), SignatureAlgorithm::Ed25519, &[5; 64]);
        assert!(CertificateList::decode(&der).is_err());
    }
}
#[test]
fn the_length_of_an_entry_is_known_before() {
    let reasons = [RevocationReason::Unspecified, RevocationReason::KeyCompromise];
    let times = [NOW, UnixTime::from_s(2_524_607_999), UnixTime::from_s(2_524_608_000), UnixTime::NO_EXPIRY];
    for serial in [&[1][..], &[0x80], &[0x7f; 20], &[0x80; 19]] {
        for at in times {
            for entry in reasons.map(|reason| revoked(serial, at, reason)).into_iter().chain([removed(serial)]) {
                let mut w = Writer::default();
                write_entry(&entry, &mut w);
                assert_eq!(entry_len(&entry), w.finish().len(), "{entry:?}");
            }
        }
    }
}
#[test]
fn all_three_ways_write_the_same() {
    let entries: Vec<_> =
        (1..=5000_u16).map(|n| revoked(&n.to_be_bytes(), NOW, RevocationReason::ALL[usize::from(n % 8)])).collect();
    let plain: Vec<_> = entries
        .iter()
        .map(|e| if let CrlEntry::Revoked(r) = e { *r } else { unreachable!("all are revoked") })
        .collect();
    let whole = list(&CrlScope::default(), &entries);
    let tbs = with_head(|head| write_tbs(head, &plain));
    assert_eq!(whole, write_signed(&tbs, SignatureAlgorithm::Ed25519, &[5; 64]));
    let len = entries.iter().map(entry_len).sum();
    let stream = with_head(|head| TbsStream::of_len(head, &CrlScope::default(), len));
    let (mut streamed, mut longest) = (Vec::new(), 0);
    let sink = |octets: &[u8]| {
        longest = longest.max(octets.len());
        streamed.extend_from_slice(octets);
    };
    stream.write(entries.iter().copied(), sink).unwrap();
    assert_eq!((streamed.len(), &streamed), (stream.len(), &tbs));
    assert!(longest < CHUNK_LEN + 128, "a piece of {longest} octets");
    let (front, back) = frame(stream.len(), SignatureAlgorithm::Ed25519, &[5; 64]);
    assert_eq!([front, streamed, back].concat(), whole);
}
#[test]
fn entries_that_change_between_the_passes_are_noticed() {
    let few = [revoked(&[1], NOW, RevocationReason::Unspecified); 2];
    let many = [revoked(&[1], NOW, RevocationReason::Unspecified); 4000];
    let stream = with_head(|head| TbsStream::measure(head, &CrlScope::default(), few));
    for entries in [&few[..1], &many[..3], &many[..]] {
        assert_eq!(stream.write(entries.iter().copied(), |_| {}), Err(EntriesChanged));
    }
    let turn = std::cell::Cell::new(0);
    let entries = || {
        turn.set(turn.get() + 1);
        few.into_iter().take(turn.get())
    };
    let list = with_head(|head| write_list(head, &CrlScope::default(), entries, |_| Ok::<_, Failed>(vec![0; 64])));
    assert_eq!(list, Err(Failed));
}
#[test]
fn the_buffer_is_no_larger_than_the_list() {
    let entries = || (1..=20_000_u32).map(|n| revoked(&n.to_be_bytes(), NOW, RevocationReason::KeyCompromise));
    let sign = |_: &[u8]| Ok::<_, Failed>(vec![5; 64]);
    let list = with_head(|head| write_list(head, &CrlScope::default(), entries, sign)).unwrap();
    assert!(list.capacity() <= list.len() + SIGNATURE_ROOM + HEAD_LEN_MAX, "it grew to {}", list.capacity());
}
