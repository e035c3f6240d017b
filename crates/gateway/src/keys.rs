//! Keys that are made here, for devices that cannot make good ones: in memory, for the time of one answer.
//!
//! Prevents: a key on a disk, in a log, on the bus or at km; work for who shows nothing, and more than a moment's for who shows anything:
//! keys of RSA, which take long to find, are not made.
//! Source: RFC 7030 §4.4.

use adapters::keystore::memory::MemoryKey;
use model::Base64;
use model::contract::enrolment::EnrolmentKind;
use ports::Signer;
use x509::csr::{CertificationRequest, write_info_with, write_signed};
use x509::{Certificate, KeyType, oids};
use zeroize::Zeroizing;

/// A new key, and a request for it.
pub(crate) struct Made {
    /// PKCS #8 in DER.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// What was asked for, for this key, and signed with it.
    pub(crate) request: Vec<u8>,
    /// Whether it is for the name of the certificate that was shown.
    pub(crate) kind: EnrolmentKind,
}

/// Why no key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMade {
    /// The request is none.
    Malformed,
    /// The key is to be encrypted once more, and nobody here does that.
    Encryption,
    /// Keys of this type are not made.
    Type,
    /// It did not work.
    Trouble,
}

impl Made {
    /// Makes a key of the same type as the one in a request, and the same request for it. `renewed` is the certificate that was shown, if
    /// nothing else was: where the request has its subject, it asks for one in its place.
    ///
    /// # Errors
    /// [`NotMade`]
    /// Source: RFC 7030 §4.4.1 (the key and the signature of the request mean nothing), §4.2.2.
    pub(crate) fn instead_of(request: &[u8], renewed: Option<&Base64>) -> Result<Self, NotMade> {
        let asked = CertificationRequest::decode(request).map_err(|_| NotMade::Malformed)?;
        // RFC 7030 §4.4.1: by any of these a client asks for its key to be encrypted once more.
        let by = [oids::SMIME_CAPABILITIES, oids::DECRYPT_KEY_IDENTIFIER, oids::ASYMMETRIC_DECRYPT_KEY_IDENTIFIER];
        if asked.attributes.iter().any(|attribute| by.contains(attribute)) {
            return Err(NotMade::Encryption);
        }
        let key_type = match asked.public_key.key_type() {
            quick @ (KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519) => quick,
            quick @ (KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87) => quick,
            KeyType::Rsa(_) => return Err(NotMade::Type),
        };
        let challenge = asked.challenge_password.as_deref().map(std::str::from_utf8).transpose();
        let challenge = challenge.map_err(|_| NotMade::Malformed)?;
        let key = MemoryKey::generate_pkcs8(key_type).map_err(|_| NotMade::Trouble)?;
        let signer = MemoryKey::open(&key).map_err(|_| NotMade::Trouble)?;
        let info = write_info_with(&asked.subject, signer.public_key(), &asked.extensions, challenge);
        let signature = signer.sign(&info).map_err(|_| NotMade::Trouble)?;
        let renewed = renewed.and_then(|der| Certificate::decode(der.as_ref()).ok());
        let kind = match renewed {
            Some(before) if asked.subject.matches(&before.tbs().subject) => EnrolmentKind::Renewal,
            _ => EnrolmentKind::New,
        };
        Ok(Self { key, request: write_signed(&info, signer.algorithm(), &signature), kind })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;
    use x509::extension::{GeneralName, subject_alt_name};
    use x509::{Name, Writer};

    fn request(key_type: KeyType) -> Vec<u8> {
        let key = MemoryKey::generate(key_type);
        let names = subject_alt_name(&[GeneralName::Dns("a.example".into())], false);
        let info = write_info_with(&Name::write(&[]), key.public_key(), &[names], Some("AQID"));
        write_signed(&info, key.algorithm(), &key.sign(&info).unwrap())
    }

    #[test]
    fn another_key_and_the_same_wishes() {
        let asked = request(KeyType::P384);
        let (one, other) = (Made::instead_of(&asked, None).unwrap(), Made::instead_of(&asked, None).unwrap());
        let read = |der: &[u8]| CertificationRequest::decode(der).unwrap();
        let (asked, one_read, other_read) = (read(&asked), read(&one.request), read(&other.request));
        one_read.verify().unwrap();
        assert_eq!(MemoryKey::open(&one.key).unwrap().public_key(), &one_read.public_key);
        assert!(one_read.public_key != asked.public_key && one_read.public_key != other_read.public_key);
        assert_eq!(one_read.public_key.key_type(), KeyType::P384);
        assert_eq!((one_read.extensions, one_read.challenge_password), (asked.extensions, asked.challenge_password));
        assert!(one.kind == EnrolmentKind::New && *one.key != *other.key);
    }
    #[test]
    fn keys_that_take_long_are_not_made() {
        assert_eq!(Made::instead_of(&request(KeyType::Rsa(2048)), None).err(), Some(NotMade::Type));
        assert_eq!(Made::instead_of(b"0", None).err(), Some(NotMade::Malformed));
    }
    #[test]
    fn who_wants_it_encrypted_again_does_not_have_it_in_the_clear() {
        let key = MemoryKey::generate(KeyType::P256);
        for attribute in
            [oids::SMIME_CAPABILITIES, oids::DECRYPT_KEY_IDENTIFIER, oids::ASYMMETRIC_DECRYPT_KEY_IDENTIFIER]
        {
            let mut w = Writer::with_capacity(256);
            w.sequence(|w| {
                w.small(0).raw(Name::write(&[]).der()).raw(key.public_key().spki());
                w.explicit(0, |w| {
                    w.sequence(|w| {
                        w.oid(attribute).set(|w| {
                            w.octet_string(b"key");
                        });
                    });
                });
            });
            let info = w.finish();
            let request = write_signed(&info, key.algorithm(), &key.sign(&info).unwrap());
            assert_eq!(Made::instead_of(&request, None).err(), Some(NotMade::Encryption));
        }
    }
}
