//! Who asks, whom it believes, and how its messages are protected.

use super::Broken;
use crate::cmp::header::{PeerName, TypeAndValue, write_directory_name};
use crate::cmp::protection::{MacAlgorithm, MacKind, ProtectionAlgorithm};
use crate::cmp::{Body, Header, Message, Pvno, message, oids};
use model::UnixTime;
use x509::extension::{KeyUsage, decode_extended_key_usage, decode_subject_key_identifier};
use x509::name::Attribute;
use x509::path::{Demands, Evidence, validate};
use x509::{Certificate, Name, SignatureAlgorithm, Writer, oids as x509_oids, signature};

/// Octets of nonces and transaction identifiers that we make, and of nonces that we take.
/// Source: RFC 9483 §3.1.
pub(super) const NONCE_LEN: usize = 16;

/// Who asks, and whom it believes.
pub struct Party<'a> {
    /// How requests are protected; answers must be so too.
    pub credentials: Credentials<'a>,
    /// The authority that is to issue.
    pub authority: &'a Certificate,
    /// Who else may answer for it: the certificates of its servers, compared octet for octet.
    pub servers: &'a [Certificate],
    /// As long as it is not known which authority it is: a server that any authority below one of these made its CA may
    /// answer, too. What it says must then be proved otherwise. None, once it is known.
    pub roots: &'a [Certificate],
}

/// How requests are protected.
pub enum Credentials<'a> {
    /// By a MAC from a secret that both sides have.
    Secret {
        /// What the other side finds the secret by.
        reference: &'a str,
        /// The secret.
        secret: &'a [u8],
        /// Which MAC.
        mac: MacKind,
    },
    /// By a signature.
    Key {
        /// How the key signs.
        algorithm: SignatureAlgorithm,
        /// The certificate of the key, then what the other side may need to verify it; at least one.
        certificates: &'a [Certificate],
    },
}

/// Randomness for one message.
#[derive(Clone, Copy)]
pub struct Fresh {
    /// `senderNonce`
    pub sender_nonce: [u8; NONCE_LEN],
    /// Salt of a MAC.
    pub salt: [u8; 16],
}

/// A message that is whole, or lacks its signature.
pub struct Draft {
    protected_part: Vec<u8>,
    extra_certs: Vec<Vec<u8>>,
    mac: Option<Vec<u8>>,
}

impl Draft {
    /// The message. `sign` is asked for a signature over some octets, unless a MAC protects it.
    ///
    /// # Errors
    /// What `sign` says.
    pub fn finish<E>(self, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let protection = match self.mac {
            Some(mac) => mac,
            None => sign(&self.protected_part)?,
        };
        let extra: Vec<&[u8]> = self.extra_certs.iter().map(Vec::as_slice).collect();
        Ok(message::finish(&self.protected_part, Some(&protection), &extra))
    }
}

/// What a message is, besides who sends it.
pub(super) struct Content<'a> {
    pub(super) pvno: Pvno,
    pub(super) transaction_id: &'a [u8],
    pub(super) recip_nonce: Option<&'a [u8]>,
    pub(super) general_info: Vec<TypeAndValue<'a>>,
    pub(super) body: Body<'a>,
}

