//! Answering whether certificates are revoked: OCSP, by delegated responders whose certificates renew themselves.
//! Source: RFC 6960, RFC 5019, RFC 9654.
//!
//! Prevents: good for what was never issued, or is revoked; an answer that looks older than one before it.

use crate::ca::Ca;
use crate::ra::{Ra, in_parallel};
use model::contract::BATCH_LEN_MAX;
use model::contract::authority::{Answer, AnswerOcsp, CertifyRequest, Evidence, OcspAnswered};
use model::{Base64, Entity, Fault, ProfileName, TransactionId, UnixTime};
use ports::Signer;
use ports::clock::random;
use ports::directory::Caller;
use ports::keystore::{KeyFault, KeyUri};
use ports::store::AuthorityStore;
use ports::store::authority::{CertificateFilter, Standing};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use wire::ocsp::delegate::{Renewal, qualifies, renewal};
use wire::ocsp::responder::{
    self, ExtendedRevoked, Floor, NoncePolicy, Policy, PreSigned, PreSignedKey, Served, Status, may_serve,
};
use wire::ocsp::{Identity, IssuerIds, Moment, ResponseStatus};
use x509::{Certificate, KeyType, Name, SerialNumber, csr};

/// The profile of a responder's certificate. Without it an authority signs its answers itself.
const PROFILE: &str = "ocsp";
/// Its key in the keystore, before the name of the authority.
const KEY: &str = "ocsp";
/// How long an answer holds: a day, so that one that was signed before serves for as long.
const VALIDITY_S: u64 = 86_400;
/// Clients whose clocks are late: as certificates are dated back.
const BACK_DATE_S: u64 = 300;
/// A responder's certificate is renewed so long before its end, in seconds: no answer outlives it.
const OVERLAP_S: u64 = 2 * VALIDITY_S;
/// Answers that are kept; when there are more, all are forgotten and signed again as they are asked for.
const KEPT_MAX: usize = 200_000;

const POLICY: Policy = Policy {
    extended_revoked: ExtendedRevoked::Off,
    nonce: NoncePolicy::Allowed,
    pre_signed: PreSigned::Allowed,
    validity_s: VALIDITY_S,
    back_date_s: BACK_DATE_S,
};

/// Who signs the answers of one authority.
struct Responder {
    signer: Arc<dyn Signer>,
    identity: Identity,
    /// Absent if the authority signs itself.
    certificate: Option<Certificate>,
    ends: UnixTime,
}

/// An answer that was signed before.
struct Kept {
    response: Vec<u8>,
    moment: Moment,
    /// The last word on any certificate that it takes into account.
    edge: u64,
}

/// The authorities that are answered for.
type Authorities = Arc<Vec<Served<Arc<Ca>>>>;

/// What answering remembers.
#[derive(Default)]
pub(crate) struct Memory {
    responders: Mutex<BTreeMap<u64, Arc<Responder>>>,
    served: RwLock<Option<Authorities>>,
    kept: RwLock<HashMap<(u64, PreSignedKey), Arc<Kept>>>,
    floor: Mutex<Option<Floor>>,
}

impl Memory {
    /// Forgets the authorities, because they changed.
    pub(crate) fn forget_authorities(&self) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.responders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Ra {
    /// Answers a batch of OCSP requests, each on its own.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the batch is too long.
    pub fn answer_ocsp(&self, caller: &Caller, call: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        if call.requests.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more requests than a batch may have"));
        }
        self.end_overdue();
        let edge = self.edge();
        let answer = |request: &Base64| self.answer_after(caller, request.as_ref(), edge).into();
        Ok(OcspAnswered { responses: in_parallel(call.requests.iter().collect(), answer), edge: edge.ok() })
    }

    /// Answers one OCSP request; an error is an answer too.
    #[must_use]
    pub fn answer_one(&self, caller: &Caller, request: &[u8]) -> Vec<u8> {
        self.answer_after(caller, request, self.edge())
    }

    /// Up to where revocations are read when a question is answered. Before the look-up: a word that falls between both makes the answer
    /// one that is not kept.
    fn edge(&self) -> Result<u64, ResponseStatus> {
        self.setting().store.revocation_edge().map_err(|_| ResponseStatus::TryLater)
    }

