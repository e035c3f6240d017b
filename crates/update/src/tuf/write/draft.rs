//! A file that is being signed, by one after another.

use super::body::Body;
use super::key::Key;
use crate::json::Json;
use crate::metadata::Object;
use crate::tuf::envelope::{Envelope, FILE_LEN_MAX, Role};
use crate::tuf::fault::BadMetadata;
use crate::tuf::keys::{Keys, Rule, holds};
use model::UnixTime;
use model::octets::hex;
use std::fmt;

/// A metadata file that is being signed. Everything that it says is kept, also what is not understood here.
#[derive(Clone, Debug)]
pub struct Draft<R> {
    file: Json,
    envelope: Envelope<R>,
}

/// A file was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSigned<E> {
    /// It cannot be signed so.
    Metadata(BadMetadata),
    /// What the signer gave is not a signature of that key.
    FalseSignature,
    /// The signer could not sign.
    Signer(E),
}

impl<E> From<BadMetadata> for NotSigned<E> {
    fn from(bad: BadMetadata) -> Self {
        Self::Metadata(bad)
    }
}
impl<E: fmt::Display> fmt::Display for NotSigned<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(BadMetadata::SignedTwice) => f.write_str("this key has signed it already"),
            Self::Metadata(bad) => bad.fmt(f),
            Self::FalseSignature => f.write_str("what the signer gave is not a signature of this key"),
            Self::Signer(fault) => fault.fmt(f),
        }
    }
}
impl<E: fmt::Debug + fmt::Display> std::error::Error for NotSigned<E> {}

impl<R: Role> Draft<R> {
    /// Reads a file that others may have signed, or that is published.
    ///
    /// # Errors
    /// [`BadMetadata`] as [`Envelope::decode`].
    pub fn decode(octets: &[u8]) -> Result<Self, BadMetadata> {
        if octets.len() > FILE_LEN_MAX {
            return Err(BadMetadata::TooLong);
        }
        Self::of(Json::read(octets)?)
    }

    // Whatever leaves was read as a client reads it.
    pub(super) fn of(file: Json) -> Result<Self, BadMetadata> {
        let envelope = Envelope::decode(&write(&file))?;
        Ok(Self { file, envelope })
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.envelope.signed.version
    }
    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.envelope.signed.expires
    }
    pub(super) const fn said(&self) -> &R {
        &self.envelope.signed.role
    }

    /// What it says, to be changed and signed anew.
    #[must_use]
    pub fn body(&self) -> Body<R> {
        Body::of(self.fields().clone())
    }

    pub(super) fn fields(&self) -> &Object {
        let fields = self.file.object().and_then(|file| file.get("signed")).and_then(Json::object);
        let Some(fields) = fields else { unreachable!("the file was read, so it says something") };
        fields
    }

    /// Whether another file says the same, whoever has signed it.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.envelope.to_be_verified() == other.envelope.to_be_verified()
    }

    /// Adds a signature. `sign` gets what is to be signed, and nothing else: for ML-DSA that is a digest behind a context
    /// (TAP 21), otherwise the canonical form. A place that somebody left for this signature is taken.
    ///
    /// # Errors
    /// [`NotSigned::Metadata`] with [`BadMetadata::SignedTwice`] if this key has signed already, [`BadMetadata::TooMany`]
    /// or [`BadMetadata::TooLong`]; [`NotSigned::FalseSignature`]; [`NotSigned::Signer`]. Nothing was added then.
    pub fn sign<E>(&mut self, key: &Key, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<(), NotSigned<E>> {
        let octets = self.signature(key, sign)?;
        if !holds(key.public(), key.algorithm(), self.envelope.to_be_verified(), &octets) {
            return Err(NotSigned::FalseSignature);
        }
        self.add(key, &octets)
    }

    /// The same for a signer that verifies what it signs where that can go wrong, as those of tokens do, or that is a key in our own
    /// memory. To verify an Ed25519 signature takes three times as long as to make it, and a million devices are told each day.
    ///
    /// # Errors
    /// As [`Self::sign`], but for [`NotSigned::FalseSignature`].
    pub fn sign_believing<E>(
        &mut self,
        key: &Key,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<(), NotSigned<E>> {
        let octets = self.signature(key, sign)?;
        self.add(key, &octets)
    }

    fn signature<E>(&self, key: &Key, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, NotSigned<E>> {
        if self.is_signed_by(key) {
            return Err(BadMetadata::SignedTwice.into());
        }
        sign(&key.message(self.envelope.to_be_verified())).map_err(NotSigned::Signer)
    }

    fn add<E>(&mut self, key: &Key, octets: &[u8]) -> Result<(), NotSigned<E>> {
        let signature = Json::of([("keyid", key.id().into()), ("sig", Json::Text(hex(octets)))]);
        *self = Self::of(self.with(vec![signature]))?;
        Ok(())
    }

    /// Takes in the signatures of another copy of the same file. Gives how many are new.
    ///
    /// # Errors
    /// [`BadMetadata::OtherOctets`] if it says something else; [`BadMetadata::TooMany`], [`BadMetadata::TooLong`].
    pub fn merge(&mut self, other: &Self) -> Result<usize, BadMetadata> {
        if !self.says_the_same(other) {
            return Err(BadMetadata::OtherOctets);
        }
        let mine: Vec<_> = self.signatures().iter().filter(|one| !is_place(one)).filter_map(key_id).collect();
        let theirs = other.signatures().iter().filter(|one| !is_place(one));
        let new: Vec<Json> = theirs.filter(|one| !key_id(one).is_some_and(|id| mine.contains(&id))).cloned().collect();
        let count = new.len();
        if count > 0 {
            *self = Self::of(self.with(new))?;
        }
        Ok(count)
    }

    /// The metadata file, in which nothing is written wider than it must be.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write(&self.file)
    }

    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        let signature = self.envelope.signature(key.id());
        signature.is_some_and(|octets| holds(key.public(), key.algorithm(), self.envelope.to_be_verified(), octets))
    }
    pub(super) fn count(&self, keys: &Keys, rule: &Rule) -> usize {
        self.envelope.count(keys, rule)
    }

    fn signatures(&self) -> &[Json] {
        let list = self.file.object().and_then(|file| file.get("signatures")).and_then(Json::list);
        list.unwrap_or_default()
    }

    // The file with these signatures, in place of others under the same identifiers.
    fn with(&self, new: Vec<Json>) -> Json {
        let mut file = self.file.clone();
        let list = file.object_mut().and_then(|members| members.get_mut("signatures")).and_then(Json::list_mut);
        let Some(list) = list else { unreachable!("the file was read, so it has a list of signatures") };
        list.retain(|one| !new.iter().any(|new| key_id(new) == key_id(one)));
        list.extend(new);
        file
    }
}

fn member<'a>(signature: &'a Json, name: &str) -> Option<&'a str> {
    signature.object()?.get(name)?.text()
}
fn key_id(signature: &Json) -> Option<&str> {
    member(signature, "keyid")
}
// An empty signature is a place for one.
fn is_place(signature: &Json) -> bool {
    member(signature, "sig").is_none_or(str::is_empty)
}

fn write(file: &Json) -> Vec<u8> {
    match serde_json::to_vec(file) {
        Ok(mut octets) => {
            octets.push(b'\n');
            octets
        }
        Err(_) => unreachable!("a tree of texts and numbers can be written as JSON"),
    }
}
