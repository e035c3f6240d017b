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
use wire::acme::{Resource, Seen, is_answer, key_authorization, token};
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
        if !self.challenges.contains(&kind) || part.challenge.is_some_and(|chosen| chosen != kind) {
            return Err(Reason::TransactionUnknown.into());
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
        let identifier = read(&part.identifier)?;
        if matches!(identifier, wire::acme::Identifier::Ip(..)) && kind == ChallengeKind::Dns {
            return Err(Reason::TransactionUnknown.into());
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
        let subject = account.subject.to_string();
        match error {
            None => {
                let (name, challenge) = (part.identifier, call.kind.name().to_owned());
                let event = Event::NameProved { subject, name, challenge };
                self.setting().store.append(vec![Entry { at: now, by: Module::Authority, event }])?;
            }
            Some(reason) => {
                let id = TransactionId::new(*part.id.octets());
                self.remember_stranger(caller, subject, id, &reason.into());
            }
        }
        Ok(Done {})
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