    fn answer_after(&self, caller: &Caller, request: &[u8], edge: Result<u64, ResponseStatus>) -> Vec<u8> {
        let answered = edge.and_then(|edge| self.try_answer(caller, request, edge));
        answered.unwrap_or_else(|status| status.encode().to_vec())
    }

    fn try_answer(&self, caller: &Caller, request: &[u8], edge: u64) -> Result<Vec<u8>, ResponseStatus> {
        let served = self.served();
        let question = responder::read(request, &served, &POLICY)?;
        let ca = question.authority();
        let now = self.now();
        let store = self.setting().store.as_ref();
        let memory = self.ocsp();
        let key = question.pre_signed(&POLICY).map(|key| (ca.row().id, key));
        if let Some(key) = &key {
            let kept = memory.kept.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
            if let Some(kept) = kept.filter(|kept| kept.edge == edge && may_serve(&kept.moment, NEVER, now)) {
                return Ok(kept.response.clone());
            }
        }
        let responder = self.responder(caller, ca, now).map_err(|_| ResponseStatus::TryLater)?;
        let moment = self.moment(now, responder.ends)?;
        // What is not issued may be before its answer ends, and who asks for any number would fill the memory.
        let is_issued = Cell::new(true);
        let data = question.answer(&responder.identity, &moment, &POLICY, |ca, serial| {
            let status = status(store, ca, serial)?;
            is_issued.set(is_issued.get() && matches!(status, Status::Good | Status::Revoked { .. }));
            Ok(status)
        })?;
        let signature = responder.signer.sign(data.der()).map_err(|_| ResponseStatus::TryLater)?;
        let certificates: Vec<&[u8]> = responder.certificate.iter().map(Certificate::der).collect();
        let response = data.finish(responder.signer.algorithm(), &signature, &certificates);
        if let Some(key) = key.filter(|_| is_issued.get()) {
            let mut kept = memory.kept.write().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.insert(key, Arc::new(Kept { response: response.clone(), moment, edge }));
        }
        Ok(response)
    }

