//! Making, taking in, limiting and replacing certification authorities.

use crate::ca::{Ca, Setting};
use crate::contract::Authority;
use issue::Profile;
use model::contract::authority::{Answer, CertifyRequest, Done, Evidence};
use model::contract::hierarchy::{
    AuthorityCreated, AuthorityRequested, AuthorityRolledOver, CreateAuthority, ImportAuthority, InstallAuthority,
    LimitAuthority, SignAuthority,
};
use model::{AuthorityName, Base64, Entity, Fault, ProfileName, Reason, TransactionId, UnixTime};
use ports::Signer;
use ports::clock::random;
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::authority::{AuthorityLimits, AuthorityRow, CertificateFilter, Kept, Replacement};
use std::sync::Arc;
use x509::{Certificate, CertificationRequest, KeyType, Name, csr};

/// Behind the name of an authority whose key is being replaced, while it is being made.
const NEXT: &str = "next";

/// Certificates of one authority that are looked at: far more than it has.
const OWN_MAX: u32 = 1000;

/// Finishes authorities whose certificate was recorded before an interruption: by the issuer that they wait for, and by
/// no other, which may have certified an authority of another box under the same name.
pub(crate) fn finish_left_open(setting: &Setting, now: UnixTime) -> Result<(), Fault> {
    for row in setting.store.authorities()?.iter().filter(|row| row.certificate.is_empty()) {
        let filter = CertificateFilter {
            subject: Some(Entity::Authority(row.name.clone())),
            authority: Some(row.issuer.clone().unwrap_or_else(|| row.name.clone())),
            revoked: Some(false),
            limit: OWN_MAX,
            ..CertificateFilter::default()
        };
        let recorded = setting.store.certificates(&filter)?;
        if let Some(recorded) = recorded.into_iter().find(|recorded| recorded.kept == Kept::Octets) {
            let certificate = Certificate::decode(&recorded.der)?;
            let key = certificate.tbs().subject_public_key.digest();
            setting.store.complete_authority(row.id, certificate.der(), key, now)?;
        }
    }
    Ok(())
}

impl Authority {
    /// Makes a certification authority. Repeating it after an interruption goes on where it stopped.
    ///
    /// # Errors
    /// [`Reason::NameTaken`], [`Reason::ProfileUnknown`], [`Reason::KeyTypeNotAllowed`], [`Reason::IssuerUnknown`], and
    /// what the door says.
    pub fn create(&self, caller: &Caller, call: &CreateAuthority) -> Result<AuthorityCreated, Fault> {
        let (_, key_type) = self.plan(call)?;
        let issuer = call.issuer.as_ref().map(|name| self.ra().cas().find(name)).transpose()?;
        if issuer.as_ref().is_some_and(|issuer| issuer.is_foreign()) {
            // Before there is a key: what a foreign authority certifies is no authority.
            return Err(Reason::IssuerNotAllowed.into());
        }
        if self.ra().cas().find(&call.name).is_ok() {
            return Err(Reason::NameTaken.into());
        }
        let (uri, signer) = self.ra().cas().key(call, &call.name, key_type)?;
        let row = self.begin(&call.name, call, &uri)?;
        let ca = match issuer {
            Some(issuer) => issuer,
            None => self.ra().cas().unfinished(row.clone(), Arc::clone(&signer)),
        };
        let transaction_id = self.new_transaction();
        let certificate = self.certify(caller, transaction_id, &call.name, &call.profile, signer.as_ref(), ca)?;
        let key = signer.public_key().digest();
        self.ra().setting().store.complete_authority(row.id, certificate.as_ref(), key, self.ra().now())?;
        self.ra().reload()?;
        Ok(AuthorityCreated { certificate })
    }

