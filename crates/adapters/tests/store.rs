//! What every store must do. Each check takes the store as a trait object, so that the next adapter runs the same.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use adapters::clock::SystemEntropy;
use adapters::keystore::memory::MemoryKey;
use adapters::store::SqliteStore;
use adapters::store::audit_log::Finding;
use adapters::store::sqlite::{FILE, OpenFault, Opening};
use model::audit::{Entry, Event};
use model::contract::authority::{GrantOffer, RevocationReason, Verdict};
use model::contract::identity::{BoardSeen, Step, StepDone};
use model::mode::{Binding, Order};
use model::{Digest, Entity, Mode, Module, Reason, TransactionId, UnixTime};
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::authority::{CertificateFilter, CrlRow, IntentDraft, IntentOutcome, RecordDraft};
use ports::store::identity::{DeviceFilter, List, ListOutcome, ListedDevice};
use ports::store::line::Job;
use ports::store::mode::ModeRow;
use ports::store::software::ReleaseRow;
use ports::store::{AuditSink, AuthorityStore, IdentityStore, LineStore, ModeStore, SoftwareStore};
use ports::vault::BlobName;
use ports::{Clock, Signer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use x509::{KeyType, SerialNumber, sha256};

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

struct Still;
impl Clock for Still {
    fn now(&self) -> UnixTime {
        NOW
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

struct Box_ {
    dir: PathBuf,
    key: Arc<dyn Signer>,
}

impl Box_ {
    fn new() -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir, key: Arc::new(MemoryKey::generate(KeyType::Ed25519)) }
    }
    fn opening(&self) -> Opening {
        Opening {
            log_name: "test".into(),
            audit_key: Arc::clone(&self.key),
            clock: Arc::new(Still),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
    fn open(&self) -> SqliteStore {
        SqliteStore::make(&self.dir, &self.opening()).unwrap()
    }
    fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.dir.join(FILE)).unwrap().execute_batch(sql).unwrap();
    }
}
impl Drop for Box_ {
    fn drop(&mut self) {
        let _ignored = std::fs::remove_dir_all(&self.dir);
    }
}

fn station() -> Caller {
    Caller { module: Module::Provisioning, instance: "line-1".parse().unwrap() }
}
fn device(n: u32) -> Entity {
    format!("urn:dev:ops:32473-sensor-SN{n:04}").parse().unwrap()
}
fn offer(n: u32) -> GrantOffer {
    GrantOffer { subject: device(n), profile: "idevid".parse().unwrap(), until: NOW.plus_s(100), quota: 1 }
}
fn serial(n: u8) -> SerialNumber {
    SerialNumber::new(&[1, n, 0, 0, 0, 0, 0, 0, 0, 7]).unwrap()
}
fn transaction(n: u8) -> TransactionId {
    TransactionId::new([n; 16])
}
fn digest(n: u8) -> Digest {
    Digest::new([n; 32])
}

/// A store with one authority and grants for devices 0 to 9.
fn ready(store: &dyn AuthorityStore) -> u64 {
    let (name, profile) = ("factory".parse().unwrap(), "factory".parse().unwrap());
    let id = store.begin_authority(&name, &KeyUri("file:factory".into()), None, &profile, NOW).unwrap().unwrap();
    let offers: Vec<_> = (0..10).map(offer).collect();
    assert_eq!(store.deposit("list a", &offers, NOW).unwrap(), 10);
    id
}
fn grant(store: &dyn AuthorityStore, n: u32) -> ports::store::authority::Grant {
    store.grants(&[(&device(n), &"idevid".parse().unwrap())]).unwrap()[0].clone().unwrap()
}
fn draft(store: &dyn AuthorityStore, authority: u64, n: u8) -> IntentDraft {
    IntentDraft {
        transaction_id: transaction(n),
        requester: station(),
        authority,
        serial: serial(n),
        tbs_digest: digest(n),
        profile_digest: digest(200),
        grant: grant(store, u32::from(n)).id,
        right: None,
        key: digest(n),
        at: NOW,
    }
}
fn one(store: &dyn AuthorityStore, draft: IntentDraft) -> IntentOutcome {
    store.intend(vec![draft]).unwrap().pop().unwrap()
}
fn row(outcome: IntentOutcome) -> u64 {
    match outcome {
        IntentOutcome::Durable(token) => token.row(),
        other => panic!("{other:?}"),
    }
}
fn record(store: &dyn AuthorityStore, intent: u64, n: u8) -> bool {
    let certificate = vec![0x30, n];
    let recorded =
        store.record(vec![RecordDraft { intent, serial: serial(n), certificate: certificate.clone(), at: NOW }]);
    match recorded.unwrap().pop().unwrap() {
        Some(proof) => {
            assert_eq!((proof.serial(), proof.certificate_digest()), (serial(n), sha256(&certificate)));
            true
        }
        None => false,
    }
}
fn issue(store: &dyn AuthorityStore, authority: u64, n: u8) {
    let intent = row(one(store, draft(store, authority, n)));
    assert!(record(store, intent, n));
}

#[track_caller]
fn refused(outcome: IntentOutcome, reason: Reason) {
    assert!(matches!(outcome, IntentOutcome::Refused(r) if r == reason), "{outcome:?}");
}

#[test]
fn a_grant_is_reserved_with_the_intent_and_spent_with_the_record() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let intent = row(one(&store, draft(&store, ca, 1)));
    assert_eq!(grant(&store, 1).used, 1);
    assert!(record(&store, intent, 1));
    assert_eq!(grant(&store, 1).used, 1);
    assert!(!record(&store, intent, 1), "an intent is completed once");
}
#[test]
fn a_grant_is_used_once_even_within_one_batch() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = draft(&store, ca, 1);
    let second = IntentDraft { transaction_id: transaction(2), serial: serial(2), ..first.clone() };
    let mut outcomes = store.intend(vec![first, second]).unwrap();
    refused(outcomes.pop().unwrap(), Reason::GrantSpent);
    row(outcomes.pop().unwrap());
}
#[test]
fn a_grant_that_ended_reserves_nothing() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let late = IntentDraft { at: NOW.plus_s(100), ..draft(&store, ca, 1) };
    row(one(&store, late));
    let later = IntentDraft { at: NOW.plus_ms(100_001), ..draft(&store, ca, 2) };
    refused(one(&store, later), Reason::GrantExpired);
}
#[test]
fn a_transaction_gives_one_certificate_however_often_it_is_repeated() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let first = draft(&store, ca, 1);
    let again = IntentDraft { serial: serial(99), tbs_digest: digest(99), ..first.clone() };
    let intent = row(one(&store, first));
    assert!(matches!(one(&store, again.clone()), IntentOutcome::InProgress));
    record(&store, intent, 1);
    assert!(matches!(one(&store, again), IntentOutcome::Repeated { certificate, .. } if certificate == [0x30, 1]));
    let id = grant(&store, 1).id;
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(1)).unwrap(), Some((vec![0x30, 1], ca)));
    assert_eq!(store.repeated(&station(), transaction(1), id, digest(2)).unwrap(), None);
    assert_eq!(store.repeated(&station(), transaction(2), id, digest(1)).unwrap(), None);
}
#[test]
fn a_transaction_of_another_request_is_refused() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let other_device = IntentDraft { transaction_id: transaction(1), ..draft(&store, ca, 2) };
    refused(one(&store, other_device), Reason::TransactionConflict);
    let other_key = IntentDraft { key: digest(9), ..draft(&store, ca, 1) };
    refused(one(&store, other_key), Reason::TransactionConflict);
    let caller = Caller { module: Module::Provisioning, instance: "line-2".parse().unwrap() };
    let other_caller = IntentDraft { requester: caller, ..draft(&store, ca, 1) };
    refused(one(&store, other_caller), Reason::TransactionConflict);
}
#[test]
fn a_key_belongs_to_one_subject() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let stolen = IntentDraft { key: digest(1), ..draft(&store, ca, 2) };
    refused(one(&store, stolen), Reason::KeyInUse);
    // A key that begins alike is another key.
    let mut alike = *digest(1).octets();
    alike[31] = 0;
    row(one(&store, IntentDraft { key: Digest::new(alike), ..draft(&store, ca, 3) }));
}
#[test]
fn a_serial_number_is_intended_once() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let twin = IntentDraft { serial: serial(1), ..draft(&store, ca, 2) };
    assert!(store.intend(vec![twin]).is_err());
    assert_eq!(grant(&store, 2).used, 0, "what failed had no effect");
    issue(&store, ca, 3);
}
#[test]
fn a_clock_that_went_back_issues_nothing() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let before = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_000), ..draft(&store, ca, 1) };
    row(one(&store, before));
    let long_before = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_001), ..draft(&store, ca, 2) };
    refused(one(&store, long_before), Reason::ClockBackwards);
}
#[test]
fn an_entry_of_an_earlier_time_does_not_move_the_mark() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    row(one(&store, draft(&store, ca, 1)));
    let earlier = UnixTime::from_ms(NOW.ms() - 864_000_000);
    let event = Event::DeviceMarked { device: "d".into(), stolen: true };
    store.append(vec![Entry { at: earlier, by: Module::Identity, event }]).unwrap();
    drop(store);
    let store = b.open();
    let late = IntentDraft { at: UnixTime::from_ms(NOW.ms() - 5_001), ..draft(&store, ca, 2) };
    refused(one(&store, late), Reason::ClockBackwards);
}
#[test]
fn a_closed_intent_is_revoked_and_its_grant_and_transaction_are_free() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let intent = row(one(&store, draft(&store, ca, 1)));
    store.close(vec![intent], "the signature failed", NOW).unwrap();
    assert_eq!(grant(&store, 1).used, 0);
    assert!(!record(&store, intent, 1), "a closed intent is not completed");
    let revoked: Vec<_> = store.revoked(ca).unwrap().iter().map(|r| r.serial_number).collect();
    assert_eq!(revoked, [serial(1)]);
    row(one(&store, IntentDraft { serial: serial(50), ..draft(&store, ca, 1) }));
}
#[test]
fn what_a_crash_left_open_is_closed_at_the_next_start() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    row(one(&store, draft(&store, ca, 1)));
    issue(&store, ca, 2);
    drop(store);
    let store = b.open();
    let closed = store.close_left_open(NOW).unwrap();
    assert_eq!(closed.iter().map(|c| (c.serial, c.transaction_id)).collect::<Vec<_>>(), [(serial(1), transaction(1))]);
    assert_eq!(store.close_left_open(NOW).unwrap(), []);
    assert_eq!(grant(&store, 1).used, 0);
}
#[test]
fn a_right_is_spent_with_its_grant() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    let (line, sensor) = ("line-1".parse().unwrap(), "sensor".parse().unwrap());
    store.entitle(&line, &sensor, 1, NOW.plus_s(100), NOW).unwrap();
    let right = store.right(&line, &sensor).unwrap().unwrap();
    let vouched = |n| IntentDraft { right: Some(right.id), ..draft(&store, ca, n) };
    let intent = row(one(&store, vouched(1)));
    refused(one(&store, vouched(2)), Reason::RightSpent);
    assert_eq!(grant(&store, 2).used, 0, "the grant is free again");
    record(&store, intent, 1);
    let right = store.right(&line, &sensor).unwrap().unwrap();
    assert_eq!(right.used, 1);
    store.entitle(&line, &sensor, 2, NOW.plus_s(100), NOW).unwrap();
    assert_eq!(store.right(&line, &sensor).unwrap().unwrap().used, 1, "what was spent stays spent");
}
#[test]
fn a_confirmed_certificate_is_not_rejected() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let say = |n, verdict| store.confirm(&station(), vec![(transaction(n), verdict)], NOW).unwrap()[0];
    assert_eq!(say(1, Verdict::Accepted), Ok(()));
    assert_eq!(say(1, Verdict::Accepted), Ok(()), "a repetition has no second effect");
    assert_eq!(say(1, Verdict::Rejected), Err(Reason::TransactionClosed));
    assert_eq!(say(9, Verdict::Accepted), Err(Reason::TransactionUnknown));
    let stranger = Caller { module: Module::Provisioning, instance: "line-2".parse().unwrap() };
    let foreign = store.confirm(&stranger, vec![(transaction(1), Verdict::Accepted)], NOW).unwrap();
    assert_eq!(foreign, [Err(Reason::TransactionUnknown)]);
}
#[test]
fn a_rejected_certificate_is_revoked_and_its_grant_is_free() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let reject = || store.confirm(&station(), vec![(transaction(1), Verdict::Rejected)], NOW).unwrap()[0];
    assert_eq!((reject(), reject()), (Ok(()), Ok(())));
    assert_eq!(grant(&store, 1).used, 0);
    assert_eq!(store.revoked(ca).unwrap().len(), 1);
    row(one(&store, IntentDraft { serial: serial(50), key: digest(50), ..draft(&store, ca, 1) }));
}
#[test]
fn revoked_is_revoked() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    let revoke = |n| store.revoke(&serial(n), RevocationReason::KeyCompromise, NOW).unwrap();
    assert_eq!(revoke(1), Ok(()));
    assert_eq!(revoke(1), Err(Reason::AlreadyRevoked));
    assert_eq!(revoke(2), Err(Reason::SerialUnknown));
    let found = store.certificate(&serial(1)).unwrap().unwrap();
    assert_eq!(found.revoked, Some((NOW, RevocationReason::KeyCompromise)));
    let filter = CertificateFilter { revoked: Some(true), limit: 10, ..CertificateFilter::default() };
    assert_eq!(store.certificates(&filter).unwrap().len(), 1);
}
#[test]
fn certificates_are_found_by_subject_and_key() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..5).for_each(|n| issue(&store, ca, n));
    let find = |filter: CertificateFilter| {
        let found = store.certificates(&CertificateFilter { limit: 2, ..filter }).unwrap();
        found.iter().map(|row| row.serial).collect::<Vec<_>>()
    };
    assert_eq!(find(CertificateFilter { subject: Some(device(3)), ..Default::default() }), [serial(3)]);
    assert_eq!(find(CertificateFilter { key: Some(digest(2)), ..Default::default() }), [serial(2)]);
    assert_eq!(find(CertificateFilter::default()), [serial(1), serial(2)]);
    assert_eq!(find(CertificateFilter { after: 2, ..Default::default() }), [serial(3), serial(4)]);
}
#[test]
fn crl_numbers_only_grow() {
    let b = Box_::new();
    let store = b.open();
    ready(&store);
    let ca = store.authorities().unwrap().remove(0);
    let crl = |number| CrlRow { number, this_update: NOW, next_update: NOW.plus_s(1), der: vec![1] };
    assert_eq!(store.next_crl_number(ca.id).unwrap(), 1);
    store.intend_crl(&ca, 1, digest(1), NOW).unwrap();
    assert!(store.intend_crl(&ca, 1, digest(1), NOW).is_err(), "a number is intended once");
    assert!(store.record_crl(&ca, crl(2)).is_err(), "what was not intended is not recorded");
    // A signature that never came leaves a hole, which is no harm; the number is not used again.
    store.intend_crl(&ca, 2, digest(2), NOW).unwrap();
    assert!(store.record_crl(&ca, crl(1)).is_err());
    store.record_crl(&ca, crl(2)).unwrap();
    assert_eq!(store.crl(ca.id).unwrap().unwrap().number, 2);
    assert_eq!(store.next_crl_number(ca.id).unwrap(), 3);
}
#[test]
fn an_authority_has_one_name_and_one_certificate() {
    let b = Box_::new();
    let store = b.open();
    let id = ready(&store);
    let (name, profile) = ("factory".parse().unwrap(), "factory".parse().unwrap());
    let again = store.begin_authority(&name, &KeyUri("file:x".into()), None, &profile, NOW).unwrap();
    assert_eq!(again, Err(Reason::NameTaken));
    store.complete_authority(id, &[1], digest(1), NOW).unwrap();
    assert!(store.complete_authority(id, &[2], digest(2), NOW).is_err());
    assert_eq!(store.authorities().unwrap()[0].certificate, [1]);
}
#[test]
fn an_epoch_is_new_at_each_opening() {
    let b = Box_::new();
    let first = b.open().epoch();
    assert_ne!(first, b.open().epoch());
}
#[test]
fn a_second_process_is_kept_out() {
    let b = Box_::new();
    let _store = b.open();
    assert_eq!(SqliteStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::InUse));
    SqliteStore::open_to_read(&b.dir).unwrap();
}
#[test]
fn a_newer_schema_is_left_alone() {
    let b = Box_::new();
    drop(b.open());
    b.sql("PRAGMA user_version = 2");
    assert_eq!(SqliteStore::open(&b.dir, &b.opening()).err(), Some(OpenFault::Newer(2)));
    assert_eq!(SqliteStore::open_to_read(&b.dir).err(), Some(OpenFault::Newer(2)));
}
#[test]
fn a_store_that_was_opened_to_read_writes_nothing() {
    let b = Box_::new();
    drop(b.open());
    let store = SqliteStore::open_to_read(&b.dir).unwrap();
    assert!(store.deposit("x", &[offer(1)], NOW).is_err());
}

