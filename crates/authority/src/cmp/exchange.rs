//! Certificates over CMP: asked for, waited for, confirmed.
//!
//! Prevents: a message that counts twice; a certificate that lasts although nobody took it.

use super::answer::Said;
use super::asker::{Asker, Proof};
use super::{No, Offer, Talk};
use crate::approval::APPROVAL_S;
use crate::enrol::{Admission, HELD_MAX, Wish};
use crate::ra::Ra;
use issue::profile::Protocol;
use model::contract::authority::{Evidence, Verdict};
use model::contract::enrolment::EnrolmentKind;
use model::{Entity, Fault, Module, Reason, TransactionId};
use ports::directory::Caller;
use ports::store::authority::{CertificateFilter, CertificateRow};
use ports::store::cmp::{Exchange, ExchangeState};
use wire::cmp::body::CertStatus;
use wire::cmp::server::{cert_hash, old_cert_id};
use wire::cmp::status::FailureInfo;
use wire::cmp::{Body, PkiStatus};
use x509::{CertReqMsg, Certificate, sha256};

/// `certReqId` of a PKCS #10 request, which has none. Source: RFC 9810 §5.3.4.
const NO_ID: i64 = -1;
/// Exchanges that are ended at a time.
const OVERDUE_MAX: u32 = 256;
/// The numbers of the bodies that ask for a certificate.
const P10CR: u8 = 4;
const KUR: u8 = 7;

/// What a request asks, by the number of its body.
fn kind(body: u8) -> EnrolmentKind {
    if body == KUR { EnrolmentKind::Renewal } else { EnrolmentKind::New }
}

fn evidence(body: u8, request: &[u8]) -> Evidence {
    let request = request.to_vec().into();
    if body == P10CR { Evidence::Pkcs10(request) } else { Evidence::Crmf(request) }
}

/// What is asked for; a registration authority vouches for what it asks.
fn wish<'a>(asker: &'a Asker, kind: EnrolmentKind, offer: &'a Offer, evidence: &'a Evidence) -> Wish<'a> {
    Wish { protocol: Protocol::Cmp, kind, offered: &offer.offered, evidence, voucher: asker.appointed() }
}

/// Who handed it on: the records know its certificate by that.
fn requester(exchange: &Exchange) -> Caller {
    Caller { module: Module::Gateway, instance: exchange.instance.clone() }
}

