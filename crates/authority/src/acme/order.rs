//! Orders, and the authorisations that they need.

use super::{No, RETRY_S, Said, Talk, is_asking, random_id, text};
use issue::profile::Protocol;
use model::contract::acme::ChallengeKind;
use model::{AcmeId, Fault, Reason, TransactionId};
use ports::clock::random;
use ports::store::acme::{Account, Authorization, AuthorizationState, Order, OrderState};
use wire::acme::{
    AuthorizationObject, CertId, ChallengeObject, Identifier, OrderObject, OrderWish, Problem, Resource,
    is_deactivation, problem, token,
};
use x509::extension::GeneralName;
use x509::oids;

/// How long an order waits for its proofs and its request, in seconds.
const ORDER_S: u64 = 86_400;
/// Open orders of one account.
const OPEN_MAX: u32 = 32;

/// How an order stands, with its authorisations.
pub(super) struct Standing {
    pub(super) order: Order,
    pub(super) parts: Vec<Authorization>,
}

impl Standing {
    /// Its status. Source: RFC 8555 §7.1.6.
    pub(super) fn status(&self, now: model::UnixTime) -> &'static str {
        use AuthorizationState as A;
        match self.order.state {
            OrderState::Valid => "valid",
            OrderState::Invalid => "invalid",
            OrderState::Processing => "processing",
            OrderState::Open if now > self.order.until => "invalid",
            OrderState::Open if self.parts.iter().any(|part| matches!(part.state, A::Invalid | A::Deactivated)) => {
                "invalid"
            }
            OrderState::Open if self.parts.is_empty() => "invalid",
            OrderState::Open if self.parts.iter().all(|part| part.state == A::Valid && now <= part.until) => "ready",
            OrderState::Open => "pending",
        }
    }
}

/// A name with its type in front, as records have it.
fn written(identifier: &Identifier) -> String {
    format!("{}:{}", identifier.kind(), identifier.value())
}

/// The same, read.
pub(super) fn read(written: &str) -> Result<Identifier, Fault> {
    let (kind, value) = written.split_once(':').ok_or(Fault::unavailable("a name in the records"))?;
    Identifier::read(kind, value)
}

/// How one part stands. Source: RFC 8555 §7.1.6.
fn status_of(part: &Authorization, now: model::UnixTime) -> &'static str {
    match part.state {
        AuthorizationState::Pending | AuthorizationState::Processing | AuthorizationState::Valid
            if now > part.until =>
        {
            "expired"
        }
        AuthorizationState::Pending | AuthorizationState::Processing => "pending",
        AuthorizationState::Valid => "valid",
        AuthorizationState::Invalid => "invalid",
        AuthorizationState::Deactivated => "deactivated",
    }
}

