//! What all kinds of metadata have in common: how their fields are read, and within which limits.

use crate::fault::BadRelease;
use crate::json::Json;
use model::time::Civil;
use model::{DeviceType, Digest, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

// Most device types that one release is for.
const HARDWARE_IDS_MAX: usize = 64;
/// Largest image, in octets: 64 GiB, more than the memory of any device of this kind.
pub const IMAGE_LEN_MAX: u64 = 64 << 30;
/// Highest release counter, and highest version of a metadata file: every reader of JSON reads it exactly, and every
/// store keeps it. Source: RFC 8259 §6.
pub const COUNTER_MAX: u64 = (1 << 53) - 1;
// Longest key identifier in characters.
pub(crate) const KEY_ID_LEN_MAX: usize = 128;

pub(crate) const SPEC_VERSION: &str = "1.0.34";
pub(crate) const SPEC_MAJOR: &str = "1";

pub(crate) type Object = BTreeMap<String, Json>;

/// How many keys must have signed. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(NonZeroU8);

impl Threshold {
    /// One key.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// This many keys; `None` for zero, which would need no signature at all.
    #[must_use]
    pub fn new(keys: u8) -> Option<Self> {
        NonZeroU8::new(keys).map(Self)
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

/// Length and digest of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// SHA-256 of its octets.
    pub digest: Digest,
    /// How many octets.
    pub length: u64,
}

pub(crate) fn read_hardware_ids(custom: &Object) -> Result<Vec<DeviceType>, BadRelease> {
    const FIELD: BadRelease = BadRelease::Field("hardware_ids");
    let list = custom.get("hardware_ids").and_then(Json::list).ok_or(FIELD)?;
    let read = |id: &Json| id.text().ok_or(FIELD)?.parse().map_err(|_| BadRelease::BadName);
    let hardware_ids = list.iter().take(HARDWARE_IDS_MAX + 1).map(read).collect::<Result<Vec<DeviceType>, _>>()?;
    if hardware_ids.is_empty() {
        return Err(BadRelease::NoHardware);
    }
    let different: BTreeSet<&DeviceType> = hardware_ids.iter().collect();
    if hardware_ids.len() > HARDWARE_IDS_MAX || different.len() != hardware_ids.len() {
        return Err(BadRelease::TooMuchHardware);
    }
    Ok(hardware_ids)
}

// `2027-01-31T00:00:00Z`, and no other way to write it.
pub(crate) fn read_time(text: &str) -> Option<UnixTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse().ok();
    let civil = Civil {
        year: number(0, 4)?,
        month: number(5, 7)?,
        day: number(8, 10)?,
        hour: number(11, 13)?,
        minute: number(14, 16)?,
        second: number(17, 19)?,
    };
    UnixTime::from_civil(civil).filter(|time| time.to_string() == text)
}

pub(crate) fn object<'a>(members: &'a Object, field: &'static str) -> Result<&'a Object, BadRelease> {
    members.get(field).and_then(Json::object).ok_or(BadRelease::Field(field))
}
pub(crate) fn text<'a>(members: &'a Object, field: &'static str) -> Result<&'a str, BadRelease> {
    members.get(field).and_then(Json::text).ok_or(BadRelease::Field(field))
}
pub(crate) fn number(members: &Object, field: &'static str) -> Result<u64, BadRelease> {
    members.get(field).and_then(Json::number).filter(|n| *n <= COUNTER_MAX).ok_or(BadRelease::Field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(member: &str, json: &str) -> Object {
        let tree = Json::read(format!("{{\"{member}\":{json}}}").as_bytes()).unwrap();
        tree.object().unwrap().clone()
    }
    #[track_caller]
    fn hardware(json: &str, expected: Result<usize, BadRelease>) {
        assert_eq!(read_hardware_ids(&custom("hardware_ids", json)).map(|ids| ids.len()), expected);
    }
    fn many(n: usize) -> String {
        serde_json::to_string(&(0..n).map(|n| format!("t{n}")).collect::<Vec<_>>()).unwrap()
    }
    #[track_caller]
    fn time(text: &str, expected: Option<u64>) {
        assert_eq!(read_time(text).map(UnixTime::s), expected, "{text:?}");
    }

    #[test]
    fn the_most_hardware() {
        hardware(&many(HARDWARE_IDS_MAX), Ok(HARDWARE_IDS_MAX));
    }
    #[test]
    fn too_much_hardware() {
        hardware(&many(HARDWARE_IDS_MAX + 1), Err(BadRelease::TooMuchHardware));
    }
    #[test]
    fn hardware_twice() {
        hardware(r#"["a","a"]"#, Err(BadRelease::TooMuchHardware));
    }
    #[test]
    fn no_hardware() {
        hardware("[]", Err(BadRelease::NoHardware));
    }
    #[test]
    fn hardware_that_is_no_name() {
        hardware(r#"["Type A"]"#, Err(BadRelease::BadName));
    }
    #[test]
    fn hardware_that_is_no_list_of_texts() {
        hardware("[1]", Err(BadRelease::Field("hardware_ids")));
        hardware(r#""a""#, Err(BadRelease::Field("hardware_ids")));
    }
    #[test]
    fn the_highest_counter() {
        assert_eq!(number(&custom("version", &COUNTER_MAX.to_string()), "version"), Ok(COUNTER_MAX));
    }
    #[test]
    fn a_higher_counter() {
        let higher = custom("version", &(COUNTER_MAX + 1).to_string());
        assert_eq!(number(&higher, "version"), Err(BadRelease::Field("version")));
    }
    #[test]
    fn the_end_of_a_leap_day() {
        time("2028-02-29T23:59:59Z", Some(1_835_481_599));
    }
    #[test]
    fn a_day_that_is_none() {
        time("2027-02-29T00:00:00Z", None);
    }
    #[test]
    fn times_that_are_written_otherwise() {
        for text in [
            "",
            "2027-06-30",
            "2027-06-30T12:00:00",
            "2027-06-30T12:00:00+00:00",
            "2027-06-30T12:00:00.5Z",
            "2027-06-30 12:00:00Z",
            "2027-06-30T12:00:60Z",
            "+027-06-30T12:00:00Z",
            "2027-06-30T12:00:00Zx",
            "\u{e4}027-06-30T12:00:00Z",
        ] {
            time(text, None);
        }
    }
    #[test]
    fn a_threshold_of_zero_does_not_exist() {
        assert_eq!(Threshold::new(0), None);
    }
}
