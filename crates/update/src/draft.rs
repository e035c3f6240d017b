//! Making a release: described once, signed by one person after another.

use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{Image, METADATA_LEN_MAX, Metadata, Parsed, Release, SPEC_VERSION, TYPE, holds, key_id};
use model::octets::hex;
use std::fmt;
use x509::{KeyType, PublicKey, sha256};

/// A release that is being signed. Everything that its file says is kept, also what is not understood here.
#[derive(Debug)]
pub struct Draft {
    file: Json,
    metadata: Metadata<Parsed>,
}

/// A release was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSigned<E> {
    /// The release cannot be signed with this key.
    Release(BadRelease),
    /// The signer could not sign.
    Signer(E),
}

impl<E: fmt::Display> fmt::Display for NotSigned<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(bad) => bad.fmt(f),
            Self::Signer(fault) => fault.fmt(f),
        }
    }
}
impl<E: fmt::Debug + fmt::Display> std::error::Error for NotSigned<E> {}

impl Draft {
    /// Describes a release that nobody has signed.
    ///
    /// # Errors
    /// [`BadRelease`] as [`Metadata::decode`]: what is written here can be read.
    pub fn new(release: &Release, image: Image) -> Result<Self, BadRelease> {
        let hardware_ids = release.hardware_ids.iter().map(|id| Json::from(id.as_str())).collect();
        let custom = Json::of([
            ("release", release.name.as_str().into()),
            ("release_version", release.version.as_str().into()),
            ("release_counter", Json::Number(release.counter)),
            ("hardware_ids", Json::List(hardware_ids)),
        ]);
        let target = Json::of([
            ("length", Json::Number(image.length)),
            ("hashes", Json::of([("sha256", Json::Text(image.digest.to_string()))])),
            ("custom", custom),
        ]);
        let signed = Json::of([
            ("_type", TYPE.into()),
            ("spec_version", SPEC_VERSION.into()),
            ("version", Json::Number(release.metadata_version)),
            ("expires", Json::Text(release.expires.to_string())),
            ("targets", Json::of([(release.target.as_str(), target)])),
        ]);
        Self::of(Json::of([("signatures", Json::List(Vec::new())), ("signed", signed)]))
    }

    /// Reads a release that others may have signed.
    ///
    /// # Errors
    /// [`BadRelease`] as [`Metadata::decode`].
    pub fn decode(octets: &[u8]) -> Result<Self, BadRelease> {
        if octets.len() > METADATA_LEN_MAX {
            return Err(BadRelease::TooLong);
        }
        Self::of(Json::read(octets)?)
    }

    fn of(file: Json) -> Result<Self, BadRelease> {
        let octets = write(&file);
        if octets.len() > METADATA_LEN_MAX {
            return Err(BadRelease::TooLong);
        }
        let metadata = Metadata::of(&file, sha256(&octets))?;
        Ok(Self { file, metadata })
    }

    /// What a signature would say, for the eyes of the one who signs. It is claimed by the file and proved by nothing.
    #[must_use]
    pub const fn release(&self) -> &Release {
        self.metadata.claims().0
    }

    /// Whether it describes this image, which the one who signs has measured himself.
    #[must_use]
    pub fn describes(&self, image: Image) -> bool {
        self.metadata.claims().1 == image
    }

    /// Adds a signature. `sign` gets the canonical form of what is signed, and nothing else.
    ///
    /// # Errors
    /// [`NotSigned::Release`] with [`BadRelease::WrongKeyType`], [`BadRelease::KeyTwice`] if this key has signed already,
    /// [`BadRelease::TooManySignatures`], [`BadRelease::TooLong`], or [`BadRelease::FalseSignature`] if what `sign` gives
    /// does not hold. [`NotSigned::Signer`]. Nothing was added then.
    pub fn sign<E>(
        &mut self,
        key: &PublicKey,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<(), NotSigned<E>> {
        if key.key_type() != KeyType::Ed25519 {
            return Err(NotSigned::Release(BadRelease::WrongKeyType));
        }
        let key_id = key_id(key);
        if self.metadata.signed_by(&key_id) {
            return Err(NotSigned::Release(BadRelease::KeyTwice));
        }
        let signature = sign(self.metadata.to_be_signed()).map_err(NotSigned::Signer)?;
        if !holds(key, self.metadata.to_be_signed(), &signature) {
            return Err(NotSigned::Release(BadRelease::FalseSignature));
        }
        let mut file = self.file.clone();
        let signatures = file.object_mut().and_then(|members| members.get_mut("signatures")).and_then(Json::list_mut);
        let Some(signatures) = signatures else { unreachable!("the file was read, so it has a list of signatures") };
        signatures.push(Json::of([("keyid", Json::Text(key_id)), ("sig", Json::Text(hex(&signature)))]));
        *self = Self::of(file).map_err(NotSigned::Release)?;
        Ok(())
    }

    /// The metadata file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write(&self.file)
    }
}

fn write(file: &Json) -> Vec<u8> {
    match serde_json::to_vec_pretty(file) {
        Ok(mut octets) => {
            octets.push(b'\n');
            octets
        }
        Err(_) => unreachable!("a tree of texts and numbers can be written as JSON"),
    }
}
