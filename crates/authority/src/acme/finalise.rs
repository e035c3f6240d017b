//! Certificates over ACME: exactly the names of the order, and the door that all requests come through.

use super::order::{Standing, read};
use super::{APPROVAL_RETRY_S, No, Said, Talk, is_asking};
use crate::approval::APPROVAL_S;
use crate::enrol::{Admission, Wish, transaction};
use crate::looked::Looked;
use crate::renewal::is_for;
use issue::profile::Protocol;
use model::contract::authority::Evidence;
use model::contract::enrolment::EnrolmentKind;
use model::{AcmeId, Entity, Fault, Reason, TransactionId};
use ports::store::acme::{Account, Authorization, Order, OrderState};
use ports::store::authority::CertificateRow;
use std::collections::BTreeSet;
use wire::acme::{CHAIN, Identifier, finalisation};
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::{Certificate, oids, pem};

/// A request that is one for its order.
struct Fit {
    evidence: Evidence,
    request: Looked,
}

impl Talk<'_> {
    /// `finalize`. Source: RFC 8555 §7.4.
    pub(super) fn finalise(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        let der = finalisation(payload)?;
        let standing = self.own_order(account, id)?;
        let is_same = standing.order.request.as_ref() == Some(&der);
        match (standing.status(self.now), is_same) {
            ("ready", _) => {}
            // An answer that was lost is asked for again.
            ("processing", true) => return self.go_on(account, standing),
            ("valid", true) => return self.shown_order(&standing),
            _ => return Err(Reason::OrderNotReady.into()),
        }
        let fit = fit(account, &standing, &der).map_err(of_request)?;
        let admission = self.admission(account, &fit.request).map_err(of_request)?;
        // Its transaction is known before the certificate is made: whoever dies in between, the order finds it.
        let order = Order {
            state: OrderState::Processing,
            transaction_id: Some(admission.transaction_id),
            request: Some(der),
            ..standing.order
        };
        if !self.front.acme.store.move_order(&order, OrderState::Open)? {
            return Err(Reason::OrderNotReady.into());
        }
        self.carry_out(Standing { order, ..standing }, &fit.evidence, &admission)
    }

    /// Goes on with an order whose certificate was asked for, and was not made yet.
    pub(super) fn go_on(&self, account: &Account, standing: Standing) -> Result<Said, No> {
        let (Some(der), Some(transaction_id)) = (&standing.order.request, standing.order.transaction_id) else {
            return Err(Reason::OrderNotReady.into());
        };
        if self.now > standing.order.until {
            return self.end(standing, Reason::OrderNotReady);
        }
        let device = account.subject.device().ok_or(Reason::NotOnList)?;
        self.ra.may_ask(device, &self.offered.profile, Protocol::Acme)?;
        let fit = fit(account, &standing, der).map_err(of_request)?;
        let is_repeated = self
            .ra
            .held(&account.subject, self.offered.profile.name())?
            .iter()
            .any(|row| row.transaction_id == transaction_id && row.revoked.is_none());
        let admission =
            Admission { transaction_id, subject: account.subject.clone(), shown: shown(account), is_repeated };
        self.carry_out(standing, &fit.evidence, &admission)
    }

    /// Through the door, and what comes of it into the records.
    fn carry_out(&self, standing: Standing, evidence: &Evidence, admission: &Admission) -> Result<Said, No> {
        let kind = EnrolmentKind::New;
        let wish = Wish { protocol: Protocol::Acme, kind, offered: &self.offered, evidence, voucher: None };
        let store = &self.front.acme.store;
        match self.ra.let_in(self.caller, &wish, admission) {
            Ok(certificate) => {
                let read = Certificate::decode(certificate.as_ref()).map_err(Fault::from)?;
                let serial = Some(read.tbs().serial_number.to_string());
                let order = Order { state: OrderState::Valid, serial, ..standing.order };
                store.move_order(&order, OrderState::Processing)?;
                self.shown_order(&Standing { order, ..standing })
            }
            Err(fault) => self.not_issued(standing, fault, admission),
        }
    }

    fn not_issued(&self, standing: Standing, fault: Fault, admission: &Admission) -> Result<Said, No> {
        if fault == Fault::Refused(Reason::AwaitingApproval) {
            let until = standing.order.at.plus_s(APPROVAL_S);
            let order = Order { until, ..standing.order };
            self.front.acme.store.move_order(&order, OrderState::Processing)?;
            let said = self.shown_order(&Standing { order, ..standing })?;
            return Ok(Said { retry_after_s: Some(APPROVAL_RETRY_S), ..said });
        }
        // What may pass is asked for again.
        if matches!(fault, Fault::Unavailable(_) | Fault::Refused(Reason::RateExceeded)) {
            return Err(fault.into());
        }
        let reason = if let Fault::Refused(reason) = fault { reason } else { Reason::OrderMismatch };
        let recorded = matches!(fault, Fault::Refused(_)).then_some(admission.transaction_id);
        self.end(standing, reason).map_err(|no| No { recorded, ..no })
    }

    /// An order that leads to nothing.
    fn end(&self, standing: Standing, reason: Reason) -> Result<Said, No> {
        let order = Order { state: OrderState::Invalid, error: Some(reason), request: None, ..standing.order };
        self.front.acme.store.move_order(&order, OrderState::Processing)?;
        Err(of_request(reason.into()))
    }

    /// In which transaction the account may have a certificate: in the place of the device's newest one that holds, as over any other
    /// protocol; or by a grant, which opens to the account's secret, or to nobody's.
    fn admission(&self, account: &Account, request: &Looked) -> Result<Admission, Fault> {
        let subject = &account.subject;
        let device = subject.device().ok_or(Reason::NotOnList)?;
        self.ra.may_ask(device, &self.offered.profile, Protocol::Acme)?;
        let profile = self.offered.profile.name();
        let held = self.ra.held(subject, profile)?;
        let (transaction_id, is_repeated) = match self.newest(&held) {
            Some(newest) => self.ra.in_place_of(&self.offered, subject, &held, &newest, request)?,
            None => self.by_grant(account, subject, &held, request)?,
        };
        Ok(Admission { transaction_id, subject: subject.clone(), shown: shown(account), is_repeated })
    }

    fn newest(&self, held: &[CertificateRow]) -> Option<crate::enrol::Shown> {
        let row = held.iter().filter(|row| row.revoked.is_none()).max_by_key(|row| row.at)?;
        // It proves nothing here, the account does: whatever it is for.
        self.ra.holding(&row.der, None).ok()
    }

    fn by_grant(
        &self,
        account: &Account,
        subject: &Entity,
        held: &[CertificateRow],
        request: &Looked,
    ) -> Result<(TransactionId, bool), Fault> {
        let store = &self.ra.setting().store;
        let grant = store.grants(&[(subject, self.offered.profile.name())])?.pop().flatten().ok_or(Reason::NoGrant)?;
        let id = match store.secret_that_opens(grant.id)? {
            Some(secret) if secret == account.secret => transaction(&self.offered, &[b"secret", secret.octets()]),
            // It was left for somebody else than this account.
            Some(_) => return Err(Reason::SecretUnknown.into()),
            None => {
                let key = request.key.digest();
                transaction(&self.offered, &[b"account", account.id.octets(), key.octets()])
            }
        };
        let before = held.iter().find(|row| row.transaction_id == id && row.revoked.is_none());
        if before.is_some_and(|row| !is_for(row, request)) {
            return Err(Reason::SecretUsed.into());
        }
        Ok((id, before.is_some()))
    }

    /// The certificate of an order, and those above it. Source: RFC 8555 §7.4.2.
    pub(super) fn certificate(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        is_asking(payload)?;
        let Standing { order, .. } = self.own_order(account, id)?;
        let serial = order.serial.as_deref().and_then(x509::SerialNumber::from_hex).ok_or(Reason::OrderNotReady)?;
        let row = self.ra.setting().store.certificate(&serial)?.ok_or(Reason::SerialUnknown)?;
        let ca = self.ra.cas().find(&row.authority)?;
        let all = std::iter::once(&row.der).chain(ca.chain());
        let body = all.flat_map(|der| pem::encode("CERTIFICATE", der).into_bytes()).collect();
        Ok(Said { status: 200, media_type: CHAIN, body, ..Said::default() })
    }
}

