//! Makers and their lists: what goes forward, what stays, and what comes again after a restore. Certificates that lists name.

use crate::support::*;
use adapters::store::{SqlStore, marks};
use model::contract::maker::MakerLists;
use model::{MakerName, Reason};
use ports::store::identity::{Idevid, List, ListOutcome, ListedDevice};
use ports::store::{IdentityStore, MakerStore};
use x509::{Certificate, CertificateList};

const ONE: &str = "rfc5280/openssl-3.0.19-root.der";
const OTHER: &str = "rfc5280/openssl-3.0.19-leaf.der";
const LIST: &str = "rfc5280/openssl-3.0.19-crl.der";

fn maker(name: &str) -> MakerName {
    name.parse().unwrap()
}
fn certificate(file: &str) -> Certificate {
    let path = format!("{}/../../testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    Certificate::decode(&std::fs::read(path).unwrap()).unwrap()
}
fn one() -> Certificate {
    certificate(ONE)
}
fn other() -> Certificate {
    certificate(OTHER)
}
fn trust(store: &SqlStore, name: &str, certificate: &Certificate) {
    store.set_maker(&maker(name), Some((certificate, MakerLists::Demanded)), NOW).unwrap();
}
/// Takes a list of this number; its signature was km's to verify.
fn take(store: &SqlStore, name: &str, number: u64, der: &[u8]) -> Result<(), Reason> {
    let path = format!("{}/../../testdata/{LIST}", env!("CARGO_MANIFEST_DIR"));
    let list = CertificateList::decode(&std::fs::read(path).unwrap()).unwrap();
    store.take_maker_list(&maker(name), &CertificateList { crl_number: number, ..list }, der, NOW).unwrap()
}
fn number(store: &SqlStore, name: &str) -> (u64, bool) {
    let row = store.makers().unwrap().into_iter().find(|row| row.maker == maker(name)).unwrap();
    let is_there = store.maker_list(&maker(name)).unwrap().is_some();
    assert_eq!(row.next_update.is_some(), is_there);
    (row.number, is_there)
}
#[track_caller]
fn is_sound(b: &Box_, store: &SqlStore) {
    assert!(store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap().is_ok());
    let found = store.check_deep(&mut |_| ()).unwrap();
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn lists_go_forward_and_the_same_one_is_taken_again() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(take(&store, "acme", 7, b"7"), Err(Reason::MakerUnknown));
    trust(&store, "acme", &one());
    assert_eq!(number(&store, "acme"), (0, false));
    assert_eq!(take(&store, "acme", 7, b"7"), Ok(()));
    let entries = store.audit_len().unwrap();
    assert_eq!(take(&store, "acme", 7, b"7"), Ok(()));
    trust(&store, "acme", &one());
    assert_eq!(store.audit_len().unwrap(), entries, "nothing changed");
    assert_eq!(take(&store, "acme", 7, b"seven"), Err(Reason::MakerListNotNewer));
    assert_eq!(take(&store, "acme", 6, b"6"), Err(Reason::MakerListNotNewer));
    assert_eq!(take(&store, "acme", 8, b"8"), Ok(()));
    assert_eq!(number(&store, "acme"), (8, true));
    is_sound(&b, &store);
}
#[test]
fn who_is_trusted_again_goes_on_where_it_was_unless_its_certificate_is_another() {
    let b = Box_::new();
    let store = b.open();
    trust(&store, "acme", &one());
    take(&store, "acme", 7, b"7").unwrap();
    store.set_maker(&maker("acme"), None, NOW).unwrap();
    assert_eq!(store.makers().unwrap()[0].certificate, None);
    assert_eq!(take(&store, "acme", 8, b"8"), Err(Reason::MakerUnknown));
    trust(&store, "acme", &one());
    assert_eq!(number(&store, "acme"), (7, true));
    trust(&store, "acme", &other());
    assert_eq!(number(&store, "acme"), (0, false), "another key signs other lists");
    assert_eq!(take(&store, "acme", 3, b"3"), Ok(()));
    is_sound(&b, &store);
}
#[test]
fn once_a_list_was_taken_there_must_be_one() {
    let b = Box_::new();
    let store = b.open();
    store.set_maker(&maker("acme"), Some((&one(), MakerLists::None)), NOW).unwrap();
    assert_eq!(store.makers().unwrap()[0].lists, MakerLists::None);
    take(&store, "acme", 7, b"7").unwrap();
    assert_eq!(store.makers().unwrap()[0].lists, MakerLists::Demanded);
    is_sound(&b, &store);
}
#[test]
fn after_a_restore_an_older_list_counts_no_more() {
    let mut b = Box_::new();
    let store = b.open();
    trust(&store, "acme", &one());
    take(&store, "acme", 7, b"7").unwrap();
    b.back_up(&store);
    let entries = store.audit_len().unwrap();
    take(&store, "acme", 9, b"9").unwrap();
    trust(&store, "later", &other());
    take(&store, "later", 5, b"5").unwrap();
    drop(store);
    b.restore();
    let mut found = Vec::new();
    let name = marks::name_of("test", b.key.public_key());
    marks::read(&b.dir.join("marks"), &name, entries, &mut |mark| found.push(mark)).unwrap();
    let store = b.open();
    assert_eq!(number(&store, "acme"), (7, true), "without marks");
    store.recall(&found, NOW).unwrap();
    assert_eq!(number(&store, "acme"), (9, false), "what was revoked since is not forgotten");
    assert_eq!(take(&store, "acme", 8, b"8"), Err(Reason::MakerListNotNewer));
    assert_eq!(take(&store, "acme", 9, b"9"), Ok(()));
    trust(&store, "later", &other());
    assert_eq!(number(&store, "later"), (5, false));
    assert_eq!(take(&store, "later", 4, b"4"), Err(Reason::MakerListNotNewer));
    is_sound(&b, &store);
}
#[test]
fn what_was_changed_of_a_maker_behind_our_back_is_found() {
    for sql in [
        "UPDATE maker SET number = 6",
        "UPDATE maker SET crl = x'00'",
        "UPDATE maker SET crl = NULL",
        "UPDATE maker SET demanded = 0",
        "UPDATE maker SET trusted = 0",
        "UPDATE maker SET certificate = x'00'",
        "DELETE FROM maker",
    ] {
        let b = Box_::new();
        let store = b.open();
        trust(&store, "acme", &one());
        take(&store, "acme", 7, b"7").unwrap();
        is_sound(&b, &store);
        drop(store);
        b.sql(sql);
        assert!(b.open().check_deep(&mut |_| ()).unwrap().is_err(), "{sql}");
    }
}

fn list(name: &str, replaces: Option<&str>, devices: &[(u32, Option<&str>)]) -> List {
    let listed = devices.iter().zip(1..).map(|((n, idevid), line)| ListedDevice {
        id: device(*n).device().unwrap().clone(),
        board: None,
        idevid: idevid.map(|text| text.parse().unwrap()),
        profile: "ldevid".parse().unwrap(),
        line,
    });
    let (devices, replaces) = (listed.collect(), replaces.map(str::to_owned));
    List { name: name.to_owned(), digest: digest(1), until: NOW.plus_s(100), supplied: None, replaces, devices }
}
#[track_caller]
fn taken(store: &SqlStore, list: &List) {
    assert!(matches!(store.import(list, NOW).unwrap(), ListOutcome::Imported(_)));
}
#[track_caller]
fn contradicts(store: &SqlStore, list: &List, what: &str) {
    let ListOutcome::Contradicts(bad) = store.import(list, NOW).unwrap() else { panic!("it was imported") };
    assert!(bad[0].what.contains(what), "{bad:?}");
}
fn with(store: &SqlStore, idevid: &str) -> Option<String> {
    let idevid: Idevid = idevid.parse().unwrap();
    store.device_with(&idevid).unwrap().map(|id| id.serial.to_string())
}

#[test]
fn a_device_is_found_by_the_certificate_that_it_brings() {
    let b = Box_::new();
    let store = b.open();
    taken(&store, &list("a", None, &[(1, Some("acme 0a")), (2, Some("zenith 0a")), (3, None)]));
    let found = ["acme 0a", "zenith 0A", "acme 0b"].map(|idevid| with(&store, idevid));
    assert_eq!(found, [Some("SN0001".into()), Some("SN0002".into()), None]);
    let row =
        store.devices(&ports::store::identity::DeviceFilter { limit: 1, ..Default::default() }).unwrap().remove(0);
    assert_eq!(row.idevid.unwrap().to_string(), "acme 0a");
    is_sound(&b, &store);
}
#[test]
fn one_certificate_is_one_devices() {
    let b = Box_::new();
    let store = b.open();
    taken(&store, &list("a", None, &[(1, Some("acme 0a")), (2, None)]));
    contradicts(
        &store,
        &list("b", None, &[(4, Some("acme 0a"))]),
        "the certificate acme 0a is SN0001's, in line 1 of list a",
    );
    contradicts(&store, &list("b", None, &[(1, Some("acme 0b"))]), "stands with the certificate acme 0a");
    contradicts(&store, &list("b", None, &[(2, Some("acme 0b"))]), "stands without a certificate");
    contradicts(&store, &list("b", None, &[(1, None)]), "stands with the certificate acme 0a");
    assert_eq!(with(&store, "acme 0b"), None);
}
#[test]
fn what_a_list_takes_back_is_expected_no_more() {
    let b = Box_::new();
    let store = b.open();
    taken(&store, &list("a", None, &[(1, Some("acme 0a")), (2, Some("acme 0b")), (3, Some("acme 0c"))]));
    // The first is gone, the others change places.
    taken(&store, &list("b", Some("a"), &[(2, Some("acme 0c")), (3, Some("acme 0b"))]));
    let found = ["acme 0a", "acme 0b", "acme 0c"].map(|idevid| with(&store, idevid));
    assert_eq!(found, [None, Some("SN0003".into()), Some("SN0002".into())]);
    // What was given up is anybody's.
    taken(&store, &list("c", None, &[(4, Some("acme 0a"))]));
    is_sound(&b, &store);
}
