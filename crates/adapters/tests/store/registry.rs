//! What ics, pm, sm and the supervisor rely on; and many threads at once.

use crate::support::*;
use model::contract::identity::{BoardSeen, Step, StepDone};
use model::mode::{Binding, Order};
use model::{Digest, Mode, Module, Reason, TransactionId};
use ports::store::authority::{CertificateFilter, EnrolmentDraft, IntentDraft, LeftBy, RecordDraft, Registered};
use ports::store::identity::{List, ListedDevice};
use ports::store::line::Job;
use ports::store::mode::ModeRow;
use ports::store::software::{BundleRow, BundledRow, TrustedFile};
use ports::store::{AuthorityStore, IdentityStore, LineStore, ModeStore, SoftwareStore};
use ports::vault::BlobName;
use std::sync::Arc;
use x509::{SerialNumber, sha256};

fn list(devices: &[(u32, Option<&str>)]) -> List {
    let listed = devices.iter().zip(1..).map(|((n, board), line)| ListedDevice {
        id: device(*n).device().unwrap().clone(),
        board: board.map(|b| b.parse().unwrap()),
        idevid: None,
        profile: "idevid".parse().unwrap(),
        line,
    });
    let (name, until) = ("a".to_owned(), NOW.plus_s(100));
    List { name, digest: digest(1), until, supplied: None, replaces: None, devices: listed.collect() }
}
fn seen(board: &str, n: u32) -> BoardSeen {
    let serial = format!("SN{n:04}").parse().unwrap();
    BoardSeen { board: board.parse().unwrap(), serial, device_type: "sensor".parse().unwrap() }
}

