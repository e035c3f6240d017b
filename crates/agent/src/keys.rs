//! Where the device's private keys are: in files, or in a token of PKCS #11, such as a TPM behind its module. What is in a token is
//! named in files by its URI, and never leaves.

use crate::fault::{Failure, Result};
use adapters::clock::SystemEntropy;
use adapters::http::ShownKey;
use adapters::keystore::memory::MemoryKey;
use adapters::keystore::pkcs11::{Pkcs11Keystore, Pkcs11Uri, TokenFault};
use ports::clock::random;
use ports::keystore::KeyUri;
use ports::{Keystore, Signer};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use x509::{KeyType, SignatureAlgorithm, pem, sha256};
use zeroize::Zeroizing;

/// How a key is called in PEM.
const PKCS8: &str = "PRIVATE KEY";
/// How the URI of one in a token is (RFC 7512): it is no secret, and no key.
const URI: &str = "PKCS11 URI";
/// Octets of an owner's digest in labels of keys, and of what tells them apart.
const OWNER_LEN: usize = 8;
const LABEL_RANDOM_LEN: usize = 8;

/// A private key, or where it is.
#[derive(Clone)]
pub(crate) enum Private {
    /// PKCS #8.
    File(Zeroizing<Vec<u8>>),
    Token(KeyUri),
}

impl Private {
    /// The first of a file in PEM.
    pub(crate) fn of_pem(octets: &[u8]) -> Option<Self> {
        let first =
            |label| pem::blocks_labelled(octets, label).and_then(|all| all.into_iter().map(Zeroizing::new).next());
        match (first(PKCS8), first(URI)) {
            (Some(pkcs8), _) => Some(Self::File(pkcs8)),
            (None, Some(uri)) => String::from_utf8(uri.to_vec()).ok().map(|uri| Self::Token(KeyUri(uri))),
            (None, None) => None,
        }
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::File(pkcs8) => pem::encode(PKCS8, pkcs8),
            Self::Token(uri) => pem::encode(URI, uri.0.as_bytes()),
        })
    }

    /// Whether it is that one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Token(one), Self::Token(other)) => one == other,
            _ => false,
        }
    }

    fn uri(&self) -> Option<Pkcs11Uri> {
        match self {
            Self::File(_) => None,
            Self::Token(uri) => Pkcs11Uri::parse(&uri.0).ok(),
        }
    }
}

/// Keys of types that a device may have in a token: those that sign one way in certificates and in TLS.
pub(crate) const fn fits_a_token(key_type: KeyType) -> bool {
    matches!(key_type, KeyType::P256 | KeyType::P384 | KeyType::Ed25519)
}

/// What opens keys, and makes them.
pub(crate) struct Keys {
    token: Option<Pkcs11Keystore>,
    // What the labels of this owner's keys begin with.
    prefix: String,
}

impl Keys {
    /// Keys in the token of this URI, which has `module-path` and `pin-source`, or in files if there is none. `owner` is the directory for which they
    /// are made: keys of others in the same token are left alone.
    pub(crate) fn new(token: Option<&str>, owner: &Path) -> Result<Self> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::usage("the token cannot be used")
                .because(why)
                .next("correct `token`; docs/agent.md has an example")
        };
        let token = token
            .map(|uri| {
                let uri = Pkcs11Uri::parse(uri).map_err(|e| failed(&e))?;
                let entropy = Arc::new(SystemEntropy::default());
                Pkcs11Keystore::from_uri(&uri, None, NonZeroUsize::MIN, entropy).map_err(|e| failed(&e))
            })
            .transpose()?;
        let owner = sha256(owner.as_os_str().as_encoded_bytes()).to_string();
        let prefix = format!("cradle-agent-{}-", owner.get(..2 * OWNER_LEN).unwrap_or_default());
        Ok(Self { token, prefix })
    }

    /// Makes a key that nobody has yet.
    pub(crate) fn make(&self, key_type: KeyType) -> Result<(Private, Arc<dyn Signer>)> {
        let failed =
            |why: String| Failure::new("key", "no key could be made").because(why).next("see what the system says");
        let Some(token) = &self.token else {
            let pkcs8 = MemoryKey::generate_pkcs8(key_type).map_err(|e| failed(e.to_string()))?;
            let key = MemoryKey::open(&pkcs8).map_err(|e| failed(e.to_string()))?;
            return Ok((Private::File(pkcs8), Arc::new(key)));
        };
        let apart: [u8; LABEL_RANDOM_LEN] = random(&SystemEntropy::default());
        let label = format!("{}{}", self.prefix, model::octets::hex(&apart));
        let (uri, key) = token.generate(&label, key_type).map_err(|e| failed(e.to_string()))?;
        Ok((Private::Token(uri), key))
    }

    /// Opens a key.
    pub(crate) fn open(&self, private: &Private) -> Result<Arc<dyn Signer>> {
        let failed = |why: String| Failure::new("key", "a key cannot be used").because(why);
        match (private, &self.token) {
            (Private::File(pkcs8), _) => MemoryKey::open(pkcs8)
                .map(|key| -> Arc<dyn Signer> { Arc::new(key) })
                .map_err(|e| failed(e.to_string())),
            (Private::Token(_), None) => {
                Err(failed("it is in a token, and the configuration names none".into()).next("name it: `token`"))
            }
            (Private::Token(uri), Some(token)) => {
                let opened = Pkcs11Uri::parse(&uri.0).map_err(|e| failed(e.to_string())).and_then(|uri| {
                    token.open_key(&uri).map_err(|e| failed(e.to_string()).next("see whether the token is there"))
                })?;
                Ok(Arc::new(opened))
            }
        }
    }

    /// Opens one that signs manifests: one algorithm for each type of key, as they are verified.
    pub(crate) fn open_for_manifests(&self, private: &Private) -> Result<Arc<dyn Signer>> {
        let failed = |why: &dyn std::fmt::Display| Failure::new("key", "a key does not sign manifests").because(why);
        let key = self.open(private)?;
        match (key.public_key().key_type(), private) {
            (KeyType::Rsa(_), Private::File(pkcs8)) => {
                let key = MemoryKey::open(pkcs8).map_err(|e| failed(&e))?;
                let key = key.with_algorithm(SignatureAlgorithm::RsaPssSha256).map_err(|e| failed(&e))?;
                Ok(Arc::new(key))
            }
            (KeyType::Rsa(_), Private::Token(_)) => Err(failed(&"keys of RSA are for files here")),
            _ => Ok(key),
        }
    }

    /// As it is shown to servers.
    pub(crate) fn shown(&self, private: &Private) -> Result<ShownKey> {
        Ok(match private {
            Private::File(pkcs8) => pkcs8.clone().into(),
            Private::Token(_) => ShownKey::Held(self.open(private)?),
        })
    }

    /// Takes keys out of the token that were made here and are none of these.
    pub(crate) fn destroy_others(&self, kept: &[&Private]) -> std::result::Result<(), TokenFault> {
        let kept: Vec<_> = kept.iter().filter_map(|private| private.uri()).collect();
        self.token.as_ref().map_or(Ok(()), |token| token.destroy_others(&self.prefix, &kept))
    }
}
