//! The validation authority: what is revoked, and who is told.

use crate::ra::Ra;
use model::contract::authority::RevocationReason;
use model::{Fault, Reason};
use x509::SerialNumber;

impl Ra {
    /// Revokes a certificate, for good.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the serial number is none; [`model::Reason::SerialUnknown`], [`model::Reason::AlreadyRevoked`];
    /// of a foreign authority's certificate [`model::Reason::ForeignRefused`], or [`Fault::Unavailable`] if it is not known
    /// whether that authority revoked it.
    pub fn revoke(&self, serial: &str, reason: RevocationReason) -> Result<(), Fault> {
        let serial = SerialNumber::from_hex(serial).ok_or(Fault::malformed("serial number"))?;
        // Where it was issued first: recorded here alone, it would be good for everybody else.
        self.revoke_abroad(&serial, reason)?;
        Ok(self.setting().store.revoke(&serial, reason, self.now())??)
    }

    /// Releases a certificate that is on hold.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the serial number is none; [`model::Reason::SerialUnknown`], [`model::Reason::NotHeld`].
    pub fn release(&self, serial: &str) -> Result<(), Fault> {
        let serial = SerialNumber::from_hex(serial).ok_or(Fault::malformed("serial number"))?;
        if self.foreign_issuer(&serial)?.is_some() {
            // There is no message for it: its operator releases it there, and its list says so here.
            return Err(Reason::KeyOffline.into());
        }
        Ok(self.setting().store.release(&serial, self.now())??)
    }
}