impl Party<'_> {
    pub(super) fn draft(&self, content: &Content<'_>, fresh: &Fresh, now: UnixTime) -> Draft {
        let mac = match &self.credentials {
            Credentials::Secret { mac, .. } => Some(MacAlgorithm::own(*mac, &fresh.salt)),
            Credentials::Key { .. } => None,
        };
        let (sender, kid) = self.sender();
        let (sender, recipient) = (write_directory_name(&sender), write_directory_name(&self.authority.tbs().subject));
        let (Some(sender), Some(recipient)) = (PeerName::new(&sender), PeerName::new(&recipient)) else {
            unreachable!("write_directory_name writes what PeerName::new reads")
        };
        let algorithm = self.protection_alg(mac.as_ref());
        let header = Header {
            pvno: content.pvno,
            sender,
            recipient,
            message_time: Some(now),
            protection_alg: Some(&algorithm),
            sender_kid: (!kid.is_empty()).then_some(&kid),
            recip_kid: None,
            transaction_id: Some(content.transaction_id),
            sender_nonce: Some(&fresh.sender_nonce),
            recip_nonce: content.recip_nonce,
            free_text: None,
            general_info: content.general_info.clone(),
        };
        let protected_part = message::protected_part(&header, &content.body);
        match &self.credentials {
            Credentials::Secret { secret, .. } => {
                Draft { mac: mac.map(|mac| mac.mac(secret, &protected_part)), protected_part, extra_certs: Vec::new() }
            }
            Credentials::Key { certificates, .. } => Draft {
                protected_part,
                extra_certs: certificates.iter().map(|c| c.der().to_vec()).collect(),
                mac: None,
            },
        }
    }

    // RFC 9483 §3.1: the subject of the protecting certificate; for a MAC the reference as a common name.
    fn sender(&self) -> (Name, Vec<u8>) {
        match &self.credentials {
            Credentials::Secret { reference, .. } => {
                let name = Attribute { oid: x509_oids::COMMON_NAME, text: (*reference).to_owned() };
                (Name::write(&[name]), reference.as_bytes().to_vec())
            }
            Credentials::Key { certificates, .. } => match certificates.first() {
                Some(own) => (own.tbs().subject.clone(), key_identifier(own).unwrap_or_default()),
                None => (Name::write(&[]), Vec::new()),
            },
        }
    }

    fn protection_alg(&self, mac: Option<&MacAlgorithm<'_>>) -> Vec<u8> {
        match (&self.credentials, mac) {
            (Credentials::Key { algorithm, .. }, _) => {
                let mut w = Writer::with_capacity(80);
                algorithm.write(&mut w);
                w.finish()
            }
            (Credentials::Secret { .. }, mac) => mac.map(MacAlgorithm::write).unwrap_or_default(),
        }
    }

    /// Verifies the protection of an answer: in the kind of the request, and by somebody who may answer.
    pub(super) fn verify(&self, answer: &Message<'_>, now: UnixTime) -> Result<(), Broken> {
        let (Some(algorithm), Some(protection)) = (answer.header.protection_alg, answer.protection) else {
            return Err(Broken::Unprotected);
        };
        let part = answer.protected_part();
        // RFC 9483 §3.2: a MAC is answered with a MAC and a signature with a signature. Whoever has only one of them
        // cannot choose the other.
        match (&self.credentials, ProtectionAlgorithm::read(algorithm)) {
            (Credentials::Secret { secret, .. }, Some(ProtectionAlgorithm::Mac(mac))) => {
                if mac.verify(secret, &part, protection) { Ok(()) } else { Err(Broken::Protection) }
            }
            (Credentials::Key { .. }, Some(ProtectionAlgorithm::Signature(algorithm))) => {
                self.verify_signature(answer, algorithm, &part, protection, now)
            }
            _ => Err(Broken::OtherProtection),
        }
    }

    fn verify_signature(
        &self,
        answer: &Message<'_>,
        algorithm: SignatureAlgorithm,
        part: &[u8],
        protection: &[u8],
        now: UnixTime,
    ) -> Result<(), Broken> {
        let carried: Vec<_> = answer.extra_certs.iter().filter_map(|der| Certificate::decode(der).ok()).collect();
        let known = self.servers.iter().chain([self.authority]);
        let sender = answer.header.sender.directory_name();
        let mut fault = Broken::Protection;
        for certificate in known.chain(&carried) {
            let tbs = certificate.tbs();
            let named = sender.as_ref().is_some_and(|sender| sender.matches(&tbs.subject));
            if !named || signature::verify(&tbs.subject_public_key, algorithm, part, protection).is_err() {
                continue;
            }
            if self.may_answer(certificate, &carried, now) {
                return Ok(());
            }
            fault = Broken::Signer;
        }
        Err(fault)
    }

    /// Whether the holder of a certificate may speak for the authority: it is the authority, a server that was named, or
    /// one that the authority made its CA or RA. A certificate of the authority alone is not enough: every device has
    /// one.
    fn may_answer(&self, certificate: &Certificate, carried: &[Certificate], now: UnixTime) -> bool {
        const KNOWN: [const_oid::ObjectIdentifier; 4] = [
            x509_oids::BASIC_CONSTRAINTS,
            x509_oids::KEY_USAGE,
            x509_oids::EXTENDED_KEY_USAGE,
            x509_oids::SUBJECT_ALT_NAME,
        ];
        let tbs = certificate.tbs();
        // RFC 9483 §3.2: digitalSignature, if there is a key usage.
        let usage = tbs.extension(x509_oids::KEY_USAGE).map(|e| KeyUsage::decode(&e.value));
        let signs = usage.is_none_or(|usage| usage.is_some_and(|usage| usage.has(KeyUsage::DIGITAL_SIGNATURE)));
        let valid = tbs.not_before <= now && now.whole_second() <= tbs.not_after;
        if certificate == self.authority || self.servers.contains(certificate) {
            // The key of an authority is rarely for signatures of messages, but nobody else has it.
            return valid && (signs || certificate == self.authority);
        }
        let purposes = tbs.extension(x509_oids::EXTENDED_KEY_USAGE).and_then(|e| decode_extended_key_usage(&e.value));
        let is_for = |purpose| purposes.as_ref().is_some_and(|purposes| purposes.contains(&purpose));
        let appointed = is_for(oids::CMC_CA) || is_for(oids::CMC_RA);
        let understood = tbs.extensions.iter().all(|e| !e.critical || KNOWN.contains(&e.oid));
        let is_below = || {
            let evidence = Evidence { leaf: certificate, pool: carried, anchors: self.roots, crls: &[] };
            validate(&evidence, &Demands::default(), now).is_ok()
        };
        let is_own = || appointed && certificate.verify_issued_by(self.authority, now).is_ok();
        signs && understood && (is_own() || is_for(oids::CMC_CA) && is_below())
    }
}

fn key_identifier(certificate: &Certificate) -> Option<Vec<u8>> {
    let extension = certificate.tbs().extension(x509_oids::SUBJECT_KEY_IDENTIFIER)?;
    decode_subject_key_identifier(&extension.value)
}
