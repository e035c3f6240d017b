//! A manifest on its way, sealed to the director: whoever carries it learns neither what it says nor how long that is.
//!
//! ```text
//! octets   what
//! 7        "CRADLEM"
//! 1        version, 1
//! 8        which key: the beginning of its SHA-256
//! 32       encapsulated key
//! rest     the manifest, padded with white space (`padded_len`), and a tag of 16
//! ```
//! HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; `info` is the first 16 octets and the name of the device,
//! `aad` is empty. Who seals needs random octets, so that is done elsewhere; here are names and shapes. The director announces its key in `custom` of
//! its targets metadata: `manifest_key`, with `suite` and `public`. Source: RFC 9180 §6.1.

use super::fault::BadDirections;
use super::manifest::MANIFEST_LEN_MAX;
use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{Object, object, text};
use crate::tuf::Client;
use model::DeviceId;
use model::octets::{from_hex, hex};
use serde::{Deserialize, Serialize};
use x509::sha256;

/// Longest sealed manifest, in octets. A manifest that may be as long as it can is a power of two, and padding leaves it so.
pub const SEALED_LEN_MAX: usize = MANIFEST_LEN_MAX + HEAD_LEN + KEY_LEN + TAG_LEN;

const MAGIC: &[u8; 8] = b"CRADLEM\x01";
const NAME_LEN: usize = 8;
const HEAD_LEN: usize = MAGIC.len() + NAME_LEN;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// How the suite is called where a key is announced.
const SUITE: &str = "hpke-x25519-sha256-aes256gcm";
const FIELD: &str = "manifest_key";

/// Which key a manifest is sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestKeyName([u8; NAME_LEN]);

/// The key to which manifests are sealed: an X25519 key, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManifestKey([u8; KEY_LEN]);

impl TryFrom<String> for ManifestKey {
    type Error = BadRelease;
    fn try_from(text: String) -> Result<Self, BadRelease> {
        let octets = from_hex(&text).map_err(|_| BadRelease::Field(FIELD))?;
        octets.try_into().map(Self).map_err(|_| BadRelease::Field(FIELD))
    }
}
impl From<ManifestKey> for String {
    fn from(key: ManifestKey) -> Self {
        hex(&key.0)
    }
}

impl ManifestKey {
    /// The key of these octets.
    #[must_use]
    pub const fn new(octets: [u8; KEY_LEN]) -> Self {
        Self(octets)
    }
    /// Its octets.
    #[must_use]
    pub const fn octets(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
    /// What it is called in what is sealed to it.
    #[must_use]
    pub fn name(&self) -> ManifestKeyName {
        let mut name = [0; NAME_LEN];
        name.iter_mut().zip(sha256(&self.0).octets()).for_each(|(to, from)| *to = *from);
        ManifestKeyName(name)
    }

    /// The key that a director announces, once its client is up to date; `None` if it announces none, or one of a suite that is not
    /// known here. What else it says may be refused: who refuses it has all the more to report.
    ///
    /// # Errors
    /// [`BadDirections::Shape`]
    pub fn announced(director: &Client) -> Result<Option<Self>, BadDirections> {
        let (said, _) = director.targets().ok_or(BadRelease::Field("targets"))?;
        let custom = said.custom.as_ref().and_then(Json::object).ok_or(BadRelease::Field("custom"))?;
        Ok(Self::read(custom)?)
    }

    /// The key that the director's targets metadata announces, which was verified before it was kept. `None` as for
    /// [`Self::announced`].
    #[must_use]
    pub fn in_targets(kept: &[u8]) -> Option<Self> {
        let all: serde_json::Value = serde_json::from_slice(kept).ok()?;
        let announced = all.get("signed")?.get("custom")?.get(FIELD)?;
        let text = |name: &str| announced.get(name).and_then(serde_json::Value::as_str);
        (text("suite") == Some(SUITE)).then(|| text("public")?.to_owned().try_into().ok())?
    }

    pub(super) fn json(&self) -> (&'static str, Json) {
        (FIELD, Json::of([("suite", SUITE.into()), ("public", Json::Text(hex(&self.0)))]))
    }

    // One of a suite that is not known here is as good as none.
    fn read(custom: &Object) -> Result<Option<Self>, BadRelease> {
        if !custom.contains_key(FIELD) {
            return Ok(None);
        }
        let announced = object(custom, FIELD)?;
        if text(announced, "suite")? != SUITE {
            return Ok(None);
        }
        text(announced, "public")?.to_owned().try_into().map(Some)
    }
}

/// A manifest that is sealed, to a key of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedManifest {
    /// To which key.
    pub key: ManifestKeyName,
    /// The encapsulated key, and what is sealed.
    pub sealed: Vec<u8>,
}