/// What was shown, in words.
fn shown(account: &Account) -> String {
    format!("account {}", account.id)
}

fn of_request(fault: Fault) -> No {
    let no = No::from(fault);
    No { problem: no.problem.of_request(), ..no }
}

/// Whether a request is one for this order: its names and no others, and a key of its own.
fn fit(account: &Account, Standing { order, parts }: &Standing, der: &[u8]) -> Result<Fit, Fault> {
    let evidence = Evidence::Pkcs10(der.to_vec().into());
    let request = Looked::at(&evidence)?;
    let ordered = order.identifiers.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    // RFC 8555 §11.1: who has the one key has not the other.
    if !has_names(&request, &ordered) || request.key.spki() == account.key.as_slice() {
        return Err(Reason::OrderMismatch.into());
    }
    // draft-ietf-acme-device-attest §3: what was proved of a device was proved of a key in it, and is certified for no other.
    let is_permanent = ordered.iter().any(|name| matches!(name, Identifier::Permanent(_)));
    let attested = |part: &Authorization| part.key.as_deref() == Some(request.key.spki());
    if is_permanent && !parts.iter().any(attested) {
        return Err(Reason::KeyNotAttested.into());
    }
    Ok(Fit { evidence, request })
}

/// Whether the alternative names are those of the order, and a common name one of them.
fn has_names(request: &Looked, ordered: &[Identifier]) -> bool {
    let mut all = request.extensions.iter().filter(|extension| extension.oid == oids::SUBJECT_ALT_NAME);
    let names = match (all.next(), all.next()) {
        (Some(names), None) => decode_subject_alt_name(&names.value),
        // What a device is known by comes from its registration, asked for or not.
        (None, None) if ordered.iter().all(|name| matches!(name, Identifier::Permanent(_))) => {
            Some(ordered.iter().map(Identifier::general_name).collect())
        }
        _ => None,
    };
    let Some(names) = names else { return false };
    let spelled = |name: &GeneralName| format!("{name:?}");
    let asked: BTreeSet<String> = names.iter().map(spelled).collect();
    let wanted: BTreeSet<String> = ordered.iter().map(|name| spelled(&name.general_name())).collect();
    let common = request.subject.iter().flat_map(x509::Name::attributes).filter(|part| part.oid == oids::COMMON_NAME);
    let is_ordered = |text: &str| ordered.iter().any(|name| name.value() == text);
    asked == wanted && asked.len() == names.len() && common.into_iter().all(|part| is_ordered(&part.text))
}
