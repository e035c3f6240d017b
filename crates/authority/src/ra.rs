//! The one conductor: takes requests for certificates from wherever they come, and answers each.

use crate::acme;
use crate::ca::{Ca, Cas, Setting};
use crate::cmp::{Cmp, Front};
use crate::foreign::{Abroad, Wanted};
use crate::leave::Rights;
use crate::limits::{Limiter, Limits};
use crate::ocsp::Memory;
use crate::renewal::Slots;
use crate::scep::Scep;
use issue::profile::{Protocol, Requester, SubjectKind};
use issue::{Intended, Linted, Profile, Request, Signed, ToBeSigned};
use model::audit::{Entry, Event};
use model::contract::BATCH_LEN_MAX;
use model::contract::authority::{Answer, Certified, Certify, CertifyRequest};
use model::{Base64, Fault, Module, Reason, StationName, UnixTime};
use ports::DurableIntent;
use ports::clock::random;
use ports::directory::Caller;
use ports::store::authority::{Grant, IntentDraft, IntentOutcome, RecordDraft};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};
use x509::SerialNumber;

/// Batches shorter than this are worked off on the caller's own thread: handing them over costs more than it brings.
const PARALLEL_LEN_MIN: usize = 4;

/// The registration authority.
pub struct Ra {
    setting: Setting,
    cas: Cas,
    limiter: Limiter,
    notes: Limiter,
    listing: Mutex<()>,
    ocsp: Memory,
    pub(crate) slots: Slots,
    abroad: Option<Abroad>,
    cmp: Option<Front>,
    acme: Option<acme::Front>,
    pub(crate) scep: Option<Scep>,
}

/// A certificate that is ready to be intended, and who signs it.
struct Prepared {
    linted: ToBeSigned<Linted>,
    ca: Arc<Ca>,
    draft: IntentDraft,
}

/// What is known of a request before the store is written to.
enum Inspected {
    Prepared(Box<Prepared>),
    /// To be asked of a foreign authority.
    Wanted(Box<Wanted>),
    /// Answered before with this certificate.
    Repeated(Vec<u8>, Arc<Ca>),
}

/// How far one request of a batch has come.
enum Progress {
    Failed(Fault),
    Prepared(ToBeSigned<Linted>, Arc<Ca>),
    Wanted(Box<Wanted>),
    Intended(ToBeSigned<Intended>, Arc<Ca>),
    Signed(Signed, Arc<Ca>),
    Done(Vec<u8>, Arc<Ca>),
}

impl Ra {
    /// An RA on what is stored. Intents that an earlier process left open must be closed before ([`crate::Authority`]).
    ///
    /// # Errors
    /// [`Fault`] if the authorities cannot be read.
    pub fn new(setting: Setting) -> Result<Self, Fault> {
        let (cas, limiter, ocsp) = (Cas::load(&setting)?, Limiter::default(), Memory::default());
        let (notes, listing) = (Limiter::default(), Mutex::default());
        let slots = Slots::from(u64::from_le_bytes(random(setting.entropy.as_ref())));
        Ok(Self { cas, setting, limiter, notes, listing, ocsp, slots, abroad: None, cmp: None, acme: None, scep: None })
    }

    /// The same, with lines to foreign authorities.
    #[must_use]
    pub fn with_lines(self, abroad: Option<Abroad>) -> Self {
        Self { abroad, ..self }
    }

    /// The same, for clients that come over CMP.
    #[must_use]
    pub fn with_cmp(self, cmp: Option<Cmp>) -> Self {
        Self { cmp: cmp.map(Front::new), ..self }
    }

    /// The same, for clients that come over ACME.
    #[must_use]
    pub fn with_acme(self, acme: Option<acme::Acme>) -> Self {
        Self { acme: acme.map(acme::Front::new), ..self }
    }

    pub(crate) const fn acme(&self) -> Option<&acme::Front> {
        self.acme.as_ref()
    }
    pub(crate) const fn cmp(&self) -> Option<&Front> {
        self.cmp.as_ref()
    }
    pub(crate) const fn abroad(&self) -> Option<&Abroad> {
        self.abroad.as_ref()
    }

