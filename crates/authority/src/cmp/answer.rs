//! What is said, as a message: protected in the kind of the request.
//! Source: RFC 9483 §3.

use super::asker::{Asker, Proof};
use super::general::General;
use super::{No, Offer, Talk};
use model::{Fault, Reason, UnixTime};
use ports::clock::random;
use wire::cmp::body::{
    CertOrEncCert, CertRepMessage, CertResponse, CertifiedKeyPair, ErrorMsgContent, PollRep, RevRepContent,
    write_private_key,
};
use wire::cmp::header::{PeerName, TypeAndValue, write_directory_name};
use wire::cmp::message::{finish, protected_part};
use wire::cmp::protection::MacAlgorithm;
use wire::cmp::server::{NONCE_LEN, confirm_wait_time, write_messages};
use wire::cmp::status::{FailureInfo, FreeText, write_free_text};
use wire::cmp::{Body, Header, Message, PkiStatus, Pvno, StatusInfo, oids};
use x509::extension::decode_subject_key_identifier;
use x509::{Name, Writer, oids as x509_oids};

/// When a client whose request waits for operators asks again. Units: seconds.
const CHECK_AFTER_S: u64 = 60;
/// The numbers of the bodies that ask for a certificate, or that one be revoked.
const IR: u8 = 0;
const CR: u8 = 2;
const P10CR: u8 = 4;
const KUR: u8 = 7;
const RR: u8 = 11;

/// What is said.
pub(super) enum Said {
    /// A certificate, in answer to a body of this number.
    /// With an `EncryptedKey`, if its key was made here.
    Certificate {
        body: u8,
        cert_req_id: i64,
        certificate: Vec<u8>,
        private_key: Option<Vec<u8>>,
        implicit: bool,
        until: UnixTime,
    },
    /// Operators decide; in answer to a body of this number.
    Waiting { body: u8, cert_req_id: i64 },
    /// They have not decided yet.
    Later { cert_req_id: i64 },
    /// The last word on a certificate was heard.
    Confirmed,
    /// A certificate is revoked, or good again.
    Revoked,
    /// What was asked for in general.
    General(Vec<General>),
    /// The answers to what was nested, in its order.
    Nested(Vec<Vec<u8>>),
    /// No, in answer to a body of this number.
    Rejected { body: u8, cert_req_id: i64, failure: FailureInfo<'static>, text: String },
    /// No, whatever was asked.
    Error { failure: FailureInfo<'static>, text: String },
}

impl Said {
    /// A refusal, in the form that the request is answered in. What cannot be read is answered with an error.
    pub(super) fn refusal(message: &Message<'_>, no: &No, text: String) -> Self {
        let (failure, body) = (no.failure, message.body.number());
        let cert_req_id = match message.body {
            Body::P10cr(_) => -1,
            Body::PollReq(ref ids) => ids.first().copied().unwrap_or_default(),
            _ => 0,
        };
        match no.fault {
            Fault::Refused(_) if matches!(body, IR | CR | P10CR | KUR | RR) => {
                Self::Rejected { body, cert_req_id, failure, text }
            }
            Fault::Refused(_) | Fault::Malformed(_) | Fault::Unavailable(_) => Self::Error { failure, text },
        }
    }

    /// The body, for as long as `f` takes.
    fn with_body<R>(&self, f: impl FnOnce(&Body<'_>) -> R) -> R {
        match self {
            Self::Certificate { body, cert_req_id, certificate, private_key, .. } => {
                let rest = private_key.as_deref().map(write_private_key).unwrap_or_default();
                let pair = CertifiedKeyPair { certificate: CertOrEncCert::Certificate(certificate), rest: &rest };
                f(&response(*body, *cert_req_id, plain(PkiStatus::Accepted), Some(pair)))
            }
            Self::Waiting { body, cert_req_id } => f(&response(*body, *cert_req_id, plain(PkiStatus::Waiting), None)),
            Self::Later { cert_req_id } => {
                let poll = PollRep { cert_req_id: *cert_req_id, check_after: CHECK_AFTER_S, reason: None };
                f(&Body::PollRep(vec![poll]))
            }
            Self::Confirmed => f(&Body::PkiConf),
            Self::Revoked => f(&revocation(plain(PkiStatus::Accepted))),
            Self::General(told) => {
                let told = told.iter().map(|(info_type, info_value)| TypeAndValue {
                    info_type: *info_type,
                    info_value: info_value.as_deref(),
                });
                f(&Body::Genp(told.collect()))
            }
            Self::Nested(answers) => f(&Body::Nested(&write_messages(answers))),
            Self::Rejected { body, cert_req_id, failure, text } => rejection(*failure, text, |status| {
                f(&if *body == RR { revocation(status) } else { response(*body, *cert_req_id, status, None) })
            }),
            Self::Error { failure, text } => rejection(*failure, text, |status| f(&error(status))),
        }
    }
}

const fn plain(status: PkiStatus) -> StatusInfo<'static> {
    StatusInfo { status, status_string: None, fail_info: None }
}

fn rejection<R>(failure: FailureInfo<'_>, text: &str, f: impl FnOnce(StatusInfo<'_>) -> R) -> R {
    let text = write_free_text(text);
    f(StatusInfo { status: PkiStatus::Rejection, status_string: FreeText::new(&text), fail_info: Some(failure) })
}

fn response<'a>(
    body: u8,
    cert_req_id: i64,
    status: StatusInfo<'a>,
    certified_key_pair: Option<CertifiedKeyPair<'a>>,
) -> Body<'a> {
    let response = vec![CertResponse { cert_req_id, status, certified_key_pair, rsp_info: None }];
    let message = CertRepMessage { ca_pubs: Vec::new(), response };
    match body {
        IR => Body::Ip(message),
        KUR => Body::Kup(message),
        _ => Body::Cp(message),
    }
}