impl SealedManifest {
    /// Reads one; `None` if these octets are something else, such as a manifest that is not sealed.
    ///
    /// Limits: [`SEALED_LEN_MAX`].
    #[must_use]
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let (name, sealed) = octets.strip_prefix(MAGIC)?.split_first_chunk()?;
        let is_whole = octets.len() <= SEALED_LEN_MAX && sealed.len() >= KEY_LEN + TAG_LEN;
        is_whole.then(|| Self { key: ManifestKeyName(*name), sealed: sealed.to_vec() })
    }

    /// Its octets.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &self.key.0, &self.sealed].concat()
    }

    /// What a manifest of this device is bound to when it is sealed to a key: `info` of HPKE.
    #[must_use]
    pub fn info(key: ManifestKeyName, device: &DeviceId) -> Vec<u8> {
        [MAGIC.as_slice(), &key.0, device.to_string().as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: usize = HEAD_LEN + KEY_LEN + TAG_LEN;

    fn sealed(len: usize) -> Vec<u8> {
        let mut octets = MAGIC.to_vec();
        octets.resize(len, 7);
        octets
    }
    #[track_caller]
    fn check(octets: &[u8], is_sealed: bool) {
        let read = SealedManifest::decode(octets);
        assert_eq!(read.is_some(), is_sealed);
        assert!(read.is_none_or(|read| read.encode() == octets));
    }
    #[test]
    fn lengths() {
        check(&sealed(SHORTEST), true);
        check(&sealed(SHORTEST - 1), false);
        check(&sealed(SEALED_LEN_MAX), true);
        check(&sealed(SEALED_LEN_MAX + 1), false);
    }
    #[test]
    fn what_is_something_else() {
        check(b"{\"signed\":{}}", false);
        check(&[b"CRADLEM\x02".as_slice(), &[7; 64]].concat(), false);
    }
    #[track_caller]
    fn announced(custom: &str, expected: Result<Option<[u8; KEY_LEN]>, BadRelease>) {
        let custom = Json::read(custom.as_bytes()).unwrap();
        assert_eq!(ManifestKey::read(custom.object().unwrap()), expected.map(|key| key.map(ManifestKey)));
    }
    #[test]
    fn keys_that_are_announced() {
        let of = |suite: &str, public: &str| {
            format!("{{\"manifest_key\":{{\"suite\":\"{suite}\",\"public\":\"{public}\"}}}}")
        };
        let bad = || Err(BadRelease::Field("manifest_key"));
        announced(&of(SUITE, &"07".repeat(32)), Ok(Some([7; 32])));
        announced("{\"device\":\"x\"}", Ok(None));
        announced(&of("hpke-mlkem", &"07".repeat(9)), Ok(None));
        announced(&of(SUITE, &"07".repeat(31)), bad());
        announced(&of(SUITE, &"07".repeat(33)), bad());
        announced(&of(SUITE, "no digits"), bad());
        announced("{\"manifest_key\":7}", bad());
    }
    #[test]
    fn what_is_written_is_read() {
        let (field, json) = ManifestKey::new([9; 32]).json();
        let custom = Json::of([(field, json)]);
        assert_eq!(ManifestKey::read(custom.object().unwrap()), Ok(Some(ManifestKey::new([9; 32]))));
    }
}
