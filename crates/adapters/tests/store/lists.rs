//! Registration lists: what one changes, what it must not, and what of it comes again after a restore.

use crate::support::*;
use adapters::keystore::memory::MemoryKey;
use adapters::store::SqlStore;
use adapters::store::marks;
use model::audit::Event;
use model::contract::identity::{BoardSeen, Change, Step, StepDone};
use model::{Reason, SupplierName, UnixTime};
use ports::Signer;
use ports::store::identity::{DeviceFilter, DeviceRow, List, ListChanges, ListOutcome, ListedDevice, Supplied};
use ports::store::{AuthorityStore, IdentityStore};
use x509::KeyType;

type Line<'a> = (u32, Option<&'a str>);

fn list(name: &str, devices: &[Line<'_>]) -> List {
    let listed = devices.iter().zip(1..).map(|((n, board), line)| ListedDevice {
        id: device(*n).device().unwrap().clone(),
        board: board.map(|b| b.parse().unwrap()),
        idevid: None,
        profile: "idevid".parse().unwrap(),
        line,
    });
    List {
        name: name.into(),
        digest: digest(1),
        until: NOW.plus_s(100),
        supplied: None,
        replaces: None,
        devices: listed.collect(),
    }
}
fn of(supplier: &str, sequence: u64, supersedes: Option<u64>, devices: &[Line<'_>]) -> List {
    let supplied = Supplied { supplier: supplier.parse().unwrap(), sequence, supersedes };
    List { supplied: Some(supplied), ..list(&format!("{supplier}-{sequence}"), devices) }
}
fn acme(sequence: u64, supersedes: Option<u64>, devices: &[Line<'_>]) -> List {
    of("acme", sequence, supersedes, devices)
}
fn seen(board: &str, n: u32) -> BoardSeen {
    let serial = format!("SN{n:04}").parse().unwrap();
    BoardSeen { board: board.parse().unwrap(), serial, device_type: "sensor".parse().unwrap() }
}
fn trust(store: &SqlStore, supplier: &str) {
    let key = MemoryKey::generate(KeyType::Ed25519);
    store.set_supplier(&supplier.parse().unwrap(), Some(key.public_key()), NOW).unwrap();
}
/// A store that takes lists of two suppliers.
fn trusting(b: &Box_) -> SqlStore {
    let store = b.open();
    trust(&store, "acme");
    trust(&store, "zenith");
    store
}
fn all(store: &SqlStore) -> Vec<DeviceRow> {
    store.devices(&DeviceFilter { limit: 1000, ..Default::default() }).unwrap()
}
/// New, known, changed and removed devices.
#[track_caller]
fn taken(store: &SqlStore, list: &List, expected: [u64; 4]) {
    let compared = store.compare(list).unwrap();
    let outcome = store.import(list, NOW).unwrap();
    assert_eq!(compared, outcome, "a dry run says what will be");
    let ListOutcome::Imported(ListChanges { new, known, changed, removed, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!([new, known, changed, removed], expected);
}
/// Refused, in a dry run too, and nothing changed.
#[track_caller]
fn contradicts(store: &SqlStore, list: &List, expected: &[(u64, &str)]) {
    let before = (all(store), store.suppliers().unwrap(), store.lists().unwrap(), store.audit_len().unwrap());
    let outcome = store.import(list, NOW).unwrap();
    assert_eq!(store.compare(list).unwrap(), outcome);
    let ListOutcome::Contradicts(bad) = outcome else { panic!("{outcome:?}") };
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for (bad, (line, what)) in bad.iter().zip(expected) {
        assert!(bad.line == *line && bad.what.contains(what), "{bad:?}");
    }
    let after = (all(store), store.suppliers().unwrap(), store.lists().unwrap(), store.audit_len().unwrap());
    assert_eq!(before, after);
}
#[track_caller]
fn is_refused(store: &SqlStore, list: &List, reason: Reason) {
    let before = (all(store), store.audit_len().unwrap());
    assert_eq!(store.import(list, NOW).unwrap(), ListOutcome::Refused(reason));
    assert_eq!(store.compare(list).unwrap(), ListOutcome::Refused(reason));
    assert_eq!((all(store), store.audit_len().unwrap()), before);
}
/// Leaves at km what waits; how many grants that were.
fn deposit(store: &SqlStore) -> usize {
    let mut count = 0;
    while let Some(pending) = store.pending(512).unwrap() {
        store.deposit(&pending.origin, &pending.offers, NOW).unwrap();
        store.deposited(&pending.rows).unwrap();
        count += pending.rows.len();
    }
    count
}
fn until(store: &SqlStore, n: u32) -> UnixTime {
    grant(store, n).until
}
/// Takes a device through the line.
fn provision(store: &SqlStore, board: &str, n: u32) {
    let id = store.admit(&[seen(board, n)], NOW).unwrap().remove(0).unwrap();
    let flashed = Step::Flashed { image: digest(1), duration_ms: 5, retries: 0 };
    for step in [flashed, Step::Provisioned { serial: "01".into(), key: digest(2) }] {
        let steps = [StepDone { device: id.clone(), board: board.parse().unwrap(), step }];
        store.done(&"line-1".parse().unwrap(), &"alice".parse().unwrap(), &steps, NOW).unwrap()[0].unwrap();
    }
}
#[track_caller]
fn is_sound(b: &Box_, store: &SqlStore) {
    assert!(store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap().is_ok());
    let found = store.check_deep(&mut |_| ()).unwrap();
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn a_list_is_imported_once_and_leaves_its_grants_once() {
    let b = Box_::new();
    let store = b.open();
    let devices = [(1, None), (2, Some("chip-2"))];
    taken(&store, &list("a", &devices), [2, 0, 0, 0]);
    taken(&store, &list("b", &devices), [0, 2, 0, 0]);
    let pending = store.pending(10).unwrap().unwrap();
    assert_eq!((pending.origin.as_str(), pending.offers.len()), ("list a", 2));
    store.deposited(&pending.rows).unwrap();
    assert_eq!(store.pending(10).unwrap(), None);
}
#[test]
fn a_list_that_contradicts_an_earlier_one_changes_nothing() {
    let b = Box_::new();
    let store = b.open();
    taken(&store, &list("a", &[(1, None), (2, Some("chip-2"))]), [2, 0, 0, 0]);
    let other_board = list("b", &[(3, None), (1, Some("chip-1"))]);
    contradicts(&store, &other_board, &[(2, "serial SN0001 stands with no board in line 1 of list a")]);
    contradicts(&store, &list("b", &[(3, Some("chip-2"))]), &[(1, "board chip-2 is SN0002's, in line 2 of list a")]);
    let mut other = list("b", &[(1, None), (2, Some("chip-2"))]);
    other.devices[0].profile = "ldevid".parse().unwrap();
    other.devices[1].id.device_type = "gateway".parse().unwrap();
    contradicts(&store, &other, &[(1, "stands with profile idevid"), (2, "stands with type sensor")]);
}
#[test]
fn contradictions_are_named_in_bounds() {
    let b = Box_::new();
    let store = trusting(&b);
    let devices: Vec<_> = (0..100).map(|n| (n, None)).collect();
    taken(&store, &acme(1, None, &devices), [100, 0, 0, 0]);
    contradicts(
        &store,
        &of("zenith", 1, None, &devices),
        &(1..=20).map(|n| (n, "another supplier's")).collect::<Vec<_>>(),
    );
}
#[test]
fn one_serial_number_from_two_suppliers() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    let found = "serial SN0001 is another supplier's: it stands in line 1 of list 7 of supplier acme";
    contradicts(&store, &of("zenith", 1, None, &[(2, None), (1, None)]), &[(2, found)]);
}
#[test]
fn the_operator_does_not_override_a_suppliers_line() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    deposit(&store);
    let longer = List { until: NOW.plus_s(1000), ..list("own", &[(1, None)]) };
    taken(&store, &longer, [0, 1, 0, 0]);
    assert_eq!((deposit(&store), until(&store, 1)), (0, NOW.plus_s(100)));
    assert_eq!(all(&store)[0].list, "acme-7");
    contradicts(&store, &list("own", &[(1, Some("chip-1"))]), &[(1, "stands with no board")]);
}
#[test]
fn a_supplier_does_not_override_the_operators_line() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &list("own", &[(1, None)]), [1, 0, 0, 0]);
    taken(&store, &acme(1, None, &[(1, None)]), [0, 1, 0, 0]);
    taken(&store, &acme(2, Some(1), &[(2, None)]), [1, 0, 0, 0]);
    assert_eq!(all(&store)[0].list, "own");
    assert_eq!(store.admit(&[seen("chip-1", 1)], NOW).unwrap()[0].as_ref().err(), None);
}
#[test]
fn numbers_only_grow() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    is_refused(&store, &acme(7, None, &[(1, None)]), Reason::ListNotNewer);
    is_refused(&store, &acme(6, None, &[(2, None)]), Reason::ListNotNewer);
    taken(&store, &of("zenith", 1, None, &[(3, None)]), [1, 0, 0, 0]);
    taken(&store, &acme(8, None, &[(2, None)]), [1, 0, 0, 0]);
    is_sound(&b, &store);
}
#[test]
fn a_supplier_that_was_revoked_and_trusted_again_goes_on_where_it_was() {
    let b = Box_::new();
    let store = trusting(&b);
    let name: SupplierName = "acme".parse().unwrap();
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    store.set_supplier(&name, None, NOW).unwrap();
    is_refused(&store, &acme(8, None, &[(2, None)]), Reason::SupplierUnknown);
    is_refused(&store, &of("nobody", 1, None, &[(2, None)]), Reason::SupplierUnknown);
    trust(&store, "acme");
    is_refused(&store, &acme(7, None, &[(2, None)]), Reason::ListNotNewer);
    is_sound(&b, &store);
}
#[test]
fn trusting_the_same_key_again_is_not_recorded() {
    let b = Box_::new();
    let store = b.open();
    let key = MemoryKey::generate(KeyType::Ed25519);
    let put = || store.set_supplier(&"acme".parse().unwrap(), Some(key.public_key()), NOW).unwrap();
    put();
    let before = store.audit_len().unwrap();
    put();
    assert_eq!(store.audit_len().unwrap(), before);
}
#[test]
fn a_new_version_adds_changes_and_takes_back() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None), (2, None), (3, None)]), [3, 0, 0, 0]);
    assert_eq!(deposit(&store), 3);
    let next = acme(8, Some(7), &[(4, None), (1, None), (2, Some("chip-2"))]);
    let ListOutcome::Imported(changes) = store.compare(&next).unwrap() else { panic!() };
    let said: Vec<_> = changes.differences.iter().map(|d| (d.serial.to_string(), d.change, d.line)).collect();
    let expected =
        [("SN0004", Change::Added, Some(1)), ("SN0002", Change::Changed, Some(3)), ("SN0003", Change::Removed, None)];
    assert_eq!(said, expected.map(|(serial, change, line)| (serial.to_owned(), change, line)));
    taken(&store, &next, [1, 1, 1, 1]);
    assert_eq!(until(&store, 3), NOW, "a grant that nobody took has ended");
    assert_eq!(store.admit(&[seen("chip-3", 3)], NOW).unwrap(), [Err(Reason::NotOnList)]);
    assert_eq!(store.admit(&[seen("chip-9", 2)], NOW).unwrap(), [Err(Reason::SerialTaken)]);
    assert_eq!(deposit(&store), 2, "the new one and the changed one");
    assert_eq!((until(&store, 3), until(&store, 2)), (NOW, NOW.plus_s(100)));
    assert_eq!(store.lists().unwrap().iter().map(|l| l.devices).collect::<Vec<_>>(), [0, 3]);
    is_sound(&b, &store);
}
#[test]
fn a_list_that_supersedes_none_takes_nothing_back() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    taken(&store, &acme(8, None, &[(2, None)]), [1, 0, 0, 0]);
    contradicts(&store, &acme(9, None, &[(1, Some("chip-1"))]), &[(1, "stands with no board")]);
    assert!(store.admit(&[seen("chip-1", 1)], NOW).unwrap()[0].is_ok());
}
#[test]
fn what_was_never_taken_cannot_be_superseded() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &of("zenith", 3, None, &[(1, None)]), [1, 0, 0, 0]);
    contradicts(&store, &acme(8, Some(3), &[(2, None)]), &[(1, "list 3, which was never taken from acme")]);
}
#[test]
fn what_is_taken_back_before_it_was_left_at_km_is_never_left_there() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None), (2, None)]), [2, 0, 0, 0]);
    taken(&store, &acme(8, Some(7), &[(2, None)]), [0, 1, 0, 1]);
    assert_eq!(deposit(&store), 1);
    assert_eq!(store.grants(&[(&device(1), &"idevid".parse().unwrap())]).unwrap(), [None]);
}
#[test]
fn what_is_consumed_is_neither_taken_back_nor_changed_nor_given_twice() {
    let b = Box_::new();
    let store = trusting(&b);
    let authority = ready(&store);
    taken(&store, &acme(7, None, &[(1, None), (2, None), (3, None)]), [3, 0, 0, 0]);
    deposit(&store);
    issue(&store, authority, 1);
    provision(&store, "chip-1", 1);
    // A certificate without a record of the station: in the middle of its work.
    issue(&store, authority, 2);
    contradicts(
        &store,
        &acme(8, Some(7), &[(1, Some("chip-7")), (2, Some("chip-8"))]),
        &[(1, "no board"), (2, "no board")],
    );
    let mut other = acme(8, Some(7), &[(1, None)]);
    other.devices[0].profile = "ldevid".parse().unwrap();
    contradicts(&store, &other, &[(1, "stands with profile idevid")]);
    taken(&store, &acme(8, Some(7), &[(4, None)]), [1, 0, 0, 1]);
    let again = List { until: NOW.plus_s(1000), ..acme(9, Some(8), &[(1, None), (2, None), (4, None)]) };
    taken(&store, &again, [0, 3, 0, 0]);
    assert_eq!(deposit(&store), 2, "the new one, and its later end");
    for n in [1, 2] {
        assert_eq!((grant(&store, n).used, until(&store, n)), (1, NOW.plus_s(100)), "{n}");
    }
    assert_eq!(store.admit(&[seen("chip-1", 1)], NOW).unwrap(), [Err(Reason::AlreadyProvisioned)]);
    assert!(store.admit(&[seen("chip-2", 2)], NOW).unwrap()[0].is_ok(), "the station goes on where it was");
}
#[test]
fn what_was_taken_back_may_be_listed_again_by_anybody() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, Some("chip-1")), (2, None)]), [2, 0, 0, 0]);
    deposit(&store);
    taken(&store, &acme(8, Some(7), &[(2, None)]), [0, 1, 0, 1]);
    let mut other = of("zenith", 1, None, &[(1, Some("chip-7")), (3, Some("chip-1"))]);
    other.devices[0].id.device_type = "gateway".parse().unwrap();
    taken(&store, &other, [2, 0, 0, 0]);
    assert_eq!(deposit(&store), 2);
    let row = all(&store).remove(0);
    assert_eq!((row.id.device_type.as_str(), row.list.as_str()), ("gateway", "zenith-1"));
}
#[test]
fn boards_may_change_places_within_a_new_version() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, Some("chip-1")), (2, Some("chip-2"))]), [2, 0, 0, 0]);
    taken(&store, &acme(8, Some(7), &[(1, Some("chip-2")), (2, Some("chip-1"))]), [0, 0, 2, 0]);
    assert!(store.admit(&[seen("chip-2", 1)], NOW).unwrap()[0].is_ok());
    let moved = acme(9, Some(8), &[(2, Some("chip-2")), (1, Some("chip-1"))]);
    contradicts(&store, &moved, &[(1, "board chip-2 is SN0001's"), (2, "stands with board chip-2")]);
}
#[test]
fn an_earlier_end_holds_for_what_was_left_at_km_already() {
    let b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    deposit(&store);
    taken(&store, &List { until: NOW.plus_s(10), ..acme(8, Some(7), &[(1, None)]) }, [0, 1, 0, 0]);
    assert_eq!((deposit(&store), until(&store, 1)), (0, NOW.plus_s(10)));
    taken(&store, &List { until: NOW.plus_s(20), ..acme(9, None, &[(1, None)]) }, [0, 1, 0, 0]);
    assert_eq!((deposit(&store), until(&store, 1)), (1, NOW.plus_s(20)));
}
#[test]
fn after_a_restore_no_number_comes_again() {
    let mut b = Box_::new();
    let store = trusting(&b);
    taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
    b.back_up(&store);
    let entries = store.audit_len().unwrap();
    trust(&store, "later");
    taken(&store, &acme(8, None, &[(2, None)]), [1, 0, 0, 0]);
    taken(&store, &of("later", 5, None, &[(3, None)]), [1, 0, 0, 0]);
    drop(store);
    b.restore();
    let mut found = Vec::new();
    let name = marks::name_of("test", b.key.public_key());
    marks::read(&b.dir.join("marks"), &name, entries, &mut |mark| found.push(mark)).unwrap();
    let store = b.open();
    assert!(matches!(store.compare(&acme(8, None, &[(2, None)])).unwrap(), ListOutcome::Imported(_)), "without marks");
    store.recall(&found, NOW).unwrap();
    is_refused(&store, &acme(8, None, &[(2, None)]), Reason::ListNotNewer);
    trust(&store, "later");
    is_refused(&store, &of("later", 5, None, &[(3, None)]), Reason::ListNotNewer);
    taken(&store, &acme(9, None, &[(2, None)]), [1, 0, 0, 0]);
    is_sound(&b, &store);
}
#[test]
fn a_number_or_a_key_that_was_changed_behind_our_back_is_found() {
    for sql in [
        "UPDATE supplier SET sequence = 6",
        "UPDATE supplier SET spki = x'00' WHERE name = 'acme'",
        "DELETE FROM supplier",
    ] {
        let b = Box_::new();
        let store = trusting(&b);
        taken(&store, &acme(7, None, &[(1, None)]), [1, 0, 0, 0]);
        b.sql(sql);
        assert!(store.check_deep(&mut |_| ()).unwrap().is_err(), "{sql}");
    }
}
#[test]
fn entries_of_an_older_version_are_read() {
    let old = r#"{"list-imported":{"list":"a","digest":"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d","devices":3}}"#;
    let event: Event = serde_json::from_str(old).unwrap();
    assert!(matches!(event, Event::ListImported { devices: 3, supplier: None, sequence: None, removed: None, .. }));
}
#[test]
fn a_hundred_thousand_lines_are_taken_or_none_of_them() {
    let b = Box_::new();
    let store = trusting(&b);
    let devices: Vec<_> = (0..100_000).map(|n| (n, None)).collect();
    let list = acme(1, None, &devices);
    assert!(matches!(store.import(&list, NOW).unwrap(), ListOutcome::Imported(ListChanges { new: 100_000, .. })));
    let mut next = acme(2, Some(1), &devices);
    next.devices[69_999].id.device_type = "gateway".parse().unwrap();
    next.devices[69_999].board = Some("chip-1".parse().unwrap());
    store.admit(&[seen("chip-1", 1)], NOW).unwrap()[0].as_ref().unwrap();
    contradicts(&store, &next, &[(70_000, "board chip-1 is SN0001's")]);
    let half: Vec<_> = (0..50_000).map(|n| (n, None)).collect();
    taken(&store, &acme(2, Some(1), &half), [0, 50_000, 0, 50_000]);
}
