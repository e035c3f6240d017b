//! What was sent, and what may come next.

mod general;

use super::party::{Content, Draft, Fresh, NONCE_LEN, Party};
use super::{Broken, RootKeyUpdate};
use crate::cmp::body::{CertOrEncCert, CertRepMessage, CertResponse, CertStatus, RevDetails, RevRepContent};
use crate::cmp::header::TypeAndValue;
use crate::cmp::status::FailureInfo;
use crate::cmp::{Body, Message, PkiStatus, Pvno, StatusInfo, template};
use crate::ocsp::HashAlgorithm;
use general::Asked;
use model::UnixTime;
use model::contract::authority::RevocationReason;
use x509::{
    BadDer, CertReqMsg, Certificate, CertificationRequest, PublicKey, SerialNumber, SignatureAlgorithm, Writer,
};

/// What is asked for: `CertReqMessages` with one message, or a PKCS #10 request.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of RFC 9810 §5.1.2")]
pub enum Enrolment<'a> {
    Ir(&'a [u8]),
    Cr(&'a [u8]),
    Kur(&'a [u8]),
    P10cr(&'a [u8]),
}

/// Whether the requester confirms that it took the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// By a message, before which the certificate may be declined.
    Explicitly,
    /// Not, if the authority agrees: one round trip less.
    Implicitly,
}

/// A transaction that waits for an answer.
pub struct Transaction<'a> {
    thread: Thread<'a>,
    awaits: Awaits,
}

/// What all messages of one transaction have in common.
struct Thread<'a> {
    party: &'a Party<'a>,
    transaction_id: [u8; NONCE_LEN],
    sender_nonce: [u8; NONCE_LEN],
    recip_nonce: Option<[u8; NONCE_LEN]>,
}

enum Awaits {
    Certificate(Wanted),
    /// An answer to `pollReq`.
    Ready(Wanted),
    /// `pkiconf`, and for which certificate if it was taken.
    Confirmation(Option<Box<Certificate>>),
    Revocation(SerialNumber),
    General(Asked),
}

/// What was asked for, as far as the answer must fit it.
struct Wanted {
    /// The number of the answer's body.
    answer: u8,
    cert_req_id: i64,
    key: PublicKey,
    confirm: Confirm,
}

/// An answer that counts.
pub enum Received<'a> {
    /// A certificate for the key, by the authority.
    Offered(Offered<'a>),
    /// A certificate that is not what was asked for: it can only be declined.
    Flawed(Flaw, Pending<'a>),
    /// Not yet.
    Waiting(Waiting<'a>),
    /// The authority knows that the certificate was taken.
    Confirmed(Box<Certificate>),
    /// The authority knows that the certificate was declined.
    Declined,
    /// The certificate is revoked.
    Revoked,
    /// The certificates of the authority and of those above it, as far as it says them.
    General(Vec<Certificate>),
    /// The root that follows the one that was named, if it says one: not verified.
    RootUpdate(Option<Box<RootKeyUpdate>>),
    /// The authority says no.
    Refused(Refusal),
}

/// A no, as the other side says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Names of failures, and a text of the other side for people.
    pub explanation: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.explanation)
    }
}

/// What is wrong with a certificate that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is for another key.
    OtherKey,
    /// The authority did not issue it, or it is not valid now.
    NotIssued,
}

/// A certificate that came back and fits the request.
pub struct Offered<'a>(Pending<'a>);

/// A certificate that came back: whether it is taken is not said yet.
pub struct Pending<'a> {
    thread: Thread<'a>,
    certificate: Box<Certificate>,
    cert_req_id: i64,
    confirmed: bool,
}

/// A transaction whose certificate is not ready.
pub struct Waiting<'a> {
    thread: Thread<'a>,
    wanted: Wanted,
    /// When to ask again. Units: seconds.
    pub check_after_s: u64,
}

/// What follows after taking a certificate.
pub enum Accepted<'a> {
    /// The authority is to be told.
    Tell(Transaction<'a>, Draft),
    /// Nothing: the authority did not want to hear of it.
    Done(Box<Certificate>),
}

/// What follows after declining a certificate.
pub enum Declined<'a> {
    /// The authority is to be told, and revokes it.
    Tell(Transaction<'a>, Draft),
    /// It counts as taken already, so it is to be revoked by a transaction of its own.
    Revoke(Box<Certificate>),
}

