//! Who comes over CMP. The gateway hands on messages as they came: their protection is between the client and km.
//!
//! ```text
//! answer_cmp  octets -> Message -> label -> asker (whose MAC or signature it is) -> by its body:
//!   ir cr p10cr kur  exchange    an identifier is used once; then the door that all requests come through
//!                    central     who brings no key, and may have one made
//!   certConf pollReq exchange    the last word on a certificate, or whether operators decided
//!   rr               revoke      the device's own certificates
//!   genm             general     certificates, lists and what requests must look like, for whoever is somebody
//!   nested           nested      messages of others that a registration authority hands on, each as if it had come alone
//! answer      the same way back, protected in kind
//! ```
//! Prevents: a certificate for another than whoever is proved; a message that counts twice; a certificate that lasts although
//! nobody took it; work for who is nobody.
//! Source: RFC 9810, RFC 9483, RFC 9481.

mod answer;
mod asker;
mod central;
mod exchange;
mod general;
mod nested;
mod revoke;
mod server;

use crate::enrol::Offered;
use crate::ra::Ra;
use answer::{Said, unprotected};
use asker::Asker;
use issue::Profile;
use model::contract::enrolment::{AllowEnrolment, AnswerCmp, CmpAnswered, SealingKeyShown, ShowSealingKey};
use model::{EstLabel, Fault, ProfileName, Reason, StationName, TransactionId, UnixTime};
use nested::Unpacked;
use ports::clock::random;
use ports::directory::Caller;
use ports::store::{CmpStore, StoreFault};
use ports::{KeyMaker, SecretReader};
use server::Server;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wire::cmp::server::{NONCE_LEN, failure};
use wire::cmp::status::FailureInfo;
use wire::cmp::{Body, Message};
use x509::Certificate;

/// How far `messageTime` may be from our clock, in seconds: clocks of devices are poor, and what keeps a message from
/// counting twice is its identifier.
const CLOCKS_DIFFER_S: u64 = 3600;
/// A secret is kept so long behind its end, in seconds: what began with it, and waits for operators, goes on.
const SECRET_KEPT_S: u64 = crate::approval::APPROVAL_S + 86_400;
/// Longest secret that is kept sealed, in octets.
const SEALED_LEN_MAX: usize = 512;

/// What km knows of CMP.
pub struct Cmp {
    /// Under which label certificates of which profile are had, and how.
    pub labels: BTreeMap<EstLabel, CmpLabel>,
    /// The label that is taken where a path has none.
    pub default: Option<EstLabel>,
    /// What was asked, and how far it has come.
    pub store: Arc<dyn CmpStore>,
    /// The key to which one-time secrets are sealed.
    pub secrets: Arc<dyn SecretReader>,
    /// What makes keys for who may have one made.
    pub keys: Arc<dyn KeyMaker>,
}

/// What is had under a label.
#[derive(Clone, Debug)]
pub struct CmpLabel {
    /// Certificates of this profile.
    pub profile: ProfileName,
    /// Whether who asks for it need not confirm.
    pub implicit_confirm: bool,
    /// How long a confirmation is waited for, in seconds; then the certificate is revoked.
    pub confirm_within_s: u64,
    /// Who may hand on messages of others, and vouch for keys within its rights: the certificates of registration
    /// authorities, compared octet for octet. At most [`REGISTRATION_AUTHORITIES_MAX`].
    pub registration_authorities: Arc<BTreeMap<StationName, Certificate>>,
    /// Whether keys are made here for who asks for one.
    pub server_keys: bool,
}

/// Most registration authorities of one label.
pub const REGISTRATION_AUTHORITIES_MAX: usize = 64;

/// CMP, and what answering it remembers.
pub(crate) struct Front {
    cmp: Cmp,
    servers: Mutex<BTreeMap<u64, Arc<Server>>>,
    /// The second in which was looked last for what is overdue.
    looked: AtomicU64,
}

impl Front {
    pub(crate) fn new(cmp: Cmp) -> Self {
        Self { cmp, servers: Mutex::default(), looked: AtomicU64::new(0) }
    }
    pub(crate) fn forget_authorities(&self) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    /// Whether it is time to look for what is overdue: once a second, and again if the clock went back.
    fn is_time(&self, now: UnixTime) -> bool {
        self.looked.swap(now.s(), Ordering::Relaxed) != now.s()
    }
}