fn revocation(status: StatusInfo<'_>) -> Body<'_> {
    Body::Rp(RevRepContent { status: vec![status], rev_certs: Vec::new(), crls: Vec::new() })
}

const fn error(status: StatusInfo<'_>) -> Body<'_> {
    Body::Error(ErrorMsgContent { status, error_code: None, error_details: None })
}

/// Who signs or makes the MAC of an answer, as the header names it.
struct Protecting {
    sender: Name,
    kid: Option<Vec<u8>>,
    algorithm: Vec<u8>,
    extra: Vec<Vec<u8>>,
}

impl Talk<'_> {
    /// What is said, protected as the request was.
    pub(super) fn protected(&self, asker: &Asker, offer: &Offer, said: &Said) -> Result<Vec<u8>, No> {
        let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
        match &asker.proof {
            Proof::Secret { secret, kind, .. } => {
                let salt = random(self.ra.setting().entropy.as_ref());
                let mac = MacAlgorithm::own(*kind, &salt);
                let certificate = ca.certificate().ok_or(Reason::IssuerUnknown)?;
                let protecting = Protecting {
                    sender: certificate.tbs().subject.clone(),
                    kid: self.message.header.sender_kid.map(<[u8]>::to_vec),
                    algorithm: mac.write(),
                    extra: ca.chain().to_vec(),
                };
                let part = self.part(&protecting, said);
                let protection = mac.mac((**secret).as_ref(), &part);
                Ok(whole(&part, &protection, &protecting.extra))
            }
            Proof::Certificate(_) | Proof::Made(_) | Proof::Appointed(_) => {
                let server = self.server(&ca)?;
                let tbs = server.certificate.tbs();
                let identifier = tbs.extension(x509_oids::SUBJECT_KEY_IDENTIFIER);
                let mut algorithm = Writer::with_capacity(80);
                server.signer.algorithm().write(&mut algorithm);
                let own = [server.certificate.der().to_vec()];
                // Who asks in general may know the root before only, and needs these to verify the answer.
                let links = if matches!(said, Said::General(_)) { self.ra.links(&ca)? } else { Vec::new() };
                let protecting = Protecting {
                    sender: tbs.subject.clone(),
                    kid: identifier.and_then(|e| decode_subject_key_identifier(&e.value)),
                    algorithm: algorithm.finish(),
                    extra: own.into_iter().chain(ca.chain().iter().cloned()).chain(links).collect(),
                };
                let part = self.part(&protecting, said);
                let protection = server.signer.sign(&part).map_err(|_| UNSIGNED)?;
                Ok(whole(&part, &protection, &protecting.extra))
            }
        }
    }

    fn part(&self, protecting: &Protecting, said: &Said) -> Vec<u8> {
        let asked = &self.message.header;
        let sender = write_directory_name(&protecting.sender);
        let Some(sender) = PeerName::new(&sender) else { unreachable!("write_directory_name writes what is read") };
        let wait = match said {
            Said::Certificate { implicit: false, until, .. } => Some(confirm_wait_time(*until)),
            _ => None,
        };
        let general_info = match (said, &wait) {
            (Said::Certificate { implicit: true, .. }, _) => vec![TypeAndValue::IMPLICIT_CONFIRM],
            (_, Some(wait)) => {
                vec![TypeAndValue { info_type: oids::CONFIRM_WAIT_TIME, info_value: Some(wait) }]
            }
            _ => Vec::new(),
        };
        // RFC 9810 §7: what has EnvelopedData in it is of version 3, whatever asked for it.
        let pvno = match said {
            Said::Certificate { private_key: Some(_), .. } => Pvno::V3,
            _ => asked.pvno,
        };
        let header = Header {
            pvno,
            sender,
            recipient: asked.sender,
            message_time: Some(self.now),
            protection_alg: Some(&protecting.algorithm),
            sender_kid: protecting.kid.as_deref(),
            recip_kid: None,
            transaction_id: asked.transaction_id,
            sender_nonce: Some(&self.nonce),
            recip_nonce: asked.sender_nonce,
            free_text: None,
            general_info,
        };
        said.with_body(|body| protected_part(&header, body))
    }
}

const UNSIGNED: Fault = Fault::unavailable("the key that signs answers does not sign");

fn whole(part: &[u8], protection: &[u8], extra: &[Vec<u8>]) -> Vec<u8> {
    finish(part, Some(protection), &extra.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A refusal of what nobody was proved to have sent: nobody vouches for it either.
/// Source: RFC 9483 §3.6.4.
pub(super) fn unprotected(
    message: Option<&Message<'_>>,
    no: &No,
    text: &str,
    nonce: &[u8; NONCE_LEN],
    now: UnixTime,
) -> Vec<u8> {
    let nobody = write_directory_name(&Name::write(&[]));
    let Some(nobody) = PeerName::new(&nobody) else { unreachable!("write_directory_name writes what is read") };
    let asked = message.map(|message| &message.header);
    let header = Header {
        pvno: asked.map_or(Pvno::V2, |asked| asked.pvno),
        sender: nobody,
        recipient: asked.map_or(nobody, |asked| asked.sender),
        message_time: Some(now),
        protection_alg: None,
        sender_kid: None,
        recip_kid: None,
        transaction_id: asked.and_then(|asked| asked.transaction_id),
        sender_nonce: Some(nonce),
        recip_nonce: asked.and_then(|asked| asked.sender_nonce),
        free_text: None,
        general_info: Vec::new(),
    };
    rejection(no.failure, text, |status| finish(&protected_part(&header, &error(status)), None, &[]))
}
