//! The validation authority: what is revoked, and who is told.

use crate::ra::Ra;
use model::contract::authority::{CrlIssued, RevocationReason};
use model::{AuthorityName, Fault, Reason};
use ports::store::authority::CrlRow;
use x509::{SerialNumber, sha256};

/// How long a list is valid. A box without a network makes one when something is revoked, or a person asks; thirty days
/// give that person time.
pub const CRL_LIFETIME_S: u64 = 30 * 86_400;
impl Ra {
    /// Revokes a certificate, for good.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the serial number is none; [`Reason::SerialUnknown`], [`Reason::AlreadyRevoked`].
    pub fn revoke(&self, serial: &str, reason: RevocationReason) -> Result<(), Fault> {
        let serial = SerialNumber::from_hex(serial).ok_or(Fault::malformed("serial number"))?;
        Ok(self.setting().store.revoke(&serial, reason, self.now())??)
    }

    /// Makes a full list of what an authority has revoked.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`]; [`Reason::ClockBackwards`] if the last list is from later; [`Fault::Unavailable`].
    pub fn issue_crl(&self, authority: &AuthorityName) -> Result<CrlIssued, Fault> {
        let ca = self.cas().find(authority)?;
        let certificate = ca.certificate().ok_or(Reason::IssuerUnknown)?;
        let store = &self.setting().store;
        let this_update = self.now();
        let last = store.crl(ca.row().id)?;
        if last.is_some_and(|last| last.this_update > this_update) {
            return Err(Reason::ClockBackwards.into());
        }
        let next_update = this_update.plus_s(CRL_LIFETIME_S);
        let revoked = store.revoked(ca.row().id)?;
        let number = store.next_crl_number(ca.row().id)?;
        let drafted = issue::crl::draft(certificate, number, this_update, next_update, &revoked)?;
        store.intend_crl(ca.row(), number, drafted.tbs_digest(), this_update)?;
        let der = drafted.sign(ca.signer()?.as_ref())?;
        let digest = sha256(&der);
        store.record_crl(ca.row(), CrlRow { number, this_update, next_update, der: der.clone() })?;
        let entries = u64::try_from(revoked.len()).unwrap_or(u64::MAX);
        Ok(CrlIssued { crl: der.into(), number, entries, digest })
    }
}