impl<'a> Transaction<'a> {
    /// Asks for a certificate.
    ///
    /// # Errors
    /// [`BadDer`] if the request cannot be read: nothing could be compared with it.
    pub fn enrol(
        party: &'a Party<'a>,
        enrolment: Enrolment<'_>,
        confirm: Confirm,
        transaction_id: [u8; NONCE_LEN],
        fresh: &Fresh,
        now: UnixTime,
    ) -> Result<(Self, Draft), BadDer> {
        let (body, wanted) = wanted(enrolment, confirm)?;
        let general_info = match confirm {
            Confirm::Implicitly => vec![TypeAndValue::IMPLICIT_CONFIRM],
            Confirm::Explicitly => Vec::new(),
        };
        let thread = Thread::new(party, transaction_id);
        Ok(thread.send(body, Pvno::V2, general_info, Awaits::Certificate(wanted), fresh, now))
    }

    /// Asks that a certificate of the authority be revoked.
    #[must_use]
    pub fn revoke(
        party: &'a Party<'a>,
        serial_number: &SerialNumber,
        reason: RevocationReason,
        transaction_id: [u8; NONCE_LEN],
        fresh: &Fresh,
        now: UnixTime,
    ) -> (Self, Draft) {
        let cert_details = template::write_cert_details(&party.authority.tbs().subject, serial_number);
        let crl_entry_details = template::write_reason(reason);
        let details = RevDetails { cert_details: &cert_details, crl_entry_details: Some(&crl_entry_details) };
        let thread = Thread::new(party, transaction_id);
        let awaits = Awaits::Revocation(*serial_number);
        thread.send(Body::Rr(vec![details]), Pvno::V2, Vec::new(), awaits, fresh, now)
    }

    /// Takes what came back.
    ///
    /// # Errors
    /// [`Broken`] if it does not count. The transaction has ended then, and what the other side did is not known.
    pub fn receive(self, octets: &[u8], now: UnixTime) -> Result<Received<'a>, Broken> {
        let Self { mut thread, awaits } = self;
        let answer = Message::decode(octets).map_err(|_| Broken::NotAMessage)?;
        thread.admit(&answer, now)?;
        match (awaits, &answer.body) {
            // `waiting` in an error would be a delayed answer of any kind (RFC 9810 §5.3.22); only certificates wait here.
            (_, Body::Error(error)) if error.status.status != PkiStatus::Waiting => {
                Ok(Received::Refused(Refusal::of(&error.status)))
            }
            (
                Awaits::Certificate(wanted) | Awaits::Ready(wanted),
                Body::Ip(message) | Body::Cp(message) | Body::Kup(message),
            ) if wanted.answer == answer.body.number() => {
                thread.certificate(wanted, message, answer.header.implicit_confirm(), now)
            }
            (Awaits::Ready(wanted), Body::PollRep(list)) => match list.as_slice() {
                [one] if one.cert_req_id == wanted.cert_req_id => {
                    Ok(Received::Waiting(Waiting { thread, wanted, check_after_s: one.check_after }))
                }
                _ => Err(Broken::OtherAnswer),
            },
            (Awaits::Confirmation(Some(certificate)), Body::PkiConf) => Ok(Received::Confirmed(certificate)),
            (Awaits::Confirmation(None), Body::PkiConf) => Ok(Received::Declined),
            (Awaits::General(asked), Body::Genp(told)) => general::received(asked, told),
            (Awaits::Revocation(serial_number), Body::Rp(content)) => thread.revoked(&serial_number, content),
            _ => Err(Broken::OtherAnswer),
        }
    }
}

impl<'a> Waiting<'a> {
    /// Goes on with a transaction whose certificate was not ready, from what was kept of it: what was asked for, and the
    /// nonce of the last answer.
    ///
    /// # Errors
    /// [`BadDer`] if the request cannot be read.
    pub fn resume(
        party: &'a Party<'a>,
        enrolment: Enrolment<'_>,
        transaction_id: [u8; NONCE_LEN],
        nonce: [u8; NONCE_LEN],
    ) -> Result<Self, BadDer> {
        let (_, wanted) = wanted(enrolment, Confirm::Explicitly)?;
        let thread = Thread { recip_nonce: Some(nonce), ..Thread::new(party, transaction_id) };
        Ok(Self { thread, wanted, check_after_s: 0 })
    }

    /// The nonce of the last answer, by which the transaction can be gone on with.
    #[must_use]
    pub fn nonce(&self) -> [u8; NONCE_LEN] {
        self.thread.recip_nonce.unwrap_or_default()
    }

    /// Asks whether the certificate is ready.
    #[must_use]
    pub fn poll(self, fresh: &Fresh, now: UnixTime) -> (Transaction<'a>, Draft) {
        let Self { thread, wanted, .. } = self;
        let body = Body::PollReq(vec![wanted.cert_req_id]);
        thread.send(body, Pvno::V2, Vec::new(), Awaits::Ready(wanted), fresh, now)
    }
}