    pub(crate) const fn setting(&self) -> &Setting {
        &self.setting
    }
    pub(crate) const fn cas(&self) -> &Cas {
        &self.cas
    }
    /// Held by whoever makes a list because somebody asked.
    pub(crate) const fn listing(&self) -> &Mutex<()> {
        &self.listing
    }
    pub(crate) const fn ocsp(&self) -> &Memory {
        &self.ocsp
    }
    /// Reads all authorities again, because they changed.
    pub(crate) fn reload(&self) -> Result<(), Fault> {
        self.ocsp.forget_authorities();
        self.cmp.iter().for_each(Front::forget_authorities);
        self.cas.reload()
    }
    pub(crate) fn now(&self) -> UnixTime {
        self.setting.clock.now()
    }

    /// Answers a batch of requests from `caller`. A bad request never fails the others.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the batch is too long; [`Fault::Unavailable`] if the store cannot be read.
    pub fn admit(&self, caller: &Caller, call: &Certify) -> Result<Certified, Fault> {
        self.admit_by(Protocol::Bus, caller, None, call)
    }

    /// Whether one more refusal of what this caller hands on is recorded: sixty at once, then one a second.
    pub(crate) fn may_note(&self, caller: &Caller) -> bool {
        let limits = Limits { certificates_per_s: Some(1), burst: 60, waiting_max: 0 };
        self.notes.take(&limits, caller, 1, self.now()) > 0
    }

