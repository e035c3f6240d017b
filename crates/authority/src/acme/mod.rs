//! Who comes over ACME. The gateway hands on messages as they came, and looks where names are to be proved; it decides nothing.
//!
//! ```text
//! answer_acme  path -> JWS -> its address -> whose key -> signature -> nonce, once -> by its path:
//!   newAccount            account   a one-time secret binds a key to a device, once
//!   newOrder, authz, ...  order     names that the device's profile gives; their proofs
//!   finalize              finalise  exactly the names of the order; then the door that all requests come through
//!   revokeCert            revoke    the device's own certificates, or whoever has their key
//! report_seen  what the gateway saw -> is that the answer? -> the name is proved, or not
//! ```
//! Prevents: an account for who has no secret; something of another account; a message that counts twice, or elsewhere; a certificate
//! for a name that was not ordered, proved and given to the device.
//! Source: RFC 8555, RFC 8738, RFC 9773.

mod account;
mod challenge;
mod finalise;
mod order;
mod renewal;
mod revoke;

use crate::enrol::Offered;
use crate::ra::Ra;
use model::contract::acme::{AcmeAnswered, AnswerAcme, ChallengeKind, Look};
use model::octets::base64url;
use model::{Base64, EstLabel, Fault, ProfileName, Reason, TransactionId, UnixTime};
use ports::SecretReader;
use ports::clock::random;
use ports::directory::Caller;
use ports::store::acme::{Account, AccountState};
use ports::store::{AcmeStore, CmpStore, StoreFault};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use wire::acme::{
    JSON, Jws, PROBLEM, Problem, Resource, SignedBy, Urls, decode_path, directory, key_url, problem, problem_object,
    read_nonce, write_nonce,
};
use x509::{Certificate, PublicKey};

/// When a client asks again for what is going on, in seconds.
const RETRY_S: u32 = 2;
/// When a client asks again that operators decide on, in seconds.
const APPROVAL_RETRY_S: u32 = 60;

/// What km knows of ACME.
pub struct Acme {
    /// Under which label certificates of which profile are had, and how.
    pub labels: BTreeMap<EstLabel, AcmeLabel>,
    /// Accounts and orders.
    pub store: Arc<dyn AcmeStore>,
    /// One-time secrets, sealed.
    pub sealed: Arc<dyn CmpStore>,
    /// The key to which they are sealed.
    pub secrets: Arc<dyn SecretReader>,
}

/// What is had under a label.
#[derive(Clone, Debug)]
pub struct AcmeLabel {
    /// Certificates of this profile.
    pub profile: ProfileName,
    /// By which challenges names are proved.
    pub challenges: Vec<ChallengeKind>,
    /// Who vouches for TPMs, and through them for keys in devices. Nobody, if there is none.
    pub vouchers: Vec<Certificate>,
}

/// ACME, and what answering it remembers.
pub(crate) struct Front {
    pub(crate) acme: Acme,
    nonce_key: OnceLock<[u8; 32]>,
}

impl Front {
    pub(crate) const fn new(acme: Acme) -> Self {
        Self { acme, nonce_key: OnceLock::new() }
    }
}

/// One message, and who takes part in answering it.
struct Talk<'a> {
    ra: &'a Ra,
    front: &'a Front,
    /// The gateway.
    caller: &'a Caller,
    urls: Urls<'a>,
    offered: Offered,
    challenges: &'a [ChallengeKind],
    vouchers: &'a [Certificate],
    /// The address of what is asked, as the client knows it.
    url: String,
    now: UnixTime,
}

/// What is said.
#[derive(Default)]
struct Said {
    status: u16,
    media_type: &'static str,
    body: Vec<u8>,
    location: Option<String>,
    up: Option<String>,
    retry_after_s: Option<u32>,
    look: Option<Look>,
}

impl Said {
    fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, media_type: JSON, body, ..Self::default() }
    }
    fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }
}

/// A refusal: why, what it is called, and whom it is about.
struct No {
    fault: Fault,
    problem: Problem,
    who: Option<Box<str>>,
    /// Under which transaction the records have it, if they do.
    recorded: Option<TransactionId>,
    /// Where what is in the way is.
    location: Option<Box<str>>,
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self { problem: problem(&fault), fault, who: None, recorded: None, location: None }
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
    fn about(self, account: &Account) -> Self {
        Self { who: self.who.or_else(|| Some(account.subject.to_string().into())), ..self }
    }
}

/// A message whose signature holds.
struct Signed<'m> {
    payload: &'m [u8],
    by: By,
}

