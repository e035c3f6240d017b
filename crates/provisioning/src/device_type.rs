//! Device types: one file each, which says how to reach such a board, what goes onto it, and what it is certified as.

use model::text::printable;
use model::{DeviceType, ProfileName};
use serde::Deserialize;
use std::fmt;
use x509::KeyType;

/// Longest file of a device type, in octets.
pub const FILE_LEN_MAX: usize = 64 * 1024;
/// How long ago sm may have verified a release, unless the device type says otherwise: a quarter of a year.
const BUNDLE_AGE_MAX_S: u64 = 90 * 86_400;
/// Most roles that can be asked together.
const SIGNING_ROLES_MAX: usize = 8;
// What becomes of a pin that nothing keeps to any more.
const SIGNERS: &str = "signers pins makers of single releases, which are not taken any more: what a station believes begins with the \
    first roots that the box follows; say `cradle release follow`, then take the line out";

/// What a device type's file says.
#[derive(Clone, Debug)]
pub struct DeviceTypeFile {
    /// Its name, which is the file's.
    pub name: DeviceType,
    /// What it is, in one sentence.
    pub description: String,
    /// What its devices are certified as.
    pub profile: ProfileName,
    /// The type of key that its devices make.
    pub key_type: KeyType,
    /// How long ago sm may have verified the release, in seconds.
    pub bundle_age_max_s: u64,
    /// How many roles of the image repository must say the same of its software (TAP 3): 2 where supplier and integrator both sign.
    pub signing_roles_min: usize,
    /// How to reach its boards: read by the adapter that it names.
    pub flasher: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    profile: ProfileName,
    key_type: String,
    #[serde(default = "bundle_age_max_s")]
    bundle_age_max_s: u64,
    #[serde(default = "one")]
    signing_roles_min: usize,
    // Of the format before bundles: it pinned makers, and is not silently left out.
    signers: Option<toml::Value>,
    flasher: toml::Table,
}

const fn one() -> usize {
    1
}
const fn bundle_age_max_s() -> u64 {
    BUNDLE_AGE_MAX_S
}

/// Why a device type's file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDeviceType(pub String);

impl fmt::Display for BadDeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for BadDeviceType {}

impl DeviceTypeFile {
    /// Reads a device type's file.
    ///
    /// # Errors
    /// [`BadDeviceType`] if it is too long, not TOML, has unknown or missing fields, or names an unknown key type.
    pub fn read(name: DeviceType, toml: &str) -> Result<Self, BadDeviceType> {
        if toml.len() > FILE_LEN_MAX {
            return Err(BadDeviceType(format!("longer than {FILE_LEN_MAX} octets")));
        }
        let file: File = toml::from_str(toml).map_err(|e| BadDeviceType(e.to_string()))?;
        if file.signers.is_some() {
            return Err(BadDeviceType(SIGNERS.into()));
        }
        if !(1..=SIGNING_ROLES_MAX).contains(&file.signing_roles_min) {
            return Err(BadDeviceType("signing_roles_min is from 1 to 8".into()));
        }
        let key_type = KeyType::by_name(&file.key_type)
            .ok_or_else(|| BadDeviceType(format!("key_type {:?} is not known", printable(&file.key_type, 40))))?;
        Ok(Self {
            name,
            description: printable(&file.description, 200),
            profile: file.profile,
            key_type,
            bundle_age_max_s: file.bundle_age_max_s,
            signing_roles_min: file.signing_roles_min,
            flasher: file.flasher,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "description = \"a sensor\"\nprofile = \"idevid\"\nkey_type = \"p256\"\n[flasher]\nadapter = \"simulated\"\n";

    #[track_caller]
    fn check(toml: &str, ok: bool) {
        assert_eq!(DeviceTypeFile::read("sensor".parse().unwrap(), toml).is_ok(), ok);
    }

    #[test]
    fn a_good_file() {
        check(GOOD, true);
    }
    #[test]
    fn unknown_fields_are_refused() {
        check(&format!("color = 1\n{GOOD}"), false);
    }
    #[test]
    fn unknown_key_types_are_refused() {
        check(&GOOD.replace("p256", "dsa"), false);
    }
    #[test]
    fn no_flasher_is_refused() {
        check(&GOOD.replace("[flasher]\nadapter = \"simulated\"\n", ""), false);
    }
    #[test]
    fn a_pin_that_nothing_keeps_to_is_refused_with_what_to_do() {
        let bad = DeviceTypeFile::read("sensor".parse().unwrap(), &format!("signers = []\n{GOOD}")).unwrap_err();
        assert!(bad.0.contains("cradle release follow"), "{bad}");
    }
    #[test]
    fn how_many_roles_must_sign() {
        check(&format!("signing_roles_min = 2\n{GOOD}"), true);
        check(&format!("signing_roles_min = 0\n{GOOD}"), false);
        check(&format!("signing_roles_min = 9\n{GOOD}"), false);
    }
    #[test]
    fn a_long_file_is_refused() {
        check(&format!("{GOOD}#{}", "x".repeat(FILE_LEN_MAX)), false);
    }
}