impl Talk<'_> {
    /// The identifier of the exchange that this message belongs to.
    fn id(&self, asker: &Asker, offer: &Offer) -> model::Digest {
        asker.exchange(offer, self.message.header.transaction_id.unwrap_or_default())
    }

    /// Whether this is the first message under its identifier.
    pub(super) fn is_first(&self, asker: &Asker, offer: &Offer) -> Result<(), No> {
        if self.message.header.recip_nonce.is_some() {
            return Err(No::malformed("the first message repeats no nonce", FailureInfo::BAD_RECIPIENT_NONCE));
        }
        match self.front.cmp.store.exchange(&self.id(asker, offer))? {
            None => Ok(()),
            Some(known) if known.message == sha256(self.octets) => Err(Reason::Replayed.into()),
            Some(_) => Err(Reason::TransactionConflict.into()),
        }
    }

    /// Uses up the identifier.
    pub(super) fn begin(&self, exchange: &Exchange) -> Result<(), No> {
        if self.front.cmp.store.begin_exchange(exchange)? { Ok(()) } else { Err(Reason::TransactionConflict.into()) }
    }

    /// An exchange that is begun with this message.
    pub(super) fn new_exchange(
        &self,
        asker: &Asker,
        offer: &Offer,
        subject: Entity,
        transaction_id: TransactionId,
    ) -> Exchange {
        Exchange {
            id: self.id(asker, offer),
            message: sha256(self.octets),
            state: ExchangeState::Ended,
            transaction_id,
            subject,
            instance: self.caller.instance.clone(),
            label: Some(offer.offered.label.clone()),
            body: self.message.body.number(),
            cert_req_id: NO_ID,
            implicit: false,
            nonce: self.nonce,
            at: self.now,
            until: self.now.plus_s(offer.confirm_within_s),
            request: None,
        }
    }

    /// `ir`, `cr`, `p10cr`, `kur`.
    pub(super) fn enrol(&self, asker: &Asker, offer: &Offer) -> Result<Said, No> {
        let (Body::Ir(der) | Body::Cr(der) | Body::P10cr(der) | Body::Kur(der)) = self.message.body else {
            return Err(No::malformed("no certificate is asked for", FailureInfo::BAD_REQUEST));
        };
        self.is_first(asker, offer)?;
        let body = self.message.body.number();
        let evidence = evidence(body, der);
        let made = self.made_for(asker, offer, &evidence)?;
        let evidence = made.as_ref().map_or(evidence, |made| Evidence::Crmf(made.request.clone().into()));
        let cert_req_id = match &evidence {
            Evidence::Pkcs10(_) => NO_ID,
            Evidence::Crmf(der) => {
                let id = CertReqMsg::decode_only(der.as_ref()).map_err(|bad| No::from(Fault::from(bad)))?.cert_req_id;
                i64::try_from(id).map_err(|_| No::malformed("certReqId is too large", FailureInfo::BAD_REQUEST))?
            }
        };
        if body == KUR {
            is_own(asker, der)?;
        }
        let device = match asker.device() {
            Some(device) => device.clone(),
            None => self.spoken_for(&evidence)?,
        };
        let wish = wish(asker, kind(body), offer, &evidence);
        let mut admission = self.ra.asked(&wish, asker.proved(device.clone()))?;
        let private_key = made.map(|made| self.enclosed(asker, offer, &made)).transpose()?;
        if private_key.is_some() {
            admission.shown += "; its key was made here";
        }
        // A certificate whose key got lost on its way is to end: nobody else has it.
        let implicit = private_key.is_none() && offer.implicit_confirm && self.message.header.implicit_confirm();
        let exchange = Exchange {
            state: begun(implicit),
            cert_req_id,
            implicit,
            ..self.new_exchange(asker, offer, Entity::Device(device), admission.transaction_id)
        };
        self.begin(&exchange)?;
        self.carry_out(exchange, offer, &wish, &admission, private_key)
    }

    /// Through the door, and what comes of it into the records.
    fn carry_out(
        &self,
        exchange: Exchange,
        offer: &Offer,
        wish: &Wish<'_>,
        admission: &Admission,
        private_key: Option<Vec<u8>>,
    ) -> Result<Said, No> {
        let store = &self.front.cmp.store;
        let until = self.ra.now().plus_s(offer.confirm_within_s);
        let fault = match self.ra.let_in(&requester(&exchange), wish, admission) {
            Ok(certificate) => {
                let state = if exchange.implicit {
                    self.ra.settle_verdict(&exchange, Verdict::Accepted)?;
                    ExchangeState::Confirmed
                } else {
                    ExchangeState::Unconfirmed
                };
                store.move_exchange(&Exchange { state, until, request: None, ..exchange.clone() })?;
                let Exchange { body, cert_req_id, implicit, .. } = exchange;
                let certificate = certificate.0;
                return Ok(Said::Certificate { body, cert_req_id, certificate, private_key, implicit, until });
            }
            Err(fault) => fault,
        };
        if fault == Fault::Refused(Reason::AwaitingApproval) {
            let (Evidence::Pkcs10(request) | Evidence::Crmf(request)) = wish.evidence;
            let Exchange { body, cert_req_id, .. } = exchange;
            store.move_exchange(&Exchange {
                state: ExchangeState::Waiting,
                until: self.now.plus_s(APPROVAL_S),
                request: Some(request.as_ref().to_vec()),
                ..exchange
            })?;
            return Ok(Said::Waiting { body, cert_req_id });
        }
        store.move_exchange(&Exchange { state: ExchangeState::Ended, request: None, ..exchange })?;
        Err(No { recorded: Some(admission.transaction_id), ..No::from(fault) })
    }

    /// The exchange that a further message belongs to.
    fn known(&self, asker: &Asker, offer: &Offer) -> Result<Exchange, No> {
        let found = self.front.cmp.store.exchange(&self.id(asker, offer))?;
        Ok(found.ok_or(Reason::TransactionUnknown)?)
    }

    /// Whether it repeats our last nonce: it was sent behind our last answer.
    fn is_in_turn(&self, exchange: &Exchange) -> Result<(), No> {
        if self.message.header.recip_nonce == Some(&exchange.nonce) {
            return Ok(());
        }
        Err(No::malformed("recipNonce is not the last nonce that was sent", FailureInfo::BAD_RECIPIENT_NONCE))
    }

    /// `pollReq`.
    pub(super) fn poll(&self, asker: &Asker, offer: &Offer, ids: &[i64]) -> Result<Said, No> {
        let exchange = self.known(asker, offer)?;
        let (ExchangeState::Waiting, Some(request)) = (exchange.state, &exchange.request) else {
            return Err(Reason::TransactionClosed.into());
        };
        self.is_in_turn(&exchange)?;
        if !matches!(ids, [id] if is_id(&exchange, *id)) {
            return Err(No::malformed("certReqId is another", FailureInfo::BAD_REQUEST));
        }
        let evidence = evidence(exchange.body, request);
        let wish = wish(asker, kind(exchange.body), offer, &evidence);
        let device = exchange.subject.device().ok_or(Reason::TransactionUnknown)?.clone();
        let admission = self.ra.asked(&wish, asker.proved(device))?;
        if admission.transaction_id != exchange.transaction_id {
            return Err(Reason::TransactionClosed.into());
        }
        // Before the certificate there is who waits for its confirmation.
        let until = self.now.plus_s(offer.confirm_within_s);
        let exchange = Exchange { state: begun(exchange.implicit), nonce: self.nonce, until, ..exchange };
        self.front.cmp.store.move_exchange(&exchange)?;
        Ok(match self.carry_out(exchange, offer, &wish, &admission, None)? {
            Said::Waiting { cert_req_id, .. } => Said::Later { cert_req_id },
            said => said,
        })
    }

    /// `certConf`; without an entry it declines.
    pub(super) fn confirm(&self, asker: &Asker, offer: &Offer, list: &[CertStatus<'_>]) -> Result<Said, No> {
        let exchange = self.known(asker, offer)?;
        match exchange.state {
            ExchangeState::Unconfirmed => {}
            ExchangeState::Confirmed => return Err(Reason::AlreadyConfirmed.into()),
            ExchangeState::Ended => return Err(Reason::TransactionClosed.into()),
            ExchangeState::Waiting => {
                return Err(No::malformed("there is no certificate yet", FailureInfo::BAD_REQUEST));
            }
        }
        self.is_in_turn(&exchange)?;
        let verdict = match list {
            [] => Ok(Verdict::Rejected),
            [one] => self.verdict(&exchange, one),
            _ => return Err(No::malformed("one certificate is confirmed", FailureInfo::BAD_REQUEST)),
        };
        let store = &self.front.cmp.store;
        let end = |state| store.move_exchange(&Exchange { state, nonce: self.nonce, ..exchange.clone() });
        match verdict {
            Ok(Verdict::Accepted) => {
                self.ra.settle_verdict(&exchange, Verdict::Accepted)?;
                end(ExchangeState::Confirmed)?;
            }
            Ok(Verdict::Rejected) => {
                self.ra.settle_verdict(&exchange, Verdict::Rejected)?;
                end(ExchangeState::Ended)?;
            }
            // Whoever took another certificate than the one that was issued has none.
            Err(no) if no.fault == Fault::Refused(Reason::ConfirmationWrong) => {
                self.ra.settle_verdict(&exchange, Verdict::Rejected)?;
                end(ExchangeState::Ended)?;
                return Err(no);
            }
            Err(no) => return Err(no),
        }
        Ok(Said::Confirmed)
    }

    /// What a confirmation says.
    fn verdict(&self, exchange: &Exchange, status: &CertStatus<'_>) -> Result<Verdict, No> {
        let is_taken = |status: PkiStatus| matches!(status, PkiStatus::Accepted | PkiStatus::GrantedWithMods);
        if status.status_info.is_some_and(|info| !is_taken(info.status)) {
            return Ok(Verdict::Rejected);
        }
        // It may have been revoked meanwhile.
        let row = self.ra.standing_of(exchange)?.ok_or(Reason::TransactionClosed)?;
        let certificate = Certificate::decode(&row.der).map_err(Fault::from)?;
        let hash = cert_hash(&certificate, status.hash_alg);
        if hash.is_some_and(|hash| hash == status.cert_hash) && is_id(exchange, status.cert_req_id) {
            Ok(Verdict::Accepted)
        } else {
            Err(Reason::ConfirmationWrong.into())
        }
    }
}

