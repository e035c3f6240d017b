//! Who watches the bus, and tells the oracle what was asked and what was promised.
//!
//! What a module has answered counts as told, whether or not the answer arrives.

use crate::bus::Letter;
use crate::hub::{Hub, locked};
use crate::records::Records;
use model::contract::Subject;
use model::contract::authority::{
    Answer, AnswerOcsp, Certified, Certify, CertifyRequest, Confirm, Confirmed, CrlIssued, Deposit, Done, Evidence,
    IssueCrl, OcspAnswered, Release, Revoke, Verdict,
};
use model::octets::from_base64url;
use model::{Digest, Fault, Reason};
use ports::Clock;
use ports::directory::Caller;
use ports::envelope::Claims;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use x509::{CertReqMsg, Certificate, CertificationRequest};

/// Who watches the bus.
pub struct Witness {
    /// Authorities: their rows and certificates.
    pub authorities: BTreeMap<String, (u64, Certificate)>,
    /// The authority that certifies devices.
    pub factory: Certificate,
    /// The store, as it really is.
    pub store: Mutex<Option<Arc<dyn Records>>>,
}

fn read<T: DeserializeOwned>(body: &RawValue) -> Option<T> {
    serde_json::from_str(body.get()).ok()
}

/// A message as it leaves a module, or as a module has opened it: its seal was verified by whom it concerns.
struct Heard<'m> {
    claims: Claims,
    digest: Digest,
    body: &'m RawValue,
}

#[derive(Deserialize)]
struct Parts<'m> {
    #[serde(borrow)]
    seal: Seal<'m>,
    #[serde(borrow)]
    body: &'m RawValue,
}

#[derive(Deserialize)]
struct Seal<'m> {
    payload: &'m str,
}

impl<'m> Heard<'m> {
    fn of(message: &'m [u8]) -> Option<Self> {
        let Parts { seal, body } = serde_json::from_slice(message).ok()?;
        let payload = from_base64url(seal.payload.as_bytes())?;
        Some(Self { claims: Claims::decode(&payload).ok()?, digest: x509::sha256(&payload), body })
    }
    fn caller(&self) -> Caller {
        Caller { module: self.claims.from, instance: self.claims.instance.clone() }
    }
}

impl Witness {
    /// The store, as it really is.
    pub(crate) fn store(&self) -> Option<Arc<dyn Records>> {
        locked(&self.store).as_ref().map(Arc::clone)
    }

    /// A call was sent: what it asks for may happen from now on.
    pub(crate) fn sent(&self, hub: &Hub, letter: &Letter) {
        let Some(call) = Heard::of(&letter.message) else { return };
        let mut oracle = locked(&hub.oracle);
        match letter.subject {
            Subject::AuthorityRelease => {
                if let Some(release) = read::<Release>(call.body) {
                    oracle.releasing(&release.serial, letter.asked);
                }
            }
            Subject::AuthorityConfirm => {
                for confirmation in read::<Confirm>(call.body).into_iter().flat_map(|c| c.confirmations) {
                    let taken = confirmation.verdict == Verdict::Accepted;
                    oracle.judging(confirmation.transaction_id, &call.caller(), taken);
                }
            }
            Subject::AuthorityDeposit => {
                let offers = read::<Deposit>(call.body).map(|deposit| deposit.grants).unwrap_or_default();
                let said = oracle.deposited(&offers);
                drop(oracle);
                hub.judge(said);
            }
            _ => {}
        }
    }

