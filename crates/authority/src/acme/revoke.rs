//! `revokeCert`: by the account of the device, or by whoever has the key of the certificate.

use super::{No, Said, Talk};
use model::Reason;
use ports::store::acme::Account;
use ports::store::authority::CertificateRow;
use wire::acme::{Jws, Revocation};
use x509::{Certificate, PublicKey};

impl Talk<'_> {
    /// The certificate, if it is octet for octet one of ours.
    fn ours(&self, wish: &Revocation) -> Result<(CertificateRow, Certificate), No> {
        let read = Certificate::decode(&wish.certificate).map_err(model::Fault::from)?;
        let found = self.ra.setting().store.certificate(&read.tbs().serial_number)?;
        let row = found.filter(|row| row.der == wish.certificate).ok_or(Reason::SerialUnknown)?;
        Ok((row, read))
    }

    /// Source: RFC 8555 §7.6.
    pub(super) fn revoke_by_account(&self, account: &Account, payload: &[u8]) -> Result<Said, No> {
        let wish = Revocation::read(payload)?;
        let (row, _) = self.ours(&wish)?;
        if row.subject != account.subject {
            return Err(Reason::OtherCertificate.into());
        }
        self.revoke(&row, &wish)
    }

    /// Source: RFC 8555 §7.6.
    pub(super) fn revoke_by_key(&self, jws: &Jws, key: &PublicKey, payload: &[u8]) -> Result<Said, No> {
        let _ours = self.fresh_nonce(jws)?;
        let wish = Revocation::read(payload)?;
        let (row, read) = self.ours(&wish)?;
        // Devices only: what operators and modules have is not revoked from outside.
        if read.tbs().subject_public_key != *key || row.subject.device().is_none() {
            return Err(Reason::OtherCertificate.into());
        }
        self.spend_nonce(jws)?;
        self.revoke(&row, &wish)
    }

    fn revoke(&self, row: &CertificateRow, wish: &Revocation) -> Result<Said, No> {
        self.ra.revoke(&row.serial.to_string(), wish.reason)?;
        Ok(Said { status: 200, media_type: wire::acme::JSON, ..Said::default() })
    }
}