/// The state of an exchange before its certificate is made: what is not confirmed in time is revoked, whoever dies when.
const fn begun(implicit: bool) -> ExchangeState {
    if implicit { ExchangeState::Ended } else { ExchangeState::Unconfirmed }
}

/// Off-spec: older clients write 0 for a PKCS #10 request, which has no `certReqId`.
const fn is_id(exchange: &Exchange, id: i64) -> bool {
    id == exchange.cert_req_id || (exchange.cert_req_id == NO_ID && id == 0)
}

/// `kur` is for the certificate that protects it. Source: RFC 9483 §4.1.3.
fn is_own(asker: &Asker, messages: &[u8]) -> Result<(), No> {
    let Proof::Certificate(shown) = &asker.proof else { return Err(Reason::ClientUnproved.into()) };
    let Some((issuer, serial)) = old_cert_id(messages).map_err(Fault::from)? else { return Ok(()) };
    let own = shown.read.tbs();
    if serial == own.serial_number && issuer.matches(&own.issuer) {
        Ok(())
    } else {
        Err(Reason::OtherCertificate.into())
    }
}

impl Ra {
    /// The certificate of an exchange, unless there is none or it is revoked.
    fn standing_of(&self, exchange: &Exchange) -> Result<Option<CertificateRow>, Fault> {
        let filter = CertificateFilter {
            subject: Some(exchange.subject.clone()),
            revoked: Some(false),
            limit: HELD_MAX,
            ..CertificateFilter::default()
        };
        let held = self.setting().store.certificates(&filter)?;
        Ok(held.into_iter().find(|row| row.transaction_id == exchange.transaction_id))
    }