#[track_caller]
fn audit_finds(sql: &str, expected: &dyn Fn(&[Finding]) -> bool) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..9).for_each(|n| issue(&store, ca, n));
    let check = |store: &SqliteStore| store.check_audit(&[], b.key.public_key(), &mut |_| ()).unwrap();
    assert!(check(&store).is_ok());
    drop(store);
    assert!(check(&b.open()).is_ok(), "the tree is put together again");
    b.sql(sql);
    let found = check(&SqliteStore::open_to_read(&b.dir).unwrap()).unwrap_err();
    assert!(expected(&found), "{found:?}");
}

#[test]
fn an_edited_audit_row_is_found() {
    let sql = "UPDATE audit SET entry = CAST(replace(entry, 'issued', 'Issued') AS BLOB) WHERE number = 4";
    audit_finds(sql, &|f| f == [Finding::Changed(4)]);
}
#[test]
fn a_deleted_audit_row_is_found() {
    audit_finds("DELETE FROM audit WHERE number = 4", &|f| f[0] == Finding::Gap(4));
}
#[test]
fn reordered_audit_rows_are_found() {
    let sql = "UPDATE audit SET number = -1 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 6;
        UPDATE audit SET number = 6 WHERE number = -1";
    audit_finds(sql, &|f| matches!(f, [Finding::Forked(_)]));
}
#[test]
fn swapped_audit_entries_are_found() {
    let sql = "UPDATE audit SET entry = (SELECT entry FROM audit WHERE number = 6) WHERE number = 4";
    audit_finds(sql, &|f| f == [Finding::Changed(4)]);
}
#[test]
fn a_cut_audit_log_is_found() {
    audit_finds("DELETE FROM audit WHERE number > 4", &|f| matches!(f, [Finding::Cut { found: 5, .. }]));
}
#[test]
fn an_audit_log_without_checkpoint_is_found() {
    audit_finds("DELETE FROM checkpoint", &|f| f.contains(&Finding::NoCheckpoint));
}

