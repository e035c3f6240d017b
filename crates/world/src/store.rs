//! The store as one process sees it: it can be full, fail, or be the last thing that the process does.

use crate::hub::{Hub, Node, locked};
use crate::records::Records;
use crate::sabotage::Sabotage;
use model::audit::Entry;
use model::contract::authority::{GrantOffer, RevocationReason, Verdict};
use model::contract::identity::{BoardSeen, StepDone};
use model::contract::maker::MakerLists;
use model::{
    AuthorityName, DeviceId, DeviceSerial, DeviceType, Digest, Entity, MakerName, OperatorName, ProfileName, Reason,
    StationName, SupplierName, TransactionId, UnixTime,
};
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::authority::{
    Approval, ApprovalDraft, AuthorityLimits, AuthorityRow, CertificateFilter, CertificateRow, ClosedIntent, CrlBase,
    CrlContents, CrlLine, CrlRow, CrlScope, EnrolmentDraft, Grant, IntentDraft, IntentOutcome, PendingDraft,
    PendingRow, RecordDraft, Registered, Replacement, Right, Standing,
};
use ports::store::identity::{DeviceFilter, DeviceRow, Idevid, List, ListOutcome, PendingGrants, SupplierRow};
use ports::store::line::Job;
use ports::store::maker::MakerRow;
use ports::store::{AuditSink, AuthorityStore, IdentityStore, LineStore, MakerStore};
use ports::{DurableRecord, StoreFault};
use std::sync::{Arc, Mutex};
use x509::serial::InstanceEpoch;
use x509::{Certificate, CertificateList, PublicKey, SerialNumber};

/// The store as one process sees it.
pub struct Seen {
    hub: Arc<Hub>,
    node: Arc<Node>,
    inner: Arc<dyn Records>,
    sabotaged: Mutex<Sabotaged>,
}

/// What a saboteur remembers.
#[derive(Default)]
struct Sabotaged {
    certificate: Vec<u8>,
    transactions: u8,
}

impl Seen {
    /// The store as `node` sees it.
    #[must_use]
    pub fn new(hub: Arc<Hub>, node: Arc<Node>, inner: Arc<dyn Records>) -> Arc<Self> {
        Arc::new(Self { hub, node, inner, sabotaged: Mutex::default() })
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.hub.sabotage == Some(sabotage)
    }

    fn read<T>(&self, what: &str, f: impl FnOnce() -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        self.hub.moment(&self.node, what);
        if self.node.is_dead() {
            return Err(StoreFault::Closing);
        }
        if self.hub.strikes(|w| w.store / 4) {
            self.hub.log(|| format!("  {}: the store cannot be read for {what}", self.node.name));
            return Err(StoreFault::Engine("the store cannot be read"));
        }
        f()
    }

    fn write<T>(&self, what: &str, f: impl FnOnce() -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        self.hub.moment(&self.node, what);
        if self.node.is_dead() {
            return Err(StoreFault::Closing);
        }
        if self.hub.strikes(|w| w.store) {
            let full = self.hub.dice().hits(500);
            self.hub.log(|| format!("  {}: the store fails to {what}", self.node.name));
            return Err(if full { StoreFault::Full } else { StoreFault::Engine("the store cannot be written") });
        }
        let written = f();
        if self.hub.strikes(|w| w.crash) {
            self.hub.log(|| format!("  {} is killed after it could {what}: {}", self.node.name, written.is_ok()));
            self.node.kill();
            return Err(StoreFault::Closing);
        }
        written
    }

    fn intend_each(&self, mut drafts: Vec<IntentDraft>) -> Result<Vec<IntentOutcome>, StoreFault> {
        let told = drafts.clone();
        if self.is(Sabotage::TransactionsForgotten) {
            let mut held = locked(&self.sabotaged);
            for draft in &mut drafts {
                held.transactions = held.transactions.wrapping_add(1);
                draft.transaction_id = TransactionId::new([held.transactions; 16]);
            }
        }
        let mut outcomes = self.inner.intend(drafts)?;
        for (outcome, draft) in outcomes.iter_mut().zip(&told) {
            match outcome {
                IntentOutcome::Durable(intent) => {
                    self.hub.log(|| format!("  {} intends {}", self.node.name, draft.serial));
                    let said = locked(&self.hub.oracle).intended(draft);
                    self.hub.judge(said);
                    if self.is(Sabotage::IntentTakenBack) {
                        self.inner.close(vec![intent.row()], "taken back", draft.at)?;
                    }
                }
                IntentOutcome::Repeated { certificate, .. } => {
                    *certificate = self.repetition(std::mem::take(certificate))
                }
                IntentOutcome::InProgress | IntentOutcome::Refused(_) => {}
            }
        }
        Ok(outcomes)
    }

