//! Challenges: where the gateway has to look, and whether what it saw is the answer.

use super::order::{read, shown_challenge};
use super::{No, RETRY_S, Said, Talk};
use crate::ra::Ra;
use model::audit::{Entry, Event};
use model::contract::acme::{ChallengeKind, Look, ReportSeen, SeenThere};
use model::contract::authority::Done;
use model::{AcmeId, Fault, Module, Reason, TransactionId};
use ports::directory::Caller;
use ports::store::acme::{Account, Authorization, AuthorizationState};
use wire::acme::{Attestation, BadAttestation, Resource, Seen, attested_octets, is_answer, key_authorization, token};
use x509::PublicKey;

/// After this time somebody looks again, if the client wants it: who was to look may have died. Units: seconds.
const LOOK_AGAIN_S: u64 = 60;

impl Talk<'_> {
    /// A challenge: shown, or begun. Source: RFC 8555 §7.5.1.
    pub(super) fn challenge(
        &self,
        account: &Account,
        id: AcmeId,
        kind: ChallengeKind,
        payload: &[u8],
    ) -> Result<Said, No> {
        let part = self.own_part(account, id)?;
        let identifier = read(&part.identifier)?;
        if !self.kinds(&identifier).contains(&kind) || part.challenge.is_some_and(|chosen| chosen != kind) {
            return Err(Reason::TransactionUnknown.into());
        }
        if kind == ChallengeKind::DeviceAttest {
            return self.attested(account, &part, payload);
        }
        let is_due = match part.state {
            _ if payload.is_empty() || self.now > part.until => false,
            AuthorizationState::Pending => true,
            AuthorizationState::Processing => self.now > part.at.plus_s(LOOK_AGAIN_S),
            AuthorizationState::Valid | AuthorizationState::Invalid | AuthorizationState::Deactivated => false,
        };
        if !is_due {
            return Ok(self.shown(&part, kind, None));
        }
        let from = part.state;
        let begun = Authorization {
            state: AuthorizationState::Processing,
            challenge: Some(kind),
            at: self.now,
            ..part.clone()
        };
        if !self.front.acme.store.move_authorization(&begun, from)? {
            return Err(Fault::unavailable("the challenge is being worked on").into());
        }
        let look = Look { authorization: id, kind, name: identifier.value(), token: token(id, &part.secret, kind) };
        Ok(self.shown(&begun, kind, Some(look)))
    }

    /// A key that a TPM says it has: whether that is so is seen at once, and the challenge is decided.
    /// Source: draft-ietf-acme-device-attest §5.
    fn attested(&self, account: &Account, part: &Authorization, payload: &[u8]) -> Result<Said, No> {
        const KIND: ChallengeKind = ChallengeKind::DeviceAttest;
        let is_over = part.state != AuthorizationState::Pending || self.now > part.until;
        if payload.is_empty() || is_over {
            return Ok(self.shown(part, KIND, None));
        }
        let octets = attested_octets(payload)?;
        let key = PublicKey::decode(&account.key).map_err(Fault::from)?;
        let wanted = key_authorization(&token(part.id, &part.secret, KIND), &key).ok_or(Reason::AttestationInvalid)?;
        let proved = Attestation::decode(&octets).and_then(|read| read.verify(&wanted, self.vouchers, self.now));
        let (state, key, error) = match proved {
            Ok(key) => (AuthorizationState::Valid, Some(key.spki().to_vec()), None),
            Err(bad) => (AuthorizationState::Invalid, None, Some(reason(bad))),
        };
        let decided = Authorization { state, key, error, challenge: Some(KIND), at: self.now, ..part.clone() };
        if !self.front.acme.store.move_authorization(&decided, part.state)? {
            return Err(Fault::unavailable("the challenge is being worked on").into());
        }
        self.ra.record_proof(self.caller, account, &decided, KIND)?;
        Ok(self.shown(&decided, KIND, None))
    }

    fn shown(&self, part: &Authorization, kind: ChallengeKind, look: Option<Look>) -> Said {
        let body = shown_challenge(part, kind).write(part.id, &self.urls);
        let up = Some(self.urls.of(&Resource::Authorization(part.id)));
        let retry_after_s = (part.state == AuthorizationState::Processing).then_some(RETRY_S);
        Said { up, retry_after_s, look, ..Said::json(200, body) }
    }
}