#[track_caller]
fn deep_finds(sql: &str, invariant: &str) {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    (1..4).for_each(|n| issue(&store, ca, n));
    row(one(&store, draft(&store, ca, 4)));
    drop(store);
    // The certificates of this test are no certificates; what counts is what is found beyond that.
    let found = |b: &Box_| {
        let store = SqliteStore::open_to_read(&b.dir).unwrap();
        let found = store.check_deep(&mut |_| ()).unwrap().unwrap_err();
        found.into_iter().filter(|f| !f.what.contains("cannot be read")).map(|f| f.invariant).collect::<Vec<_>>()
    };
    assert_eq!(found(&b), [""; 0]);
    b.sql(sql);
    assert!(found(&b).contains(&invariant), "{:?}", found(&b));
}

#[test]
fn a_lost_certificate_is_found() {
    deep_finds("DELETE FROM certificate WHERE id = 2", "D3");
}
#[test]
fn an_intent_without_log_is_found() {
    let sql = "INSERT INTO issuance SELECT 99, x'0199', authority, x'99', requester, grant_id, right_id, profile, key,
        tbs, at, 0, 0 FROM issuance WHERE id = 1";
    deep_finds(sql, "D2");
}
#[test]
fn another_intent_is_found() {
    deep_finds("UPDATE issuance SET tbs = zeroblob(32) WHERE id = 1", "D2");
}
#[test]
fn a_grant_that_was_refilled_is_found() {
    deep_finds("UPDATE grant_ SET used = 0 WHERE id = 3", "D5");
}
#[test]
fn an_intent_that_was_closed_in_silence_is_found() {
    deep_finds("UPDATE issuance SET state = 2 WHERE id = 4", "D4");
}
#[test]
fn a_revocation_that_was_taken_back_is_found() {
    let b = Box_::new();
    let store = b.open();
    let ca = ready(&store);
    issue(&store, ca, 1);
    store.revoke(&serial(1), RevocationReason::KeyCompromise, NOW).unwrap().unwrap();
    drop(store);
    b.sql("DELETE FROM revocation");
    let found = SqliteStore::open_to_read(&b.dir).unwrap().check_deep(&mut |_| ()).unwrap().unwrap_err();
    assert!(found.iter().any(|f| f.invariant == "D6"), "{found:?}");
}