    /// The certificate that a repetition is answered with.
    fn repetition(&self, certificate: Vec<u8>) -> Vec<u8> {
        let last = locked(&self.sabotaged).certificate.clone();
        if self.is(Sabotage::AnswerOfAnother) && !last.is_empty() { last } else { certificate }
    }

    fn record_each(&self, drafts: Vec<RecordDraft>) -> Result<Vec<Option<DurableRecord>>, StoreFault> {
        let certificate = drafts.first().map(|draft| draft.certificate.clone()).unwrap_or_default();
        let recorded = self.inner.record(drafts)?;
        for record in recorded.iter().flatten() {
            self.hub.log(|| format!("  {} records {}", self.node.name, record.serial()));
            let said = locked(&self.hub.oracle).recorded(&record.serial());
            self.hub.judge(said);
        }
        if self.is(Sabotage::RecordDenied) && self.hub.dice().hits(300) {
            return Ok(recorded.iter().map(|_| None).collect());
        }
        locked(&self.sabotaged).certificate = certificate;
        Ok(recorded)
    }

    fn close_all_left_open(&self, at: UnixTime) -> Result<Vec<ClosedIntent>, StoreFault> {
        if self.is(Sabotage::IntentsLeftOpen) {
            return Ok(Vec::new());
        }
        let closed = self.inner.close_left_open(at)?;
        for one in &closed {
            self.hub.log(|| format!("  {} closes {}", self.node.name, one.serial));
            locked(&self.hub.oracle).closed(&one.serial.to_string());
        }
        Ok(closed)
    }

    fn intend_list(
        &self,
        authority: &AuthorityRow,
        number: u64,
        tbs: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        if self.is(Sabotage::ListSignedEarly) {
            return Ok(Ok(()));
        }
        let number = if self.is(Sabotage::NumberAgain) { self.inner.next_crl_number(authority.id)? } else { number };
        let intended = self.inner.intend_crl(authority, number, tbs, at)?;
        if intended.is_ok() {
            self.hub.log(|| format!("  {} intends list {number}", self.node.name));
            locked(&self.hub.oracle).list_intended(tbs);
        }
        Ok(intended)
    }

    fn record_list(&self, authority: &AuthorityRow, crl: CrlRow) -> Result<Vec<u8>, StoreFault> {
        let row = crl.clone();
        let latest = self.inner.next_crl_number(authority.id)?.saturating_sub(1);
        let number = if self.is(Sabotage::NumberAgain) { latest } else { crl.number };
        let der = self.inner.record_crl(authority, CrlRow { number, ..crl })?;
        self.hub.log(|| format!("  {} records list {}", self.node.name, row.number));
        let said = locked(&self.hub.oracle).list_recorded(&row);
        self.hub.judge(said);
        Ok(der)
    }

    fn revoke_one(
        &self,
        serial: &SerialNumber,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        if self.is(Sabotage::RevocationUndone) {
            let held = self.inner.revoke(serial, RevocationReason::CertificateHold, at)?;
            let _held_before = self.inner.release(serial, at)?;
            return Ok(held);
        }
        self.inner.revoke(serial, reason, at)
    }
}

/// Hands calls to the store behind, each as a read or a write that can fail.
macro_rules! hand_on {
    ($($how:ident fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty = $behind:ident;)+) => {
        $(fn $name(&self, $($argument: $type),*) -> Result<$result, StoreFault> {
            hand_on!(@ $how self $name $behind ($($argument),*))
        })+
    };
    (@ $how:ident $self:ident $name:ident inner ($($argument:ident),*)) => {
        $self.$how(stringify!($name), || $self.inner.$name($($argument),*))
    };
    (@ $how:ident $self:ident $name:ident $own:ident ($($argument:ident),*)) => {
        $self.$how(stringify!($name), || $self.$own($($argument),*))
    };
}

