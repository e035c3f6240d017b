//! What km answers on the bus.

use crate::ca::Setting;
use crate::ra::Ra;
use model::contract::BATCH_LEN_MAX;
use model::contract::Subject;
use model::contract::authority::{
    Answer, AuthorityCreated, Certify, CertifyRequest, Confirm, Confirmed, CreateAuthority, Deposit, Deposited, Done,
    Entitle, Evidence, IssueCrl, Revoke,
};
use model::{Entity, Fault, Mode, Reason, TransactionId};
use ports::clock::random;
use ports::directory::Caller;
use ports::link::answer;
use ports::store::authority::{AuthorityRow, CertificateFilter, ClosedIntent};
use ports::{Link, Service, Signer};
use serde_json::value::RawValue;
use std::sync::Arc;
use x509::{Certificate, KeyType, Name, csr};

/// km: the RA and what it is asked.
pub struct Authority {
    ra: Ra,
    repaired: Vec<ClosedIntent>,
}

impl Authority {
    /// Starts km: closes what an earlier process left open, and finishes authorities whose certificate was recorded.
    ///
    /// # Errors
    /// [`Fault`] if the store cannot be read or written.
    pub fn start(setting: Setting) -> Result<Self, Fault> {
        let now = setting.clock.now();
        let repaired = setting.store.close_left_open(now)?;
        for row in setting.store.authorities()?.iter().filter(|row| row.certificate.is_empty()) {
            if let Some(certificate) = recorded_certificate(&setting, row)? {
                let key = certificate.tbs().subject_public_key.digest();
                setting.store.complete_authority(row.id, certificate.der(), key, now)?;
            }
        }
        Ok(Self { ra: Ra::new(setting)?, repaired })
    }

    /// The RA, for who runs in the same process and needs no bus.
    #[must_use]
    pub const fn ra(&self) -> &Ra {
        &self.ra
    }

    /// The intents that were closed at the start.
    #[must_use]
    pub fn repaired(&self) -> &[ClosedIntent] {
        &self.repaired
    }

    /// Makes a certification authority. Repeating it after an interruption goes on where it stopped.
    ///
    /// # Errors
    /// [`Reason::NameTaken`], [`Reason::ProfileUnknown`], [`Reason::KeyTypeNotAllowed`], [`Reason::IssuerUnknown`], and
    /// what the door says.
    pub fn create(&self, caller: &Caller, call: &CreateAuthority) -> Result<AuthorityCreated, Fault> {
        let setting = self.ra.setting();
        let profile = setting.profiles.get(&call.profile).filter(|p| p.is_authority()).ok_or(Reason::ProfileUnknown)?;
        let key_type = KeyType::by_name(&call.key_type).filter(|k| profile.key_types().contains(k));
        let key_type = key_type.ok_or(Reason::KeyTypeNotAllowed)?;
        if profile.issuers().is_empty() != call.issuer.is_none() {
            return Err(Reason::IssuerNotAllowed.into());
        }
        let issuer = call.issuer.as_ref().map(|name| self.ra.cas().find(name)).transpose()?;
        if self.ra.cas().find(&call.name).is_ok() {
            return Err(Reason::NameTaken.into());
        }
        let (uri, signer) = self.ra.cas().key(&call.name, key_type)?;
        let row = self.begin(call, &uri)?;
        let ca = match issuer {
            Some(issuer) => issuer,
            None => self.ra.cas().unfinished(row.clone(), Arc::clone(&signer)),
        };
        let request = CertifyRequest {
            transaction_id: TransactionId::at(self.ra.now(), random(setting.entropy.as_ref())),
            subject: Entity::Authority(call.name.clone()),
            profile: call.profile.clone(),
            evidence: Evidence::Pkcs10(request_of(signer.as_ref())?.into()),
        };
        let certificate = match self.ra.admit_authority(caller, request, ca)? {
            Answer::Issued { certificate, .. } => certificate,
            Answer::Failed(fault) => return Err(fault),
        };
        setting.store.complete_authority(row.id, certificate.as_ref(), signer.public_key().digest(), self.ra.now())?;
        self.ra.cas().reload()?;
        Ok(AuthorityCreated { certificate })
    }

