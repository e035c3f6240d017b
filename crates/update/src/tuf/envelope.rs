//! A metadata file: what is said, and who signed it. What is said is heard only when enough have signed.

use super::fault::BadMetadata;
use super::keys::{Keys, Rule};
use crate::BadRelease;
use crate::json::Json;
use crate::metadata::{Object, SPEC_MAJOR, number, read_time, text};
use model::UnixTime;
use model::octets::from_hex;
use std::collections::BTreeMap;

/// Longest metadata file that is decoded at all, in octets. [`super::Limits`] has a tighter one for each role.
pub const FILE_LEN_MAX: usize = 8 << 20;
/// Most signatures under one file.
const SIGNATURES_MAX: usize = 256;

/// What a role's metadata says.
pub trait Role: Clone + Sized + sealed::Sealed {
    /// `_type`.
    const TYPE: &'static str;
    /// Reads what is special to this role.
    #[doc(hidden)]
    fn read(signed: &sealed::Fields<'_>) -> Result<Self, BadMetadata>;
}

pub(super) mod sealed {
    /// What is signed.
    #[derive(Debug)]
    pub struct Fields<'a>(pub(in crate::tuf) &'a super::Object);
    pub trait Sealed {}
}

/// A metadata file that was read and is believed by nobody.
#[derive(Clone, Debug)]
pub struct Envelope<R> {
    pub(super) signed: Signed<R>,
    to_be_verified: Vec<u8>,
    signatures: BTreeMap<String, Vec<u8>>,
}

/// What was said by those who may say it.
#[derive(Clone, Debug)]
pub(super) struct Signed<R> {
    pub(super) version: u64,
    pub(super) expires: UnixTime,
    pub(super) role: R,
}

impl<R: Role> Envelope<R> {
    /// Reads a metadata file. Fields that are not known are kept in what is verified.
    ///
    /// Limits: [`FILE_LEN_MAX`], [`crate::DEPTH_MAX`].
    /// # Errors
    /// [`BadMetadata`]
    /// Source: TUF 1.0.34 §4.2.
    pub fn decode(octets: &[u8]) -> Result<Self, BadMetadata> {
        if octets.len() > FILE_LEN_MAX {
            return Err(BadMetadata::TooLong);
        }
        let file = Json::read(octets)?;
        let members = file.object().ok_or(BadRelease::Field("signed"))?;
        let signed = members.get("signed").ok_or(BadRelease::Field("signed"))?;
        let signatures = read_signatures(members)?;
        let fields = signed.object().ok_or(BadRelease::Field("signed"))?;
        if text(fields, "_type")? != R::TYPE {
            return Err(BadMetadata::OtherRole);
        }
        read_spec_version(text(fields, "spec_version")?)?;
        let version = number(fields, "version")?;
        if version == 0 {
            return Err(BadRelease::Field("version").into());
        }
        let expires = read_time(text(fields, "expires")?).ok_or(BadRelease::BadExpiry)?;
        let role = R::read(&sealed::Fields(fields))?;
        let signed_role = Signed { version, expires, role };
        Ok(Self { signed: signed_role, to_be_verified: signed.canonical(), signatures })
    }

    /// Verifies the signatures. Source: TUF 1.0.34 §5.3.4, §5.4.2, §5.5.3, §5.6.3.
    pub(super) fn verify(self, keys: &Keys, rule: &Rule) -> Result<Signed<R>, BadMetadata> {
        self.check(keys, rule)?;
        Ok(self.signed)
    }

    /// What it says, whoever signed it.
    pub(crate) const fn claims(&self) -> &R {
        &self.signed.role
    }

    pub(super) fn check(&self, keys: &Keys, rule: &Rule) -> Result<(), BadMetadata> {
        if self.count(keys, rule) < rule.threshold() {
            return Err(BadMetadata::TooFewSignatures);
        }
        Ok(())
    }

    /// How many different keys have signed that may.
    pub(super) fn count(&self, keys: &Keys, rule: &Rule) -> usize {
        keys.count(rule, &self.to_be_verified, &self.signatures)
    }

    // For who writes: what is signed, and by whom it is said to be.
    pub(super) fn to_be_verified(&self) -> &[u8] {
        &self.to_be_verified
    }
    pub(super) fn signature(&self, key_id: &str) -> Option<&[u8]> {
        self.signatures.get(key_id).map(Vec::as_slice)
    }
}

impl<R> Signed<R> {
    pub(super) fn is_current(&self, now: UnixTime) -> Result<(), BadMetadata> {
        if now >= self.expires { Err(BadMetadata::Expired) } else { Ok(()) }
    }
}

fn read_signatures(members: &Object) -> Result<BTreeMap<String, Vec<u8>>, BadMetadata> {
    const FIELD: BadRelease = BadRelease::Field("signatures");
    let list = members.get("signatures").and_then(Json::list).ok_or(FIELD)?;
    if list.len() > SIGNATURES_MAX {
        return Err(BadMetadata::TooMany);
    }
    let mut signatures = BTreeMap::new();
    for signature in list {
        let signature = signature.object().ok_or(FIELD)?;
        // One that is not well written verifies nothing: somebody who is to sign has left a place for it.
        let octets = from_hex(text(signature, "sig")?).unwrap_or_default();
        if signatures.insert(text(signature, "keyid")?.to_owned(), octets).is_some() {
            return Err(BadMetadata::SignedTwice);
        }
    }
    Ok(signatures)
}

// Two or three numbers, of which the first must be ours.
fn read_spec_version(version: &str) -> Result<(), BadMetadata> {
    let parts: Vec<&str> = version.split('.').take(4).collect();
    let counts = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()));
    if counts && matches!(parts.len(), 2 | 3) && parts.first() == Some(&SPEC_MAJOR) {
        Ok(())
    } else {
        Err(BadRelease::OtherSpecVersion.into())
    }
}