enum By {
    /// An account that counts.
    Account(Box<Account>),
    /// Whoever has this key.
    Key(PublicKey),
}

impl Ra {
    /// Answers one message of ACME. What is refused is answered, too.
    #[must_use]
    pub fn answer_acme(&self, caller: &Caller, call: &AnswerAcme) -> AcmeAnswered {
        self.end_overdue();
        let label = decode_path(&call.path).map(|route| (route.label, route.resource));
        let (said, nonce) = match (self.acme(), label) {
            (Some(front), Ok((label, resource))) => {
                let said = self
                    .talk(front, caller, call, &label)
                    .and_then(|talk| talk.answer(resource, call.message.as_ref().map(AsRef::as_ref)));
                (said, self.nonce(front))
            }
            (None, _) => (Err(Fault::unavailable("this installation does not answer ACME").into()), None),
            (_, Err(_)) => (Err(Reason::LabelUnknown.into()), None),
        };
        let Said { status, media_type, body, location, up, retry_after_s, look } = said.unwrap_or_else(|no| {
            let detail = self.detail(caller, &call.path, &no);
            let said =
                Said { media_type: PROBLEM, ..Said::json(no.problem.status, problem_object(&no.problem, &detail)) };
            Said {
                location: no.location.map(Into::into),
                retry_after_s: (no.problem.status >= 500).then_some(RETRY_S),
                ..said
            }
        });
        let (body, media_type) = (Base64::from(body), media_type.to_owned());
        AcmeAnswered { status, media_type, body, location, up, retry_after_s, nonce, look }
    }

    fn talk<'a>(
        &'a self,
        front: &'a Front,
        caller: &'a Caller,
        call: &'a AnswerAcme,
        label: &'a EstLabel,
    ) -> Result<Talk<'a>, No> {
        // The name by which the client knows us is one of ours; its port is not ours to know behind a proxy.
        let host = call.base.strip_prefix("https://").map(|rest| rest.split_once(':').map_or(rest, |(host, _)| host));
        if host.is_none_or(|host| !self.setting().est.names.iter().any(|own| own == host)) {
            return Err(Reason::UrlMismatch.into());
        }
        let AcmeLabel { profile, challenges, vouchers } = front.acme.labels.get(label).ok_or(Reason::LabelUnknown)?;
        let profile = self.setting().profiles.get(profile).ok_or(Reason::ProfileUnknown)?;
        let offered = Offered { label: label.clone(), profile: Arc::clone(profile) };
        let (urls, url) = (Urls { base: &call.base, label }, format!("{}{}", call.base, call.path));
        Ok(Talk { ra: self, front, caller, urls, offered, challenges, vouchers, url, now: self.now() })
    }

    /// A nonce for the next message; none if the records cannot be read, so that what was said is said all the same.
    fn nonce(&self, front: &Front) -> Option<String> {
        let key = self.nonce_key(front).ok()?;
        Some(write_nonce(&key, random(self.setting().entropy.as_ref()), self.now()))
    }

    fn nonce_key(&self, front: &Front) -> Result<[u8; 32], Fault> {
        if let Some(key) = front.nonce_key.get() {
            return Ok(*key);
        }
        let key = front.acme.store.nonce_key(random(self.setting().entropy.as_ref()))?;
        Ok(*front.nonce_key.get_or_init(|| key))
    }

    /// What who asks is told, and what the records have.
    fn detail(&self, caller: &Caller, path: &str, no: &No) -> String {
        match &no.fault {
            Fault::Malformed(what) => format!("Malformed: {what}."),
            Fault::Unavailable(_) => "It cannot be answered now.".to_owned(),
            Fault::Refused(_) => {
                let id = no.recorded.unwrap_or_else(|| {
                    let fresh = TransactionId::at(self.now(), random(self.setting().entropy.as_ref()));
                    let label = decode_path(path).map_or_else(|_| "?".to_owned(), |route| route.label.to_string());
                    let who =
                        no.who.as_deref().map_or_else(|| format!("somebody unknown at acme/{label}"), str::to_owned);
                    self.remember_stranger(caller, who, fresh, &no.fault);
                    fresh
                });
                format!("Refused. Identifier: {id}")
            }
        }
    }
}

