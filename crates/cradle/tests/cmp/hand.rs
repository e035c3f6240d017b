//! Messages that are made by hand: any header, any body, any protection.

use crate::site::{Up, identifier};
use adapters::keystore::memory::MemoryKey;
use ports::Signer;
use wire::cmp::body::{CertOrEncCert, CertStatus, RevDetails};
use wire::cmp::header::{PeerName, TypeAndValue, write_directory_name};
use wire::cmp::message::{finish, protected_part};
use wire::cmp::protection::{MacAlgorithm, MacKind};
use wire::cmp::template::{Template, write_cert_request};
use wire::cmp::{Body, Header, Message, PkiStatus, Pvno};
use x509::crmf::ProofOfPossession;
use x509::extension::decode_subject_key_identifier;
use x509::name::Attribute;
use x509::{Certificate, Extension, KeyType, Name, Writer, crmf, oids, sha256};

/// A key of a device.
pub struct Hand {
    pub key: MemoryKey,
}

impl Hand {
    pub fn new() -> Self {
        Self { key: MemoryKey::open(&MemoryKey::generate_pkcs8(KeyType::P256).unwrap()).unwrap() }
    }

    /// `CertReqMessages` for this key, signed by it.
    pub fn request(&self) -> Vec<u8> {
        self.request_for(None, &[])
    }
    pub fn request_for(&self, subject: Option<&Name>, extensions: &[Extension]) -> Vec<u8> {
        let template = Template { issuer: None, subject, public_key: self.key.public_key(), extensions };
        self.proved(&write_cert_request(0, &template))
    }
    /// `CertReqMessages` of a `CertRequest`, signed by this key.
    pub fn proved(&self, cert_request: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(cert_request).unwrap();
        let algorithm = self.key.algorithm();
        crmf::write_only(cert_request, &ProofOfPossession::Signature { algorithm, signature })
    }
}

/// What a client shows.
#[derive(Clone, Copy)]
pub enum Shows<'a> {
    Secret { reference: &'a str, secret: &'a str },
    Pbmac1 { reference: &'a str, secret: &'a str },
    Certificate(&'a Hand, &'a Certificate),
}

/// What came back.
#[derive(Debug, Default)]
pub struct Got {
    pub body: u8,
    pub is_protected: bool,
    pub status: Option<PkiStatus>,
    pub certificate: Option<Certificate>,
    pub check_after: Option<u64>,
    /// Failures and text.
    pub said: String,
    pub nonce: Vec<u8>,
}

impl Got {
    pub fn is_waiting(&self) -> bool {
        self.status == Some(PkiStatus::Waiting)
    }
    pub fn is_confirmed(&self) -> bool {
        self.body == 19
    }
    pub fn taken(&self) -> &Certificate {
        self.certificate.as_ref().unwrap_or_else(|| panic!("{self:?}"))
    }
    /// The identifier of a refusal with this failure.
    #[track_caller]
    pub fn refused(&self, failure: &str) -> String {
        assert!(self.certificate.is_none() && self.said.starts_with(failure), "{self:?}");
        identifier(&self.said).unwrap_or_else(|| panic!("{self:?}"))
    }
    /// It has no identifier, because it is not even well formed.
    #[track_caller]
    pub fn malformed(&self, failure: &str) {
        assert!(
            self.certificate.is_none() && self.said.starts_with(failure) && self.said.contains("Malformed"),
            "{self:?}"
        );
    }

    pub fn read(octets: &[u8]) -> Self {
        let message = Message::decode(octets).unwrap();
        let mut got = Self {
            body: message.body.number(),
            is_protected: message.protection.is_some(),
            nonce: message.header.sender_nonce.unwrap().to_vec(),
            ..Self::default()
        };
        let status = match &message.body {
            Body::Ip(read) | Body::Cp(read) | Body::Kup(read) => {
                let response = &read.response[0];
                got.certificate = response.certified_key_pair.map(|pair| match pair.certificate {
                    CertOrEncCert::Certificate(der) => Certificate::decode(der).unwrap(),
                    CertOrEncCert::EncryptedCert(_) => panic!("nothing is encrypted here"),
                });
                Some(response.status)
            }
            Body::Rp(read) => Some(read.status[0]),
            Body::Error(error) => Some(error.status),
            Body::PollRep(list) => {
                got.check_after = Some(list[0].check_after);
                None
            }
            _ => None,
        };
        got.status = status.map(|status| status.status);
        got.said = status.map(|status| status.explanation()).unwrap_or_default();
        got
    }
}

/// A transaction.
pub struct Talk<'a> {
    up: &'a Up<'a>,
    path: &'a str,
    shows: Shows<'a>,
    pub id: [u8; 16],
    pub last: Option<Vec<u8>>,
    /// The octets of the last message that was sent.
    pub sent: Vec<u8>,
}