    /// The same for requests that came in another way, and were looked at before; with the registration authority that was
    /// proved to vouch for their keys, if one does.
    pub(crate) fn admit_by(
        &self,
        protocol: Protocol,
        caller: &Caller,
        voucher: Option<&StationName>,
        call: &Certify,
    ) -> Result<Certified, Fault> {
        if call.requests.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more requests than a batch may have"));
        }
        let grants = self.grants(&call.requests)?;
        let rights = self.rights(caller, voucher, &call.requests)?;
        let leave = self.limiter.take(&self.setting.limits, caller, call.requests.len(), self.now());
        let items: Vec<_> = call.requests.iter().zip(grants).enumerate().collect();
        let inspected = in_parallel(items, |(n, (request, grant))| {
            if n >= leave {
                return Err(Reason::RateExceeded.into());
            }
            // Authorities are made by `create` only.
            let profile = self.profile(request)?;
            if profile.is_authority() || profile.subject_kind() == SubjectKind::Responder {
                return Err(Reason::IssuerNotAllowed.into());
            }
            let ca = self.cas.for_profile(&profile)?;
            admit(&profile, protocol, caller)?;
            self.prepare(caller, request, grant.as_ref(), &rights, profile, ca)
        });
        Ok(self.finish(call, inspected))
    }

    /// Answers one request that km makes for itself, of an authority or a responder, under an issuer that is given.
    pub(crate) fn admit_own(&self, caller: &Caller, request: CertifyRequest, ca: Arc<Ca>) -> Result<Answer, Fault> {
        if ca.is_foreign() {
            return Err(Reason::IssuerNotAllowed.into());
        }
        let grant = self.grants(std::slice::from_ref(&request))?.pop().flatten();
        let inspected = self.profile(&request).and_then(|profile| {
            admit(&profile, Protocol::Bus, caller)?;
            self.prepare(caller, &request, grant.as_ref(), &Rights::default(), profile, ca)
        });
        let mut certified = self.finish(&Certify { requests: vec![request] }, vec![inspected]);
        certified.answers.pop().ok_or(Fault::unavailable("no answer was made"))
    }

    fn profile(&self, request: &CertifyRequest) -> Result<Arc<Profile>, Fault> {
        let profile = self.setting.profiles.get(&request.profile).ok_or(Reason::ProfileUnknown)?;
        Ok(Arc::clone(profile))
    }

    /// Everything that can be done before the intent: decode, verify, authorise, draft, lint.
    fn prepare(
        &self,
        caller: &Caller,
        call: &CertifyRequest,
        grant: Option<&Grant>,
        rights: &Rights,
        profile: Arc<Profile>,
        ca: Arc<Ca>,
    ) -> Result<Inspected, Fault> {
        let now = self.now();
        let grant = grant.ok_or(Reason::NoGrant)?;
        let request = Request::decode(&call.evidence)?;
        // What was used may have been used by this very transaction: a repetition gets the same answer, also when the
        // grant has ended meanwhile, or the clock went back.
        let mut own_use = false;
        if grant.used > 0 {
            let before = self.setting.store.repeated(caller, call.transaction_id, grant.id, request.key())?;
            if let Some((certificate, authority)) = before {
                // The one that is asked may be unfinished still, so that nobody else knows it.
                let same = (ca.row().id == authority).then_some(ca);
                let ca = same.or_else(|| self.cas.by_id(authority)).ok_or(Reason::IssuerUnknown)?;
                return Ok(Inspected::Repeated(certificate, ca));
            }
            // What another process is at, or was stopped in, is no refusal: it may end yet, or its place is taken.
            own_use = self.setting.store.is_begun(caller, call.transaction_id, grant.id, request.key())?;
        }
        // What is being asked of a foreign authority has its use of grant and right already, too.
        own_use = own_use || (ca.is_foreign() && self.is_asked(call, request.key())?);
        let without = own_use.then(|| Grant { used: grant.used.saturating_sub(1), ..grant.clone() });
        let grant = without.as_ref().unwrap_or(grant);
        let vouched = request.is_vouched_for();
        let verified = match rights.needed(call, vouched, own_use)? {
            Some(right) if vouched => request.vouch(&right, now)?,
            Some(right) => request.verify_within(&right, now)?,
            None => request.verify()?,
        };
        let authorised = verified.authorise(grant, &profile, &self.setting.organization, now)?;
        if profile.approvals() > 0 {
            self.approved(caller, call, &profile, authorised.key(), now)?;
        }
        // A key that cannot be opened is found before its use is recorded: what is intended and not signed is revoked.
        if !ca.is_foreign() {
            ca.signer()?;
        }
        let serial = SerialNumber::next(self.setting.store.epoch(), now, random(self.setting.entropy.as_ref()));
        let draft = IntentDraft {
            transaction_id: call.transaction_id,
            requester: caller.clone(),
            authority: ca.row().id,
            serial,
            tbs_digest: model::Digest::new([0; 32]),
            profile_digest: profile.digest(),
            grant: authorised.grant(),
            right: authorised.right(),
            key: authorised.key(),
            at: now,
            not_after: now,
            shard: u32::from(profile.shard(&serial)),
        };
        let linted = authorised.prepare(ca.issuer(), serial, now)?.lint()?;
        let draft = IntentDraft { tbs_digest: linted.tbs_digest(), not_after: linted.not_after(), ..draft };
        if ca.is_foreign() {
            return Ok(Inspected::Wanted(Box::new(Wanted::new(&linted, ca, draft)?)));
        }
        Ok(Inspected::Prepared(Box::new(Prepared { linted, ca, draft })))
    }

    /// Intends, signs, records and releases what was prepared; says why of what was not.
    fn finish(&self, call: &Certify, inspected: Vec<Result<Inspected, Fault>>) -> Certified {
        let mut drafts = Vec::with_capacity(inspected.len());
        let begun = inspected.into_iter().map(|i| match i {
            Ok(Inspected::Prepared(prepared)) => {
                let Prepared { linted, ca, draft } = *prepared;
                drafts.push(draft);
                Progress::Prepared(linted, ca)
            }
            Ok(Inspected::Wanted(wanted)) => Progress::Wanted(wanted),
            Ok(Inspected::Repeated(certificate, ca)) => Progress::Done(certificate, ca),
            Err(fault) => Progress::Failed(fault),
        });
        let begun = self.have_certified(begun.collect());
        let intended = self.intend(begun, drafts);
        let signed = self.sign(intended);
        let recorded = self.record(signed);
        self.remember_refusals(call, &recorded);
        answers(recorded)
    }

    /// Has foreign authorities certify what is theirs to certify.
    fn have_certified(&self, batch: Vec<Progress>) -> Vec<Progress> {
        let asked: Vec<&Wanted> = batch
            .iter()
            .filter_map(|progress| match progress {
                Progress::Wanted(wanted) => Some(wanted.as_ref()),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return batch;
        }
        let mut answers = self.ask_foreign(&asked).into_iter();
        let step = |progress| match progress {
            Progress::Wanted(wanted) => match answers.next() {
                Some(Ok(certificate)) => Progress::Done(certificate, wanted.into_ca()),
                Some(Err(fault)) => Progress::Failed(fault),
                None => Progress::Failed(SHORT),
            },
            other => other,
        };
        batch.into_iter().map(step).collect()
    }

    /// Commit A: the drafts are those of what is prepared, in its order.
    fn intend(&self, batch: Vec<Progress>, drafts: Vec<IntentDraft>) -> Vec<Progress> {
        if drafts.is_empty() {
            return batch;
        }
        let mut outcomes = match self.setting.store.intend(drafts) {
            Ok(outcomes) => outcomes.into_iter(),
            Err(fault) => return fail_prepared(batch, &fault.into()),
        };
        let step = |progress| match progress {
            Progress::Prepared(linted, ca) => match outcomes.next() {
                Some(outcome) => self.take_outcome(linted, ca, outcome),
                None => Progress::Failed(SHORT),
            },
            other => other,
        };
        batch.into_iter().map(step).collect()
    }

    fn take_outcome(&self, linted: ToBeSigned<Linted>, ca: Arc<Ca>, outcome: IntentOutcome) -> Progress {
        match outcome {
            IntentOutcome::Durable(token) => bind(linted, ca, token),
            IntentOutcome::Refused(reason) => Progress::Failed(reason.into()),
            IntentOutcome::InProgress => Progress::Failed(Fault::unavailable("this transaction is being worked on")),
            // The authority that issued it then may not be the one that would issue it now.
            IntentOutcome::Repeated { certificate, authority } => {
                let ca = if ca.row().id == authority { Some(ca) } else { self.cas.by_id(authority) };
                ca.map_or(Progress::Failed(SHORT), |ca| Progress::Done(certificate, ca))
            }
        }
    }

    /// Signs outside any transaction. What fails is closed: it may have been signed, so its serial number is revoked.
    fn sign(&self, batch: Vec<Progress>) -> Vec<Progress> {
        let signed = in_parallel(batch, |progress| match progress {
            Progress::Intended(intended, ca) => {
                let row = intended.row();
                let signed = ca.signer().and_then(|signer| intended.sign(signer.as_ref()));
                signed.map_or_else(|fault| (Some(row), Progress::Failed(fault)), |s| (None, Progress::Signed(s, ca)))
            }
            other => (None, other),
        });
        let (failed, batch): (Vec<_>, Vec<_>) = signed.into_iter().unzip();
        let failed: Vec<u64> = failed.into_iter().flatten().collect();
        if !failed.is_empty() {
            // If this cannot be written either, start-up finds the open intents.
            let _found_at_start_up = self.setting.store.close(failed, "the signature failed", self.now());
        }
        batch
    }

    /// Commit B.
    fn record(&self, batch: Vec<Progress>) -> Vec<Progress> {
        let at = self.now();
        let drafts = batch.iter().filter_map(|p| match p {
            Progress::Signed(signed, _) => Some(RecordDraft {
                intent: signed.row(),
                serial: signed.serial(),
                certificate: signed.for_the_record().to_vec(),
                at,
            }),
            _ => None,
        });
        let drafts = drafts.collect::<Vec<_>>();
        if drafts.is_empty() {
            return batch;
        }
        let mut records = match self.setting.store.record(drafts) {
            Ok(records) => records.into_iter(),
            Err(fault) => return fail_prepared(batch, &fault.into()),
        };
        let step = |progress| match progress {
            Progress::Signed(signed, ca) => match records.next().flatten() {
                Some(record) => match signed.release(record) {
                    Ok(issued) => Progress::Done(issued.into_der(), ca),
                    Err(fault) => Progress::Failed(fault),
                },
                None => Progress::Failed(Reason::TransactionClosed.into()),
            },
            other => other,
        };
        batch.into_iter().map(step).collect()
    }

    /// Every refusal leaves its reason in the audit log. What only failed for now leaves nothing.
    fn remember_refusals(&self, call: &Certify, batch: &[Progress]) {
        let at = self.now();
        let refused = call.requests.iter().zip(batch).filter_map(|(request, progress)| {
            let Progress::Failed(Fault::Refused(reason)) = progress else { return None };
            // Who polls, or asks too fast, would fill the log with it.
            if matches!(reason, Reason::AwaitingApproval | Reason::RateExceeded) {
                return None;
            }
            let event = Event::CertificateRefused {
                subject: request.subject.to_string(),
                transaction: request.transaction_id,
                reason: *reason,
            };
            Some(Entry { at, by: Module::Authority, event })
        });
        let entries: Vec<_> = refused.collect();
        if !entries.is_empty() {
            // The refusal stands whether or not it can be written down.
            let _refused_anyway = self.setting.store.append(entries);
        }
    }
}

