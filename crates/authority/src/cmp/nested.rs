//! `nested`: messages of others, which a registration authority hands on under its own protection.
//!
//! It adds its protection and replaces none: what is inside is answered as if it had come alone, to whom it is from. Only what
//! the registration authority protects itself it vouches for.
//!
//! Prevents: that anybody but who was appointed hands on; that one message is answered twice; work without end for one message.
//! Source: RFC 9810 §5.1.3.4, RFC 9483 §5.2.2.

use super::asker::Asker;
use super::{Depth, No, Offer, Talk};
use model::contract::authority::Evidence;
use model::{DeviceId, Entity, Fault, Module, Reason, TransactionId};
use ports::clock::random;
use ports::store::cmp::Exchange;
use std::collections::BTreeSet;
use wire::cmp::Message;
use wire::cmp::server::{NONCE_LEN, nested_messages};
use wire::cmp::status::FailureInfo;
use x509::{CertReqMsg, CertificationRequest, oids, sha256};

/// What comes of what was nested.
pub(super) enum Unpacked {
    /// One message, to which protection was added: its answer is for whom it is from, and goes back as it is.
    One(Vec<u8>),
    /// A batch: the answers in its order.
    Several(Vec<Vec<u8>>),
}

impl Talk<'_> {
    /// `nested`.
    pub(super) fn nested(&self, asker: &Asker, offer: &Offer, list: &[u8]) -> Result<Unpacked, No> {
        if asker.appointed().is_none() {
            return Err(Reason::NotAppointed.into());
        }
        self.is_of_now()?;
        let list = nested_messages(list).map_err(Fault::from)?;
        let inner: Vec<_> = list.iter().map(|der| Message::decode(der)).collect();
        match inner.as_slice() {
            [only] => self.adds_to(only.as_ref().map_err(|_| UNREAD)?)?,
            several => self.is_batch_of(several.iter().flatten())?,
        }
        self.begin_nested(asker, offer)?;
        let answered =
            list.iter().zip(&inner).map(|(octets, read)| self.answer_inner(offer, octets, read.as_ref().ok()));
        let mut answers: Vec<_> = answered.collect();
        Ok(match (list.len(), answers.pop()) {
            (1, Some(answer)) => Unpacked::One(answer),
            (_, last) => Unpacked::Several(answers.into_iter().chain(last).collect()),
        })
    }

    /// RFC 9483 §5.2.2.1: who adds protection to one message repeats its identifier and its nonce.
    fn adds_to(&self, inner: &Message<'_>) -> Result<(), No> {
        let (outer, inner) = (&self.message.header, &inner.header);
        if outer.transaction_id != inner.transaction_id {
            return Err(No::malformed("the message inside has another transactionID", FailureInfo::BAD_REQUEST));
        }
        if outer.sender_nonce != inner.sender_nonce {
            return Err(No::malformed("the message inside has another senderNonce", FailureInfo::BAD_SENDER_NONCE));
        }
        Ok(())
    }

    /// RFC 9483 §5.2.2.2: who makes a batch gives it an identifier and a nonce of its own; no two of one batch are the same.
    fn is_batch_of<'m>(&self, inner: impl Iterator<Item = &'m Message<'m>>) -> Result<(), No> {
        let outer = &self.message.header;
        let (mut ids, mut nonces) = (BTreeSet::from([outer.transaction_id]), BTreeSet::from([outer.sender_nonce]));
        for Message { header, .. } in inner {
            if !ids.insert(header.transaction_id) {
                let what = "two messages of a batch have one transactionID";
                return Err(No::malformed(what, FailureInfo::TRANSACTION_ID_IN_USE));
            }
            if !nonces.insert(header.sender_nonce) {
                let what = "two messages of a batch have one senderNonce";
                return Err(No::malformed(what, FailureInfo::BAD_SENDER_NONCE));
            }
        }
        Ok(())
    }

    /// Uses the message up: it is answered once.
    fn begin_nested(&self, asker: &Asker, offer: &Offer) -> Result<(), No> {
        let id = asker.nested(offer, &self.message.header);
        match self.front.cmp.store.exchange(&id)? {
            Some(known) if known.message == sha256(self.octets) => return Err(Reason::Replayed.into()),
            Some(_) => return Err(Reason::TransactionConflict.into()),
            None => {}
        }
        let name = asker.appointed().ok_or(Reason::NotAppointed)?;
        let subject = Entity::Module(Module::Gateway, name.clone());
        let transaction_id = TransactionId::at(self.now, random(self.ra.setting().entropy.as_ref()));
        self.begin(&Exchange { id, ..self.new_exchange(asker, offer, subject, transaction_id) })
    }

    /// What one message is answered, as if it had come alone.
    fn answer_inner(&self, offer: &Offer, octets: &[u8], message: Option<&Message<'_>>) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random(self.ra.setting().entropy.as_ref());
        let Some(message) = message else {
            let no = No::malformed("this is no PKIMessage", FailureInfo::BAD_DATA_FORMAT);
            return super::unprotected(None, &no, &no.fault.to_string(), &nonce, self.now);
        };
        let Talk { ra, front, caller, own, now, .. } = *self;
        let talk = Talk { ra, front, caller, own, message, octets, nonce, now };
        talk.answer(Some(&offer.offered.label), Depth::Inner)
    }

    /// The device for which a registration authority asks: by the serial number in the template, or the common name.
    pub(super) fn spoken_for(&self, evidence: &Evidence) -> Result<DeviceId, No> {
        let subject = match evidence {
            Evidence::Crmf(der) => CertReqMsg::decode_only(der.as_ref()).map_err(Fault::from)?.cert_template.subject,
            Evidence::Pkcs10(der) => Some(CertificationRequest::decode(der.as_ref()).map_err(Fault::from)?.subject),
        };
        let subject = subject.ok_or(Reason::NotOnList)?;
        let named = [oids::SERIAL_NUMBER, oids::COMMON_NAME].into_iter().find_map(|oid| subject.first(oid));
        Ok(self.ra.device_named(named.ok_or(Reason::NotOnList)?)?.ok_or(Reason::NotOnList)?)
    }
}

const UNREAD: Fault = Fault::malformed("what is nested is no PKIMessage");
