//! A list of revoked certificates on its way to be signed.

use model::{Fault, UnixTime};
use ports::Signer;
use x509::crl::{CrlHead, RevokedCertificate, write_tbs};
use x509::{Certificate, csr, sha256};

/// A list that is not signed yet.
#[derive(Debug)]
pub struct DraftedCrl {
    tbs: Vec<u8>,
    algorithm: x509::SignatureAlgorithm,
}

/// Writes a full list of what `issuer` has revoked.
///
/// # Errors
/// [`Fault::Malformed`] if the times are in the wrong order.
pub fn draft(
    issuer: &Certificate,
    crl_number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
    revoked: &[RevokedCertificate],
) -> Result<DraftedCrl, Fault> {
    if next_update <= this_update {
        return Err(Fault::malformed("the list would end before it begins"));
    }
    let issuer_key = &issuer.tbs().subject_public_key;
    let algorithm = issuer_key.key_type().signs_with();
    let head = CrlHead {
        signature: algorithm,
        issuer: &issuer.tbs().subject,
        issuer_key,
        this_update: this_update.whole_second(),
        next_update: next_update.whole_second(),
        crl_number,
    };
    Ok(DraftedCrl { tbs: write_tbs(&head, revoked), algorithm })
}

impl DraftedCrl {
    /// SHA-256 of the octets that are to be signed.
    #[must_use]
    pub fn tbs_digest(&self) -> model::Digest {
        sha256(&self.tbs)
    }

    /// Signs it. The intent must be durable.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the key cannot be used or is not the issuer's.
    pub fn sign(self, key: &dyn Signer) -> Result<Vec<u8>, Fault> {
        if key.algorithm() != self.algorithm {
            return Err(Fault::unavailable("the key is not the issuer's"));
        }
        Ok(csr::write_signed(&self.tbs, self.algorithm, &key.sign(&self.tbs)?))
    }
}