    /// Takes in the certificate of an authority whose key is elsewhere.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if it is no certificate, or not one of an authority; [`Reason::IssuerUnknown`];
    /// [`Reason::IssuerNotAllowed`] if the issuer did not sign it; [`Reason::NameTaken`].
    pub fn import(&self, call: &ImportAuthority) -> Result<Done, Fault> {
        let certificate = Certificate::decode(call.certificate.as_ref())?;
        self.check_signed(&certificate, call.issuer.as_ref())?;
        let key = certificate.tbs().subject_public_key.digest();
        let store = &self.ra().setting().store;
        store.import_authority(&call.name, call.issuer.as_ref(), certificate.der(), key, self.ra().now())??;
        self.ra().reload()?;
        Ok(Done {})
    }

    /// Makes the key of an authority whose certificate is signed elsewhere, and the request for it.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn request(&self, call: &CreateAuthority) -> Result<AuthorityRequested, Fault> {
        let (_, key_type) = self.plan(call)?;
        let issuer = call.issuer.as_ref().ok_or(Reason::IssuerNotAllowed)?;
        self.ra().cas().find(issuer)?;
        if self.ra().cas().find(&call.name).is_ok() {
            return Err(Reason::NameTaken.into());
        }
        let (uri, signer) = self.ra().cas().key(call, &call.name, key_type)?;
        self.begin(&call.name, call, &uri)?;
        Ok(AuthorityRequested { request: request_of(signer.as_ref())?.into() })
    }

    /// Gives an authority that was requested its certificate.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`] if it was not requested; [`Reason::KeyChanged`] if the certificate is for another key;
    /// [`Reason::IssuerNotAllowed`] if another issuer signed it.
    pub fn install(&self, call: &InstallAuthority) -> Result<Done, Fault> {
        let certificate = Certificate::decode(call.certificate.as_ref())?;
        let store = &self.ra().setting().store;
        let waits = |row: &AuthorityRow| row.name == call.name && row.certificate.is_empty();
        let row = store.authorities()?.into_iter().find(waits).ok_or(Reason::IssuerUnknown)?;
        let signer = self.ra().setting().keystore.open(&row.key)?;
        if *signer.public_key() != certificate.tbs().subject_public_key {
            return Err(Reason::KeyChanged.into());
        }
        self.check_signed(&certificate, row.issuer.as_ref())?;
        store.complete_authority(row.id, certificate.der(), signer.public_key().digest(), self.ra().now())?;
        self.ra().reload()?;
        Ok(Done {})
    }

    /// Signs the request of an authority of another installation.
    ///
    /// # Errors
    /// [`Reason::ProfileUnknown`], [`Reason::IssuerUnknown`], [`Reason::NameTaken`] if it is one of ours;
    /// [`Reason::KeyInUse`] if its key waits here under another name; [`Fault::Malformed`]; and what the door says.
    pub fn sign(&self, caller: &Caller, call: &SignAuthority) -> Result<AuthorityCreated, Fault> {
        let setting = self.ra().setting();
        setting.profiles.get(&call.profile).filter(|p| p.is_authority()).ok_or(Reason::ProfileUnknown)?;
        let ca = self.ra().cas().find(&call.issuer)?;
        if self.ra().cas().find(&call.name).is_ok() {
            return Err(Reason::NameTaken.into());
        }
        self.refuse_waiting(call)?;
        setting.store.allow(&Entity::Authority(call.name.clone()), &call.profile, 1, self.ra().now())?;
        let evidence = Evidence::Pkcs10(call.request.clone());
        let certificate = self.admit(caller, self.new_transaction(), &call.name, &call.profile, evidence, ca)?;
        Ok(AuthorityCreated { certificate })
    }

    /// Refuses the name and the key of an authority of ours which waits for another issuer: its request was brought to
    /// the wrong installation, or never left the right one.
    fn refuse_waiting(&self, call: &SignAuthority) -> Result<(), Fault> {
        let setting = self.ra().setting();
        let wanted = CertificationRequest::decode(call.request.as_ref())?.public_key;
        let rows = setting.store.authorities()?;
        let elsewhere = |row: &&AuthorityRow| row.issuer.as_ref() != Some(&call.issuer);
        for row in rows.iter().filter(|row| row.certificate.is_empty()).filter(elsewhere) {
            if row.name == call.name {
                return Err(Reason::NameTaken.into());
            }
            // A key that cannot be opened here did not make this request here.
            if setting.keystore.open(&row.key).is_ok_and(|signer| *signer.public_key() == wanted) {
                return Err(Reason::KeyInUse.into());
            }
        }
        Ok(())
    }

    /// Says what an authority may do, beside what its certificate says.
    ///
    /// # Errors
    /// [`Reason::IssuerUnknown`]
    pub fn limit(&self, call: &LimitAuthority) -> Result<Done, Fault> {
        let ca = self.ra().cas().find(&call.name)?;
        let limits = AuthorityLimits { quota: call.quota, ends: call.ends };
        self.ra().setting().store.limit(ca.row(), limits, self.ra().now())?;
        self.ra().reload()?;
        Ok(Done {})
    }

    /// Gives an authority a new key. For a root, the certificates that connect both keys are made too.
    /// Source: RFC 9810 §4.4.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn rollover(&self, caller: &Caller, call: &CreateAuthority) -> Result<AuthorityRolledOver, Fault> {
        let (profile, key_type) = self.plan(call)?;
        let old = self.ra().cas().find(&call.name)?;
        if old.is_foreign() {
            return Err(Reason::KeyOffline.into());
        }
        if old.row().issuer != call.issuer {
            return Err(Reason::IssuerNotAllowed.into());
        }
        let next = name(&call.name, NEXT)?;
        let generation = self.generation(&call.name)?;
        let label = name(&call.name, &format!("g{}", generation + 1))?;
        let (uri, signer) = self.ra().cas().key(call, &label, key_type)?;
        let row = self.begin(&next, call, &uri)?;
        let new = self.ra().cas().unfinished(row.clone(), Arc::clone(&signer));
        let ca = match &call.issuer {
            Some(issuer) => self.ra().cas().find(issuer)?,
            None => Arc::clone(&new),
        };
        let store = &self.ra().setting().store;
        let is_root = profile.issuers().is_empty();
        let subject = Entity::Authority(call.name.clone());
        store.allow(&subject, &call.profile, if is_root { 3 } else { 1 }, self.ra().now())?;
        let make = |n: u8, key: &dyn Signer, ca: &Arc<Ca>| {
            self.certify(caller, step(&row, n), &call.name, &call.profile, key, Arc::clone(ca))
        };
        let certificate = make(0, signer.as_ref(), &ca)?;
        let mut links = Vec::new();
        if is_root {
            links.push(make(1, old.signer()?.as_ref(), &new)?);
            links.push(make(2, signer.as_ref(), &old)?);
        }
        let renamed = name(&call.name, &generation.to_string())?;
        let replacement = Replacement {
            old: old.row().id,
            renamed: renamed.clone(),
            new: row.id,
            certificate: certificate.as_ref().to_vec(),
            key: signer.public_key().digest(),
            links: links.iter().map(|link| link.as_ref().to_vec()).collect(),
        };
        store.replace_authority(&replacement, self.ra().now())?;
        self.ra().reload()?;
        Ok(AuthorityRolledOver { certificate, renamed, links })
    }

    /// What kind of authority is wanted, if the profile leaves it.
    fn plan(&self, call: &CreateAuthority) -> Result<(Arc<Profile>, KeyType), Fault> {
        let profiles = &self.ra().setting().profiles;
        let profile = profiles.get(&call.profile).filter(|p| p.is_authority()).ok_or(Reason::ProfileUnknown)?;
        let key_type = KeyType::by_name(&call.key_type).filter(|k| profile.key_types().contains(k));
        let key_type = key_type.ok_or(Reason::KeyTypeNotAllowed)?;
        if profile.issuers().is_empty() != call.issuer.is_none() {
            return Err(Reason::IssuerNotAllowed.into());
        }
        Ok((Arc::clone(profile), key_type))
    }

    fn begin(&self, name: &AuthorityName, call: &CreateAuthority, key: &KeyUri) -> Result<AuthorityRow, Fault> {
        let store = &self.ra().setting().store;
        let unfinished = |row: &AuthorityRow| row.name == *name && row.certificate.is_empty();
        if let Some(row) = store.authorities()?.into_iter().find(unfinished) {
            return Ok(row);
        }
        let id = store.begin_authority(name, key, call.issuer.as_ref(), &call.profile, self.ra().now())??;
        let (name, key, issuer) = (name.clone(), key.clone(), call.issuer.clone());
        let limits = AuthorityLimits::default();
        Ok(AuthorityRow { id, name, key, issuer, certificate: Vec::new(), limits, retired: false })
    }

    /// Under which number the authority's present key goes on: the first that makes a free name.
    fn generation(&self, of: &AuthorityName) -> Result<usize, Fault> {
        let rows = self.ra().setting().store.authorities()?;
        let taken = |n: usize| rows.iter().any(|row| row.name.as_str() == format!("{of}-{n}"));
        // One more number than there are names: one of them is free.
        (1..=rows.len() + 1).find(|n| !taken(*n)).ok_or(Reason::NameTaken.into())
    }

    fn new_transaction(&self) -> TransactionId {
        TransactionId::at(self.ra().now(), random(self.ra().setting().entropy.as_ref()))
    }

    /// Has a key certified that is here, through the same door as any other.
    fn certify(
        &self,
        caller: &Caller,
        transaction_id: TransactionId,
        name: &AuthorityName,
        profile: &ProfileName,
        key: &dyn Signer,
        ca: Arc<Ca>,
    ) -> Result<Base64, Fault> {
        let evidence = Evidence::Pkcs10(request_of(key)?.into());
        self.admit(caller, transaction_id, name, profile, evidence, ca)
    }

    fn admit(
        &self,
        caller: &Caller,
        transaction_id: TransactionId,
        name: &AuthorityName,
        profile: &ProfileName,
        evidence: Evidence,
        ca: Arc<Ca>,
    ) -> Result<Base64, Fault> {
        let subject = Entity::Authority(name.clone());
        let request = CertifyRequest { transaction_id, subject, profile: profile.clone(), evidence };
        match self.ra().admit_own(caller, request, ca)? {
            Answer::Issued { certificate, .. } => Ok(certificate),
            Answer::Failed(fault) => Err(fault),
        }
    }

    /// Checks that a certificate from elsewhere is one of an authority, and signed by whom it should be, now.
    fn check_signed(&self, certificate: &Certificate, issuer: Option<&AuthorityName>) -> Result<(), Fault> {
        if certificate.basic_constraints().is_none_or(|c| !c.ca) {
            return Err(Fault::malformed("the certificate is not one of an authority"));
        }
        let above = issuer.map(|name| self.ra().cas().find(name)).transpose()?;
        let above = match &above {
            Some(ca) => ca.certificate().ok_or(Reason::IssuerUnknown)?,
            None => certificate,
        };
        certificate.verify_issued_by(above, self.ra().now()).map_err(|_| Reason::IssuerNotAllowed.into())
    }
}

/// The name of an authority's step: the same for every repetition, so that nothing is issued twice.
fn step(row: &AuthorityRow, n: u8) -> TransactionId {
    let digest = x509::sha256(format!("rollover {} {} {n}", row.id, row.key).as_bytes());
    let mut octets = [0; 16];
    octets.iter_mut().zip(digest.octets()).for_each(|(to, from)| *to = *from);
    TransactionId::new(octets)
}

fn name(of: &AuthorityName, end: &str) -> Result<AuthorityName, Fault> {
    format!("{of}-{end}").parse().map_err(|_| Fault::malformed("the authority's name is too long for a rollover"))
}

/// A request that an authority makes for itself; its name comes from the grant.
fn request_of(signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    Ok(csr::write_signed(&info, signer.algorithm(), &signer.sign(&info)?))
}
