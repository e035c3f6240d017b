//! The certification authorities of this instance: their certificates, their chains, their keys.

use crate::enrol::Est;
use crate::limits::Limits;
use issue::{Issuer, Profile};
use model::contract::hierarchy::CreateAuthority;
use model::{AuthorityName, Fault, ProfileName, Reason};
use ports::keystore::{KeyFault, KeyUri, OFFLINE};
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use ports::{Clock, Entropy, Keystore, Pause, Signer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use x509::{Certificate, KeyType};

/// What km is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what the fields are")]
pub struct Setting {
    pub store: Arc<dyn AuthorityStore>,
    pub keystore: Arc<dyn Keystore>,
    pub clock: Arc<dyn Clock>,
    pub pause: Arc<dyn Pause>,
    pub entropy: Arc<dyn Entropy>,
    pub profiles: BTreeMap<ProfileName, Arc<Profile>>,
    pub organization: String,
    pub limits: Limits,
    pub est: Est,
}

/// One authority.
pub struct Ca {
    row: AuthorityRow,
    issuer: Issuer,
    certificate: Option<Certificate>,
    chain: Vec<Vec<u8>>,
    keystore: Arc<dyn Keystore>,
    signer: Mutex<Option<Arc<dyn Signer>>>,
}

impl Ca {
    /// Its row in the store.
    #[must_use]
    pub const fn row(&self) -> &AuthorityRow {
        &self.row
    }
    /// What of it goes into certificates.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }
    /// Its certificate, if it has one already.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
    /// Its certificate and those above it, in DER, up to the root.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Whether its key is elsewhere, and nothing is signed with it here.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.row.key.0 == OFFLINE || self.is_foreign()
    }

    /// Whether its key is with a foreign authority, which is asked to sign.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.row.key.is_foreign()
    }

    /// Its key, opened at the first use: an authority that signs nothing has no decrypted key in memory.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the key cannot be opened, or is not the one in the certificate.
    pub fn signer(&self) -> Result<Arc<dyn Signer>, Fault> {
        let mut held = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = held.as_ref() {
            return Ok(Arc::clone(signer));
        }
        if self.is_offline() {
            return Err(Reason::KeyOffline.into());
        }
        let signer = self.keystore.open(&self.row.key)?;
        let certified = self.certificate.as_ref().map(|c| &c.tbs().subject_public_key);
        if certified.is_some_and(|key| key != signer.public_key()) {
            return Err(Fault::unavailable("the key file does not hold the authority's key"));
        }
        *held = Some(Arc::clone(&signer));
        Ok(signer)
    }
}

/// All authorities of this instance.
pub(crate) struct Cas {
    store: Arc<dyn AuthorityStore>,
    keystore: Arc<dyn Keystore>,
    by_name: RwLock<BTreeMap<AuthorityName, Arc<Ca>>>,
}

impl Cas {
    pub(crate) fn load(setting: &Setting) -> Result<Self, Fault> {
        let cas = Self {
            store: Arc::clone(&setting.store),
            keystore: Arc::clone(&setting.keystore),
            by_name: RwLock::default(),
        };
        cas.reload()?;
        Ok(cas)
    }

    /// Reads all authorities that are complete.
    pub(crate) fn reload(&self) -> Result<(), Fault> {
        let rows = self.store.authorities()?;
        let mut by_name = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.certificate.is_empty()) {
            let certificate = Certificate::decode(&row.certificate)?;
            let issuer = Issuer::of(row.name.clone(), &certificate)
                .ok_or(Fault::unavailable("the certificate of an authority is not that of an authority"))?;
            let algorithm = if row.key.is_foreign() { None } else { row.key.signature()? };
            let issuer = match algorithm {
                Some(algorithm) => issuer.signing_by(algorithm),
                None => issuer,
            };
            let ca = Ca {
                issuer,
                chain: chain(row, &rows),
                certificate: Some(certificate),
                keystore: Arc::clone(&self.keystore),
                signer: Mutex::default(),
                row: row.clone(),
            };
            by_name.insert(row.name.clone(), Arc::new(ca));
        }
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        Ok(())
    }

    /// A root that is being made: its own issuer.
    pub(crate) fn unfinished(&self, row: AuthorityRow, signer: Arc<dyn Signer>) -> Arc<Ca> {
        Arc::new(Ca {
            issuer: Issuer::itself(row.name.clone(), signer.public_key()).signing_by(signer.algorithm()),
            chain: Vec::new(),
            certificate: None,
            keystore: Arc::clone(&self.keystore),
            signer: Mutex::new(Some(signer)),
            row,
        })
    }

    pub(crate) fn find(&self, name: &AuthorityName) -> Result<Arc<Ca>, Reason> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).map(Arc::clone).ok_or(Reason::IssuerUnknown)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Ca>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<Arc<Ca>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().find(|ca| ca.row.id == id).map(Arc::clone)
    }

    /// The authority whose certificate it is.
    pub(crate) fn of_certificate(&self, certificate: &Certificate) -> Option<Arc<Ca>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().find(|ca| ca.row.certificate == certificate.der()).map(Arc::clone)
    }

    /// The first authority that exists of those that a profile names.
    pub(crate) fn for_profile(&self, profile: &Profile) -> Result<Arc<Ca>, Reason> {
        profile.issuers().iter().find_map(|name| self.find(name).ok()).ok_or(Reason::IssuerUnknown)
    }

    /// Makes the key of an authority, or opens the one that an interrupted making left.
    pub(crate) fn key(
        &self,
        call: &CreateAuthority,
        label: &AuthorityName,
        key_type: KeyType,
    ) -> Result<(KeyUri, Arc<dyn Signer>), Fault> {
        let wanted = KeyUri(call.key.clone().unwrap_or_else(|| format!("file:{label}")));
        match self.keystore.generate_at(&wanted, key_type) {
            Err(KeyFault::Exists) => {
                let signer = self.keystore.open(&wanted)?;
                let same = signer.public_key().key_type() == key_type;
                if same { Ok((wanted, signer)) } else { Err(Reason::NameTaken.into()) }
            }
            made => Ok(made?),
        }
    }
}

/// The certificate of an authority and of those above it. The number of authorities bounds it, so a circle ends.
fn chain(row: &AuthorityRow, rows: &[AuthorityRow]) -> Vec<Vec<u8>> {
    let above = |row: &AuthorityRow| {
        let issuer = row.issuer.as_ref()?;
        rows.iter().find(|other| other.name == *issuer && other.name != row.name)
    };
    let up = std::iter::successors(Some(row), |row| above(row));
    up.take(rows.len()).map(|row| row.certificate.clone()).collect()
}