impl<'a> Offered<'a> {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Takes the certificate.
    #[must_use]
    pub fn accept(self, fresh: &Fresh, now: UnixTime) -> Accepted<'a> {
        if self.0.confirmed {
            return Accepted::Done(self.0.certificate);
        }
        let certificate = self.0.certificate.clone();
        let (transaction, draft) = self.0.confirm(None, Some(certificate), fresh, now);
        Accepted::Tell(transaction, draft)
    }

    /// Declines the certificate, for a reason that the caller has.
    #[must_use]
    pub fn decline(self, fresh: &Fresh, now: UnixTime) -> Declined<'a> {
        self.0.decline(fresh, now)
    }
}

impl<'a> Pending<'a> {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Declines the certificate.
    #[must_use]
    pub fn decline(self, fresh: &Fresh, now: UnixTime) -> Declined<'a> {
        if self.confirmed {
            return Declined::Revoke(self.certificate);
        }
        let status = StatusInfo {
            status: PkiStatus::Rejection,
            status_string: None,
            fail_info: Some(FailureInfo::INCORRECT_DATA),
        };
        let (transaction, draft) = self.confirm(Some(status), None, fresh, now);
        Declined::Tell(transaction, draft)
    }

    fn confirm(
        self,
        status_info: Option<StatusInfo<'_>>,
        taken: Option<Box<Certificate>>,
        fresh: &Fresh,
        now: UnixTime,
    ) -> (Transaction<'a>, Draft) {
        let (algorithm, named) = hash_of(self.certificate.tbs().signature);
        let hash = algorithm.hash(self.certificate.der());
        let hash_alg = named.then(|| {
            let mut w = Writer::with_capacity(16);
            w.sequence(|w| {
                w.oid(crate::ocsp::oids::SHA512);
            });
            w.finish()
        });
        let status = CertStatus {
            cert_hash: hash.octets(),
            cert_req_id: self.cert_req_id,
            status_info,
            hash_alg: hash_alg.as_deref(),
        };
        // RFC 9810 §7: hashAlg came with version 3.
        let pvno = if named { Pvno::V3 } else { Pvno::V2 };
        let body = Body::CertConf(vec![status]);
        self.thread.send(body, pvno, Vec::new(), Awaits::Confirmation(taken), fresh, now)
    }
}

/// By which hash a certificate is confirmed, and whether the message has to name it: that of its signature, or SHA-512
/// where the signature has none of its own.
///
/// Off-spec: RFC 9810 §5.3.18 wants it named for Ed25519 too. SHA-512 is the hash inside of Ed25519 (RFC 8032 §5.1),
/// OpenSSL 3.0 takes it unnamed, and refuses the version of messages that can name it.
pub(in crate::cmp) const fn hash_of(algorithm: SignatureAlgorithm) -> (HashAlgorithm, bool) {
    use SignatureAlgorithm as A;
    match algorithm {
        A::EcdsaSha256 | A::RsaSha256 | A::RsaPssSha256 => (HashAlgorithm::Sha256, false),
        A::EcdsaSha384 | A::RsaSha384 | A::RsaPssSha384 => (HashAlgorithm::Sha384, false),
        A::EcdsaSha512 | A::RsaSha512 | A::RsaPssSha512 | A::Ed25519 => (HashAlgorithm::Sha512, false),
        A::MlDsa44 | A::MlDsa65 | A::MlDsa87 => (HashAlgorithm::Sha512, true),
    }
}

impl<'a> Thread<'a> {
    const fn new(party: &'a Party<'a>, transaction_id: [u8; NONCE_LEN]) -> Self {
        Self { party, transaction_id, sender_nonce: [0; NONCE_LEN], recip_nonce: None }
    }

    fn send(
        mut self,
        body: Body<'_>,
        pvno: Pvno,
        general_info: Vec<TypeAndValue<'_>>,
        awaits: Awaits,
        fresh: &Fresh,
        now: UnixTime,
    ) -> (Transaction<'a>, Draft) {
        self.sender_nonce = fresh.sender_nonce;
        let content = Content {
            pvno,
            transaction_id: &self.transaction_id,
            recip_nonce: self.recip_nonce.as_ref().map(<[u8; NONCE_LEN]>::as_slice),
            general_info,
            body,
        };
        let draft = self.party.draft(&content, fresh, now);
        (Transaction { thread: self, awaits }, draft)
    }

    /// Checks that an answer is one to our last message, by whom we asked, and keeps its nonce.
    fn admit(&mut self, answer: &Message<'_>, now: UnixTime) -> Result<(), Broken> {
        if let (Body::Error(error), None) = (&answer.body, answer.protection) {
            return Err(Broken::Unproven(Refusal::of(&error.status)));
        }
        self.party.verify(answer, now)?;
        if answer.header.transaction_id != Some(&self.transaction_id) {
            return Err(Broken::OtherTransaction);
        }
        // messageTime is not compared with our clock: our nonce in the answer shows that it is new.
        if answer.header.recip_nonce != Some(&self.sender_nonce) {
            return Err(Broken::Nonce);
        }
        let nonce = answer.header.sender_nonce.and_then(|nonce| nonce.try_into().ok());
        self.recip_nonce = Some(nonce.ok_or(Broken::Nonce)?);
        Ok(())
    }