/// What was asked for under a label.
struct Offer {
    offered: Offered,
    implicit_confirm: bool,
    confirm_within_s: u64,
    appointed: Arc<BTreeMap<StationName, Certificate>>,
    server_keys: bool,
}

/// One message, and who takes part in answering it.
struct Talk<'a> {
    ra: &'a Ra,
    front: &'a Front,
    /// The gateway.
    caller: &'a Caller,
    /// km.
    own: &'a Caller,
    message: &'a Message<'a>,
    octets: &'a [u8],
    /// Of our answer.
    nonce: [u8; NONCE_LEN],
    now: UnixTime,
}

/// Whether a message came by itself or in another. What is nested in what is nested is answered by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Outer,
    Inner,
}

/// A refusal, and what it is called.
#[derive(Debug)]
struct No {
    fault: Fault,
    failure: FailureInfo<'static>,
    /// Under which transaction the records have it, if they do.
    recorded: Option<TransactionId>,
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self { failure: failure(&fault), fault, recorded: None }
    }
}
impl From<Reason> for No {
    fn from(reason: Reason) -> Self {
        Fault::Refused(reason).into()
    }
}
impl From<StoreFault> for No {
    fn from(fault: StoreFault) -> Self {
        Fault::from(fault).into()
    }
}

impl No {
    const fn malformed(what: &'static str, failure: FailureInfo<'static>) -> Self {
        Self { fault: Fault::malformed(what), failure, recorded: None }
    }
}

impl Ra {
    /// Answers a message of CMP. What is refused is answered, too.
    #[must_use]
    pub fn answer_cmp(&self, caller: &Caller, own: &Caller, call: &AnswerCmp) -> CmpAnswered {
        self.end_overdue();
        let (now, nonce) = (self.now(), random(self.setting().entropy.as_ref()));
        let Some(front) = self.cmp() else {
            let no = No::from(Fault::unavailable("this installation does not answer CMP"));
            return CmpAnswered { message: unprotected(None, &no, "", &nonce, now).into() };
        };
        let octets = call.message.as_ref();
        let Ok(message) = Message::decode(octets) else {
            let no = No::malformed("this is no PKIMessage", FailureInfo::BAD_DATA_FORMAT);
            return CmpAnswered { message: unprotected(None, &no, &no.fault.to_string(), &nonce, now).into() };
        };
        let talk = Talk { ra: self, front, caller, own, message: &message, octets, nonce, now };
        CmpAnswered { message: talk.answer(call.label.as_ref(), Depth::Outer).into() }
    }

    /// Where secrets are kept sealed, and what opens them: where CMP or ACME is answered.
    fn sealed(&self) -> Option<(&dyn CmpStore, &dyn SecretReader)> {
        let cmp = self.cmp().map(|front| (front.cmp.store.as_ref(), front.cmp.secrets.as_ref()));
        cmp.or_else(|| self.acme().map(|front| (front.acme.sealed.as_ref(), front.acme.secrets.as_ref())))
    }

    /// The key to which one-time secrets are sealed, where MACs are verified with them, and requests over SCEP, which have them in them.
    pub(crate) fn sealing_key(&self, _: &ShowSealingKey) -> Result<SealingKeyShown, Fault> {
        let of_scep = || self.scep.as_ref().map(|scep| scep.secrets.as_ref());
        let secrets = self.sealed().map(|(_, secrets)| secrets).or_else(of_scep);
        let key = secrets.map(|secrets| secrets.public_key()).transpose()?;
        Ok(SealingKeyShown { key: key.map(|key| key.to_vec().into()) })
    }

    /// Keeps a secret that was sealed to km. That it is the one whose SHA-256 the grant has is seen when it is opened.
    pub(crate) fn keep_sealed(&self, call: &AllowEnrolment) -> Result<(), Fault> {
        let (Some((store, _)), Some(digest), Some(sealed)) = (self.sealed(), call.secret, &call.sealed) else {
            return Ok(());
        };
        if sealed.as_ref().len() > SEALED_LEN_MAX {
            return Err(Fault::malformed("a sealed secret is longer than it may be"));
        }
        let until = call.until.plus_s(SECRET_KEPT_S);
        Ok(store.keep_secret(digest, sealed.as_ref(), until, self.now())?)
    }
}

