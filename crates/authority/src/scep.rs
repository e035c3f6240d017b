//! Who comes over SCEP. The gateway opened the envelope and verified whose signature is around it; whose certificate that is, and what may be
//! had on it, is found here. Then the same door as for all others.
//!
//! ```text
//! PKCSReq     signed with a key of one's own that is asked for: the secret says who; or as below
//! RenewalReq  signed with a certificate of ours, which it renews
//! CertPoll    whoever has the key and the name of the transaction hears what operators decided
//! GetCert     a certificate of the authority of the label, for who has one of ours
//! GetCRL      its list, for the same
//! ```
//! Prevents: a certificate for whoever signs with another authority's certificate; the certificate of one who waits for another.
//! Source: RFC 8894.

use crate::approval::APPROVAL_S;
use crate::ca::Ca;
use crate::enrol::{Admission, HELD_MAX, Offered, Proved, Shown, Wish};
use crate::looked::Looked;
use crate::maker::Presented;
use crate::offers::certified;
use crate::ra::Ra;
use issue::profile::Protocol;
use model::contract::authority::Evidence;
use model::contract::enrolment::{EnrolmentKind, ServerCertified, ShownSecret};
use model::contract::scep::{AnswerScep, ScepAnswered, ScepWish, request_info};
use model::{Base64, Digest, Entity, EstLabel, Fault, Module, ProfileName, Reason, TransactionId};
use ports::SecretReader;
use ports::clock::random;
use ports::directory::Caller;
use ports::store::CmpStore;
use ports::store::authority::CertificateFilter;
use ports::store::cmp::{Exchange, ExchangeState};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::scep::IssuerAndSerialNumber;
use x509::{Certificate, CertificationRequest, PublicKey, sha256, sha256_of_parts};

/// The profile of the certificate with which the gateway answers.
const PROFILE: &str = "scep-ra";
/// The numbers of the messages that begin a transaction. Source: RFC 8894 §3.2.1.2.
const RENEWAL_REQ: u8 = 17;
const PKCS_REQ: u8 = 19;
/// Longest name of a transaction.
const TRANSACTION_LEN_MAX: usize = 128;

/// What km knows of SCEP.
pub struct Scep {
    /// Under which label certificates of which profile are had.
    pub labels: BTreeMap<EstLabel, ProfileName>,
    /// Requests that wait for operators, beside those of CMP.
    pub store: Arc<dyn CmpStore>,
    /// The key to which the gateway seals requests, and the one-time secrets in them.
    pub secrets: Arc<dyn SecretReader>,
}

/// With what a message is signed.
enum Signer {
    /// A key that nobody has vouched for.
    Own(PublicKey),
    /// A certificate of ours that holds.
    Shown(Box<Shown>),
}

/// One message, and who handed it on.
struct Talk<'a> {
    ra: &'a Ra,
    scep: &'a Scep,
    caller: &'a Caller,
    call: &'a AnswerScep,
    offered: Offered,
    signer: Signer,
}

/// A refusal, whom it is about, and under which transaction the records have it, if they do.
struct No {
    who: String,
    fault: Fault,
    recorded: Option<TransactionId>,
}

impl Ra {
    /// The same, for clients that come over SCEP.
    #[must_use]
    pub fn with_scep(mut self, scep: Option<Scep>) -> Self {
        self.scep = scep;
        self
    }

    /// Answers what a message of SCEP asks for.
    #[must_use]
    pub fn answer_scep(&self, caller: &Caller, call: &AnswerScep) -> ScepAnswered {
        self.end_overdue();
        let fresh = TransactionId::at(self.now(), random(self.setting().entropy.as_ref()));
        match self.scep_talk(caller, call).and_then(|talk| talk.answer()) {
            Ok((transaction_id, der)) => {
                ScepAnswered { transaction_id: transaction_id.unwrap_or(fresh), outcome: Ok(der) }
            }
            Err(No { fault, recorded: Some(transaction_id), .. }) => {
                ScepAnswered { transaction_id, outcome: Err(fault) }
            }
            Err(No { who, fault, recorded: None }) => {
                self.remember_stranger(caller, who, fresh, &fault);
                ScepAnswered { transaction_id: fresh, outcome: Err(fault) }
            }
        }
    }