#[test]
fn boards_are_bound_to_names() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list(&[(1, None), (2, Some("chip-2")), (3, None)]), NOW).unwrap();
    let admit = |seen: BoardSeen| store.admit(&[seen], NOW).unwrap().pop().unwrap().map(|_| ());
    assert_eq!(admit(seen("chip-1", 1)), Ok(()));
    assert_eq!(admit(seen("chip-1", 1)), Ok(()), "the same board goes on");
    assert_eq!(admit(seen("chip-9", 1)), Err(Reason::SerialTaken), "two boards with one serial number");
    assert_eq!(admit(seen("chip-9", 2)), Err(Reason::SerialTaken), "the list names another board");
    assert_eq!(admit(seen("chip-1", 3)), Err(Reason::BoardTaken), "one board with two labels");
    assert_eq!(admit(seen("chip-2", 3)), Err(Reason::BoardTaken), "a board that the list gives another label");
    assert_eq!(admit(seen("chip-5", 5)), Err(Reason::NotOnList));
    let gateway = BoardSeen { device_type: "gateway".parse().unwrap(), ..seen("chip-3", 3) };
    assert_eq!(admit(gateway), Err(Reason::WrongType));
    let id = device(3).device().unwrap().clone();
    store.mark(&id, true, NOW).unwrap().unwrap();
    assert_eq!(admit(seen("chip-3", 3)), Err(Reason::BoardHeld));
    store.mark(&id, false, NOW).unwrap().unwrap();
    assert_eq!(admit(seen("chip-3", 3)), Ok(()));
}
#[test]
fn leave_to_enrol_is_one_at_a_time_and_so_is_its_secret() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list(&[(1, None)]), NOW).unwrap();
    let profile: model::ProfileName = "ldevid".parse().unwrap();
    let let_enrol = |left_by, until_s: u64| {
        let until = NOW.plus_s(until_s);
        store
            .let_enrol(&EnrolmentDraft { subject: device(1), profile: profile.clone(), until, left_by, at: NOW })
            .unwrap();
        let grant = store.grants(&[(&device(1), &profile)]).unwrap().pop().unwrap().unwrap();
        (store.secret_that_opens(grant.id).unwrap(), grant.quota - grant.used, grant.until)
    };
    let in_s = |s| NOW.plus_s(s);
    assert_eq!(let_enrol(LeftBy::Operator(None), 9), (None, 1, in_s(9)));
    assert_eq!(let_enrol(LeftBy::Operator(Some(digest(7))), 8), (Some(digest(7)), 1, in_s(8)));
    assert_eq!(let_enrol(LeftBy::Operator(Some(digest(8))), 8), (Some(digest(8)), 1, in_s(8)), "the one before ends");
    assert_eq!(let_enrol(LeftBy::Renewal, 9), (None, 1, in_s(9)), "who renews has a certificate, and needs no secret");
    assert_eq!(store.secret_that_opens(99).unwrap(), None);
}
#[test]
fn who_is_on_no_list_or_stolen_is_told_apart() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list(&[(1, None)]), NOW).unwrap();
    let [one, two] = [1, 2].map(|n| device(n).device().unwrap().clone());
    assert_eq!(store.registered(&one).unwrap(), Registered::Yes);
    assert_eq!(store.registered(&two).unwrap(), Registered::No);
    store.mark(&one, true, NOW).unwrap().unwrap();
    assert_eq!(store.registered(&one).unwrap(), Registered::Held);
    assert_eq!(store.device_of(&one.serial).unwrap(), Some(one));
    assert_eq!(store.device_of(&two.serial).unwrap(), None);
}
#[test]
fn a_device_is_provisioned_once_and_in_order() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list(&[(1, None)]), NOW).unwrap();
    let id = store.admit(&[seen("chip-1", 1)], NOW).unwrap().remove(0).unwrap();
    let (line, alice) = ("line-1".parse().unwrap(), "alice".parse().unwrap());
    let done = |board: &str, step: Step| {
        let steps = [StepDone { device: id.clone(), board: board.parse().unwrap(), step }];
        store.done(&line, &alice, &steps, NOW).unwrap()[0]
    };
    let flashed = Step::Flashed { image: digest(1), duration_ms: 5, retries: 0 };
    let provisioned = Step::Provisioned { serial: "01".into(), key: digest(2) };
    assert!(done("chip-1", provisioned.clone()).is_err(), "software comes first");
    assert!(done("chip-9", flashed.clone()).is_err(), "another board");
    assert_eq!(done("chip-1", flashed), Ok(()));
    assert_eq!(done("chip-1", provisioned), Ok(()));
    assert_eq!(store.admit(&[seen("chip-1", 1)], NOW).unwrap(), [Err(Reason::AlreadyProvisioned)]);
}
#[test]
fn jobs_and_floors_are_kept() {
    let b = Box_::new();
    let store = b.open();
    let id = device(1).device().unwrap().clone();
    let mut job = Job { device: id.clone(), image: None, transaction_id: None, key: None, finished: false };
    assert_eq!(store.jobs(std::slice::from_ref(&id)).unwrap(), [None]);
    store.set_jobs(std::slice::from_ref(&job)).unwrap();
    (job.image, job.transaction_id, job.key) = (Some(digest(1)), Some(transaction(1)), Some(digest(2)));
    store.set_jobs(std::slice::from_ref(&job)).unwrap();
    assert_eq!(store.jobs(&[id]).unwrap(), [Some(job)]);
    let sensor = "sensor".parse().unwrap();
    store.raise_release_floor(&sensor, 7).unwrap();
    store.raise_release_floor(&sensor, 5).unwrap();
    assert_eq!(store.release_floor(&sensor).unwrap(), 7);
}
#[test]
fn the_mode_is_kept_with_its_epoch() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.mode().unwrap(), None);
    assert!(store.bind(Binding::settled(Mode::Ceremony), NOW).is_err(), "nobody ordered a mode");
    let (order, operator) = (Order::Provision, "alice".to_owned());
    let event = model::audit::Event::ModeOrdered { order, epoch: 1, operator, reason: String::new() };
    store.order(order, "signed", event, NOW).unwrap();
    let expect = |binding, epoch| Some(ModeRow { order, statement: "signed".into(), binding, epoch });
    assert_eq!(store.mode().unwrap(), expect(Binding::settled(Mode::Sealed), 0), "sealed until the change is made");
    let between = Binding { current: Mode::Sealed, pending: Some(Mode::ProvisionSoftware) };
    assert_eq!(store.bind(between, NOW).unwrap(), 1);
    drop(store);
    let store = b.open();
    assert_eq!(store.mode().unwrap(), expect(between, 1), "a crash leaves both modes in force");
    assert_eq!(store.seal(Module::Provisioning, Reason::BothSignaturesInvalid, NOW).unwrap(), 2);
    let sealed = store.mode().unwrap().unwrap();
    assert_eq!((sealed.order, sealed.binding), (Order::Stay(Mode::Sealed), Binding::settled(Mode::Sealed)));
}
#[test]
fn many_threads_write_together() {
    let b = Box_::new();
    let store = Arc::new(b.open());
    let ca = ready(store.as_ref());
    let offers: Vec<_> = (100..300).map(offer).collect();
    store.deposit("list b", &offers, NOW).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for n in 0..25_u8 {
                    let mark = thread * 25 + n;
                    let subject = device(100 + u32::from(mark));
                    let grant = store.grants(&[(&subject, &"idevid".parse().unwrap())]).unwrap().remove(0).unwrap();
                    let mut octets = [mark; 32];
                    octets[1] = 1;
                    let key = Digest::new(octets);
                    let serial = SerialNumber::new(&[2, mark, 1, 1, 1, 1, 1, 1, 1]).unwrap();
                    let draft = IntentDraft { grant: grant.id, key, serial, ..draft(store.as_ref(), ca, 1) };
                    let draft = IntentDraft { transaction_id: TransactionId::new([100 + mark % 100; 16]), ..draft };
                    let mut id = *draft.transaction_id.octets();
                    id[0] = mark;
                    let draft = IntentDraft { transaction_id: TransactionId::new(id), ..draft };
                    let intent = row(one(store.as_ref(), draft));
                    let drafts = vec![RecordDraft { intent, serial, certificate: vec![mark], at: NOW }];
                    assert!(store.record(drafts).unwrap()[0].is_some());
                }
            });
        }
    });
    let filter = CertificateFilter { limit: 1000, ..Default::default() };
    assert_eq!(store.certificates(&filter).unwrap().len(), 200);
    assert!(store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap().is_ok());
}