    /// A call was answered. An answer that nobody sealed says nothing.
    pub(crate) fn answered(&self, hub: &Hub, letter: &Letter, reply: &[u8]) {
        let now = hub.now();
        let (Some(call), Some(answer)) = (Heard::of(&letter.message), Heard::of(reply)) else { return };
        if answer.claims.answers != Some(call.digest) {
            return;
        }
        hub.log(|| format!("  {} of tick {} is answered: {}", letter.subject, letter.asked, short(answer.body.get())));
        let (asked, caller) = (letter.asked, &call.caller());
        let (call, answer) = (call.body, answer.body);
        match letter.subject {
            Subject::AuthorityCertify => self.certified(hub, caller, call, answer),
            Subject::AuthorityConfirm => confirmed(hub, caller, call, answer),
            Subject::AuthorityRevoke => {
                if let (Some(revoke), Some(Ok(Done {}))) = (read::<Revoke>(call), read::<Result<Done, Fault>>(answer)) {
                    locked(&hub.oracle).revoked(&revoke.serial, revoke.reason, asked);
                }
            }
            Subject::AuthorityRelease => {
                let ended = matches!(
                    read::<Result<Done, Fault>>(answer),
                    Some(Ok(Done {}) | Err(Fault::Refused(Reason::NotHeld | Reason::SerialUnknown)))
                );
                if let Some(release) = read::<Release>(call).filter(|_| ended) {
                    locked(&hub.oracle).released(&release.serial, asked);
                }
            }
            Subject::AuthorityCrl => {
                let told = (read::<IssueCrl>(call), read::<Result<CrlIssued, Fault>>(answer));
                if let (Some(call), Some(Ok(told))) = told
                    && let Some((id, _)) = self.authorities.get(call.authority.as_str())
                {
                    let said = locked(&hub.oracle).listed(*id, told.crl.as_ref(), asked);
                    hub.judge(said);
                }
            }
            Subject::AuthorityOcsp => {
                let told = (read::<AnswerOcsp>(call), read::<Result<OcspAnswered, Fault>>(answer));
                if let (Some(call), Some(Ok(told))) = told {
                    for (request, response) in call.requests.iter().zip(&told.responses) {
                        let mut oracle = locked(&hub.oracle);
                        let said = oracle.status_told(request.as_ref(), response.as_ref(), &self.factory, now, asked);
                        drop(oracle);
                        hub.judge(said);
                    }
                }
            }
            _ => {}
        }
    }

    fn certified(&self, hub: &Hub, caller: &Caller, call: &RawValue, answer: &RawValue) {
        let told = (read::<Certify>(call), read::<Result<Certified, Fault>>(answer));
        let (Some(call), Some(Ok(told)), Some(store)) = (told.0, told.1, self.store()) else { return };
        for (request, answer) in call.requests.iter().zip(told.answers) {
            let mut oracle = locked(&hub.oracle);
            let said = match answer {
                Answer::Issued { certificate, .. } => {
                    oracle.issued(request.transaction_id, caller, certificate.as_ref())
                }
                Answer::Failed(Fault::Refused(why)) => match key_of(request).filter(|_| is_final(why)) {
                    Some(key) => oracle.refused(request, caller, &key, why, store.as_ref()),
                    None => Ok(()),
                },
                Answer::Failed(Fault::Malformed(_) | Fault::Unavailable(_)) => Ok(()),
            };
            drop(oracle);
            hub.judge(said);
        }
    }
}

/// Who asks too fast, or too early, is told so, whatever was answered before.
const fn is_final(why: Reason) -> bool {
    !matches!(why, Reason::RateExceeded | Reason::AwaitingApproval)
}

fn confirmed(hub: &Hub, caller: &Caller, call: &RawValue, answer: &RawValue) {
    let told = (read::<Confirm>(call), read::<Result<Confirmed, Fault>>(answer));
    let (Some(call), Some(Ok(told))) = told else { return };
    for (confirmation, result) in call.confirmations.iter().zip(told.results) {
        if result.is_ok() && confirmation.verdict == Verdict::Accepted {
            locked(&hub.oracle).confirmed(confirmation.transaction_id, caller);
        }
    }
}

/// The key that a certificate is asked for.
fn key_of(request: &CertifyRequest) -> Option<Digest> {
    let key = match &request.evidence {
        Evidence::Pkcs10(der) => CertificationRequest::decode(der.as_ref()).ok()?.public_key,
        Evidence::Crmf(der) => CertReqMsg::decode_only(der.as_ref()).ok()?.cert_template.public_key,
    };
    Some(key.digest())
}

/// The beginning of an answer, for the log.
fn short(text: &str) -> &str {
    const LEN: usize = 120;
    text.get(..LEN).unwrap_or(text)
}
