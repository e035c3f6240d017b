//! Who this server is, and what clients must show.

use model::UnixTime;
use ports::Clock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use x509::crl::CertificateList;
use x509::path::{Demands, Evidence, POOL_MAX, Revocation, validate};
use x509::{Certificate, oids};
use zeroize::Zeroizing;

/// Decides whom a client's certificate makes believed. That the client has the key is found out apart from it.
pub trait ClientVerifier: Send + Sync + 'static {
    /// Whether the certificate is believed; `others` came with it and may stand between it and an anchor. In DER.
    fn is_believed(&self, leaf: &[u8], others: &[&[u8]]) -> bool;
}

/// What clients show.
#[derive(Clone)]
pub enum Clients {
    /// Nothing: nobody is asked.
    Nobody,
    /// A certificate that is believed, or none.
    MayShow(Arc<dyn ClientVerifier>),
    /// A certificate that is believed.
    MustShow(Arc<dyn ClientVerifier>),
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oldest {
    /// 1.3, and nothing else.
    #[default]
    Tls13,
    /// 1.2 too, for clients that cannot be changed: with a key that is agreed on anew each time (ECDHE) and authenticated encryption. Extended
    /// master secrets (RFC 7627) are not demanded: what they protect needs a session that is resumed or negotiated anew, or a name of the
    /// connection, and here is none of the three.
    Tls12,
}

/// Why a server cannot be who it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadIdentity(String);

impl fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for BadIdentity {}

/// How HTTP/2 is called where TLS agrees on a protocol. Source: RFC 9113 §3.2.
pub(super) const HTTP_2: &[u8] = b"h2";

/// A server's certificate and key, and what it demands of clients.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Identity {
    /// `chain` in DER, the server's own certificate first; `key` as PKCS #8 in DER.
    ///
    /// TLS 1.3 only. No session is resumed: a resumed one would believe a client's certificate that has been revoked or has expired.
    /// # Errors
    /// [`BadIdentity`] if the key is none that TLS can use, or not the one of the certificate.
    pub fn new(chain: &[Vec<u8>], key: &Zeroizing<Vec<u8>>, clients: Clients) -> Result<Self, BadIdentity> {
        Self::speaking(Oldest::Tls13, chain, key, clients)
    }

    /// The same, from an older version on if that is wanted.
    ///
    /// # Errors
    /// As [`Identity::new`].
    pub fn speaking(
        oldest: Oldest,
        chain: &[Vec<u8>],
        key: &Zeroizing<Vec<u8>>,
        clients: Clients,
    ) -> Result<Self, BadIdentity> {
        let bad = |error: rustls::Error| BadIdentity(error.to_string());
        // What is recorded today is not read by a quantum computer later, with whoever knows how.
        let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
        let provider = Arc::new(CryptoProvider { kx_groups, ..rustls::crypto::aws_lc_rs::default_provider() });
        let algorithms = provider.signature_verification_algorithms;
        let versions: &[_] = match oldest {
            Oldest::Tls13 => &[&TLS13],
            Oldest::Tls12 => &[&TLS13, &TLS12],
        };
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(bad)?;
        let asking = |verifier, mandatory| Arc::new(Asking { verifier, mandatory, algorithms });
        let builder = match clients {
            Clients::Nobody => builder.with_no_client_auth(),
            Clients::MayShow(verifier) => builder.with_client_cert_verifier(asking(verifier, false)),
            Clients::MustShow(verifier) => builder.with_client_cert_verifier(asking(verifier, true)),
        };
        let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let mut config = builder.with_single_cert(chain, key).map_err(bad)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// What TLS is told, with HTTP/2 first if a connection may carry several requests at a time.
    pub(super) fn speaking_http(self, streams_max: u32) -> Arc<ServerConfig> {
        if streams_max == 0 {
            return self.config;
        }
        let mut config = Arc::unwrap_or_clone(self.config);
        config.alpn_protocols.insert(0, HTTP_2.to_vec());
        Arc::new(config)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

// What the TLS library asks, handed to who decides.
struct Asking {
    verifier: Arc<dyn ClientVerifier>,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}

impl ClientCertVerifier for Asking {
    fn offer_client_auth(&self) -> bool {
        true
    }
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let others: Vec<&[u8]> = others.iter().map(AsRef::as_ref).collect();
        if self.verifier.is_believed(leaf, &others) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes certificates for TLS clients that lead to one of its anchors, now.
pub struct ByAnchors {
    anchors: Vec<Certificate>,
    crls: RwLock<Vec<CertificateList>>,
    clock: Arc<dyn Clock>,
}

impl ByAnchors {
    /// With lists of revoked certificates, the state of a client's certificate must be known; without any, nobody's is asked.
    #[must_use]
    pub fn new(anchors: Vec<Certificate>, crls: Vec<CertificateList>, clock: Arc<dyn Clock>) -> Self {
        Self { anchors, crls: RwLock::new(crls), clock }
    }

    /// From now on these lists count, in place of those before. Who is connected stays so until the connection ends.
    pub fn replace(&self, crls: Vec<CertificateList>) {
        *self.crls.write().unwrap_or_else(PoisonError::into_inner) = crls;
    }

    fn leads(&self, leaf: &[u8], others: &[&[u8]], now: UnixTime) -> Option<()> {
        let leaf = Certificate::decode(leaf).ok()?;
        if others.len() > POOL_MAX {
            return None;
        }
        let pool: Vec<_> = others.iter().filter_map(|der| Certificate::decode(der).ok()).collect();
        let crls = self.crls.read().unwrap_or_else(PoisonError::into_inner);
        let evidence = Evidence { leaf: &leaf, pool: &pool, anchors: &self.anchors, crls: &crls };
        let revocation = if crls.is_empty() { Revocation::Unchecked } else { Revocation::Leaf };
        let demands = Demands { purpose: Some(oids::CLIENT_AUTH), revocation, ..Demands::default() };
        validate(&evidence, &demands, now).ok().map(|_path| ())
    }
}

impl ClientVerifier for ByAnchors {
    fn is_believed(&self, leaf: &[u8], others: &[&[u8]]) -> bool {
        self.leads(leaf, others, self.clock.now()).is_some()
    }
}

impl fmt::Debug for ByAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByAnchors({} anchors)", self.anchors.len())
    }
}