    /// Records what became of a certificate.
    fn settle_verdict(&self, exchange: &Exchange, verdict: Verdict) -> Result<(), Fault> {
        let requester = requester(exchange);
        if verdict == Verdict::Rejected {
            // What an operator revoked stays as it is: to decline it would give its use of the grant back.
            if self.standing_of(exchange)?.is_none() {
                return Ok(());
            }
            // What a foreign authority issued is revoked there first: here alone nobody would learn of it.
            self.withdraw(&requester, &exchange.transaction_id)?;
        }
        let verdicts = vec![(exchange.transaction_id, verdict)];
        let settled = self.setting().store.confirm(&requester, verdicts, self.now())?.pop();
        Ok(settled.ok_or(Fault::unavailable("the store answered for fewer confirmations than it was asked"))??)
    }

    /// Revokes what nobody confirmed in time. Called before anything is said of the standing of certificates; what cannot be
    /// done now is done the next time.
    pub(crate) fn end_overdue(&self) {
        let now = self.now();
        let Some(front) = self.cmp().filter(|front| front.is_time(now)) else { return };
        for exchange in front.cmp.store.overdue_exchanges(now, OVERDUE_MAX).unwrap_or_default() {
            let settled = match exchange.state {
                ExchangeState::Unconfirmed => self.settle_verdict(&exchange, Verdict::Rejected),
                ExchangeState::Waiting | ExchangeState::Ended | ExchangeState::Confirmed => Ok(()),
            };
            // None was made, or its last word was said.
            if matches!(settled, Ok(()) | Err(Fault::Refused(_))) {
                let ended = Exchange { state: ExchangeState::Ended, request: None, ..exchange };
                let _or_next_time = front.cmp.store.move_exchange(&ended);
            }
        }
    }
}
