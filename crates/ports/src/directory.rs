//! Who is who: the keys of modules and operators, as the module authority certified them.

use crate::jws::key_id;
use model::{Entity, Module, OperatorName, StationName, UnixTime};
use std::collections::HashMap;
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::{Certificate, PublicKey, oids};

/// A module on a certain box or station.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Which module.
    pub module: Module,
    /// Where it runs.
    pub instance: StationName,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.module, self.instance)
    }
}

/// The certified keys of modules and operators, by key identifier.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    holder: Entity,
    key: PublicKey,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// Why a certificate does not get into the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEntry {
    /// It does not verify under the module authority.
    NotOurs,
    /// It names nobody whom the directory knows.
    Nameless,
}

/// What stands before the holder's name in a subject alternative name: `cradle:module:authority:box`.
pub const URI_PREFIX: &str = "cradle:";

impl Directory {
    /// Adds the holder of a certificate that `authority` issued.
    ///
    /// # Errors
    /// [`BadEntry`]
    pub fn add(&mut self, certificate: &Certificate, authority: &Certificate, now: UnixTime) -> Result<(), BadEntry> {
        certificate.verify_issued_by(authority, now).map_err(|_| BadEntry::NotOurs)?;
        let holder = holder(certificate).ok_or(BadEntry::Nameless)?;
        let tbs = certificate.tbs();
        let key = tbs.subject_public_key.clone();
        let entry = Entry { holder, not_before: tbs.not_before, not_after: tbs.not_after, key };
        self.entries.insert(key_id(&entry.key), entry);
        Ok(())
    }

    /// Removes whoever holds this key: it was revoked.
    pub fn remove(&mut self, key: &PublicKey) {
        self.entries.remove(&key_id(key));
    }

    /// The module that holds the key of this identifier, if its certificate is valid at `now`.
    #[must_use]
    pub fn module(&self, kid: &str, now: UnixTime) -> Option<(&PublicKey, Caller)> {
        let entry = self.valid(kid, now)?;
        match &entry.holder {
            Entity::Module(module, instance) => {
                Some((&entry.key, Caller { module: *module, instance: instance.clone() }))
            }
            Entity::Operator(_) | Entity::Device(_) | Entity::Authority(_) => None,
        }
    }

    /// The operator who holds the key of this identifier, if the certificate is valid at `now`.
    #[must_use]
    pub fn operator(&self, kid: &str, now: UnixTime) -> Option<(&PublicKey, OperatorName)> {
        let entry = self.valid(kid, now)?;
        match &entry.holder {
            Entity::Operator(name) => Some((&entry.key, name.clone())),
            Entity::Module(..) | Entity::Device(_) | Entity::Authority(_) => None,
        }
    }

    fn valid(&self, kid: &str, now: UnixTime) -> Option<&Entry> {
        self.entries.get(kid).filter(|e| e.not_before <= now && now.whole_second() <= e.not_after)
    }
}

fn holder(certificate: &Certificate) -> Option<Entity> {
    let names = decode_subject_alt_name(&certificate.tbs().extension(oids::SUBJECT_ALT_NAME)?.value)?;
    let uri = names.iter().find_map(|name| match name {
        GeneralName::Uri(uri) => uri.strip_prefix(URI_PREFIX),
        GeneralName::Dns(_) | GeneralName::Other(_) => None,
    })?;
    uri.parse().ok()
}