    fn certificate(
        self,
        wanted: Wanted,
        message: &CertRepMessage<'_>,
        implicit_confirm: bool,
        now: UnixTime,
    ) -> Result<Received<'a>, Broken> {
        let [response] = message.response.as_slice() else { return Err(Broken::OtherAnswer) };
        if response.cert_req_id != wanted.cert_req_id {
            return Err(Broken::OtherAnswer);
        }
        match response.status.status {
            PkiStatus::Accepted | PkiStatus::GrantedWithMods => {}
            PkiStatus::Rejection => return Ok(Received::Refused(Refusal::of(&response.status))),
            PkiStatus::Waiting => return Ok(Received::Waiting(Waiting { thread: self, wanted, check_after_s: 0 })),
            PkiStatus::RevocationWarning | PkiStatus::RevocationNotification | PkiStatus::KeyUpdateWarning => {
                return Err(Broken::OtherAnswer);
            }
        }
        let certificate = Box::new(read_certificate(response)?);
        let flaw = if certificate.tbs().subject_public_key != wanted.key {
            Some(Flaw::OtherKey)
        } else if certificate.verify_issued_by(self.party.authority, now).is_err() {
            Some(Flaw::NotIssued)
        } else {
            None
        };
        // Who did not ask for it is not granted it.
        let confirmed = implicit_confirm && wanted.confirm == Confirm::Implicitly;
        let pending = Pending { thread: self, certificate, cert_req_id: wanted.cert_req_id, confirmed };
        Ok(match flaw {
            Some(flaw) => Received::Flawed(flaw, pending),
            None => Received::Offered(Offered(pending)),
        })
    }

    fn revoked(&self, serial_number: &SerialNumber, content: &RevRepContent<'_>) -> Result<Received<'a>, Broken> {
        let [status] = content.status.as_slice() else { return Err(Broken::OtherAnswer) };
        let issuer = &self.party.authority.tbs().subject;
        let same = |der: &&[u8]| {
            template::cert_id(der).is_some_and(|(name, number)| name.matches(issuer) && number == *serial_number)
        };
        if !content.rev_certs.iter().all(same) {
            return Err(Broken::OtherAnswer);
        }
        match status.status {
            PkiStatus::Accepted | PkiStatus::GrantedWithMods | PkiStatus::RevocationNotification => {
                Ok(Received::Revoked)
            }
            // Asked again, because an answer was lost.
            PkiStatus::Rejection if status.fail_info.is_some_and(FailureInfo::cert_revoked) => Ok(Received::Revoked),
            PkiStatus::Rejection => Ok(Received::Refused(Refusal::of(status))),
            // A warning says that it will be revoked, not that it is.
            PkiStatus::Waiting | PkiStatus::KeyUpdateWarning | PkiStatus::RevocationWarning => Err(Broken::OtherAnswer),
        }
    }
}

impl Refusal {
    fn of(status: &StatusInfo<'_>) -> Self {
        Self { explanation: status.explanation() }
    }
}

fn wanted(enrolment: Enrolment<'_>, confirm: Confirm) -> Result<(Body<'_>, Wanted), BadDer> {
    let (body, answer, (cert_req_id, key)) = match enrolment {
        Enrolment::Ir(der) => (Body::Ir(der), 1, crmf(der)?),
        Enrolment::Cr(der) => (Body::Cr(der), 3, crmf(der)?),
        Enrolment::Kur(der) => (Body::Kur(der), 8, crmf(der)?),
        // RFC 9810 §5.3.4: the answer to a PKCS #10 request has the number -1.
        Enrolment::P10cr(der) => (Body::P10cr(der), 3, (-1, CertificationRequest::decode(der)?.public_key)),
    };
    Ok((body, Wanted { answer, cert_req_id, key, confirm }))
}

fn crmf(der: &[u8]) -> Result<(i64, PublicKey), BadDer> {
    let read = CertReqMsg::decode_only(der)?;
    let cert_req_id = i64::try_from(read.cert_req_id).map_err(|_| BadDer("CertReqMessages"))?;
    Ok((cert_req_id, read.cert_template.public_key))
}

fn read_certificate(response: &CertResponse<'_>) -> Result<Certificate, Broken> {
    let pair = response.certified_key_pair.ok_or(Broken::Certificate)?;
    match pair.certificate {
        CertOrEncCert::Certificate(der) => Certificate::decode(der).map_err(|_| Broken::Certificate),
        // Only for keys that cannot sign, and ours can.
        CertOrEncCert::EncryptedCert(_) => Err(Broken::Certificate),
    }
}