impl Talk<'_> {
    /// `newOrder`. Source: RFC 8555 §7.4.
    pub(super) fn new_order(&self, account: &Account, payload: &[u8]) -> Result<Said, No> {
        let wish = OrderWish::read(payload)?;
        let device = account.subject.device().ok_or(Reason::NotOnList)?;
        self.ra.may_ask(device, &self.offered.profile, Protocol::Acme)?;
        let names: Vec<GeneralName> = wish.identifiers.iter().map(Identifier::general_name).collect();
        self.offered.profile.admit_names(&account.subject, &self.ra.setting().organization, &names)?;
        if wish.identifiers.iter().any(|identifier| self.kinds(identifier).is_empty()) {
            return Err(Reason::NameMismatch.into());
        }
        if let Some(replaces) = &wish.replaces {
            self.is_replaceable(account, replaces)?;
        }
        let (id, until) = (random_id(self.ra), self.now.plus_s(ORDER_S));
        let order = Order {
            id,
            account: account.id,
            state: OrderState::Open,
            identifiers: wish.identifiers.iter().map(written).collect(),
            replaces: wish.replaces.as_ref().map(CertId::write),
            transaction_id: None,
            request: None,
            serial: None,
            error: None,
            at: self.now,
            until,
        };
        let part = |identifier: &String| Authorization {
            id: random_id(self.ra),
            order: id,
            identifier: identifier.clone(),
            secret: random(self.ra.setting().entropy.as_ref()),
            state: AuthorizationState::Pending,
            challenge: None,
            key: None,
            error: None,
            at: self.now,
            until,
        };
        let parts: Vec<_> = order.identifiers.iter().map(part).collect();
        if !self.front.acme.store.begin_order(&order, &parts, OPEN_MAX)? {
            return Err(Reason::RateExceeded.into());
        }
        let standing = Standing { order, parts };
        Ok(Said { status: 201, ..self.shown_order(&standing)? })
    }

    /// The challenges by which a name can be proved: an address has no records, and what a device is known by is at no address.
    pub(super) fn kinds(&self, identifier: &Identifier) -> Vec<ChallengeKind> {
        let fits = |kind: &ChallengeKind| match identifier {
            Identifier::Dns(_) => *kind != ChallengeKind::DeviceAttest,
            Identifier::Ip(..) => !matches!(kind, ChallengeKind::Dns | ChallengeKind::DeviceAttest),
            Identifier::Permanent(_) => *kind == ChallengeKind::DeviceAttest && !self.vouchers.is_empty(),
        };
        self.challenges.iter().copied().filter(fits).collect()
    }

    /// Whether a certificate is one of the device's, and not replaced yet. Source: RFC 9773 §5.
    fn is_replaceable(&self, account: &Account, id: &CertId) -> Result<(), No> {
        let row = self.named(id)?.filter(|row| row.subject == account.subject).ok_or(Reason::SerialUnknown)?;
        let held = self.ra.held(&account.subject, &row.profile)?;
        match held.iter().filter(|held| held.revoked.is_none()).max_by_key(|held| held.at) {
            Some(newest) if newest.serial != row.serial => Err(Reason::AlreadyRenewed.into()),
            _ => Ok(()),
        }
    }

    /// An order, if it is one of the account's.
    pub(super) fn own_order(&self, account: &Account, id: AcmeId) -> Result<Standing, No> {
        let order = self.front.acme.store.order(&id)?.ok_or(Reason::TransactionUnknown)?;
        if order.account != account.id {
            return Err(Reason::OtherAccount.into());
        }
        let parts = self.front.acme.store.authorizations(&id)?;
        Ok(Standing { order, parts })
    }

    /// An order, as it stands. Source: RFC 8555 §7.4.
    pub(super) fn order(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        is_asking(payload)?;
        let standing = self.own_order(account, id)?;
        if standing.order.state == OrderState::Processing {
            return self.go_on(account, standing);
        }
        self.shown_order(&standing)
    }

    pub(super) fn shown_order(&self, standing: &Standing) -> Result<Said, No> {
        let Standing { order, parts } = standing;
        let status = standing.status(self.now);
        let identifiers = order.identifiers.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
        let authorizations: Vec<AcmeId> = parts.iter().map(|part| part.id).collect();
        let failed = parts.iter().find_map(|part| part.error);
        let error: Option<Problem> = order.error.or(failed).map(|reason| problem(&reason.into()));
        let object = OrderObject {
            id: order.id,
            status,
            expires: order.until,
            identifiers: &identifiers,
            authorizations: &authorizations,
            replaces: order.replaces.as_deref(),
            error: error.as_ref(),
            has_certificate: order.state == OrderState::Valid,
        };
        let said = Said::json(200, object.write(&self.urls)).at(self.urls.of(&Resource::Order(order.id)));
        Ok(Said { retry_after_s: (status == "processing").then_some(RETRY_S), ..said })
    }

    /// An authorisation, if it is one of the account's.
    pub(super) fn own_part(&self, account: &Account, id: AcmeId) -> Result<Authorization, No> {
        let part = self.front.acme.store.authorization(&id)?.ok_or(Reason::TransactionUnknown)?;
        let order = self.front.acme.store.order(&part.order)?.ok_or(Reason::TransactionUnknown)?;
        if order.account == account.id { Ok(part) } else { Err(Reason::OtherAccount.into()) }
    }

    /// An authorisation, as it stands, or ended. Source: RFC 8555 §7.5, §7.5.2.
    pub(super) fn authorization(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        let mut part = self.own_part(account, id)?;
        if !payload.is_empty() {
            is_deactivation(payload)?;
            let from = part.state;
            part = Authorization { state: AuthorizationState::Deactivated, at: self.now, ..part };
            if from == AuthorizationState::Invalid || !self.front.acme.store.move_authorization(&part, from)? {
                return Err(Fault::malformed("the authorization has ended").into());
            }
        }
        let identifier = read(&part.identifier)?;
        let challenges = self.shown_challenges(&part, &identifier);
        let status = status_of(&part, self.now);
        let object =
            AuthorizationObject { id, identifier: &identifier, status, expires: part.until, challenges: &challenges };
        let retry_after_s = (part.state == AuthorizationState::Processing).then_some(RETRY_S);
        Ok(Said { retry_after_s, ..Said::json(200, object.write(&self.urls)) })
    }

    fn shown_challenges(&self, part: &Authorization, identifier: &Identifier) -> Vec<ChallengeObject> {
        let kinds = part.challenge.map_or_else(|| self.kinds(identifier), |kind| vec![kind]);
        kinds.into_iter().map(|kind| shown_challenge(part, kind)).collect()
    }

    /// The certificate that a name stands for, if it is one of ours.
    pub(super) fn named(&self, id: &CertId) -> Result<Option<ports::store::authority::CertificateRow>, No> {
        let found = self.ra.setting().store.certificate(&id.serial)?;
        Ok(found.filter(|row| {
            let read = x509::Certificate::decode(&row.der);
            let key_identifier = read.as_ref().ok().and_then(|read| {
                let extension = read.tbs().extension(oids::AUTHORITY_KEY_IDENTIFIER)?;
                x509::extension::AuthorityKeyIdentifier::decode(&extension.value)?.key_identifier
            });
            key_identifier.is_some_and(|own| text(own.as_ref()) == text(&id.authority))
        }))
    }
}

/// One challenge of an authorisation.
pub(super) fn shown_challenge(part: &Authorization, kind: ChallengeKind) -> ChallengeObject {
    let is_chosen = part.challenge == Some(kind);
    let status = match part.state {
        AuthorizationState::Processing if is_chosen => "processing",
        AuthorizationState::Valid if is_chosen => "valid",
        AuthorizationState::Invalid if is_chosen => "invalid",
        _ => "pending",
    };
    let validated = (is_chosen && part.state == AuthorizationState::Valid).then_some(part.at);
    let id = TransactionId::new(*part.id.octets());
    let error = part.error.filter(|_| is_chosen);
    let error = error.map(|reason| (problem(&reason.into()), format!("Refused. Identifier: {id}")));
    ChallengeObject { kind, status, token: token(part.id, &part.secret, kind), validated, error }
}
