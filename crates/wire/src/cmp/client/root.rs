//! A root that follows another: what is said of it, and when that is believed.
//!
//! Prevents: a root that the one before it has not vouched for. Who said so does not matter: nothing but the certificates counts.

use crate::cmp::shape::{explicit_sequence, raw_sequence};
use crate::read;
use model::UnixTime;
use std::fmt;
use x509::path::{Demands, Evidence, POOL_MAX, PathFault, validate};
use x509::weak::{self, Weakness};
use x509::{BadDer, Certificate};

/// `RootCaKeyUpdateContent`, not verified.
/// Source: RFC 9810 §5.3.19.15.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct RootKeyUpdate {
    pub new_with_new: Certificate,
    pub new_with_old: Option<Certificate>,
    pub old_with_new: Option<Certificate>,
}

/// A root that the one before it vouches for.
#[derive(Debug)]
pub struct NewRoot {
    new_with_new: Certificate,
    new_with_old: Certificate,
}

/// Why a root is not one that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRoot {
    /// It has the key of the old one.
    SameKey,
    /// It did not begin after the old one: then that one may follow it.
    Older,
    /// Its key is weak.
    Weak(Weakness),
    /// `newWithNew` does not hold now, is not signed by its own key, or may not issue.
    NewWithNew(PathFault),
    /// There is no `newWithOld`.
    NoNewWithOld,
    /// `newWithOld` is for another key than `newWithNew`.
    OtherKey,
    /// `newWithOld` is for another name than `newWithNew`.
    OtherName,
    /// `newWithOld` does not hold now, is not signed by the old key, or may not issue; or the old root does not hold any more.
    NewWithOld(PathFault),
    /// `oldWithNew` is not for the old key and name, or not signed by the new key.
    OldWithNew,
}

impl fmt::Display for BadRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameKey => f.write_str("it has the key of the old root"),
            Self::Older => f.write_str("it is no newer than the old root"),
            Self::Weak(weakness) => write!(f, "its key is weak: {weakness}"),
            Self::NewWithNew(fault) => write!(f, "its own certificate (newWithNew): {fault}"),
            Self::NoNewWithOld => f.write_str("the old root does not vouch for it (no newWithOld)"),
            Self::OtherKey => f.write_str("the old root vouches for another key (newWithOld)"),
            Self::OtherName => f.write_str("the old root vouches for another name (newWithOld)"),
            Self::NewWithOld(fault) => write!(f, "the old root does not vouch for it (newWithOld): {fault}"),
            Self::OldWithNew => f.write_str("it does not vouch for the old root (oldWithNew)"),
        }
    }
}
impl std::error::Error for BadRoot {}

impl RootKeyUpdate {
    /// Reads `RootCaKeyUpdateContent`.
    ///
    /// Limits: three certificates, each as long as [`Certificate::decode`] takes one.
    /// # Errors
    /// [`BadDer`] if it is not DER, is followed by other octets, or has a certificate that cannot be read.
    pub fn decode(der: &[u8]) -> Result<Self, BadDer> {
        let read = read::inside(der, |r| {
            read::sequence(r, |r| Ok((raw_sequence(r)?, explicit_sequence(r, 0)?, explicit_sequence(r, 1)?)))
        });
        let (new_with_new, new_with_old, old_with_new) = read.map_err(|_| BadDer("RootCaKeyUpdateContent"))?;
        Ok(Self {
            new_with_new: Certificate::decode(new_with_new)?,
            new_with_old: new_with_old.map(Certificate::decode).transpose()?,
            old_with_new: old_with_new.map(Certificate::decode).transpose()?,
        })
    }

