//! What km asks of foreign authorities, and how it is recorded.
//!
//! The intent is durable before anything is sent, the number before the authority is told that the certificate is taken,
//! and the certificate before anybody gets it. So a crash leaves one of three: nothing was taken; a number that can be
//! revoked; or a key of which nobody knows, whose grant stays reserved until it is asked again or somebody settles it.

use super::line::with_line;
use super::{Foreign, Misfit, NotDone, Outcome, Revoked, Unusable};
use crate::ca::Ca;
use crate::ra::Ra;
use issue::{Linted, ToBeSigned};
use model::contract::authority::{CertifyRequest, RevocationReason};
use model::{AuthorityName, Digest, Fault, Reason, TransactionId, UnixTime};
use ports::clock::random;
use ports::directory::Caller;
use ports::foreign::{DurableForeignIntent, Lines};
use ports::store::authority::IntentDraft;
use ports::store::foreign::{
    ForeignDraft, ForeignIntentRow, ForeignOutcome, ForeignRecord, ForeignState, ForeignStore,
};
use ports::{DurableRecord, StoreFault};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wire::cmp::client::{Enrolment, Offered};
use wire::cmp::template::{Template, write_cert_request};
use x509::certificate::TbsCertificate;
use x509::crmf::{self, ProofOfPossession};
use x509::{Certificate, SerialNumber, sha256};

/// Transactions with one authority at a time: enough to hide the way there and back, and few enough for a small server.
const IN_FLIGHT_MAX: usize = 8;
/// How long one certificate that is not ready is waited for. Units: milliseconds.
const WAIT_MS: u64 = 20_000;
/// How often it is asked for meanwhile, at most.
const POLLS_MAX: u32 = 60;
/// The shortest wait between two questions.
const POLL_MS_MIN: u64 = 250;
/// After this nothing more of a batch is begun: whoever waits for it has its own limits. Units: milliseconds.
const BATCH_MS: u64 = 120_000;
/// An intent may end a number that is revoked first, and then begin anew.
const ROUNDS_MAX: u32 = 2;

pub(super) const NO_LINE: Fault = Fault::unavailable("the foreign authority is not attached here");
const UNREACHABLE: Fault = Fault::unavailable("the foreign authority cannot be reached, and nothing was asked");
const LATE: Fault = Fault::unavailable("the foreign authority is too slow for so many: the rest was not asked");
const NOT_READY: Fault =
    Fault::unavailable("the foreign authority has not decided yet: repeat the request with the same transaction");
const NOT_KNOWN: Fault = Fault::unavailable(
    "what the foreign authority did is not known, and the grant stays reserved: repeat the request with the same transaction",
);
const NOT_KNOWN_REVOKED: Fault =
    Fault::unavailable("it is not known whether the foreign authority revoked it: repeat the command");
const OTHER_RECORD: Fault = Fault::unavailable("the record is not of this certificate");

/// What it takes to have certificates made by foreign authorities.
#[derive(Clone)]
pub struct Abroad {
    /// What is kept.
    pub store: Arc<dyn ForeignStore>,
    /// The lines to them.
    pub lines: Arc<dyn Lines>,
}

/// A certificate that a foreign authority is to make: everything is decided, and it would break no rule.
pub(crate) struct Wanted {
    expected: TbsCertificate,
    ca: Arc<Ca>,
    draft: IntentDraft,
}

impl Wanted {
    pub(crate) fn new(linted: &ToBeSigned<Linted>, ca: Arc<Ca>, draft: IntentDraft) -> Result<Self, Fault> {
        Ok(Self { expected: TbsCertificate::decode(linted.octets())?, ca, draft })
    }
    pub(crate) fn into_ca(self) -> Arc<Ca> {
        self.ca
    }

    /// `CertReqMessages`: subject, key and extensions as the profile says. That the key is there was verified, or vouched
    /// for, before.
    fn request(&self) -> Vec<u8> {
        use x509::oids as o;
        // Identifiers of keys, and where lists and responders are, is the issuer's business.
        let its_own = [
            o::AUTHORITY_KEY_IDENTIFIER,
            o::SUBJECT_KEY_IDENTIFIER,
            o::CRL_DISTRIBUTION_POINTS,
            o::AUTHORITY_INFO_ACCESS,
        ];
        let mut extensions = self.expected.extensions.clone();
        extensions.retain(|extension| !its_own.contains(&extension.oid));
        let template = Template {
            issuer: None,
            subject: Some(&self.expected.subject),
            public_key: &self.expected.subject_public_key,
            extensions: &extensions,
        };
        crmf::write_only(&write_cert_request(0, &template), &ProofOfPossession::RaVerified)
    }
}