impl Ra {
    /// Takes what the gateway saw where a name was to be proved. What that proves is decided here.
    pub(crate) fn report_seen(&self, caller: &Caller, call: &ReportSeen) -> Result<Done, Fault> {
        let front = self.acme().ok_or(Fault::unavailable("this installation does not answer ACME"))?;
        let store = &front.acme.store;
        let part = store.authorization(&call.authorization)?.ok_or(Reason::TransactionUnknown)?;
        if part.state != AuthorizationState::Processing || part.challenge != Some(call.kind) {
            return Err(Reason::TransactionClosed.into());
        }
        let order = store.order(&part.order)?.ok_or(Reason::TransactionUnknown)?;
        let account = store.account(&order.account)?.ok_or(Reason::AccountUnknown)?;
        let proved = proves(&account, &part, call);
        let now = self.now();
        let (state, error) = match proved {
            Ok(()) => (AuthorizationState::Valid, None),
            Err(reason) => (AuthorizationState::Invalid, Some(reason)),
        };
        let moved = Authorization { state, error, at: now, ..part.clone() };
        if !store.move_authorization(&moved, AuthorizationState::Processing)? {
            return Err(Reason::TransactionClosed.into());
        }
        self.record_proof(caller, &account, &moved, call.kind)?;
        Ok(Done {})
    }

    /// What records have of a name that was proved, or was not.
    fn record_proof(
        &self,
        caller: &Caller,
        account: &Account,
        part: &Authorization,
        kind: ChallengeKind,
    ) -> Result<(), Fault> {
        let subject = account.subject.to_string();
        match part.error {
            None => {
                let (name, challenge) = (part.identifier.clone(), kind.name().to_owned());
                let event = Event::NameProved { subject, name, challenge };
                self.setting().store.append(vec![Entry { at: part.at, by: Module::Authority, event }])?;
            }
            Some(reason) => {
                let id = TransactionId::new(*part.id.octets());
                self.remember_stranger(caller, subject, id, &reason.into());
            }
        }
        Ok(())
    }
}

/// Why an attestation proves nothing, as records have it.
const fn reason(bad: BadAttestation) -> Reason {
    match bad {
        BadAttestation::Malformed
        | BadAttestation::OtherType
        | BadAttestation::Signature
        | BadAttestation::OtherChallenge => Reason::AttestationInvalid,
        BadAttestation::Untrusted => Reason::AttestationUntrusted,
        BadAttestation::OtherKey | BadAttestation::KeyNotBound => Reason::KeyNotAttested,
    }
}

/// Whether what was seen proves the name. What has to be there is made from the account's key here, so that nobody else says it.
fn proves(account: &Account, part: &Authorization, call: &ReportSeen) -> Result<(), Reason> {
    let seen =
        call.seen.as_ref().map_err(|reason| if is_of_looking(*reason) { *reason } else { Reason::ChallengeWrong })?;
    let key = PublicKey::decode(&account.key).map_err(|_| Reason::ChallengeWrong)?;
    let wanted = key_authorization(&token(part.id, &part.secret, call.kind), &key).ok_or(Reason::ChallengeWrong)?;
    let identifier = read(&part.identifier).map_err(|_| Reason::ChallengeWrong)?;
    let texts: Vec<Vec<u8>>;
    let seen = match (call.kind, seen) {
        (ChallengeKind::Http, SeenThere::Body(body)) => Seen::Body(body.as_ref()),
        (ChallengeKind::Dns, SeenThere::Texts(list)) => {
            texts = list.iter().map(|text| text.as_ref().to_vec()).collect();
            Seen::Texts(&texts)
        }
        (ChallengeKind::TlsAlpn, SeenThere::Certificate(der)) => Seen::Certificate(der.as_ref()),
        _ => return Err(Reason::ChallengeWrong),
    };
    if is_answer(seen, &identifier, &wanted) { Ok(()) } else { Err(Reason::ChallengeWrong) }
}

/// Whether a reason is one that looking can have.
const fn is_of_looking(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ChallengeUnnamed
            | Reason::ChallengeUnreached
            | Reason::ChallengeAddress
            | Reason::ChallengeRedirect
            | Reason::ChallengeTooLong
            | Reason::ChallengeSlow
            | Reason::ChallengeTls
            | Reason::ChallengeWrong
    )
}