    /// What certificates in any order say of roots that follow an old one: each newer one that its own key signed, if another one is for
    /// its key, or it has the name of the old one. It may have nothing to do with that: it is not verified.
    ///
    /// Limits: the first [`POOL_MAX`] certificates.
    /// Source: RFC 7030 §4.1.3.
    #[must_use]
    pub fn among(certificates: &[Certificate], old: &Certificate) -> Vec<Self> {
        let (pool, of_old) = (certificates.get(..POOL_MAX).unwrap_or(certificates), old.tbs());
        let signed_by = |one: &Certificate, by: &Certificate| one.verify(&by.tbs().subject_public_key).is_ok();
        let update = |new: &Certificate| {
            let of_new = new.tbs();
            let is_newer = of_new.not_before > of_old.not_before;
            let is_other = of_new.subject_public_key != of_old.subject_public_key;
            if !(is_newer && is_other && of_new.issuer.matches(&of_new.subject) && signed_by(new, new)) {
                return None;
            }
            let mut links =
                pool.iter().filter(|one| *one != new && one.tbs().subject_public_key == of_new.subject_public_key);
            let first = links.clone().next();
            let new_with_old = links.find(|one| signed_by(one, old)).or(first).cloned();
            let is_meant = new_with_old.is_some() || of_new.subject.matches(&of_old.subject);
            // Others that the new key signed may be for the old one, too, such as of the root before that.
            is_meant.then(|| Self { new_with_new: new.clone(), new_with_old, old_with_new: None })
        };
        pool.iter().filter_map(update).collect()
    }

    /// Verifies that `old` vouches for the new root, at `now`.
    ///
    /// # Errors
    /// [`BadRoot`]
    /// Source: RFC 9810 §4.4, RFC 9483 §4.3.2.
    pub fn verify(self, old: &Certificate, now: UnixTime) -> Result<NewRoot, BadRoot> {
        let Self { new_with_new, new_with_old, old_with_new } = self;
        let (of_new, of_old) = (new_with_new.tbs(), old.tbs());
        let key = &of_new.subject_public_key;
        if *key == of_old.subject_public_key {
            return Err(BadRoot::SameKey);
        }
        if of_new.not_before <= of_old.not_before {
            return Err(BadRoot::Older);
        }
        weak::check(key).map_err(BadRoot::Weak)?;
        holds(&new_with_new, &[], &new_with_new, now).map_err(BadRoot::NewWithNew)?;
        let new_with_old = new_with_old.ok_or(BadRoot::NoNewWithOld)?;
        if new_with_old.tbs().subject_public_key != *key {
            return Err(BadRoot::OtherKey);
        }
        if !new_with_old.tbs().subject.matches(&of_new.subject) {
            return Err(BadRoot::OtherName);
        }
        // What the new key signed, as its own certificate, is below newWithOld, and that below the old root.
        holds(&new_with_new, std::slice::from_ref(&new_with_old), old, now).map_err(BadRoot::NewWithOld)?;
        let is_back = |back: &Certificate| {
            let tbs = back.tbs();
            tbs.subject_public_key == of_old.subject_public_key
                && tbs.subject.matches(&of_old.subject)
                && tbs.issuer.matches(&of_new.subject)
                && back.verify(key).is_ok()
        };
        if !old_with_new.is_none_or(|back| is_back(&back)) {
            return Err(BadRoot::OldWithNew);
        }
        Ok(NewRoot { new_with_new, new_with_old })
    }
}

/// Whether a certificate leads to an anchor that holds, over authorities that hold.
fn holds(leaf: &Certificate, pool: &[Certificate], anchor: &Certificate, now: UnixTime) -> Result<(), PathFault> {
    let evidence = Evidence { leaf, pool, anchors: std::slice::from_ref(anchor), crls: &[] };
    validate(&evidence, &Demands::default(), now).map(|_| ()).map_err(|disbelief| disbelief.fault)
}

impl NewRoot {
    /// Its certificate, signed by its own key.
    #[must_use]
    pub const fn new_with_new(&self) -> &Certificate {
        &self.new_with_new
    }
    /// The certificate of its key that the old root signed.
    #[must_use]
    pub const fn new_with_old(&self) -> &Certificate {
        &self.new_with_old
    }
}