    fn scep_talk<'a>(&'a self, caller: &'a Caller, call: &'a AnswerScep) -> Result<Talk<'a>, No> {
        let stranger =
            |fault: Fault| No { who: format!("somebody unknown at scep/{}", call.label), fault, recorded: None };
        let scep =
            self.scep.as_ref().ok_or_else(|| stranger(Fault::unavailable("this installation does not answer SCEP")))?;
        let offered = self.scep_offered(&call.label).map_err(stranger)?;
        let signer = self.scep_signer(call.signer.as_ref()).map_err(stranger)?;
        Ok(Talk { ra: self, scep, caller, call, offered, signer })
    }

    fn scep_offered(&self, label: &EstLabel) -> Result<Offered, Fault> {
        let name = self.scep.as_ref().and_then(|scep| scep.labels.get(label)).ok_or(Reason::LabelUnknown)?;
        let profile = self.setting().profiles.get(name).ok_or(Reason::ProfileUnknown)?;
        Ok(Offered { label: label.clone(), profile: Arc::clone(profile) })
    }

    /// A certificate that names itself as its issuer is nobody's word; every other one is of ours, or nothing.
    /// Source: RFC 8894 §2.3.
    fn scep_signer(&self, der: &[u8]) -> Result<Signer, Fault> {
        let read = Certificate::decode(der).map_err(|_| Reason::ClientUnknown)?;
        if read.tbs().issuer.matches(&read.tbs().subject) {
            return Ok(Signer::Own(read.tbs().subject_public_key.clone()));
        }
        Ok(Signer::Shown(Box::new(self.shown(der)?)))
    }

    /// Certifies the key with which the gateway of a box answers under a label, by the authority that issues there.
    pub(crate) fn certify_scep(
        &self,
        caller: &Caller,
        label: &EstLabel,
        request: &Base64,
    ) -> Result<ServerCertified, Fault> {
        let ca = self.cas().for_profile(&self.scep_offered(label)?.profile)?;
        let name: ProfileName = PROFILE.parse().map_err(|_| Reason::ProfileUnknown)?;
        if !self.setting().profiles.contains_key(&name) {
            return Err(Fault::unavailable(
                "there is no profile `scep-ra`, under which the gateway is certified for SCEP",
            ));
        }
        let read = CertificationRequest::decode(request.as_ref())?;
        read.verify().map_err(|_| Reason::ProofOfPossession)?;
        let filter = CertificateFilter {
            subject: Some(Entity::Module(Module::Gateway, caller.instance.clone())),
            key: Some(read.public_key.digest()),
            profile: Some(name.clone()),
            limit: 1,
            ..CertificateFilter::default()
        };
        // The gateway was opened anew, and clients have the certificate of its key: the same one, or none any more.
        if let Some(row) = self.setting().store.certificates(&filter)?.pop() {
            self.holding(&row.der, None)?;
            if row.authority != ca.row().name {
                return Err(Reason::AuthorityEnded.into());
            }
            return Ok(certified(row.der.into(), &ca));
        }
        self.certify_gateway(caller, name, &ca, request)
    }
}

