//! Whose message it is: by its MAC, whose secret an operator left, or by its signature, whose certificate is one of ours, or that of
//! a registration authority which an operator named.

use super::{No, Offer, Talk};
use crate::enrol::{Left, Proved, Shown, is_same};
use crate::maker::{Made, Presented};
use model::contract::enrolment::secret_info;
use model::{DeviceId, Digest, Entity, Fault, Reason, StationName};
use wire::cmp::oids::CMC_RA;
use wire::cmp::protection::{MacAlgorithm, MacKind};
use wire::cmp::server::NONCE_LEN;
use wire::cmp::status::FailureInfo;
use wire::cmp::{Header, ProtectionAlgorithm};
use x509::extension::{KeyUsage, decode_extended_key_usage, decode_subject_key_identifier};
use x509::{Certificate, SignatureAlgorithm, oids, sha256, sha256_of_parts, signature};

/// Who was proved to have sent the message.
pub(super) struct Asker {
    pub(super) proof: Proof,
    /// None if it is a registration authority.
    device: Option<DeviceId>,
    /// SHA-256 of what was shown.
    identity: Digest,
}

/// How it was proved.
pub(super) enum Proof {
    /// By a MAC with a secret that was left for the device.
    Secret { left: Box<Left>, secret: Box<dyn AsRef<[u8]> + Send + Sync>, kind: MacKind },
    /// By a signature, with a certificate of the device.
    Certificate(Box<Shown>),
    /// By a signature, with the certificate that the device has from its maker.
    Made(Box<Made>),
    /// By a signature, with the certificate of a registration authority.
    Appointed(StationName),
}

impl Asker {
    /// The device, unless a registration authority asks.
    pub(super) const fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
    }

    /// The registration authority that asks, if it is one.
    pub(super) const fn appointed(&self) -> Option<&StationName> {
        match &self.proof {
            Proof::Appointed(name) => Some(name),
            Proof::Secret { .. } | Proof::Certificate(_) | Proof::Made(_) => None,
        }
    }

    /// What the records call it.
    pub(super) fn name(&self) -> String {
        match (&self.device, &self.proof) {
            (Some(device), _) => device.to_string(),
            (None, Proof::Appointed(name)) => format!("registration authority {name}"),
            (None, Proof::Secret { .. } | Proof::Certificate(_) | Proof::Made(_)) => "somebody".to_owned(),
        }
    }

    /// What the door is told when a certificate for this device is asked for.
    pub(super) fn proved(&self, device: DeviceId) -> Proved {
        let (certificate, secret) = match &self.proof {
            Proof::Secret { left, .. } => (None, Some(left.digest)),
            Proof::Certificate(shown) => (Some(Presented::Own(shown.clone())), None),
            Proof::Made(made) => (Some(Presented::Made(made.clone())), None),
            Proof::Appointed(_) => (None, None),
        };
        Proved { device, certificate, secret }
    }

    /// The name of a nested message: who adds protection to several messages of one transaction uses its identifier again.
    pub(super) fn nested(&self, offer: &Offer, header: &Header<'_>) -> Digest {
        let label = offer.offered.label.to_string();
        let (id, nonce) = (header.transaction_id.unwrap_or_default(), header.sender_nonce.unwrap_or_default());
        let parts = [label.as_bytes(), &[0], b"nested", self.identity.octets(), id, nonce];
        sha256_of_parts(parts.into_iter())
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
            Some(ProtectionAlgorithm::Signature(algorithm)) => self.by_signature(offer, algorithm, protection),
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
        Ok(Asker {
            proof: Proof::Secret { left: Box::new(left), secret, kind: mac.kind() },
            device: Some(device),
            identity,
        })
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

    fn by_signature(&self, offer: &Offer, algorithm: SignatureAlgorithm, protection: &[u8]) -> Result<Asker, No> {
        // RFC 9483 §3.3: the certificate of the protection stands first.
        let der = self.message.extra_certs.first().ok_or(Reason::ClientUnproved)?;
        let identity = sha256(der);
        if let Some((name, certificate)) = offer.appointed.iter().find(|(_, pinned)| pinned.der() == *der) {
            self.is_appointed(certificate)?;
            self.is_signed(certificate, algorithm, protection)?;
            return Ok(Asker { proof: Proof::Appointed(name.clone()), device: None, identity });
        }
        let (device, proof) = match self.ra.presented(der)? {
            Presented::Own(shown) => {
                let device = shown.row.subject.device().ok_or(Reason::ClientUnknown)?.clone();
                self.is_signed(&shown.read, algorithm, protection)?;
                (device, Proof::Certificate(shown))
            }
            // Whether a list has it, or the maker revoked it, learns who has its key.
            Presented::Made(made) => {
                self.is_signed(&made.read, algorithm, protection)?;
                (self.ra.expected(&made)?, Proof::Made(made))
            }
        };
        Ok(Asker { proof, device: Some(device), identity })
    }

    /// Whether the message is signed with the key of a certificate that it names and that may sign.
    fn is_signed(&self, by: &Certificate, algorithm: SignatureAlgorithm, protection: &[u8]) -> Result<(), Reason> {
        let key = &by.tbs().subject_public_key;
        let holds = || signature::verify(key, algorithm, &self.message.protected_part(), protection).is_ok();
        if signs(by) && self.is_named(by) && holds() { Ok(()) } else { Err(Reason::ProtectionInvalid) }
    }

    /// Whether a certificate that an operator named is still one of a registration authority: by its purpose, its time, and
    /// its standing if one of our own authorities issued it.
    fn is_appointed(&self, certificate: &Certificate) -> Result<(), Fault> {
        let tbs = certificate.tbs();
        let purposes = tbs.extension(oids::EXTENDED_KEY_USAGE).and_then(|e| decode_extended_key_usage(&e.value));
        if !purposes.is_some_and(|purposes| purposes.contains(&CMC_RA)) || !signs(certificate) {
            return Err(Reason::NotAppointed.into());
        }
        if self.now < tbs.not_before || tbs.not_after < self.now.whole_second() {
            return Err(Reason::ClientExpired.into());
        }
        let ours = self.ra.cas().all();
        if ours.iter().filter_map(|ca| ca.certificate()).any(|ca| ca.tbs().subject.matches(&tbs.issuer)) {
            self.ra.holding(certificate.der(), None)?;
        }
        Ok(())
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
