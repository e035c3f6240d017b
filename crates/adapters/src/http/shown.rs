//! What a client shows to a server that asks who it is: a certificate, and a key that signs the handshake, wherever that key is.

use crate::cmp::BadAddress;
use ports::Signer;
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use x509::{KeyType, SignatureAlgorithm};
use zeroize::Zeroizing;

/// What is shown to a server that asks who we are.
#[derive(Clone)]
pub struct Shown {
    /// Our certificate, and those between it and its root, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key.
    pub key: ShownKey,
}

/// A private key, or what signs with one.
#[derive(Clone)]
pub enum ShownKey {
    /// PKCS #8, in DER.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// It is elsewhere, such as in a token: P-256, P-384, P-521, Ed25519, or RSA with PSS.
    Held(Arc<dyn Signer>),
}

impl From<Zeroizing<Vec<u8>>> for ShownKey {
    fn from(pkcs8: Zeroizing<Vec<u8>>) -> Self {
        Self::Pkcs8(pkcs8)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl Shown {
    pub(crate) fn show(
        &self,
        config: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, BadAddress> {
        let bad = || BadAddress("the key for TLS cannot be used, or is not that of the certificate");
        let chain: Vec<_> = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        match &self.key {
            ShownKey::Pkcs8(pkcs8) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
                config.with_client_auth_cert(chain, key).map_err(|_| bad())
            }
            ShownKey::Held(signer) => {
                let held = Held::of(Arc::clone(signer)).ok_or_else(bad)?;
                let certified = CertifiedKey::new(chain, Arc::new(held));
                certified.keys_match().map_err(|_| bad())?;
                Ok(config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
            }
        }
    }
}

/// A key that signs in one way.
#[derive(Clone)]
struct Held {
    signer: Arc<dyn Signer>,
    scheme: SignatureScheme,
}

impl Held {
    // RFC 8446 §4.2.3: the hash belongs to the curve, and RSA signs with PSS only.
    fn of(signer: Arc<dyn Signer>) -> Option<Self> {
        let scheme = match (signer.public_key().key_type(), signer.algorithm()) {
            (KeyType::P256, SignatureAlgorithm::EcdsaSha256) => SignatureScheme::ECDSA_NISTP256_SHA256,
            (KeyType::P384, SignatureAlgorithm::EcdsaSha384) => SignatureScheme::ECDSA_NISTP384_SHA384,
            (KeyType::P521, SignatureAlgorithm::EcdsaSha512) => SignatureScheme::ECDSA_NISTP521_SHA512,
            (KeyType::Ed25519, SignatureAlgorithm::Ed25519) => SignatureScheme::ED25519,
            (KeyType::Rsa(_), SignatureAlgorithm::RsaPssSha256) => SignatureScheme::RSA_PSS_SHA256,
            (KeyType::Rsa(_), SignatureAlgorithm::RsaPssSha384) => SignatureScheme::RSA_PSS_SHA384,
            (KeyType::Rsa(_), SignatureAlgorithm::RsaPssSha512) => SignatureScheme::RSA_PSS_SHA512,
            _ => return None,
        };
        Some(Self { signer, scheme })
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({:?})", self.scheme)
    }
}

impl rustls::sign::SigningKey for Held {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered.contains(&self.scheme).then(|| -> Box<dyn rustls::sign::Signer> { Box::new(self.clone()) })
    }
    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        Some(self.signer.public_key().spki().into())
    }
    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.signer.public_key().key_type() {
            KeyType::Ed25519 => rustls::SignatureAlgorithm::ED25519,
            KeyType::Rsa(_) => rustls::SignatureAlgorithm::RSA,
            _ => rustls::SignatureAlgorithm::ECDSA,
        }
    }
}

impl rustls::sign::Signer for Held {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.signer.sign(message).map_err(|fault| rustls::Error::General(fault.to_string()))
    }
    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