impl Talk<'_> {
    fn answer(&self) -> Result<(Option<TransactionId>, Base64), No> {
        let plain = |done: Result<Base64, Fault>| match done {
            Ok(der) => Ok((None, der)),
            Err(fault) => Err(self.no(fault)),
        };
        if self.call.transaction.len() > TRANSACTION_LEN_MAX {
            return Err(self.no(Fault::malformed("the name of the transaction is longer than it may be")));
        }
        match &self.call.wish {
            ScepWish::Enrol { request, secret } => self.enrol(request, secret.as_ref()),
            ScepWish::Renew { request } => self.renew(request),
            ScepWish::Poll => self.poll(),
            ScepWish::Certificate { of } => plain(self.certificate(of.as_ref())),
            ScepWish::Crl { of } => plain(self.crl(of.as_ref())),
        }
    }

    fn no(&self, fault: Fault) -> No {
        let who = match &self.signer {
            Signer::Own(_) => format!("somebody unknown at scep/{}", self.offered.label),
            Signer::Shown(shown) => shown.row.subject.to_string(),
        };
        No { who, fault, recorded: None }
    }

    /// What is asked for, out of what only km reads.
    fn opened(&self, sealed: &[u8]) -> Result<Evidence, Fault> {
        let info = request_info(&self.offered.label, &self.call.transaction);
        Ok(Evidence::Pkcs10((*self.scep.secrets.open(sealed, &info)?).as_ref().to_vec().into()))
    }

    /// `PKCSReq`.
    fn enrol(&self, sealed: &Base64, secret: Option<&ShownSecret>) -> Result<(Option<TransactionId>, Base64), No> {
        let evidence = self.opened(sealed.as_ref()).map_err(|fault| self.no(fault))?;
        let (proved, kind) = self.proved(&evidence, secret).map_err(|fault| self.no(fault))?;
        self.through(PKCS_REQ, kind, (sealed, &evidence), proved)
    }

    /// `RenewalReq`.
    fn renew(&self, sealed: &Base64) -> Result<(Option<TransactionId>, Base64), No> {
        let proved = match &self.signer {
            Signer::Own(_) => Err(Reason::ClientUnknown.into()),
            Signer::Shown(shown) => by_certificate(shown),
        };
        let proved = proved.map_err(|fault| self.no(fault))?;
        let evidence = self.opened(sealed.as_ref()).map_err(|fault| self.no(fault))?;
        self.through(RENEWAL_REQ, EnrolmentKind::Renewal, (sealed, &evidence), proved)
    }

    /// Who it is that sends a `PKCSReq`, and what it is for.
    fn proved(&self, evidence: &Evidence, secret: Option<&ShownSecret>) -> Result<(Proved, EnrolmentKind), Fault> {
        let request = Looked::at(evidence)?;
        match &self.signer {
            Signer::Own(key) => {
                // RFC 8894 §2.3: the key that signs is the one that is asked for. The answer is encrypted for it.
                if *key != request.key {
                    return Err(Reason::ProofOfPossession.into());
                }
                let secret = secret.ok_or(Reason::ClientUnproved)?;
                let device = self.ra.opens(secret, None, &self.offered)?;
                Ok((Proved { device, certificate: None, secret: Some(secret.digest) }, EnrolmentKind::New))
            }
            Signer::Shown(shown) => {
                let proved = by_certificate(shown)?;
                if let Some(secret) = secret {
                    self.ra.opens(secret, Some(&proved.device), &self.offered)?;
                    return Ok((Proved { secret: Some(secret.digest), ..proved }, EnrolmentKind::New));
                }
                // RFC 8894 §2.3: older clients renew with this message, too.
                let is_same_name = request.subject.is_some_and(|asked| asked.matches(&shown.read.tbs().subject));
                let is_renewal = shown.row.profile == *self.offered.profile.name() && is_same_name;
                Ok((proved, if is_renewal { EnrolmentKind::Renewal } else { EnrolmentKind::New }))
            }
        }
    }

    /// Through the door; what waits for operators is remembered for who asks again.
    fn through(
        &self,
        message: u8,
        kind: EnrolmentKind,
        (sealed, evidence): (&Base64, &Evidence),
        proved: Proved,
    ) -> Result<(Option<TransactionId>, Base64), No> {
        let device = proved.device.to_string();
        let no = |fault, recorded| No { who: device.clone(), fault, recorded };
        let wish = Wish { protocol: Protocol::Scep, kind, offered: &self.offered, evidence, voucher: None };
        let admission = self.ra.asked(&wish, proved).map_err(|fault| no(fault, None))?;
        // Before operators are asked.
        self.is_free(&admission).map_err(|fault| no(fault, None))?;
        let recorded = Some(admission.transaction_id);
        match self.ra.let_in(self.caller, &wish, &admission) {
            Ok(certificate) => Ok((recorded, certificate)),
            Err(fault) => {
                if fault == Fault::Refused(Reason::AwaitingApproval) {
                    self.remember(message, (sealed, evidence), &admission).map_err(|fault| no(fault, recorded))?;
                }
                Err(no(fault, recorded))
            }
        }
    }

    /// By what a transaction is known: whoever has the signer's key, and says its name.
    fn id(&self) -> Digest {
        let key = match &self.signer {
            Signer::Own(key) => key.digest(),
            Signer::Shown(shown) => shown.read.tbs().subject_public_key.digest(),
        };
        let label = sha256(self.offered.label.to_string().as_bytes());
        sha256_of_parts(
            [b"scep".as_slice(), label.octets(), key.octets(), self.call.transaction.as_bytes()].into_iter(),
        )
    }

    /// Whether another request waits under the name of this transaction.
    fn is_free(&self, admission: &Admission) -> Result<(), Fault> {
        let known = self.scep.store.exchange(&self.id())?;
        let waits = |known: &Exchange| known.state == ExchangeState::Waiting && self.ra.now() <= known.until;
        match known.filter(waits) {
            Some(known) if known.transaction_id != admission.transaction_id => Err(Reason::TransactionConflict.into()),
            _ => Ok(()),
        }
    }

    // It waits as it came: who reads the records before it is let in finds no secret in it.
    fn remember(&self, body: u8, (sealed, evidence): (&Base64, &Evidence), admission: &Admission) -> Result<(), Fault> {
        let (Evidence::Pkcs10(request) | Evidence::Crmf(request)) = evidence;
        let now = self.ra.now();
        let exchange = Exchange {
            id: self.id(),
            message: sha256(request.as_ref()),
            state: ExchangeState::Waiting,
            transaction_id: admission.transaction_id,
            subject: admission.subject.clone(),
            instance: self.caller.instance.clone(),
            label: Some(self.offered.label.clone()),
            body,
            cert_req_id: 0,
            implicit: true,
            nonce: [0; 16],
            at: now,
            until: now.plus_s(APPROVAL_S),
            request: Some(sealed.as_ref().to_vec()),
        };
        if !self.scep.store.begin_exchange(&exchange)? {
            let known = self.scep.store.exchange(&exchange.id)?;
            // The same again waits as before; another request is another transaction.
            if known.is_none_or(|known| known.transaction_id != exchange.transaction_id) {
                return Err(Reason::TransactionConflict.into());
            }
        }
        Ok(self.scep.store.move_exchange(&exchange)?)
    }

    /// `CertPoll`. Everything is asked again that was asked before the request began to wait, but for the secret, which began it.
    fn poll(&self) -> Result<(Option<TransactionId>, Base64), No> {
        let found = self.scep.store.exchange(&self.id()).map_err(|fault| self.no(fault.into()))?;
        let found = found.ok_or_else(|| self.no(Reason::TransactionUnknown.into()))?;
        let no = |fault, recorded| No { who: found.subject.to_string(), fault, recorded };
        let (ExchangeState::Waiting, Some(sealed)) = (found.state, &found.request) else {
            return Err(no(Reason::TransactionClosed.into(), None));
        };
        if self.ra.now() > found.until {
            return Err(no(Reason::TransactionClosed.into(), None));
        }
        let admission = self.again(&found).map_err(|fault| no(fault, None))?;
        let evidence = self.opened(sealed).map_err(|fault| no(fault, None))?;
        let kind = if found.body == RENEWAL_REQ { EnrolmentKind::Renewal } else { EnrolmentKind::New };
        let wish = Wish { protocol: Protocol::Scep, kind, offered: &self.offered, evidence: &evidence, voucher: None };
        let requester = Caller { instance: found.instance.clone(), ..self.caller.clone() };
        match self.ra.let_in(&requester, &wish, &admission) {
            Ok(certificate) => Ok((Some(found.transaction_id), certificate)),
            Err(fault) => Err(no(fault, Some(found.transaction_id))),
        }
    }

    fn again(&self, found: &Exchange) -> Result<Admission, Fault> {
        let device = found.subject.device().ok_or(Reason::ClientUnknown)?;
        self.ra.may_ask(device, &self.offered.profile, Protocol::Scep)?;
        let filter = CertificateFilter {
            subject: Some(found.subject.clone()),
            profile: Some(self.offered.profile.name().clone()),
            limit: HELD_MAX,
            ..CertificateFilter::default()
        };
        let held = self.ra.setting().store.certificates(&filter)?;
        let is_repeated = held.iter().any(|row| row.transaction_id == found.transaction_id);
        Ok(Admission {
            transaction_id: found.transaction_id,
            subject: Entity::Device(device.clone()),
            shown: "what began the transaction".to_owned(),
            is_repeated,
        })
    }

    /// The authority of the label, if what is asked for is its. Only who has a certificate of ours may ask.
    fn issuer(&self, of: &[u8]) -> Result<(Arc<Ca>, IssuerAndSerialNumber), Fault> {
        if matches!(self.signer, Signer::Own(_)) {
            return Err(Reason::ClientUnknown.into());
        }
        // What is none is answered as what there is not: whether somebody else's envelope opened to one, nobody learns.
        let of = IssuerAndSerialNumber::decode(of).map_err(|_| Reason::SerialUnknown)?;
        let ca = self.ra.cas().for_profile(&self.offered.profile)?;
        let is_its = ca.certificate().is_some_and(|own| own.tbs().subject.matches(&of.issuer));
        if is_its { Ok((ca, of)) } else { Err(Reason::SerialUnknown.into()) }
    }

    /// `GetCert`.
    fn certificate(&self, of: &[u8]) -> Result<Base64, Fault> {
        let (ca, of) = self.issuer(of)?;
        let row = self.ra.setting().store.certificate(&of.serial_number)?.ok_or(Reason::SerialUnknown)?;
        if row.authority == ca.row().name { Ok(row.der.into()) } else { Err(Reason::SerialUnknown.into()) }
    }

    /// `GetCRL`: all of the authority's.
    fn crl(&self, of: &[u8]) -> Result<Base64, Fault> {
        let (ca, _) = self.issuer(of)?;
        Ok(self.ra.list_in_force(&ca.row().name, 0, false)?.der.into())
    }
}

fn by_certificate(shown: &Shown) -> Result<Proved, Fault> {
    let device = shown.row.subject.device().ok_or(Reason::ClientUnknown)?.clone();
    Ok(Proved { device, certificate: Some(Presented::Own(Box::new(shown.clone()))), secret: None })
}