impl Talk<'_> {
    fn answer(&self, label: Option<&EstLabel>, depth: Depth) -> Vec<u8> {
        let stranger =
            || label.map_or_else(|| "somebody unknown at cmp".into(), |l| format!("somebody unknown at cmp/{l}"));
        let refused = |no: No| {
            let text = self.text(stranger(), &no);
            unprotected(Some(self.message), &no, &text, &self.nonce, self.now)
        };
        let (offer, asker) = match self.offer(label).and_then(|offer| Ok((self.asker(&offer)?, offer))) {
            Ok((asker, offer)) => (offer, asker),
            Err(no) => return refused(no),
        };
        let said = match (&self.message.body, depth) {
            (Body::Nested(list), Depth::Outer) => match self.nested(&asker, &offer, list) {
                Ok(Unpacked::One(answer)) => return answer,
                Ok(Unpacked::Several(answers)) => Ok(Said::Nested(answers)),
                Err(no) => Err(no),
            },
            _ => self.said(&asker, &offer),
        };
        let said = said.unwrap_or_else(|no| {
            let text = self.text(asker.name(), &no);
            Said::refusal(self.message, &no, text)
        });
        self.protected(&asker, &offer, &said).unwrap_or_else(refused)
    }

    /// What is had under a label.
    fn offer(&self, label: Option<&EstLabel>) -> Result<Offer, No> {
        let cmp = &self.front.cmp;
        let label = label.or(cmp.default.as_ref()).ok_or(Reason::LabelUnknown)?;
        let CmpLabel { profile, implicit_confirm, confirm_within_s, registration_authorities, server_keys } =
            cmp.labels.get(label).ok_or(Reason::LabelUnknown)?;
        let profile: &Arc<Profile> = self.ra.setting().profiles.get(profile).ok_or(Reason::ProfileUnknown)?;
        let offered = Offered { label: label.clone(), profile: Arc::clone(profile) };
        Ok(Offer {
            offered,
            implicit_confirm: *implicit_confirm,
            confirm_within_s: *confirm_within_s,
            appointed: Arc::clone(registration_authorities),
            server_keys: *server_keys,
        })
    }

    /// Does what is asked, for somebody who was proved to ask.
    fn said(&self, asker: &Asker, offer: &Offer) -> Result<Said, No> {
        self.is_of_now()?;
        match &self.message.body {
            Body::Ir(_) | Body::Cr(_) | Body::P10cr(_) | Body::Kur(_) => self.enrol(asker, offer),
            Body::CertConf(list) => self.confirm(asker, offer, list),
            Body::PollReq(ids) => self.poll(asker, offer, ids),
            // Who sends an error in the place of a confirmation declines (RFC 9810 §5.3.21).
            Body::Error(_) => self.confirm(asker, offer, &[]),
            Body::Rr(list) => self.revoke(asker, offer, list),
            Body::Genm(list) => self.general(asker, offer, list),
            Body::Ip(_)
            | Body::Cp(_)
            | Body::Kup(_)
            | Body::Rp(_)
            | Body::PkiConf
            | Body::Nested(_)
            | Body::Genp(_)
            | Body::PollRep(_)
            | Body::Other { .. } => {
                Err(No::malformed("messages of this kind are not answered", FailureInfo::BAD_REQUEST))
            }
        }
    }

    fn is_of_now(&self) -> Result<(), Reason> {
        let apart = self.message.header.message_time.map_or(0, |time| time.s().abs_diff(self.now.s()));
        if apart > CLOCKS_DIFFER_S { Err(Reason::OutOfTime) } else { Ok(()) }
    }

    /// What who asks is told, and what the records have.
    fn text(&self, who: String, no: &No) -> String {
        match &no.fault {
            Fault::Malformed(what) => format!("Malformed: {what}."),
            Fault::Unavailable(_) => "It cannot be answered now.".to_owned(),
            Fault::Refused(_) => {
                let id = no.recorded.unwrap_or_else(|| {
                    let fresh = TransactionId::at(self.now, random(self.ra.setting().entropy.as_ref()));
                    self.ra.remember_stranger(self.caller, who, fresh, &no.fault);
                    fresh
                });
                format!("Refused. Identifier: {id}")
            }
        }
    }
}