/// A certificate that the authority knows we took, and that nobody may have yet.
struct Taken {
    certificate: Box<Certificate>,
}

impl Taken {
    fn serial(&self) -> SerialNumber {
        self.certificate.tbs().serial_number
    }
    /// Lets it go, because it is recorded.
    fn release(self, record: &DurableRecord) -> Result<Vec<u8>, Fault> {
        let der = self.certificate.der();
        if record.serial() != self.serial() || record.certificate_digest() != sha256(der) {
            return Err(OTHER_RECORD);
        }
        Ok(der.to_vec())
    }
}

/// Where an answer goes: a certificate in DER, or why there is none.
type Slot = Mutex<Option<Result<Vec<u8>, Fault>>>;

/// A request, and whether it is ended.
pub type Settled = (ForeignIntentRow, Result<(), Fault>);

/// A foreign authority that is asked for several certificates.
struct Desk<'a> {
    abroad: &'a Abroad,
    foreign: &'a Foreign<'a>,
    /// Whether the last one could not be reached: nobody else is made to wait for that.
    gone: AtomicBool,
    begun: UnixTime,
}

impl Ra {
    /// Has foreign authorities certify, several at a time, each in a transaction of its own.
    pub(crate) fn ask_foreign(&self, wanted: &[&Wanted]) -> Vec<Result<Vec<u8>, Fault>> {
        let answers: Vec<Slot> = wanted.iter().map(|_| Mutex::default()).collect();
        let mut authorities: Vec<&Arc<Ca>> = Vec::new();
        for one in wanted {
            if !authorities.iter().any(|ca| ca.row().id == one.ca.row().id) {
                authorities.push(&one.ca);
            }
        }
        for ca in authorities {
            let of: Vec<usize> =
                (0..wanted.len()).filter(|n| wanted.get(*n).is_some_and(|w| w.ca.row().id == ca.row().id)).collect();
            let asked = self.with_foreign(ca, |abroad, foreign| {
                let desk = Desk { abroad, foreign, gone: AtomicBool::new(false), begun: foreign.clock.now() };
                desk.work_off(&of, wanted, &answers);
            });
            if let Err(fault) = asked {
                of.iter().filter_map(|n| answers.get(*n)).for_each(|answer| put(answer, Err(fault.clone())));
            }
        }
        answers.into_iter().map(|answer| taken(answer).unwrap_or(Err(LATE))).collect()
    }

