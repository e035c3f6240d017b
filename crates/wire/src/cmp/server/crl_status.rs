//! Asking for a list of revoked certificates that is newer than one's own.
//! Source: RFC 9810 §5.3.19.17, RFC 9483 §4.3.4.

use crate::read::{self, bad};
use der::{Reader, Tag};
use model::UnixTime;
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::points::PointName;
use x509::time::decode_time;
use x509::{BadDer, Writer};

/// Most lists that are asked for at once.
const LISTS_MAX: usize = 16;

/// `CRLSource`: which list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlSource {
    /// The one that certificates name so.
    Point(PointName),
    /// That of an issuer, by its names.
    Issuer(Vec<GeneralName>),
}

/// `CRLStatus`: a list, and when the one was made that the client has, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct CrlStatus {
    pub source: CrlSource,
    pub this_update: Option<UnixTime>,
}

impl CrlStatus {
    /// Reads `CRLStatusListValue`.
    ///
    /// Limits: 16 lists.
    /// # Errors
    /// [`BadDer`] if it is not well formed, has none, or more.
    pub fn read_all(value: &[u8]) -> Result<Vec<Self>, BadDer> {
        let read = read::inside(value, |r| crate::cmp::shape::some(r, LISTS_MAX, Self::read));
        read.map_err(|_| BadDer("CRLStatusListValue"))
    }

    fn read(reader: &mut der::SliceReader<'_>) -> read::Result<Self> {
        read::sequence(reader, |r| {
            // A choice: its tags are explicit.
            let source = match Tag::peek(r)? {
                Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) } => {
                    PointName::decode(r.tlv_bytes()?).map(CrlSource::Point)
                }
                _ => match read::optional(r, 1)? {
                    Some(names) => decode_subject_alt_name(names).map(CrlSource::Issuer),
                    None => None,
                },
            };
            let Some(source) = source else { return bad(r) };
            if r.is_finished() {
                return Ok(Self { source, this_update: None });
            }
            match decode_time(r.tlv_bytes()?) {
                Some(at) => Ok(Self { source, this_update: Some(at) }),
                None => bad(r),
            }
        })
    }
}

/// Writes `CRLsValue`.
#[must_use]
pub fn write_lists(lists: &[Vec<u8>]) -> Vec<u8> {
    let mut w = Writer::with_capacity(lists.iter().map(|list| list.len() + 8).sum());
    w.sequence(|w| {
        for list in lists {
            w.raw(list);
        }
    });
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::octets::from_hex;

    fn uri(text: &str) -> Vec<GeneralName> {
        vec![GeneralName::Uri(text.to_owned())]
    }
    #[track_caller]
    fn check(hex: &str, source: CrlSource, this_update: Option<u64>) {
        let read = CrlStatus::read_all(&from_hex(hex).unwrap()).unwrap();
        assert_eq!(read, [CrlStatus { source, this_update: this_update.map(UnixTime::from_s) }]);
    }

    #[test]
    fn by_the_name_that_certificates_have() {
        check(
            "300f300da00ba009860768747470 3a2f2f".replace(' ', "").as_str(),
            CrlSource::Point(PointName::Full(uri("http://"))),
            None,
        );
    }
    #[test]
    fn by_its_issuer_and_the_time_of_the_one_that_is_known() {
        check("300d300ba1093007860568743a2f2f", CrlSource::Issuer(uri("ht://")), None);
        check(
            "301c301aa1093007860568743a2f2f170d3236303630313132303030305a",
            CrlSource::Issuer(uri("ht://")),
            Some(1_780_315_200),
        );
    }
    #[test]
    fn what_is_not_well_formed() {
        for hex in [
            "",
            "3000",
            "30023000",
            "3004 3002 a000",
            "3004 3002 a100",
            "3006 3004 a102 3000",
            "300d 300b a209 3007 8605 68743a2f2f",
            "300f 300d a109 3007 8605 68743a2f2f 0500",
            "301e 301c a109 3007 8605 68743a2f2f 170d3236303630313132303030305a 0500",
        ] {
            assert!(CrlStatus::read_all(&from_hex(&hex.replace(' ', "")).unwrap()).is_err(), "{hex}");
        }
    }
    #[test]
    fn no_more_than_so_many() {
        let one = from_hex("300ba1093007860568743a2f2f").unwrap();
        for (count, is_read) in [(16, true), (17, false)] {
            let mut w = Writer::with_capacity(300);
            w.sequence(|w| {
                w.raw(&one.repeat(count));
            });
            assert_eq!(CrlStatus::read_all(&w.finish()).is_ok(), is_read, "{count}");
        }
    }
    #[test]
    fn lists_one_behind_the_other() {
        assert_eq!(write_lists(&[vec![0x30, 0], vec![0x30, 1, 5]]), [0x30, 5, 0x30, 0, 0x30, 1, 5]);
    }
}
