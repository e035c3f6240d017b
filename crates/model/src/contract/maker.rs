//! Calls about makers: who gave devices their first certificate (IDevID) before they came here.

use super::{Call, Subject};
use crate::{Base64, Digest, MakerName, UnixTime};
use serde::{Deserialize, Serialize};

/// Says whose certificates of devices are proof at the first enrolment from now on, which of them are revoked, or that none is any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetMaker {
    /// Whose.
    pub maker: MakerName,
    /// What changes.
    pub change: MakerChange,
}

/// What changes of a maker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MakerChange {
    /// The first certificate, or one after a revocation. Doing it again changes nothing.
    Trust(MakerAuthority),
    /// Another certificate in the place of the present one.
    Replace(MakerAuthority),
    /// A list of revoked certificates in DER, newer than the one before. From then on there must be one in time.
    Revoked(Base64),
    /// No certificate: nobody comes with one of this maker's. What was issued before stays.
    Distrust,
}

/// The authority that signs the certificates of a maker's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerAuthority {
    /// Its certificate in DER; it signs those of devices itself.
    pub certificate: Base64,
    /// Whether its list of revoked certificates must be there, and in time.
    pub lists: MakerLists,
}

/// Whether a maker's list of revoked certificates must be there, and in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MakerLists {
    /// It must.
    Demanded,
    /// The maker makes none. Once one was taken, there must be one in time.
    None,
}

/// The maker as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerSet {
    /// SHA-256 of its certificate, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Digest>,
    /// The number of the last list that was taken from it; 0: none.
    pub number: u64,
    /// Until when that list is in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_update: Option<UnixTime>,
}

impl Call for SetMaker {
    const SUBJECT: Subject = Subject::AuthorityMaker;
    type Reply = MakerSet;
}
