//! What who answers needs besides the messages.

pub mod central;
mod control;
mod crl_status;
mod fault;
mod general;
mod nested;
mod path;
mod request_template;

pub use control::old_cert_id;
pub use crl_status::{CrlSource, CrlStatus, write_lists};
pub use fault::failure;
pub use general::{RootUpdate, confirm_wait_time, write_certificates, write_root_update};
pub use nested::{nested_messages, write_messages};
pub use path::{BadPath, OPERATIONS, PREFIX, Route, decode_path};
pub use request_template::RequestTemplate;

use super::client::hash_of;
use crate::ocsp::{HashAlgorithm, oids};
use const_oid::ObjectIdentifier;
use x509::write::tag;
use x509::{Certificate, Writer};

/// Octets of nonces and transaction identifiers that are taken, and that we make. Source: RFC 9483 §3.1.
pub const NONCE_LEN: usize = 16;

/// What a confirmation of this certificate has as its hash: by the algorithm that it names, or by that of the certificate's
/// signature.
///
/// `None` if it names one that is not taken, or none where the signature has none of its own.
/// Source: RFC 9810 §5.3.18.
#[must_use]
pub fn cert_hash(certificate: &Certificate, hash_alg: Option<&[u8]>) -> Option<Vec<u8>> {
    let algorithm = match (hash_alg, hash_of(certificate.tbs().signature)) {
        (Some(named), _) => HASHES.into_iter().find_map(|(oid, hash)| is_named(named, oid).then_some(hash))?,
        (None, (hash, false)) => hash,
        (None, (_, true)) => return None,
    };
    Some(algorithm.hash(certificate.der()).octets().to_vec())
}

const HASHES: [(ObjectIdentifier, HashAlgorithm); 3] = [
    (oids::SHA256, HashAlgorithm::Sha256),
    (oids::SHA384, HashAlgorithm::Sha384),
    (oids::SHA512, HashAlgorithm::Sha512),
];

/// Whether an `AlgorithmIdentifier` is that of a hash; its parameters may be absent or NULL.
fn is_named(algorithm: &[u8], oid: ObjectIdentifier) -> bool {
    let written = |null: bool| {
        let mut w = Writer::with_capacity(16);
        w.sequence(|w| {
            w.oid(oid);
            if null {
                w.value(tag::NULL, &[]);
            }
        });
        w.finish()
    };
    [true, false].into_iter().any(|null| written(null) == algorithm)
}