    fn begin(&self, call: &CreateAuthority, key: &ports::keystore::KeyUri) -> Result<AuthorityRow, Fault> {
        let store = &self.ra.setting().store;
        let unfinished = |row: &AuthorityRow| row.name == call.name && row.certificate.is_empty();
        if let Some(row) = store.authorities()?.into_iter().find(unfinished) {
            return Ok(row);
        }
        let id = store.begin_authority(&call.name, key, call.issuer.as_ref(), &call.profile, self.ra.now())??;
        let (name, key, issuer) = (call.name.clone(), key.clone(), call.issuer.clone());
        Ok(AuthorityRow { id, name, key, issuer, certificate: Vec::new() })
    }

    fn confirm(&self, caller: &Caller, call: Confirm) -> Result<Confirmed, Fault> {
        if call.confirmations.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more confirmations than a batch may have"));
        }
        let verdicts = call.confirmations.into_iter().map(|c| (c.transaction_id, c.verdict)).collect();
        let results = self.ra.setting().store.confirm(caller, verdicts, self.ra.now())?;
        Ok(Confirmed { results: results.into_iter().map(|r| r.map_err(Fault::Refused)).collect() })
    }

    fn deposit(&self, call: &Deposit) -> Result<Deposited, Fault> {
        if call.grants.len() > BATCH_LEN_MAX {
            return Err(Fault::malformed("more grants than a batch may have"));
        }
        // Authorities get their grant in the ceremony that makes them, never from a list.
        let profile_of = |name| self.ra.setting().profiles.get(name).ok_or(Reason::ProfileUnknown);
        for grant in &call.grants {
            if profile_of(&grant.profile)?.is_authority() {
                return Err(Reason::IssuerNotAllowed.into());
            }
        }
        let new = self.ra.setting().store.deposit(&call.origin, &call.grants, self.ra.now())?;
        Ok(Deposited { new })
    }
}

fn recorded_certificate(setting: &Setting, row: &AuthorityRow) -> Result<Option<Certificate>, Fault> {
    let subject = Some(Entity::Authority(row.name.clone()));
    let filter = CertificateFilter { subject, revoked: Some(false), limit: 1, ..CertificateFilter::default() };
    let recorded = setting.store.certificates(&filter)?.pop();
    Ok(recorded.map(|row| Certificate::decode(&row.der)).transpose()?)
}

/// A request that an authority makes for itself; its name comes from the grant.
fn request_of(signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    Ok(csr::write_signed(&info, signer.algorithm(), &signer.sign(&info)?))
}

/// km on the bus: what it answers depends on the operation mode, which its link knows.
struct Answering {
    authority: Arc<Authority>,
    link: Arc<Link>,
}

impl Authority {
    /// km as a service of its link.
    #[must_use]
    pub fn on(self: &Arc<Self>, link: &Arc<Link>) -> Arc<dyn Service> {
        Arc::new(Answering { authority: Arc::clone(self), link: Arc::clone(link) })
    }
}

impl Service for Answering {
    fn answer(&self, caller: &Caller, subject: Subject, body: &RawValue) -> Result<Box<RawValue>, Fault> {
        let km = &self.authority;
        match subject {
            Subject::AuthorityCertify => answer(body, |call: Certify| km.ra.admit(caller, &call)),
            Subject::AuthorityConfirm => answer(body, |call: Confirm| km.confirm(caller, call)),
            Subject::AuthorityDeposit => answer(body, |call: Deposit| km.deposit(&call)),
            Subject::AuthorityEntitle => answer(body, |call: Entitle| {
                let Entitle { station, device_type, quota, until } = call;
                let store = &km.ra.setting().store;
                store.entitle(&station, &device_type, quota, until, km.ra.now())?;
                Ok(Done {})
            }),
            Subject::AuthorityCreate => answer(body, |call: CreateAuthority| {
                let held = self.link.gate().open(self.link.now())?;
                if held.binding.current != Mode::Ceremony {
                    return Err(Reason::WrongMode.into());
                }
                km.create(caller, &call)
            }),
            Subject::AuthorityRevoke => answer(body, |call: Revoke| {
                km.ra.revoke(&call.serial, call.reason)?;
                Ok(Done {})
            }),
            Subject::AuthorityCrl => answer(body, |call: IssueCrl| km.ra.issue_crl(&call.authority)),
            Subject::IdentityImportList
            | Subject::IdentityDeposit
            | Subject::IdentityAdmit
            | Subject::IdentityRecord
            | Subject::IdentityMark
            | Subject::SoftwareImport
            | Subject::SoftwareTrust
            | Subject::ModeLease
            | Subject::ModeSeal => Err(Reason::WrongSubject.into()),
        }
    }
}
