//! `rr`: a device revokes what is its own, or takes a hold back.
//!
//! Prevents: the revocation of another's certificate; a certificate that is good again although it was revoked for good.

use super::answer::Said;
use super::asker::{Asker, Proof};
use super::{No, Offer, Talk};
use model::contract::authority::RevocationReason;
use model::{DeviceId, Entity, Reason};
use ports::store::authority::CertificateRow;
use wire::cmp::body::RevDetails;
use wire::cmp::status::FailureInfo;
use wire::cmp::template::{certificate_of, is_revival, reason_of};
use x509::Certificate;

impl Talk<'_> {
    /// `rr`. Source: RFC 9810 §5.3.9, RFC 9483 §4.2.
    pub(super) fn revoke(&self, asker: &Asker, offer: &Offer, list: &[RevDetails<'_>]) -> Result<Said, No> {
        // A secret is for a certificate, not against one.
        let Proof::Certificate(_) = asker.proof else { return Err(Reason::ClientUnproved.into()) };
        let device = asker.device().ok_or(Reason::ClientUnproved)?;
        let [details] = list else {
            return Err(No::malformed("one certificate is revoked at a time", FailureInfo::BAD_REQUEST));
        };
        self.is_first(asker, offer)?;
        let row = self.own_certificate(device, details)?;
        let serial = row.serial.to_string();
        self.begin(&self.new_exchange(asker, offer, Entity::Device(device.clone()), row.transaction_id))?;
        if is_revival(details.crl_entry_details) {
            self.ra.release(&serial)?;
            return Ok(Said::Revoked);
        }
        match reason_of(details.crl_entry_details) {
            None | Some(RevocationReason::CaCompromise) => {
                Err(No::malformed("no reason of a device's own", FailureInfo::BAD_REQUEST))
            }
            Some(reason) => {
                self.ra.revoke(&serial, reason)?;
                Ok(Said::Revoked)
            }
        }
    }

    /// The certificate that is named, if it is one of who asks.
    fn own_certificate(&self, device: &DeviceId, details: &RevDetails<'_>) -> Result<CertificateRow, No> {
        let named = certificate_of(details.cert_details);
        let (issuer, serial) =
            named.ok_or(No::malformed("issuer and serialNumber name a certificate", FailureInfo::BAD_DATA_FORMAT))?;
        let is_of = |name: &x509::Name| name.matches(&issuer);
        let ours = self.ra.cas().all();
        if !ours.iter().filter_map(|ca| ca.certificate()).any(|ca| is_of(&ca.tbs().subject)) {
            return Err(Reason::IssuerUnknown.into());
        }
        let row = self.ra.setting().store.certificate(&serial)?.ok_or(Reason::SerialUnknown)?;
        if !Certificate::decode(&row.der).is_ok_and(|certificate| is_of(&certificate.tbs().issuer)) {
            return Err(Reason::SerialUnknown.into());
        }
        if row.subject != Entity::Device(device.clone()) {
            return Err(Reason::OtherCertificate.into());
        }
        Ok(row)
    }
}
