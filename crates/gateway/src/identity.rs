//! The gateway's own certificates, from km. The keys of those for TLS are made anew each time, and never leave memory.

use crate::km::Km;
use adapters::keystore::memory::MemoryKey;
use model::contract::enrolment::CertifyServer;
use model::{EstLabel, Fault, UnixTime};
use ports::Signer;
use x509::extension::{GeneralName, subject_alt_name};
use x509::{Certificate, KeyType, Name, csr};
use zeroize::Zeroizing;

/// A TLS certificate and its key.
pub struct Certified {
    /// It, and those above it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key, as PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// When another one is due: when two thirds of its time are over.
    pub due: UnixTime,
}

/// Makes a key and has it certified for these host names.
///
/// # Errors
/// [`Fault`]
pub fn certified(km: &dyn Km, names: &[String]) -> Result<Certified, Fault> {
    let made = MemoryKey::generate_pkcs8(KeyType::P256).and_then(|pkcs8| Ok((MemoryKey::open(&pkcs8)?, pkcs8)));
    let (signer, key) = made.map_err(|_| Fault::unavailable("no key could be made"))?;
    let names: Vec<_> = names.iter().cloned().map(GeneralName::Dns).collect();
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[subject_alt_name(&names, true)]);
    let signature = signer.sign(&info).map_err(|_| Fault::unavailable("the new key does not sign"))?;
    let request = csr::write_signed(&info, signer.algorithm(), &signature);
    let chain = km.certify_server(&CertifyServer { request: request.into(), scep: None })?.chain;
    let chain: Vec<Vec<u8>> = chain.into_iter().map(|der| der.0).collect();
    let due = chain.first().and_then(|der| due(der)).ok_or(Fault::unavailable("km gave no certificate"))?;
    Ok(Certified { chain, key, due })
}

/// Has a key of RSA certified for opening, under a label of SCEP, what clients send, and for signing what they get.
///
/// # Errors
/// [`Fault`]
pub(crate) fn certified_for_scep(km: &dyn Km, label: &EstLabel, key: Zeroizing<Vec<u8>>) -> Result<Certified, Fault> {
    let signer = MemoryKey::open(&key).map_err(|_| Fault::unavailable("the new key cannot be opened"))?;
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    let signature = signer.sign(&info).map_err(|_| Fault::unavailable("the new key does not sign"))?;
    let request = csr::write_signed(&info, signer.algorithm(), &signature).into();
    let chain = km.certify_server(&CertifyServer { request, scep: Some(label.clone()) })?.chain;
    let chain: Vec<Vec<u8>> = chain.into_iter().map(|der| der.0).collect();
    let due = chain.first().and_then(|der| due(der)).ok_or(Fault::unavailable("km gave no certificate"))?;
    Ok(Certified { chain, key, due })
}

/// When a certificate is due to be replaced. `None` if it is none.
#[must_use]
pub(crate) fn due(der: &[u8]) -> Option<UnixTime> {
    let certificate = Certificate::decode(der).ok()?;
    let tbs = certificate.tbs();
    let lifetime = tbs.not_after.s().saturating_sub(tbs.not_before.s());
    Some(tbs.not_before.plus_s(lifetime / 3 * 2))
}