fn list(name: &str, devices: &[(u32, Option<&str>)]) -> List {
    let listed = devices.iter().zip(1..).map(|((n, board), line)| ListedDevice {
        id: device(*n).device().unwrap().clone(),
        board: board.map(|b| b.parse().unwrap()),
        profile: "idevid".parse().unwrap(),
        line,
    });
    List { name: name.into(), digest: digest(1), until: NOW.plus_s(100), devices: listed.collect() }
}
fn seen(board: &str, n: u32) -> BoardSeen {
    let serial = format!("SN{n:04}").parse().unwrap();
    BoardSeen { board: board.parse().unwrap(), serial, device_type: "sensor".parse().unwrap() }
}

#[test]
fn a_list_is_imported_once_and_leaves_its_grants_once() {
    let b = Box_::new();
    let store = b.open();
    let devices = [(1, None), (2, Some("chip-2"))];
    assert_eq!(store.import(&list("a", &devices), NOW).unwrap(), ListOutcome::Imported { new: 2, known: 0 });
    assert_eq!(store.import(&list("b", &devices), NOW).unwrap(), ListOutcome::Imported { new: 0, known: 2 });
    let pending = store.pending(10).unwrap().unwrap();
    assert_eq!((pending.origin.as_str(), pending.offers.len()), ("list a", 2));
    store.deposited(&pending.rows).unwrap();
    assert_eq!(store.pending(10).unwrap(), None);
}
#[test]
fn a_list_that_contradicts_an_earlier_one_changes_nothing() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list("a", &[(1, None), (2, Some("chip-2"))]), NOW).unwrap();
    let contradicts = |devices: &[(u32, Option<&str>)]| {
        let before = store.devices(&DeviceFilter { limit: 100, ..Default::default() }).unwrap();
        let outcome = store.import(&list("b", devices), NOW).unwrap();
        assert_eq!(store.devices(&DeviceFilter { limit: 100, ..Default::default() }).unwrap(), before);
        outcome
    };
    assert_eq!(contradicts(&[(3, None), (1, Some("chip-1"))]), ListOutcome::Contradicts(vec![2]));
    assert_eq!(contradicts(&[(3, Some("chip-2"))]), ListOutcome::Contradicts(vec![1]));
}
#[test]
fn boards_are_bound_to_names() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list("a", &[(1, None), (2, Some("chip-2")), (3, None)]), NOW).unwrap();
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
fn a_device_is_provisioned_once_and_in_order() {
    let b = Box_::new();
    let store = b.open();
    store.import(&list("a", &[(1, None)]), NOW).unwrap();
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

fn release_row(counter: u64, metadata: u8, image: &str) -> ReleaseRow {
    ReleaseRow {
        release: format!("app {counter}"),
        device_type: "sensor".parse().unwrap(),
        counter,
        metadata: vec![metadata],
        countersignature: vec![1],
        image: BlobName(image.into()),
        image_digest: sha256(&[metadata]),
        length: 1,
        at: NOW,
    }
}

#[test]
fn a_release_only_goes_forward_and_the_same_one_may_come_again() {
    let b = Box_::new();
    let store = b.open();
    let taken = |counter, metadata, image| store.store(&[release_row(counter, metadata, image)]).unwrap();
    let newest = || store.newest(&"sensor".parse().unwrap()).unwrap().map(|row| (row.counter, row.image.0));
    assert_eq!(taken(5, 50, "a"), Ok(()));
    assert_eq!(taken(5, 51, "b"), Err(Reason::ReleaseRolledBack));
    assert_eq!(taken(4, 40, "c"), Err(Reason::ReleaseRolledBack));
    assert_eq!(newest(), Some((5, "a".to_owned())));
    // To mend an image that was damaged at rest: the same metadata under a new blob.
    assert_eq!(taken(5, 50, "d"), Ok(()));
    assert_eq!(newest(), Some((5, "d".to_owned())));
    assert_eq!(taken(6, 60, "e"), Ok(()));
    // Also when a newer one is there already, which stays the newest.
    assert_eq!(taken(5, 50, "f"), Ok(()));
    assert_eq!(newest(), Some((6, "e".to_owned())));
    assert_eq!(store.releases().unwrap().len(), 2);
}

#[test]
fn a_release_for_several_types_is_taken_for_all_of_them_or_for_none() {
    let b = Box_::new();
    let store = b.open();
    store.store(&[release_row(5, 50, "a")]).unwrap().unwrap();
    let gateway = ReleaseRow { device_type: "gateway".parse().unwrap(), ..release_row(3, 30, "b") };
    let refused = store.store(&[gateway, release_row(3, 30, "b")]).unwrap();
    assert_eq!(refused, Err(Reason::ReleaseRolledBack));
    assert_eq!(store.releases().unwrap().len(), 1);
}