impl Talk<'_> {
    fn answer(&self, resource: Resource, message: Option<&[u8]>) -> Result<Said, No> {
        let Some(message) = message else {
            return match resource {
                Resource::Directory => Ok(Said::json(200, directory(&self.urls))),
                Resource::NewNonce => Ok(Said { media_type: JSON, status: 204, ..Said::default() }),
                Resource::RenewalInfo(id) => self.renewal_info(&id),
                _ => Err(Fault::malformed("this is asked for with POST").into()),
            };
        };
        let jws = Jws::decode(message)?;
        // RFC 8555 §6.4.
        if jws.url() != self.url {
            return Err(Reason::UrlMismatch.into());
        }
        let signed = self.signed(&jws, &resource)?;
        let (payload, account) = match signed.by {
            By::Key(key) => {
                return match resource {
                    Resource::NewAccount => self.new_account(&jws, &key, signed.payload),
                    Resource::RevokeCert => self.revoke_by_key(&jws, &key, signed.payload),
                    _ => Err(Fault::malformed("this is signed by an account").into()),
                };
            }
            By::Account(account) => (signed.payload, *account),
        };
        self.spend_nonce(&jws)
            .and_then(|()| self.for_account(resource, &account, payload))
            .map_err(|no| no.about(&account))
    }

    /// Whose message it is.
    fn signed<'m>(&self, jws: &'m Jws, resource: &Resource) -> Result<Signed<'m>, No> {
        match jws.signed_by() {
            SignedBy::Key(jwk) => {
                if !matches!(resource, Resource::NewAccount | Resource::RevokeCert) {
                    return Err(Fault::malformed("this is signed by an account: kid, and no jwk").into());
                }
                Ok(Signed { payload: jws.verify(jwk.key())?, by: By::Key(jwk.key().clone()) })
            }
            SignedBy::Account(kid) => {
                if *resource == Resource::NewAccount {
                    return Err(Fault::malformed("an account is asked for with its key: jwk, and no kid").into());
                }
                let id = key_url(&self.urls, kid).ok_or(Reason::AccountUnknown)?;
                let found = self.front.acme.store.account(&id)?;
                let account =
                    found.filter(|account| account.label == self.offered.label).ok_or(Reason::AccountUnknown)?;
                let key = PublicKey::decode(&account.key).map_err(Fault::from)?;
                let payload = jws.verify(&key).map_err(|reason| No::from(reason).about(&account))?;
                if account.state != AccountState::Valid {
                    return Err(No::from(Reason::AccountEnded).about(&account));
                }
                Ok(Signed { payload, by: By::Account(Box::new(account)) })
            }
        }
    }

    fn for_account(&self, resource: Resource, account: &Account, payload: &[u8]) -> Result<Said, No> {
        match resource {
            Resource::NewOrder => self.new_order(account, payload),
            Resource::KeyChange => self.change_key(account, payload),
            Resource::RevokeCert => self.revoke_by_account(account, payload),
            Resource::Account(id) => self.account(account, id, payload),
            Resource::Orders(id) => self.orders(account, id, payload),
            Resource::Order(id) => self.order(account, id, payload),
            Resource::Finalize(id) => self.finalise(account, id, payload),
            Resource::Certificate(id) => self.certificate(account, id, payload),
            Resource::Authorization(id) => self.authorization(account, id, payload),
            Resource::Challenge(id, kind) => self.challenge(account, id, kind, payload),
            Resource::Directory | Resource::NewNonce | Resource::NewAccount | Resource::RenewalInfo(_) => {
                Err(Fault::malformed("no account asks for this").into())
            }
        }
    }

    /// A nonce of ours that has not ended. Whether it was used is seen when it is spent.
    fn fresh_nonce(&self, jws: &Jws) -> Result<([u8; 16], UnixTime), No> {
        let key = self.ra.nonce_key(self.front)?;
        Ok(jws.nonce().and_then(|text| read_nonce(&key, text, self.now)).ok_or(Reason::NonceStale)?)
    }

    /// Uses the nonce up. Called for who was proved to be somebody, so that strangers fill nothing.
    fn spend_nonce(&self, jws: &Jws) -> Result<(), No> {
        let (nonce, until) = self.fresh_nonce(jws)?;
        if self.front.acme.store.use_nonce(&nonce, until, self.now)? { Ok(()) } else { Err(Reason::NonceStale.into()) }
    }
}

/// Who asks for what is there sends nothing. Source: RFC 8555 §6.3.
fn is_asking(payload: &[u8]) -> Result<(), No> {
    if payload.is_empty() {
        Ok(())
    } else {
        Err(Fault::malformed("who asks for this sends nothing in the payload").into())
    }
}

/// A name that nobody guesses.
pub(crate) fn random_id(ra: &Ra) -> model::AcmeId {
    model::AcmeId::new(random(ra.setting().entropy.as_ref()))
}

/// Octets as messages have them.
fn text(octets: &[u8]) -> String {
    base64url(octets)
}