/// Whether the profile lets this caller ask. What the console asks for, a person asks for; what came in by a protocol of the
/// gateway, a device.
fn admit(profile: &Profile, protocol: Protocol, caller: &Caller) -> Result<(), Reason> {
    if protocol != Protocol::Bus {
        return profile.admit(Requester::Device, protocol);
    }
    let by_bus = profile.admit(Requester::Module(caller.module), Protocol::Bus);
    match caller.module {
        Module::Console => by_bus.or_else(|_| profile.admit(Requester::Operator, Protocol::Console)),
        _ => by_bus,
    }
}

const SHORT: Fault = Fault::unavailable("the store answered for fewer requests than it was asked");

fn bind(linted: ToBeSigned<Linted>, ca: Arc<Ca>, token: DurableIntent) -> Progress {
    match linted.intend(token) {
        Ok(intended) => Progress::Intended(intended, ca),
        Err(fault) => Progress::Failed(fault),
    }
}

// A commit that failed concerns those who waited for it; the others keep what they have.
fn fail_prepared(batch: Vec<Progress>, fault: &Fault) -> Vec<Progress> {
    let step = |progress| match progress {
        Progress::Prepared(..) | Progress::Intended(..) | Progress::Signed(..) => Progress::Failed(fault.clone()),
        other => other,
    };
    batch.into_iter().map(step).collect()
}