/// A bundle of this name, with these counters for sensors and gateways.
fn bundle_row(n: u8, counters: &[(&str, u64)]) -> BundleRow {
    let release = |(device_type, counter): &(&str, u64)| BundledRow {
        device_type: device_type.parse().unwrap(),
        release: format!("app {counter}"),
        target: "app.img".into(),
        counter: *counter,
        image: BlobName(format!("image-{counter}")),
        image_digest: sha256(&counter.to_be_bytes()),
        length: 1,
    };
    BundleRow {
        digest: digest(n),
        blob: BlobName(format!("bundle-{n}")),
        countersignature: vec![n],
        at: NOW,
        releases: counters.iter().map(release).collect(),
    }
}
fn digests(store: &impl SoftwareStore) -> Vec<Digest> {
    store.bundles().unwrap().into_iter().map(|row| row.digest).collect()
}

#[test]
fn the_last_bundle_counts_and_those_that_say_nothing_more_are_forgotten() {
    let b = Box_::new();
    let store = b.open();
    assert_eq!(store.last_bundle().unwrap(), None);
    let first = bundle_row(1, &[("gateway", 1), ("sensor", 1)]);
    store.store_bundle(&first).unwrap();
    assert_eq!(store.last_bundle().unwrap(), Some(first));
    // Verified again under newer metadata: the same images for the same types.
    store.store_bundle(&bundle_row(2, &[("gateway", 1), ("sensor", 1)])).unwrap();
    assert_eq!(digests(&store), [digest(2)]);
    store.store_bundle(&bundle_row(3, &[("gateway", 2), ("sensor", 1)])).unwrap();
    store.store_bundle(&bundle_row(4, &[("gateway", 1)])).unwrap();
    assert_eq!(digests(&store), [digest(4), digest(3), digest(2)]);
    // The same one again is the last one then, as it is now.
    let again = BundleRow { countersignature: vec![9], ..bundle_row(3, &[("gateway", 2), ("sensor", 1)]) };
    store.store_bundle(&again).unwrap();
    assert_eq!(store.last_bundle().unwrap(), Some(again));
    assert_eq!(digests(&store), [digest(3), digest(4), digest(2)]);
    drop(store);
    assert_eq!(digests(&b.open()), [digest(3), digest(4), digest(2)]);
}

#[test]
fn bundles_are_those_of_which_the_log_tells() {
    let b = Box_::new();
    let store = b.open();
    store.store_bundle(&bundle_row(1, &[("sensor", 1)])).unwrap();
    store.store_bundle(&bundle_row(2, &[("sensor", 1)])).unwrap();
    assert!(store.check_deep(&mut |_| ()).unwrap().is_ok());
    drop(store);
    let found = || {
        let findings = b.open().check_deep(&mut |_| ()).unwrap().unwrap_err();
        findings.iter().map(|finding| format!("{finding:?}")).collect::<String>()
    };
    b.sql("UPDATE bundle SET digest = zeroblob(32)");
    let said = found();
    assert!(said.contains("it was never stored") && said.contains("it was stored, and is gone"), "{said}");
}

#[test]
fn each_module_trusts_files_of_its_own() {
    let b = Box_::new();
    let store = b.open();
    let file = |repository: u8, name: &str, octets: Option<&[u8]>| TrustedFile {
        repository: digest(repository),
        name: name.to_owned(),
        octets: octets.map(<[u8]>::to_vec),
    };
    let trusted = |module, repository: u8| {
        let files = store.trusted(module, digest(repository)).unwrap();
        files
            .into_iter()
            .map(|(name, octets)| format!("{name}={}", String::from_utf8(octets).unwrap()))
            .collect::<Vec<_>>()
    };
    let first =
        [file(1, "root.json", Some(b"1")), file(1, "timestamp.json", Some(b"1")), file(2, "root.json", Some(b"2"))];
    store.keep_trusted(Module::Software, &first).unwrap();
    assert_eq!(trusted(Module::Software, 1), ["root.json=1", "timestamp.json=1"]);
    assert_eq!(trusted(Module::Software, 2), ["root.json=2"]);
    assert_eq!(trusted(Module::Provisioning, 1), [""; 0]);
    // In this order: forgotten, and kept again.
    let second = [file(1, "timestamp.json", None), file(1, "root.json", Some(b"3")), file(1, "root.json", Some(b"4"))];
    store.keep_trusted(Module::Software, &second).unwrap();
    assert_eq!(trusted(Module::Software, 1), ["root.json=4"]);
    store.keep_trusted(Module::Provisioning, &[file(1, "root.json", Some(b"5"))]).unwrap();
    assert_eq!(trusted(Module::Software, 1), ["root.json=4"]);
}