/// What a test changes in a header.
pub type Tweak<'t> = &'t dyn Fn(&mut Header<'_>);
pub const AS_IT_IS: Tweak<'static> = &|_| ();

fn fresh() -> [u8; 16] {
    ports::clock::random(&adapters::clock::SystemEntropy::default())
}

fn now() -> model::UnixTime {
    ports::Clock::now(&adapters::clock::SystemClock)
}

impl<'a> Talk<'a> {
    pub fn new(up: &'a Up<'a>, path: &'a str, shows: Shows<'a>) -> Self {
        Self { up, path, shows, id: fresh(), last: None, sent: Vec::new() }
    }
    /// Where the transaction is, for going on with it when the box is up again.
    pub fn turn(&self) -> ([u8; 16], Option<Vec<u8>>) {
        (self.id, self.last.clone())
    }
    /// The same transaction by somebody else.
    pub fn by(&self, shows: Shows<'a>) -> Self {
        Self { up: self.up, path: self.path, shows, id: self.id, last: self.last.clone(), sent: Vec::new() }
    }

    /// Sends a message.
    pub fn say(&mut self, body: &Body<'_>, tweak: Tweak<'_>) -> Got {
        let message = self.message(body, tweak, None);
        self.send(message)
    }

    pub fn send(&mut self, message: Vec<u8>) -> Got {
        let got = Got::read(&self.up.post(self.path, &message));
        self.sent = message;
        if got.is_protected {
            self.last = Some(got.nonce.clone());
        }
        got
    }

    /// Makes a message, with another protection algorithm if one is given.
    pub fn message(&self, body: &Body<'_>, tweak: Tweak<'_>, other: Option<&[u8]>) -> Vec<u8> {
        let (salt, nonce) = (fresh(), fresh());
        let (name, kid, mac) = match self.shows {
            Shows::Secret { reference, .. } => {
                (common_name(reference), Some(reference.as_bytes().to_vec()), Some(MacKind::PasswordBasedMac))
            }
            // Found by its name alone.
            Shows::Pbmac1 { reference, .. } => (common_name(reference), None, Some(MacKind::Pbmac1)),
            Shows::Certificate(_, certificate) => {
                let tbs = certificate.tbs();
                let kid = tbs.extension(oids::SUBJECT_KEY_IDENTIFIER);
                (tbs.subject.clone(), kid.and_then(|e| decode_subject_key_identifier(&e.value)), None)
            }
        };
        let mac = mac.map(|kind| MacAlgorithm::own(kind, &salt));
        let algorithm = match (&self.shows, &mac) {
            (Shows::Certificate(hand, _), _) => {
                let mut w = Writer::default();
                hand.key.algorithm().write(&mut w);
                w.finish()
            }
            (_, mac) => mac.as_ref().unwrap().write(),
        };
        let (sender, recipient) = (write_directory_name(&name), write_directory_name(&Name::write(&[])));
        let mut header = Header {
            pvno: Pvno::V2,
            sender: PeerName::new(&sender).unwrap(),
            recipient: PeerName::new(&recipient).unwrap(),
            message_time: Some(now()),
            protection_alg: Some(other.unwrap_or(&algorithm)),
            sender_kid: kid.as_deref(),
            recip_kid: None,
            transaction_id: Some(&self.id),
            sender_nonce: Some(&nonce),
            recip_nonce: self.last.as_deref(),
            free_text: None,
            general_info: Vec::new(),
        };
        tweak(&mut header);
        let part = protected_part(&header, body);
        match self.shows {
            Shows::Secret { secret, .. } | Shows::Pbmac1 { secret, .. } => {
                finish(&part, Some(&mac.unwrap().mac(secret.as_bytes(), &part)), &[])
            }
            Shows::Certificate(hand, certificate) => {
                finish(&part, Some(&hand.key.sign(&part).unwrap()), &[certificate.der()])
            }
        }
    }

    pub fn ir(&mut self, hand: &Hand) -> Got {
        self.say(&Body::Ir(&hand.request()), AS_IT_IS)
    }
    pub fn ir_implicitly(&mut self, hand: &Hand) -> Got {
        self.say(&Body::Ir(&hand.request()), &|header| header.general_info = vec![TypeAndValue::IMPLICIT_CONFIRM])
    }
    pub fn kur(&mut self, hand: &Hand) -> Got {
        self.say(&Body::Kur(&hand.request()), AS_IT_IS)
    }
    pub fn poll(&mut self, id: i64) -> Got {
        self.say(&Body::PollReq(vec![id]), AS_IT_IS)
    }
    pub fn confirm(&mut self, certificate: &Certificate, id: i64) -> Got {
        self.confirm_hash(sha256(certificate.der()).octets(), id)
    }
    pub fn confirm_hash(&mut self, hash: &[u8], id: i64) -> Got {
        let status = CertStatus { cert_hash: hash, cert_req_id: id, status_info: None, hash_alg: None };
        self.say(&Body::CertConf(vec![status]), AS_IT_IS)
    }
    pub fn rr(&mut self, details: &[u8], crl_entry_details: Option<&[u8]>) -> Got {
        self.say(&Body::Rr(vec![RevDetails { cert_details: details, crl_entry_details }]), AS_IT_IS)
    }
}

/// The same message without its protection.
pub fn bare(message: &[u8]) -> Vec<u8> {
    let mut read = Message::decode(message).unwrap();
    read.header.protection_alg = None;
    finish(&protected_part(&read.header, &read.body), None, &[])
}

pub fn common_name(text: &str) -> Name {
    Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }])
}