impl AuditSink for Seen {
    hand_on! { write fn append(entries: Vec<Entry>) -> () = inner; }
}

impl AuthorityStore for Seen {
    fn repeated(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<Option<(Vec<u8>, u64)>, StoreFault> {
        self.read("repeated", || {
            let found = self.inner.repeated(requester, transaction_id, grant, key)?;
            Ok(match found {
                _ if self.is(Sabotage::TransactionsForgotten) => None,
                Some((certificate, authority)) => Some((self.repetition(certificate), authority)),
                None => None,
            })
        })
    }
    fn is_begun(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<bool, StoreFault> {
        self.read("is_begun", || {
            let begun = self.inner.is_begun(requester, transaction_id, grant, key)?;
            Ok(begun && !self.is(Sabotage::TransactionsForgotten))
        })
    }
    fn epoch(&self) -> InstanceEpoch {
        self.inner.epoch()
    }
    fn crl_lines(&self, contents: &CrlContents, after: u64, limit: u32) -> Result<Vec<(u64, CrlLine)>, StoreFault> {
        self.read("crl_lines", || {
            let mut lines = self.inner.crl_lines(contents, after, limit)?;
            if self.is(Sabotage::LineLeftOut) {
                lines.pop();
            }
            Ok(lines)
        })
    }
    fn standing(&self, authority: u64, serial: &SerialNumber) -> Result<Standing, StoreFault> {
        self.read("standing", || {
            Ok(match self.inner.standing(authority, serial)? {
                Standing::NeverIssued if self.is(Sabotage::UnknownIsGood) => {
                    Standing::Good { not_after: UnixTime::NO_EXPIRY }
                }
                standing => standing,
            })
        })
    }
    fn ocsp_floor(&self) -> Result<UnixTime, StoreFault> {
        self.read("ocsp_floor", || {
            let floor = self.inner.ocsp_floor()?;
            Ok(if self.is(Sabotage::FloorForgotten) { UnixTime::from_s(0) } else { floor })
        })
    }
    fn next_crl_number(&self, authority: u64) -> Result<u64, StoreFault> {
        self.read("next_crl_number", || {
            let next = self.inner.next_crl_number(authority)?;
            Ok(if self.is(Sabotage::NumberAgain) { next.min(2) } else { next })
        })
    }

    hand_on! {
        read fn grants(wanted: &[(&Entity, &ProfileName)]) -> Vec<Option<Grant>> = inner;
        read fn right(station: &StationName, device_type: &DeviceType) -> Option<Right> = inner;
        read fn authorities() -> Vec<AuthorityRow> = inner;
        read fn certificate(serial: &SerialNumber) -> Option<CertificateRow> = inner;
        read fn certificates(filter: &CertificateFilter) -> Vec<CertificateRow> = inner;
        read fn revocation_edge() -> u64 = inner;
        read fn serials(authority: u64, now: UnixTime, after: u64, limit: u32) -> Vec<(u64, SerialNumber)> = inner;
        read fn crl(scope: CrlScope, delta: bool) -> Option<CrlRow> = inner;
        read fn crl_base(scope: CrlScope, at: UnixTime) -> Option<CrlBase> = inner;
        read fn requests_waiting(now: UnixTime) -> Vec<PendingRow> = inner;
        read fn links(authority: u64) -> Vec<Vec<u8>> = inner;
        write fn intend(drafts: Vec<IntentDraft>) -> Vec<IntentOutcome> = intend_each;
        write fn record(drafts: Vec<RecordDraft>) -> Vec<Option<DurableRecord>> = record_each;
        write fn close(intents: Vec<u64>, why: &'static str, at: UnixTime) -> () = inner;
        write fn close_left_open(at: UnixTime) -> Vec<ClosedIntent> = close_all_left_open;
        write fn confirm(
            requester: &Caller, verdicts: Vec<(TransactionId, Verdict)>, at: UnixTime,
        ) -> Vec<Result<(), Reason>> = inner;
        write fn await_approval(draft: &PendingDraft, waiting_max: u32) -> Approval = inner;
        write fn approve(draft: &ApprovalDraft) -> Result<(), Reason> = inner;
        write fn deposit(origin: &str, offers: &[GrantOffer], at: UnixTime) -> u32 = inner;
        write fn entitle(
            station: &StationName, device_type: &DeviceType, quota: u32, until: UnixTime, at: UnixTime,
        ) -> () = inner;
        write fn begin_authority(
            name: &AuthorityName, key: &KeyUri, issuer: Option<&AuthorityName>, profile: &ProfileName, at: UnixTime,
        ) -> Result<u64, Reason> = inner;
        write fn allow(subject: &Entity, profile: &ProfileName, certificates: u32, at: UnixTime) -> () = inner;
        write fn let_enrol(draft: &EnrolmentDraft) -> () = inner;
        read fn secret_that_opens(grant: u64) -> Option<Digest> = inner;
        read fn device_of(serial: &DeviceSerial) -> Option<DeviceId> = inner;
        read fn registered(device: &DeviceId) -> Registered = inner;
        write fn import_authority(
            name: &AuthorityName, issuer: Option<&AuthorityName>, certificate: &[u8], key: Digest, at: UnixTime,
        ) -> Result<(), Reason> = inner;
        write fn replace_authority(replacement: &Replacement, at: UnixTime) -> () = inner;
        write fn raise_ocsp_floor(produced_at: UnixTime) -> () = inner;
        write fn complete_authority(id: u64, certificate: &[u8], key: Digest, at: UnixTime) -> () = inner;
        write fn revoke(serial: &SerialNumber, reason: RevocationReason, at: UnixTime) -> Result<(), Reason> = revoke_one;
        write fn release(serial: &SerialNumber, at: UnixTime) -> Result<(), Reason> = inner;
        write fn limit(authority: &AuthorityRow, limits: AuthorityLimits, at: UnixTime) -> () = inner;
        write fn intend_crl(
            authority: &AuthorityRow, number: u64, tbs: Digest, at: UnixTime,
        ) -> Result<(), Reason> = intend_list;
        write fn record_crl(authority: &AuthorityRow, crl: CrlRow) -> Vec<u8> = record_list;
    }
}

impl MakerStore for Seen {
    hand_on! {
        read fn makers() -> Vec<MakerRow> = inner;
        read fn maker_list(maker: &MakerName) -> Option<Vec<u8>> = inner;
        write fn set_maker(
            maker: &MakerName, authority: Option<(&Certificate, MakerLists)>, at: UnixTime,
        ) -> () = inner;
        write fn take_maker_list(
            maker: &MakerName, list: &CertificateList, der: &[u8], at: UnixTime,
        ) -> Result<(), Reason> = inner;
        read fn device_with(idevid: &Idevid) -> Option<DeviceId> = inner;
    }
}

impl IdentityStore for Seen {
    hand_on! {
        write fn import(list: &List, at: UnixTime) -> ListOutcome = inner;
        read fn compare(list: &List) -> ListOutcome = inner;
        read fn suppliers() -> Vec<SupplierRow> = inner;
        write fn set_supplier(supplier: &SupplierName, key: Option<&PublicKey>, at: UnixTime) -> () = inner;
        read fn pending(limit: usize) -> Option<PendingGrants> = inner;
        write fn deposited(rows: &[u64]) -> () = inner;
        write fn admit(boards: &[BoardSeen], at: UnixTime) -> Vec<Result<DeviceId, Reason>> = inner;
        write fn done(
            station: &StationName, operator: &OperatorName, steps: &[StepDone], at: UnixTime,
        ) -> Vec<Result<(), Reason>> = inner;
        write fn mark(device: &DeviceId, stolen: bool, at: UnixTime) -> Result<(), Reason> = inner;
        read fn devices(filter: &DeviceFilter) -> Vec<DeviceRow> = inner;
    }
}

impl LineStore for Seen {
    hand_on! {
        read fn jobs(devices: &[DeviceId]) -> Vec<Option<Job>> = inner;
        write fn set_jobs(jobs: &[Job]) -> () = inner;
        read fn release_floor(device_type: &DeviceType) -> u64 = inner;
        write fn raise_release_floor(device_type: &DeviceType, counter: u64) -> () = inner;
    }
}
