//! The validation authority: what is revoked, and who is told.

use crate::ra::Ra;
use model::Fault;
use model::contract::authority::RevocationReason;
use x509::SerialNumber;

impl Ra {
    /// Revokes a certificate, for good.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the serial number is none; [`model::Reason::SerialUnknown`], [`model::Reason::AlreadyRevoked`].
    pub fn revoke(&self, serial: &str, reason: RevocationReason) -> Result<(), Fault> {
        let serial = SerialNumber::from_hex(serial).ok_or(Fault::malformed("serial number"))?;
        Ok(self.setting().store.revoke(&serial, reason, self.now())??)
    }

    /// Releases a certificate that is on hold.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the serial number is none; [`model::Reason::SerialUnknown`], [`model::Reason::NotHeld`].
    pub fn release(&self, serial: &str) -> Result<(), Fault> {
        let serial = SerialNumber::from_hex(serial).ok_or(Fault::malformed("serial number"))?;
        Ok(self.setting().store.release(&serial, self.now())??)
    }
}
