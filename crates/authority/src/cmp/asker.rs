//! Whose message it is: by its MAC, whose secret an operator left, or by its signature, whose certificate is one of ours.

use super::{No, Offer, Talk};
use crate::enrol::{Left, Proved, Shown, is_same};
use model::contract::enrolment::secret_info;
use model::{DeviceId, Digest, Entity, Reason};
use wire::cmp::ProtectionAlgorithm;
use wire::cmp::protection::{MacAlgorithm, MacKind};
use wire::cmp::server::NONCE_LEN;
use wire::cmp::status::FailureInfo;
use x509::extension::{KeyUsage, decode_subject_key_identifier};
use x509::{Certificate, SignatureAlgorithm, oids, sha256, sha256_of_parts, signature};

/// Who was proved to have sent the message.
pub(super) struct Asker {
    pub(super) proof: Proof,
    device: DeviceId,
    /// SHA-256 of what was shown.
    identity: Digest,
}

/// How it was proved.
pub(super) enum Proof {
    /// By a MAC with a secret that was left for the device.
    Secret { left: Box<Left>, secret: Box<dyn AsRef<[u8]> + Send + Sync>, kind: MacKind },
    /// By a signature, with a certificate of the device.
    Certificate(Box<Shown>),
}

impl Asker {
    pub(super) const fn device(&self) -> &DeviceId {
        &self.device
    }

    /// What the door is told.
    pub(super) fn proved(&self) -> Proved {
        let device = self.device.clone();
        match &self.proof {
            Proof::Secret { left, .. } => Proved { device, certificate: None, secret: Some(left.digest) },
            Proof::Certificate(shown) => Proved { device, certificate: Some(shown.as_ref().clone()), secret: None },
        }
    }

    /// The name of an exchange: nobody comes upon that of another, nor the same under another label.
    pub(super) fn exchange(&self, offer: &Offer, transaction_id: &[u8]) -> Digest {
        let label = offer.offered.label.to_string();
        sha256_of_parts([label.as_bytes(), &[0], self.identity.octets(), transaction_id].into_iter())
    }
}

impl Talk<'_> {
    /// Whose message it is.
    pub(super) fn asker(&self, offer: &Offer) -> Result<Asker, No> {
        let header = &self.message.header;
        let is_whole = |octets: Option<&[u8]>| octets.is_some_and(|octets| octets.len() == NONCE_LEN);
        if !is_whole(header.transaction_id) {
            return Err(No::malformed("transactionID has not 16 octets", FailureInfo::BAD_DATA_FORMAT));
        }
        if !is_whole(header.sender_nonce) {
            return Err(No::malformed("senderNonce has not 16 octets", FailureInfo::BAD_SENDER_NONCE));
        }
        let (Some(algorithm), Some(protection)) = (header.protection_alg, self.message.protection) else {
            return Err(Reason::ClientUnproved.into());
        };
        match ProtectionAlgorithm::read(algorithm) {
            None => Err(Reason::ProtectionWeak.into()),
            Some(ProtectionAlgorithm::Mac(mac)) => self.by_mac(offer, &mac, protection),
            Some(ProtectionAlgorithm::Signature(algorithm)) => self.by_signature(algorithm, protection),
        }
    }

    fn by_mac(&self, offer: &Offer, mac: &MacAlgorithm<'_>, protection: &[u8]) -> Result<Asker, No> {
        let reference = self.reference().ok_or(Reason::ClientUnproved)?;
        let device = self.ra.device_named(&reference)?.ok_or(Reason::SecretUnknown)?;
        let left = self.ra.left_for(device.clone(), &offer.offered)?;
        let sealed = self.front.cmp.store.sealed_secret(&left.digest)?.ok_or(Reason::SecretUnknown)?;
        let info = secret_info(&Entity::Device(device.clone()), offer.offered.profile.name());
        let secret = self.front.cmp.secrets.open(&sealed, &info)?;
        // What was sealed came beside the digest: it is the digest that counts.
        if !is_same(&sha256((*secret).as_ref()), &left.digest) {
            return Err(Reason::SecretUnknown.into());
        }
        if !mac.verify((*secret).as_ref(), &self.message.protected_part(), protection) {
            return Err(Reason::ProtectionInvalid.into());
        }
        self.ra.is_in_time(&left)?;
        let identity = left.digest;
        Ok(Asker { proof: Proof::Secret { left: Box::new(left), secret, kind: mac.kind() }, device, identity })
    }

    /// What the client calls itself: `senderKID`, or the common name of the sender.
    /// Source: RFC 9483 §3.1. Clients leave the sender empty where they have no name yet.
    fn reference(&self) -> Option<String> {
        let header = &self.message.header;
        match header.sender_kid {
            Some(kid) => String::from_utf8(kid.to_vec()).ok(),
            None => header.sender.directory_name()?.first(oids::COMMON_NAME).map(ToOwned::to_owned),
        }
    }

    fn by_signature(&self, algorithm: SignatureAlgorithm, protection: &[u8]) -> Result<Asker, No> {
        // RFC 9483 §3.3: the certificate of the protection stands first.
        let der = self.message.extra_certs.first().ok_or(Reason::ClientUnproved)?;
        let shown = self.ra.shown(der)?;
        let device = shown.row.subject.device().ok_or(Reason::ClientUnknown)?.clone();
        let key = &shown.read.tbs().subject_public_key;
        let holds = || signature::verify(key, algorithm, &self.message.protected_part(), protection).is_ok();
        if !signs(&shown.read) || !self.is_named(&shown.read) || !holds() {
            return Err(Reason::ProtectionInvalid.into());
        }
        let identity = sha256(der);
        Ok(Asker { proof: Proof::Certificate(Box::new(shown)), device, identity })
    }

    /// Whether the header names the certificate of the protection. Source: RFC 9483 §3.1.
    fn is_named(&self, certificate: &Certificate) -> bool {
        let (header, tbs) = (&self.message.header, certificate.tbs());
        let identifier = || {
            let extension = tbs.extension(oids::SUBJECT_KEY_IDENTIFIER)?;
            decode_subject_key_identifier(&extension.value)
        };
        header.sender.directory_name().is_some_and(|sender| sender.matches(&tbs.subject))
            && header.sender_kid.is_none_or(|kid| identifier().is_some_and(|identifier| identifier == kid))
    }
}

/// Source: RFC 9483 §3.2: `digitalSignature`, if there is a key usage.
fn signs(certificate: &Certificate) -> bool {
    let usage = certificate.tbs().extension(oids::KEY_USAGE).map(|extension| KeyUsage::decode(&extension.value));
    usage.is_none_or(|usage| usage.is_some_and(|usage| usage.has(KeyUsage::DIGITAL_SIGNATURE)))
}
