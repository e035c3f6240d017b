//! A list of revoked certificates: what it says of itself, and one signature over it, once the intent is durable.

use model::{Digest, Fault, UnixTime};
use ports::Signer;
use x509::crl::{CrlEntry, CrlHead, CrlScope, write_list};
use x509::{Certificate, sha256};

/// A list that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct DraftedCrl<'a> {
    /// Whose.
    pub issuer: &'a Certificate,
    /// Its number.
    pub crl_number: u64,
    /// When it is made.
    pub this_update: UnixTime,
    /// When the next one is due.
    pub next_update: UnixTime,
    /// Of what.
    pub scope: &'a CrlScope,
}

impl DraftedCrl<'_> {
    /// Writes the list and signs it in one buffer. `entries` is asked twice and must give the same both times; `intend`
    /// makes the intent to sign octets of this SHA-256 durable, and the key is asked only behind it.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the times are in the wrong order; [`Fault::Unavailable`] if the key cannot be used or is not
    /// the issuer's, or the entries were others the second time; what `intend` says.
    pub fn sign<I: IntoIterator<Item = CrlEntry>>(
        self,
        key: &dyn Signer,
        entries: impl Fn() -> I,
        intend: impl FnOnce(Digest) -> Result<(), Fault>,
    ) -> Result<Vec<u8>, Fault> {
        if self.next_update <= self.this_update {
            return Err(Fault::malformed("the list would end before it begins"));
        }
        let issuer_key = &self.issuer.tbs().subject_public_key;
        if key.public_key() != issuer_key {
            return Err(Fault::unavailable("the key is not the issuer's"));
        }
        let head = CrlHead {
            signature: key.algorithm(),
            issuer: &self.issuer.tbs().subject,
            issuer_key,
            this_update: self.this_update.whole_second(),
            next_update: self.next_update.whole_second(),
            crl_number: self.crl_number,
        };
        write_list(&head, self.scope, entries, |tbs| {
            intend(sha256(tbs))?;
            Ok(key.sign(tbs)?)
        })
    }
}
