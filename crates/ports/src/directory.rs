//! Who is who: the keys of modules and operators, as the module authority certified them.

use crate::jws::key_id;
use model::{Entity, Module, OperatorName, StationName, UnixTime};
use std::collections::hash_map;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use x509::certificate::TbsCertificate;
use x509::extension::{GeneralName, KeyUsage, decode_subject_alt_name};
use x509::{Certificate, KeyType, PublicKey, oids};

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
///
/// Shared by all modules of a process; what is removed or replaced is so at once, for all of them.
#[derive(Debug, Default)]
pub struct Directory {
    entries: RwLock<Entries>,
}

type Entries = HashMap<String, Entry>;

#[derive(Clone, Debug)]
struct Entry {
    holder: Holder,
    key: Arc<PublicKey>,
    not_before: UnixTime,
    not_after: UnixTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    One(Entity),
    /// Two were certified for one key: whoever signs with it could be either, so it speaks for nobody.
    Several,
}

/// Why a certificate does not get into the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEntry {
    /// It does not verify under the module authority, or one of both is not valid now.
    NotOurs,
    /// It names nobody whom the directory knows, or more than one.
    Nameless,
    /// It is not for signing messages: another key type or usage, an authority, or something critical that is unknown.
    NotForMessages,
    /// Another holder is certified for the same key. From now on it speaks for neither.
    KeyTaken,
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
        let (tbs, issuer) = (certificate.tbs(), authority.tbs());
        if !is_for_messages(certificate) {
            return Err(BadEntry::NotForMessages);
        }
        let entry = Entry {
            holder: Holder::One(holder(tbs).ok_or(BadEntry::Nameless)?),
            key: Arc::new(tbs.subject_public_key.clone()),
            // Nobody speaks for longer than the one who vouches for him.
            not_before: tbs.not_before.max(issuer.not_before),
            not_after: tbs.not_after.min(issuer.not_after),
        };
        if !entry.is_valid(now) {
            return Err(BadEntry::NotOurs);
        }
        let entries = self.entries.get_mut().unwrap_or_else(PoisonError::into_inner);
        match entries.entry(key_id(&entry.key)) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
            }
            hash_map::Entry::Occupied(known) if known.get().holder != entry.holder => {
                known.into_mut().holder = Holder::Several;
                return Err(BadEntry::KeyTaken);
            }
            // Renewed with the same key: the later end counts, in whatever order they come.
            hash_map::Entry::Occupied(mut known) if known.get().not_after < entry.not_after => {
                known.insert(entry);
            }
            hash_map::Entry::Occupied(_) => {}
        }
        Ok(())
    }

    /// Removes whoever holds this key: it was revoked.
    pub fn remove(&self, key: &PublicKey) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&key_id(key));
    }

    /// Forgets everybody and knows whom `newer` knows: a key was revoked, certified or replaced.
    pub fn replace(&self, newer: Self) {
        let newer = newer.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    /// The module that holds the key of this identifier, if its certificate is valid at `now`.
    #[must_use]
    pub fn module(&self, kid: &str, now: UnixTime) -> Option<(Arc<PublicKey>, Caller)> {
        match self.valid(kid, now)? {
            (key, Entity::Module(module, instance)) => Some((key, Caller { module, instance })),
            (_, Entity::Operator(_) | Entity::Device(_) | Entity::Authority(_) | Entity::Responder(_)) => None,
        }
    }

    /// The operators whose certificates are valid at `now`.
    #[must_use]
    pub fn operators(&self, now: UnixTime) -> BTreeSet<OperatorName> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let valid = entries.values().filter(|entry| entry.is_valid(now));
        let names = valid.filter_map(|entry| match &entry.holder {
            Holder::One(Entity::Operator(name)) => Some(name.clone()),
            Holder::One(_) | Holder::Several => None,
        });
        names.collect()
    }

    /// Whether somebody is known who speaks for this module at `now`.
    #[must_use]
    pub fn has(&self, caller: &Caller, now: UnixTime) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let is_its = |entry: &Entry| match &entry.holder {
            Holder::One(Entity::Module(module, instance)) => (module, instance) == (&caller.module, &caller.instance),
            Holder::One(_) | Holder::Several => false,
        };
        entries.values().any(|entry| entry.is_valid(now) && is_its(entry))
    }

    /// The operator who holds the key of this identifier, if the certificate is valid at `now`.
    #[must_use]
    pub fn operator(&self, kid: &str, now: UnixTime) -> Option<(Arc<PublicKey>, OperatorName)> {
        match self.valid(kid, now)? {
            (key, Entity::Operator(name)) => Some((key, name)),
            (_, Entity::Module(..) | Entity::Device(_) | Entity::Authority(_) | Entity::Responder(_)) => None,
        }
    }

    fn valid(&self, kid: &str, now: UnixTime) -> Option<(Arc<PublicKey>, Entity)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(kid).filter(|entry| entry.is_valid(now))?;
        match &entry.holder {
            Holder::One(holder) => Some((Arc::clone(&entry.key), holder.clone())),
            Holder::Several => None,
        }
    }
}

impl Entry {
    fn is_valid(&self, now: UnixTime) -> bool {
        self.not_before <= now && now.whole_second() <= self.not_after
    }
}

/// Whether a certificate lets its key sign messages, and nothing in it forbids to rely on it (RFC 5280 §4.2).
fn is_for_messages(certificate: &Certificate) -> bool {
    let tbs = certificate.tbs();
    let usage = tbs.extension(oids::KEY_USAGE).and_then(|usage| KeyUsage::decode(&usage.value));
    let signs = usage.is_some_and(|usage| usage.has(KeyUsage::DIGITAL_SIGNATURE));
    let is_authority = match tbs.extension(oids::BASIC_CONSTRAINTS) {
        Some(_) => certificate.basic_constraints().is_none_or(|constraints| constraints.ca),
        None => false,
    };
    let understood = [oids::KEY_USAGE, oids::BASIC_CONSTRAINTS, oids::SUBJECT_ALT_NAME];
    let is_understood = tbs.extensions.iter().all(|e| !e.critical || understood.contains(&e.oid));
    // Made for one purpose, such as signing OCSP answers, it is not for another.
    let has_purpose = tbs.extension(oids::EXTENDED_KEY_USAGE).is_some();
    let is_ed25519 = tbs.subject_public_key.key_type() == KeyType::Ed25519;
    is_ed25519 && signs && is_understood && !is_authority && !has_purpose
}

/// The one whom a certificate names, if it names exactly one.
fn holder(tbs: &TbsCertificate) -> Option<Entity> {
    let names = decode_subject_alt_name(&tbs.extension(oids::SUBJECT_ALT_NAME)?.value)?;
    let mut ours = names.iter().filter_map(|name| match name {
        GeneralName::Uri(uri) => uri.strip_prefix(URI_PREFIX),
        GeneralName::Dns(_) | GeneralName::Rfc822(_) | GeneralName::Directory(_) => None,
        GeneralName::Ip(_) | GeneralName::Other(_) => None,
    });
    match (ours.next(), ours.next()) {
        (Some(only), None) => only.parse().ok(),
        _ => None,
    }
}
