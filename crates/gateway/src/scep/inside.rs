//! What was in an envelope, and how it goes on to km.
//!
//! Prevents: a one-time secret that whoever carries calls to km can read before it is used; an answer that tells what somebody else's
//! envelope opened to.

use crate::km::Km;
use adapters::sealing::seal;
use model::contract::enrolment::{ShowSealingKey, ShownSecret};
use model::contract::scep::{ScepWish, request_info};
use model::{Base64, EstLabel, Fault};
use std::sync::{Mutex, PoisonError};
use wire::scep::MessageType;
use x509::{CertificationRequest, sha256};
use zeroize::Zeroizing;

/// What a message asks for, as it was in its envelope.
pub(super) enum Inside {
    /// A certificate.
    Enrol { request: Zeroizing<Vec<u8>>, secret: Option<ShownSecret> },
    /// A certificate in the place of the signer's.
    Renew { request: Zeroizing<Vec<u8>> },
    /// Whether it is there now.
    Poll,
    /// A certificate that was issued before.
    Certificate { of: Zeroizing<Vec<u8>> },
    /// A list.
    Crl { of: Zeroizing<Vec<u8>> },
}

impl Inside {
    /// Reads it. `content` is empty if the envelope did not open. `None` if it is no request where there must be one: so it is with a wrong
    /// key, too.
    ///
    /// What is asked for by name is km's to read, and answered as what there is not if it is none. Whether it *is* one tells how the
    /// padding of the last block ended, and with it, block by block, what is in an envelope that somebody else sent.
    pub(super) fn read(message_type: &MessageType, content: Zeroizing<Vec<u8>>) -> Option<Self> {
        Some(match message_type {
            MessageType::PkcsReq => {
                let secret = request(&content)?.challenge_password.as_deref().map(shown);
                Self::Enrol { request: content, secret }
            }
            MessageType::RenewalReq => {
                request(&content)?;
                Self::Renew { request: content }
            }
            // The transaction and the signer's key say which: names inside say nothing more, and nobody looks at them.
            MessageType::CertPoll => Self::Poll,
            MessageType::GetCert => Self::Certificate { of: content },
            MessageType::GetCrl => Self::Crl { of: content },
            MessageType::Other => return None,
        })
    }

    /// What km is asked. Requests are sealed to its key.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if that is no key.
    pub(super) fn for_km(self, key: &[u8; 32], label: &EstLabel, transaction: &str) -> Result<ScepWish, Fault> {
        let sealed = |request: &[u8]| {
            let sealed = seal(request, &request_info(label, transaction), key);
            sealed.map(Base64::from).map_err(|_| Fault::unavailable("a request cannot be sealed"))
        };
        Ok(match self {
            Self::Enrol { request, secret } => ScepWish::Enrol { request: sealed(&request)?, secret },
            Self::Renew { request } => ScepWish::Renew { request: sealed(&request)? },
            Self::Poll => ScepWish::Poll,
            Self::Certificate { of } => ScepWish::Certificate { of: of.to_vec().into() },
            Self::Crl { of } => ScepWish::Crl { of: of.to_vec().into() },
        })
    }
}

/// A request whose signature holds: who changes the octets of another's envelope sees nothing of what comes out.
fn request(content: &[u8]) -> Option<CertificationRequest> {
    CertificationRequest::decode(content).ok().filter(|request| request.verify().is_ok())
}

/// `DEVICE:SECRET`, as at EST. One without a name opens nothing.
fn shown(challenge: &[u8]) -> ShownSecret {
    let at = challenge.iter().rposition(|octet| *octet == b':');
    let (user, secret) = match at.and_then(|at| challenge.split_at_checked(at)) {
        Some((user, secret)) => (user, secret.get(1..).unwrap_or_default()),
        None => (&[][..], challenge),
    };
    ShownSecret { user: String::from_utf8_lossy(user).into_owned(), digest: sha256(secret) }
}

/// km's key, to which requests are sealed.
#[derive(Default)]
pub(super) struct Sealing(Mutex<Option<[u8; 32]>>);

impl Sealing {
    /// The key. km is asked once.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if km does not say it.
    pub(super) fn key(&self, km: &dyn Km) -> Result<[u8; 32], Fault> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held {
            return Ok(key);
        }
        let shown = km.sealing_key(&ShowSealingKey {})?.key;
        let key = shown.and_then(|key| key.as_ref().try_into().ok());
        let key = key.ok_or(Fault::unavailable("km has no key to which requests are sealed"))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(key)
    }

    /// km may have another key since: it is asked again.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;
    use adapters::clock::SystemEntropy;
    use adapters::keystore::memory::MemoryKey;
    use adapters::vault::VaultPrivateKey;
    use ports::Signer;
    use x509::csr::{write_info_with, write_signed};
    use x509::{KeyType, Name};

    #[test]
    fn who_carries_a_call_to_km_does_not_read_the_secret_in_it() {
        let key = MemoryKey::generate(KeyType::P256);
        let info = write_info_with(&Name::write(&[]), key.public_key(), &[], Some("SN1:one-time-secret"));
        let request = write_signed(&info, key.algorithm(), &key.sign(&info).unwrap());
        let km = VaultPrivateKey::generate(&SystemEntropy::default()).unwrap();
        let label: EstLabel = "devices".parse().unwrap();
        for message_type in [MessageType::PkcsReq, MessageType::RenewalReq] {
            let inside = Inside::read(&message_type, request.clone().into()).unwrap();
            let wish = inside.for_km(km.public_key().octets(), &label, "T-1").unwrap();
            let (ScepWish::Enrol { request: sealed, .. } | ScepWish::Renew { request: sealed }) = &wish else {
                unreachable!("it asks for a certificate")
            };
            // Neither in the octets of it nor in what else is said with it.
            let has = |octets: &[u8]| octets.windows(15).any(|part| part == b"one-time-secret");
            assert!(has(&request) && !has(sealed.as_ref()) && !format!("{wish:?}").contains("one-time-secret"));
            let open = |info: &[u8]| km.open_secret(sealed.as_ref(), info).map(|request| request.to_vec());
            assert_eq!(open(&request_info(&label, "T-1")), Ok(request.clone()));
            // Nor is it anybody else's in another call.
            assert!(open(&request_info(&label, "T-2")).is_err());
            assert!(open(&request_info(&"guarded".parse().unwrap(), "T-1")).is_err());
        }
    }

    #[test]
    fn a_challenge_is_a_name_and_a_secret() {
        for (challenge, user, secret) in
            [("SN1:abc", "SN1", "abc"), ("urn:dev:x:abc", "urn:dev:x", "abc"), ("abc", "", "abc"), ("SN1:", "SN1", "")]
        {
            let read = shown(challenge.as_bytes());
            assert_eq!((read.user.as_str(), read.digest), (user, sha256(secret.as_bytes())), "{challenge}");
        }
    }
    #[test]
    fn whatever_stands_where_something_is_named_goes_to_km() {
        for content in [&b""[..], b"x", b"\x30\x00"] {
            let read = |message_type| Inside::read(&message_type, content.to_vec().into());
            assert!(matches!(read(MessageType::CertPoll), Some(Inside::Poll)));
            assert!(matches!(read(MessageType::GetCert), Some(Inside::Certificate { of }) if *of == content));
            assert!(matches!(read(MessageType::GetCrl), Some(Inside::Crl { of }) if *of == content));
            assert!(read(MessageType::PkcsReq).is_none() && read(MessageType::RenewalReq).is_none());
            assert!(read(MessageType::Other).is_none());
        }
    }
}