    /// Opens the line to an authority.
    fn with_foreign<T>(&self, ca: &Ca, f: impl FnOnce(&Abroad, &Foreign<'_>) -> T) -> Result<T, Fault> {
        let abroad = self.abroad().ok_or(NO_LINE)?;
        let attachments = abroad.store.attachments()?;
        let attachment = attachments.into_iter().find(|a| a.authority == ca.row().id).ok_or(NO_LINE)?;
        let authority = ca.certificate().ok_or(NO_LINE)?;
        let opened = abroad.lines.open(&attachment)?;
        let (clock, entropy) = (self.setting().clock.as_ref(), self.setting().entropy.as_ref());
        with_line(&attachment, &opened, authority, (clock, entropy), |foreign| f(abroad, foreign))
    }

    /// Whether a foreign authority was asked in this transaction for a certificate of this key, and it has not ended.
    pub(crate) fn is_asked(&self, call: &CertifyRequest, key: Digest) -> Result<bool, Fault> {
        let Some(abroad) = self.abroad() else { return Ok(false) };
        let rows = abroad.store.foreign_of(&call.transaction_id)?;
        let is_open = |row: &ForeignIntentRow| matches!(row.state, ForeignState::Asked | ForeignState::Unsettled);
        Ok(rows.iter().any(|row| is_open(row) && row.key == key && row.subject == call.subject))
    }

    /// The foreign authority that issued a certificate.
    pub(crate) fn foreign_issuer(&self, serial: &SerialNumber) -> Result<Option<Arc<Ca>>, Fault> {
        if self.abroad().is_none() {
            return Ok(None);
        }
        let row = self.setting().store.certificate(serial)?;
        let issuer = row.and_then(|row| self.cas().find(&row.authority).ok());
        Ok(issuer.filter(|ca| ca.is_foreign()))
    }

    /// Has a certificate revoked by the foreign authority that issued it, if one did. What is revoked here is not asked
    /// for again.
    pub(crate) fn revoke_abroad(&self, serial: &SerialNumber, reason: RevocationReason) -> Result<(), Fault> {
        let Some(ca) = self.foreign_issuer(serial)? else { return Ok(()) };
        let known = self.setting().store.certificate(serial)?.and_then(|row| row.revoked);
        if known.is_some_and(|(_, known)| known != RevocationReason::CertificateHold || known == reason) {
            return Err(Reason::AlreadyRevoked.into());
        }
        self.with_foreign(&ca, |_, foreign| foreign.revoke(serial, reason))?.map_err(|fault| not_revoked(&fault))
    }

    /// Has a certificate revoked that its requester declines, if a foreign authority issued it.
    pub(crate) fn withdraw(&self, caller: &Caller, transaction_id: &TransactionId) -> Result<(), Fault> {
        let Some(abroad) = self.abroad() else { return Ok(()) };
        let rows = abroad.store.foreign_of(transaction_id)?;
        let issued = |row: &&ForeignIntentRow| row.state == ForeignState::Issued && row.requester == caller.to_string();
        let Some(serial) = rows.iter().rfind(issued).and_then(|row| row.serial) else { return Ok(()) };
        let done = self.revoke_abroad(&serial, RevocationReason::CessationOfOperation);
        if matches!(done, Err(Fault::Refused(Reason::AlreadyRevoked))) { Ok(()) } else { done }
    }

    /// Tries to end what is not settled with an authority: numbers that it gave are revoked there, and the grant is free
    /// again. Keys of which nothing is known stay as they are.
    ///
    /// # Errors
    /// [`Fault`] if the line cannot be opened.
    pub fn settle(&self, name: &AuthorityName) -> Result<Vec<Settled>, Fault> {
        let ca = self.cas().find(name)?;
        let abroad = self.abroad().ok_or(NO_LINE)?;
        let rows = abroad.store.foreign_open(Some(ca.row().id))?;
        let numbered = |row: &ForeignIntentRow| row.state == ForeignState::Unsettled && row.serial.is_some();
        let rows: Vec<_> = rows.into_iter().filter(numbered).collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.with_foreign(&ca, |abroad, foreign| {
            let settle = |row: ForeignIntentRow| {
                let done = row.serial.map_or(Ok(()), |serial| withdraw(abroad, foreign, row.id, &serial));
                (row, done)
            };
            rows.into_iter().map(settle).collect()
        })
    }

    /// Ends what is not settled, as an operator found out at the authority: it issued this number, which is revoked there
    /// now, or nothing.
    ///
    /// # Errors
    /// [`Reason::TransactionUnknown`], and what the authority says.
    pub fn settle_one(
        &self,
        name: &AuthorityName,
        exchange: &TransactionId,
        found: Option<&SerialNumber>,
    ) -> Result<(), Fault> {
        let ca = self.cas().find(name)?;
        let abroad = self.abroad().ok_or(NO_LINE)?;
        let rows = abroad.store.foreign_open(Some(ca.row().id))?;
        let row = rows.into_iter().find(|row| row.exchange == *exchange && row.state == ForeignState::Unsettled);
        let row = row.ok_or(Reason::TransactionUnknown)?;
        // A number that it gave is known better than by hearsay.
        if let Some(serial) = row.serial.as_ref().or(found) {
            return self.with_foreign(&ca, |abroad, foreign| withdraw(abroad, foreign, row.id, serial))?;
        }
        let why = "an operator found no certificate of this key at the authority";
        abroad.store.close_foreign(row.id, why, self.now())?;
        Ok(())
    }
}

fn put<T>(answer: &Mutex<Option<T>>, value: T) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
}
fn taken<T>(answer: Mutex<Option<T>>) -> Option<T> {
    answer.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn not_revoked(fault: &NotDone) -> Fault {
    match fault {
        NotDone::Nothing(_) => UNREACHABLE,
        NotDone::Refused(_) => Reason::ForeignRefused.into(),
        NotDone::Unknown(_) | NotDone::Unusable { .. } => NOT_KNOWN_REVOKED,
    }
}

/// Has a number revoked that nobody has, and frees its grant.
fn withdraw(abroad: &Abroad, foreign: &Foreign<'_>, row: u64, serial: &SerialNumber) -> Result<(), Fault> {
    let now = foreign.clock.now();
    match foreign.revoke(serial, RevocationReason::CessationOfOperation) {
        Ok(()) => {
            abroad.store.close_foreign(row, &format!("certificate {serial} was revoked at the authority"), now)?;
            Ok(())
        }
        Err(fault) => {
            let why = format!("certificate {serial} could not be revoked at the authority: {fault}");
            abroad.store.leave_foreign(row, None, &why, now)?;
            Err(not_revoked(&fault))
        }
    }
}

impl Desk<'_> {
    fn work_off(&self, of: &[usize], wanted: &[&Wanted], answers: &[Slot]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..IN_FLIGHT_MAX.min(of.len()) {
                scope.spawn(|| {
                    while let Some(n) = of.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let (Some(wanted), Some(answer)) = (wanted.get(*n), answers.get(*n)) {
                            put(answer, self.certify(wanted));
                        }
                    }
                });
            }
        });
    }

    fn now(&self) -> UnixTime {
        self.foreign.clock.now()
    }

    fn certify(&self, wanted: &Wanted) -> Result<Vec<u8>, Fault> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(UNREACHABLE);
        }
        if self.now().since_ms(self.begun) > BATCH_MS {
            return Err(LATE);
        }
        for _ in 0..ROUNDS_MAX {
            let exchange = TransactionId::new(random(self.foreign.entropy));
            let draft = ForeignDraft { intent: wanted.draft.clone(), exchange };
            match self.abroad.store.intend_foreign(&draft)? {
                ForeignOutcome::Durable(row, intent) => return self.ask(wanted, row, &intent, Asked::First),
                ForeignOutcome::Again(row, intent, nonce) => {
                    return self.ask(wanted, row, &intent, nonce.map_or(Asked::Again, Asked::Waited));
                }
                ForeignOutcome::Numbered(row, serial) => withdraw(self.abroad, self.foreign, row, &serial)?,
                ForeignOutcome::Repeated { certificate, authority } if authority == wanted.ca.row().id => {
                    return Ok(certificate);
                }
                ForeignOutcome::Repeated { .. } => return Err(Reason::TransactionConflict.into()),
                ForeignOutcome::InProgress => return Err(Fault::unavailable("this transaction is being worked on")),
                ForeignOutcome::Refused(reason) => return Err(reason.into()),
            }
        }
        Err(NOT_KNOWN)
    }

    fn ask(&self, wanted: &Wanted, row: u64, intent: &DurableForeignIntent, asked: Asked) -> Result<Vec<u8>, Fault> {
        let request = wanted.request();
        let (enrolment, expected) = (Enrolment::Ir(&request), &wanted.expected);
        let begun = match asked {
            Asked::First | Asked::Again => self.foreign.certify(intent, enrolment, expected),
            Asked::Waited(nonce) => self.foreign.go_on(intent, enrolment, nonce, expected),
        };
        let offered = match begun.and_then(|outcome| self.wait(row, outcome, expected)) {
            Ok(Some(offered)) => offered,
            Ok(None) => {
                self.abroad.store.leave_foreign(row, None, "the authority has not decided yet", self.now())?;
                return Err(NOT_READY);
            }
            Err(fault) => return Err(self.end(row, asked, &fault)),
        };
        let taken = self.take(row, asked, offered)?;
        let recorded = self.record(row, &taken);
        match recorded {
            Ok(Some(record)) => taken.release(&record),
            Ok(None) => Err(Reason::TransactionClosed.into()),
            Err(fault) => {
                // The number is durable. Whoever comes next, here or after a start, has it revoked.
                let _found_later = self.abroad.store.leave_foreign(row, None, "it could not be recorded", self.now());
                Err(fault.into())
            }
        }
    }

    /// Waits until a certificate is ready, for as long as one is waited for; the nonce is durable before each wait.
    fn wait<'f>(
        &self,
        row: u64,
        mut outcome: Outcome<'f>,
        expected: &TbsCertificate,
    ) -> Result<Option<Offered<'f>>, NotDone>
    where
        Self: 'f,
    {
        let (begun, unkept) = (self.now(), |fault: StoreFault| NotDone::Unknown(fault.to_string()));
        for _ in 0..POLLS_MAX {
            let waiting = match outcome {
                Outcome::Offered(offered) => return Ok(Some(offered)),
                Outcome::Later(waiting) => waiting,
            };
            self.abroad.store.await_foreign(row, waiting.nonce()).map_err(unkept)?;
            let wait_ms = waiting.check_after_s.saturating_mul(1000).max(POLL_MS_MIN);
            if self.now().since_ms(begun).saturating_add(wait_ms) > WAIT_MS {
                return Ok(None);
            }
            self.abroad.lines.wait(wait_ms);
            outcome = self.foreign.ready(waiting, expected)?;
        }
        Ok(None)
    }

    /// Takes a certificate, whose number is durable before the authority is told.
    fn take(&self, row: u64, asked: Asked, offered: Offered<'_>) -> Result<Taken, Fault> {
        let serial = offered.certificate().tbs().serial_number;
        match self.abroad.store.offered(row, serial, self.now()) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => {
                let misfit = if reason == Reason::KeyInUse { Misfit::KeyInUse } else { Misfit::Known };
                let fault = self.foreign.decline_offer(offered, misfit);
                self.end(row, asked, &fault);
                return Err(reason.into());
            }
            Err(fault) => {
                // Nobody was told that it is taken, so it does not hold; and it is revoked besides.
                let _declined = self.foreign.decline_offer(offered, Misfit::NotIssued);
                return Err(fault.into());
            }
        }
        let accepted = self.foreign.accept(offered);
        accepted.map(|certificate| Taken { certificate }).map_err(|fault| self.end(row, asked, &fault))
    }

    fn record(&self, row: u64, taken: &Taken) -> Result<Option<DurableRecord>, StoreFault> {
        let certificate = &taken.certificate;
        self.abroad.store.record_foreign(ForeignRecord {
            intent: row,
            serial: taken.serial(),
            tbs: sha256(certificate.tbs_der()),
            not_after: certificate.tbs().not_after,
            certificate: certificate.der().to_vec(),
            at: self.now(),
        })
    }

    /// Records how a request ended without a certificate, and says so.
    ///
    /// The grant is given back only if it is known that there is no certificate: nothing was sent, or the authority refused
    /// what it was asked for the first time, or it revoked what it gave.
    fn end(&self, row: u64, asked: Asked, fault: &NotDone) -> Fault {
        let (store, why, now) = (&self.abroad.store, fault.to_string(), self.now());
        let first = matches!(asked, Asked::First);
        let (known, serial, said) = match fault {
            NotDone::Nothing(_) => {
                self.gone.store(true, Ordering::Relaxed);
                (first, None, if first { UNREACHABLE } else { NOT_KNOWN })
            }
            NotDone::Refused(_) if first => (true, None, Reason::ForeignRefused.into()),
            NotDone::Refused(_) => (false, None, Reason::ForeignUnsettled.into()),
            NotDone::Unknown(_) => (false, None, NOT_KNOWN),
            NotDone::Unusable { why, certificate, revoked } => {
                let serial = (*revoked == Revoked::No).then(|| certificate.tbs().serial_number);
                let said = match why {
                    Unusable::Misfit(_) => Reason::ForeignMisfit.into(),
                    Unusable::Unconfirmed(_) => NOT_KNOWN,
                };
                // An answer in this transaction speaks for all that was asked in it: an authority that has another
                // certificate in it refuses, and one that was never told that it is taken does not hold.
                (*revoked == Revoked::Yes, serial, said)
            }
        };
        let recorded = if known {
            store.close_foreign(row, &why, now).map(drop)
        } else {
            store.leave_foreign(row, serial, &why, now)
        };
        recorded.map_or_else(Fault::from, |()| said)
    }
}

/// Whether it is asked for the first time.
#[derive(Clone, Copy)]
enum Asked {
    /// Nothing was sent before.
    First,
    /// Something was, and nobody knows what came of it.
    Again,
    /// Something was, and the authority said with this nonce that it is not ready.
    Waited([u8; 16]),
}
