//! The certificate that somebody shows for `acme-tls/1`.
//! Source: RFC 8737 §3, RFC 8738 §6.

use super::{Timed, reason};
use model::Reason;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use x509::Certificate;

/// The protocol that is offered, and nothing else. Source: RFC 8737 §6.2.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Takes any certificate: it is looked at by who knows what has to be in it. Its key must be there.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // It is not offered.
        Err(Error::General("TLS 1.2".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // By its key alone: the certificate has a critical extension that no library knows.
        let read = Certificate::decode(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(read.tbs().subject_public_key.spki());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The name that is asked for: of an address, its name in reverse. Source: RFC 8738 §6.
fn asked(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(address)) => {
            let digits = format!("{:032x}", u128::from(address));
            let reversed: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", reversed.join("."))
        }
        Err(_) => name.to_owned(),
    }
}

/// The certificate, in DER.
pub(super) fn certificate(mut line: Timed, name: &str) -> Result<Vec<u8>, Reason> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&rustls::version::TLS13]);
    let config = config.map_err(|_| Reason::ChallengeTls)?;
    let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(Any(provider))).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let server = ServerName::try_from(asked(name)).map_err(|_| Reason::ChallengeTls)?;
    let mut connection = ClientConnection::new(Arc::new(config), server).map_err(|_| Reason::ChallengeTls)?;
    while connection.is_handshaking() {
        let done = connection.complete_io(&mut line);
        let is_slow = |fault: &std::io::Error| reason(fault) == Reason::ChallengeSlow;
        done.map_err(|fault| if is_slow(&fault) { Reason::ChallengeSlow } else { Reason::ChallengeTls })?;
    }
    // Who does not know the protocol does not know the name either.
    if connection.alpn_protocol() != Some(PROTOCOL) {
        return Err(Reason::ChallengeTls);
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first).ok_or(Reason::ChallengeTls)?;
    Ok(shown.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_in_reverse() {
        // RFC 8738 §6, and its example for IPv6 in RFC 3596 §2.5.
        assert_eq!(asked("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            asked("4321:0:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
        assert_eq!(asked("a.example"), "a.example");
    }
}
