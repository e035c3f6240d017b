//! Lists that OpenSSL signed, and everything that is wrong with a list as a whole. The store is a fake that takes all.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use identity::registry::{Registry, Unsigned};
use model::audit::Entry;
use model::contract::identity::{
    BoardSeen, ImportList, ListFormat, ListImported, StepDone, SupplierChange, TrustSupplier,
};
use model::{DeviceId, Fault, OperatorName, Reason, StationName, SupplierName, UnixTime};
use ports::StoreFault;
use ports::store::identity::{DeviceFilter, DeviceRow, List, ListChanges, ListOutcome, PendingGrants, SupplierRow};
use ports::store::{AuditSink, IdentityStore};
use std::sync::{Arc, Mutex};
use x509::PublicKey;

/// Keeps suppliers and the names of lists. What comes of lists is the real store's and tested there.
#[derive(Default)]
struct Fake {
    suppliers: Mutex<Vec<SupplierRow>>,
    taken: Mutex<Vec<List>>,
}

impl AuditSink for Fake {
    fn append(&self, _: Vec<Entry>) -> Result<(), StoreFault> {
        Ok(())
    }
}
impl IdentityStore for Fake {
    fn import(&self, list: &List, _: UnixTime) -> Result<ListOutcome, StoreFault> {
        self.taken.lock().unwrap().push(list.clone());
        self.compare(list)
    }
    fn compare(&self, list: &List) -> Result<ListOutcome, StoreFault> {
        let new = u64::try_from(list.devices.len()).unwrap();
        Ok(ListOutcome::Imported(ListChanges { new, ..ListChanges::default() }))
    }
    fn suppliers(&self) -> Result<Vec<SupplierRow>, StoreFault> {
        Ok(self.suppliers.lock().unwrap().clone())
    }
    fn set_supplier(&self, supplier: &SupplierName, key: Option<&PublicKey>, _: UnixTime) -> Result<(), StoreFault> {
        let mut rows = self.suppliers.lock().unwrap();
        rows.retain(|row| row.supplier != *supplier);
        let key = key.map(|key| key.spki().to_vec());
        rows.push(SupplierRow { supplier: supplier.clone(), key, sequence: 7 });
        Ok(())
    }
    fn pending(&self, _: usize) -> Result<Option<PendingGrants>, StoreFault> {
        Ok(None)
    }
    fn deposited(&self, _: &[u64]) -> Result<(), StoreFault> {
        Ok(())
    }
    fn admit(&self, _: &[BoardSeen], _: UnixTime) -> Result<Vec<Result<DeviceId, Reason>>, StoreFault> {
        Ok(Vec::new())
    }
    fn done(
        &self,
        _: &StationName,
        _: &OperatorName,
        _: &[StepDone],
        _: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault> {
        Ok(Vec::new())
    }
    fn mark(&self, _: &DeviceId, _: bool, _: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        Ok(Ok(()))
    }
    fn devices(&self, _: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault> {
        Ok(Vec::new())
    }
}

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../testdata/lists/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
fn foreign(name: &str) -> Vec<u8> {
    file(&format!("openssl-3.0.19-{name}"))
}
fn key(name: &str) -> model::Base64 {
    foreign(&format!("{name}.spki.der")).into()
}

struct World {
    registry: Registry,
    store: Arc<Fake>,
}

impl World {
    fn new(unsigned: Unsigned) -> Self {
        let store = Arc::new(Fake::default());
        let profiles = ["idevid".parse().unwrap()].into();
        Self { registry: Registry::new(store.clone(), 32473, profiles).with(unsigned), store }
    }
    fn change(&self, supplier: &str, change: SupplierChange) -> Result<u64, Fault> {
        let call = TrustSupplier { supplier: supplier.parse().unwrap(), change };
        self.registry.trust(&call, NOW).map(|trusted| trusted.sequence)
    }
    fn import(&self, call: &ImportList) -> Result<ListImported, Fault> {
        let taken = || self.store.taken.lock().unwrap().len();
        let before = taken();
        let answer = self.registry.import(call, NOW);
        let done = matches!(answer, Ok(ListImported::Done { .. })) && !call.dry_run;
        assert_eq!(taken() - before, usize::from(done), "what is refused does not reach the store");
        answer
    }
}
/// A world that trusts a key as acme's, and another as zenith's.
fn trusting(name: &str) -> World {
    let world = World::new(Unsigned::Taken);
    world.change("acme", SupplierChange::Trust(key(name))).unwrap();
    world.change("zenith", SupplierChange::Trust(key(if name == "p256" { "p384" } else { "p256" }))).unwrap();
    world
}
fn signed(name: &str) -> ImportList {
    ImportList {
        name: "list".into(),
        format: ListFormat::Csv,
        octets: file("acme-7.csv").into(),
        until: UnixTime::NO_EXPIRY,
        signature: Some(foreign(&format!("{name}.sig")).into()),
        replaces: None,
        dry_run: false,
    }
}
fn unsigned(text: &str) -> ImportList {
    ImportList { octets: text.as_bytes().to_vec().into(), signature: None, ..signed("p256") }
}
#[track_caller]
fn holds(key: &str, signature: &str) {
    let world = trusting(key);
    match world.import(&signed(signature)).unwrap() {
        ListImported::Done { new: 2, supplier: Some(supplier), sequence: Some(7), .. } => {
            assert_eq!(supplier.as_str(), "acme");
        }
        other => panic!("{other:?}"),
    }
    let until = world.store.taken.lock().unwrap()[0].until;
    assert_eq!(until.to_string(), "2027-12-31T23:59:59Z", "the supplier's own end");
}
#[track_caller]
fn refused(world: &World, call: &ImportList, expected: Reason) {
    assert_eq!(world.import(call), Err(expected.into()));
}
#[track_caller]
fn bad(world: &World, call: &ImportList, expected: &str) {
    match world.import(call) {
        Ok(ListImported::Refused(lines)) => assert!(lines[0].what.contains(expected), "{lines:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_signed_with_p256() {
    holds("p256", "p256");
}
#[test]
fn a_list_signed_with_p384() {
    holds("p384", "p384");
    holds("p384", "p384-sha384");
}
#[test]
fn a_list_signed_with_ed25519() {
    holds("ed25519", "ed25519");
}
#[test]
fn a_list_signed_with_rsa() {
    holds("rsa2048", "rsa2048");
}
#[test]
fn a_list_in_json() {
    let (octets, signature) = (file("acme-7.json").into(), Some(foreign("p256-json.sig").into()));
    let call = ImportList { octets, signature, format: ListFormat::Json, ..signed("p256") };
    assert!(matches!(trusting("p256").import(&call), Ok(ListImported::Done { new: 1, sequence: Some(7), .. })));
}
#[test]
fn a_dry_run_does_not_reach_the_store() {
    let world = trusting("p256");
    let answer = world.import(&ImportList { dry_run: true, ..signed("p256") });
    assert!(matches!(answer, Ok(ListImported::Done { new: 2, .. })));
}
#[test]
fn every_octet_counts() {
    let world = trusting("p256");
    let octets = file("acme-7.csv");
    for at in (octets.windows(8).position(|w| w == b"SN000001").unwrap()..octets.len()).step_by(3) {
        let mut octets = octets.clone();
        octets[at] ^= 1;
        refused(&world, &ImportList { octets: octets.into(), ..signed("p256") }, Reason::ListSignature);
    }
    let mut longer = octets.clone();
    longer.push(b'\n');
    refused(&world, &ImportList { octets: longer.into(), ..signed("p256") }, Reason::ListSignature);
}
#[test]
fn a_signature_is_verified_before_the_lines_are_read() {
    let mut octets = file("acme-7.csv");
    octets.extend(b"not,a,line\n");
    refused(&trusting("p256"), &ImportList { octets: octets.into(), ..signed("p256") }, Reason::ListSignature);
}
#[test]
fn sha_1_is_refused() {
    refused(&trusting("p256"), &signed("p256-sha1"), Reason::ListSignature);
}
#[test]
fn what_is_no_signature_is_refused() {
    let world = trusting("p256");
    for octets in [vec![], vec![0; 64], vec![0x30; 100_000]] {
        refused(&world, &ImportList { signature: Some(octets.into()), ..signed("p256") }, Reason::ListSignature);
    }
}
#[test]
fn a_list_that_another_supplier_signed() {
    refused(&trusting("ed25519"), &signed("p256"), Reason::ListOfAnother);
}
#[test]
fn a_supplier_that_nobody_trusts() {
    refused(&World::new(Unsigned::Taken), &signed("p256"), Reason::SupplierUnknown);
}
#[test]
fn a_supplier_that_is_not_trusted_any_more() {
    let world = trusting("p256");
    world.change("acme", SupplierChange::Revoke).unwrap();
    refused(&world, &signed("p256"), Reason::SupplierUnknown);
    world.change("acme", SupplierChange::Trust(key("p256"))).unwrap();
    assert!(world.import(&signed("p256")).is_ok());
}
#[test]
fn a_key_that_was_replaced_signs_nothing_any_more() {
    let world = trusting("p256");
    world.change("acme", SupplierChange::Replace(key("ed25519"))).unwrap();
    refused(&world, &signed("p256"), Reason::ListSignature);
    assert!(world.import(&signed("ed25519")).is_ok());
}
#[test]
fn whoever_names_a_supplier_must_bring_his_signature() {
    let call = ImportList { signature: None, ..signed("p256") };
    refused(&trusting("p256"), &call, Reason::ListUnsigned);
    refused(&World::new(Unsigned::Taken), &call, Reason::ListUnsigned);
}
#[test]
fn the_operators_own_list_needs_no_signature_unless_all_do() {
    let own = unsigned("serial,type\nSN1,sensor\n");
    assert!(matches!(World::new(Unsigned::Taken).import(&own), Ok(ListImported::Done { new: 1, .. })));
    refused(&World::new(Unsigned::Refused), &own, Reason::ListUnsigned);
}
#[test]
fn a_signed_list_names_its_supplier() {
    let own = unsigned("serial,type\nSN1,sensor\n");
    bad(&trusting("p256"), &ImportList { signature: signed("p256").signature, ..own }, "names its supplier");
}
#[test]
fn a_list_without_a_number_a_count_or_an_end_is_refused() {
    let world = trusting("p256");
    for name in ["sequence", "count", "valid until"] {
        let text = String::from_utf8(file("acme-7.csv")).unwrap();
        let without: String = text.lines().filter(|l| !l.contains(name)).flat_map(|l| [l, "\n"]).collect();
        bad(&world, &ImportList { octets: without.into_bytes().into(), ..signed("p256") }, name);
    }
}
#[test]
fn a_list_whose_time_is_over_is_refused() {
    let world = trusting("p256");
    bad(&world, &unsigned("# valid until: 2020-01-01\nserial,type\nSN1,sensor\n"), "was valid until 2020-01-01");
}
#[test]
fn a_profile_that_is_not_for_devices_is_refused() {
    let world = trusting("p256");
    bad(&world, &unsigned("serial,type,profile\nSN1,sensor,root\n"), "no profile root");
}
#[test]
fn another_key_takes_no_place_silently() {
    let world = trusting("p256");
    assert_eq!(world.change("acme", SupplierChange::Trust(key("p256"))), Ok(7), "again changes nothing");
    assert_eq!(world.change("acme", SupplierChange::Trust(key("p384"))), Err(Reason::SupplierKnown.into()));
    assert_eq!(world.change("acme", SupplierChange::Replace(key("p384"))), Ok(7));
}
#[test]
fn nothing_is_replaced_or_revoked_that_is_not_there() {
    let world = World::new(Unsigned::Taken);
    assert_eq!(world.change("acme", SupplierChange::Replace(key("p256"))), Err(Reason::SupplierUnknown.into()));
    assert_eq!(world.change("acme", SupplierChange::Revoke), Err(Reason::SupplierUnknown.into()));
}
#[test]
fn a_weak_key_is_not_trusted() {
    let world = World::new(Unsigned::Taken);
    assert_eq!(world.change("acme", SupplierChange::Trust(key("rsa1024"))), Err(Reason::WeakKey.into()));
    let bad = world.change("acme", SupplierChange::Trust(vec![0x30, 0].into()));
    assert!(matches!(bad, Err(Fault::Malformed(_))), "{bad:?}");
}