    /// The authorities that are answered for: all whose issuing is recorded here.
    fn served(&self) -> Authorities {
        let memory = self.ocsp();
        if let Some(served) = memory.served.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Arc::clone(served);
        }
        let own = |ca: Arc<Ca>| {
            let tbs = ca.certificate()?.tbs();
            let ids = IssuerIds::new(&tbs.subject, &tbs.subject_public_key);
            Some(Served { ids, authority: ca })
        };
        let served: Arc<Vec<_>> =
            Arc::new(self.cas().all().into_iter().filter(|ca| !ca.is_offline()).filter_map(own).collect());
        *memory.served.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&served));
        served
    }

    /// The times of an answer. That no later one looks older is durable before it leaves: one commit for each second in
    /// which answers are made.
    fn moment(&self, now: UnixTime, ends: UnixTime) -> Result<Moment, ResponseStatus> {
        let store = &self.setting().store;
        let mut held = self.ocsp().floor.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = match *held {
            Some(floor) => floor,
            None => {
                let produced_at = store.ocsp_floor().map_err(|_| ResponseStatus::TryLater)?;
                Floor { produced_at, this_update: produced_at.minus_s(BACK_DATE_S) }
            }
        };
        let moment = floor.moment(now, &POLICY, ends)?;
        let after = floor.after(&moment);
        if held.is_none() || after.produced_at > floor.produced_at {
            store.raise_ocsp_floor(after.produced_at).map_err(|_| ResponseStatus::TryLater)?;
        }
        *held = Some(after);
        Ok(moment)
    }

    /// Who signs for an authority, with a certificate that lasts longer than the answers.
    fn responder(&self, caller: &Caller, ca: &Arc<Ca>, now: UnixTime) -> Result<Arc<Responder>, Fault> {
        let mut responders = self.ocsp().responders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = responders.get(&ca.row().id).filter(|known| lasts(known, now)) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(self.make_responder(caller, ca, now)?);
        responders.insert(ca.row().id, Arc::clone(&made));
        Ok(made)
    }

    fn make_responder(&self, caller: &Caller, ca: &Arc<Ca>, now: UnixTime) -> Result<Responder, Fault> {
        let certificate = ca.certificate().ok_or(model::Reason::IssuerUnknown)?;
        let profile: Option<ProfileName> =
            PROFILE.parse().ok().filter(|name| self.setting().profiles.contains_key(name));
        // One that issues nothing any more has its key for lists and answers only.
        let (Some(profile), false) = (profile, ca.row().retired) else {
            let signer = ca.signer()?;
            let identity = Identity::by_key(signer.public_key());
            return Ok(Responder { identity, signer, certificate: None, ends: certificate.tbs().not_after });
        };
        let signer = self.responder_key(KEY, ca)?;
        let subject = Entity::Responder(ca.row().name.clone());
        let own = match self.present_certificate(&subject, &signer, certificate, now)? {
            Some(own) => own,
            None => self.certify_responder(caller, &subject, &profile, signer.as_ref(), ca)?,
        };
        qualifies(&own, signer.public_key(), certificate, now)
            .map_err(|_| Fault::unavailable("the responder's certificate is not one for answering"))?;
        let (identity, ends) = (Identity::by_key(signer.public_key()), own.tbs().not_after);
        Ok(Responder { identity, signer, certificate: Some(own), ends })
    }

    /// The key of who speaks for an authority in something, beside the authority's; made at the first answer.
    pub(crate) fn responder_key(&self, kind: &str, ca: &Ca) -> Result<Arc<dyn Signer>, Fault> {
        let keystore = &self.setting().keystore;
        let wanted = KeyUri(format!("file:{kind}.{}", ca.row().name));
        match keystore.open(&wanted) {
            Err(KeyFault::Missing) => Ok(keystore.generate_at(&wanted, KeyType::P256)?.1),
            opened => Ok(opened?),
        }
    }

    /// The newest certificate of the responder that still lasts.
    fn present_certificate(
        &self,
        subject: &Entity,
        signer: &Arc<dyn Signer>,
        issuer: &Certificate,
        now: UnixTime,
    ) -> Result<Option<Certificate>, Fault> {
        let filter = CertificateFilter {
            subject: Some(subject.clone()),
            revoked: Some(false),
            expires_from: Some(now.plus_s(OVERLAP_S)),
            limit: 1000,
            ..CertificateFilter::default()
        };
        let found = self.setting().store.certificates(&filter)?;
        let read = found.iter().rev().filter_map(|row| Certificate::decode(&row.der).ok());
        let mut fit = read.filter(|own| qualifies(own, signer.public_key(), issuer, now).is_ok());
        Ok(fit.next())
    }

    /// Has the responder certified by the authority that it answers for, through the same door as any other.
    pub(crate) fn certify_responder(
        &self,
        caller: &Caller,
        subject: &Entity,
        profile: &ProfileName,
        signer: &dyn Signer,
        ca: &Arc<Ca>,
    ) -> Result<Certificate, Fault> {
        let setting = self.setting();
        setting.store.allow(subject, profile, 1, self.now())?;
        let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
        let signature = signer.sign(&info)?;
        let request = CertifyRequest {
            transaction_id: TransactionId::at(self.now(), random(setting.entropy.as_ref())),
            subject: subject.clone(),
            profile: profile.clone(),
            evidence: Evidence::Pkcs10(csr::write_signed(&info, signer.algorithm(), &signature).into()),
        };
        match self.admit_own(caller, request, Arc::clone(ca))? {
            Answer::Issued { certificate, .. } => Ok(Certificate::decode(certificate.as_ref())?),
            Answer::Failed(fault) => Err(fault),
        }
    }
}

/// Nothing changed since: the edge is compared instead.
const NEVER: UnixTime = UnixTime::from_s(0);

fn lasts(responder: &Responder, now: UnixTime) -> bool {
    responder.certificate.as_ref().is_none_or(|own| {
        let tbs = own.tbs();
        renewal(tbs.not_before, tbs.not_after, now, OVERLAP_S) == Renewal::Fresh
    })
}

fn status(store: &dyn AuthorityStore, ca: &Arc<Ca>, serial: &SerialNumber) -> Result<Status, Fault> {
    Ok(match store.standing(ca.row().id, serial)? {
        Standing::NeverIssued => Status::NeverIssued,
        Standing::Reserved => Status::ReservedNotIssued,
        Standing::Good { .. } => Status::Good,
        Standing::Revoked { at, reason } => Status::Revoked { at, reason },
    })
}
