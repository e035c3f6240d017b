//! Room: octets in, structures out, and back. No I/O, no clock, no randomness, no policy.
//!
//! Reading is strict DER under limits and keeps the original octets of everything that is signed. Writing is direct:
//! one pass into one buffer. Signatures are verified here, because a structure that is not verified says nothing.

pub mod algorithm;
pub mod certificate;
pub mod certs_only;
pub mod cms;
pub mod constraints;
pub mod crl;
pub mod crmf;
pub mod csr;
pub mod extension;
pub mod key;
pub mod name;
pub mod oids;
pub mod path;
pub mod pem;
pub mod points;
pub mod policy;
mod read;
pub mod serial;
pub mod signature;
pub mod time;
pub mod weak;
pub mod write;

pub use algorithm::{KeyType, SignatureAlgorithm};
pub use certificate::Certificate;
pub use cms::SignedData;
pub use crl::CertificateList;
pub use crmf::CertReqMsg;
pub use csr::CertificationRequest;
pub use extension::Extension;
pub use key::PublicKey;
pub use name::Name;
pub use read::BadDer;
pub use serial::SerialNumber;
pub use write::Writer;

/// SHA-256 of some octets.
#[must_use]
pub fn sha256(octets: &[u8]) -> model::Digest {
    as_digest(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets))
}

/// SHA-256 of octets in several parts, as if they were one.
#[must_use]
pub fn sha256_of_parts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> model::Digest {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    parts.for_each(|part| context.update(part));
    as_digest(context.finish())
}

fn as_digest(digest: aws_lc_rs::digest::Digest) -> model::Digest {
    let Some(digest) = model::Digest::from_slice(digest.as_ref()) else {
        unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
    };
    digest
}