fn answers(batch: Vec<Progress>) -> Certified {
    let mut issuers: Vec<Arc<Ca>> = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    for progress in batch {
        answers.push(match progress {
            Progress::Done(certificate, ca) => {
                let known = issuers.iter().position(|known| known.row().id == ca.row().id);
                let chain = known.unwrap_or_else(|| {
                    issuers.push(ca);
                    issuers.len() - 1
                });
                Answer::Issued { certificate: certificate.into(), chain: u16::try_from(chain).unwrap_or(u16::MAX) }
            }
            Progress::Failed(fault) => Answer::Failed(fault),
            Progress::Prepared(..) | Progress::Wanted(_) | Progress::Intended(..) | Progress::Signed(..) => {
                Answer::Failed(SHORT)
            }
        });
    }
    let chain = |ca: &Arc<Ca>| ca.chain().iter().cloned().map(Base64::from).collect();
    Certified { answers, chains: issuers.iter().map(chain).collect() }
}

/// Works items off on all cores, in their order; few of them on the caller's own thread.
pub(crate) fn in_parallel<T: Send, R: Send>(items: Vec<T>, f: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    if items.len() < PARALLEL_LEN_MIN {
        items.into_iter().map(f).collect()
    } else {
        // Handing over costs the same for one as for a few.
        items.into_par_iter().with_min_len(PARALLEL_LEN_MIN).map(f).collect()
    }
}
