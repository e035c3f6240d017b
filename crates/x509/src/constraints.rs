//! Name constraints: which names an authority may certify.

use crate::extension::{Extension, GeneralName, IpShape};
use crate::oids;
use crate::read::{self, Result, bad};
use crate::write::{Writer, tag};
use der::{SliceReader, Tag};

/// Most subtrees, permitted and excluded counted apart.
pub const SUBTREES_MAX: usize = 128;
/// Longest value in octets.
const VALUE_LEN_MAX: usize = 16 * 1024;

/// `NameConstraints`. A base is a [`GeneralName`]; that of an IP range has 8 or 32 octets, address and mask.
/// Source: RFC 5280 §4.2.1.10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// Names of a kind that occurs here must be in one of the subtrees of that kind.
    pub permitted: Vec<GeneralName>,
    /// No name may be in any of these.
    pub excluded: Vec<GeneralName>,
}

impl NameConstraints {
    /// The extension, critical as RFC 5280 demands.
    #[must_use]
    pub fn extension(&self) -> Extension {
        Extension::of(oids::NAME_CONSTRAINTS, true, |w| {
            w.sequence(|w| {
                for (n, subtrees) in [(0, &self.permitted), (1, &self.excluded)] {
                    if !subtrees.is_empty() {
                        w.explicit(n, |w| subtrees.iter().for_each(|base| write_subtree(base, w)));
                    }
                }
            });
        })
    }

    /// Reads the value; `None` if it is not well formed, without any subtree, with more than [`SUBTREES_MAX`], with a
    /// mask that has gaps, or with a minimum or maximum, which RFC 5280 does not allow.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        read::whole(value, VALUE_LEN_MAX, "NameConstraints", |r| {
            let contents = read::contents(r, Tag::Sequence)?;
            read::inside(contents, |r| {
                let (permitted, excluded) = (subtrees(r, 0)?, subtrees(r, 1)?);
                if permitted.is_none() && excluded.is_none() {
                    return bad(r);
                }
                Ok(Self { permitted: permitted.unwrap_or_default(), excluded: excluded.unwrap_or_default() })
            })
        })
        .ok()
    }
}

fn write_subtree(base: &GeneralName, w: &mut Writer) {
    w.nested(tag::SEQUENCE, |w| base.write(w));
}

fn subtrees(reader: &mut SliceReader<'_>, n: u32) -> Result<Option<Vec<GeneralName>>> {
    let Some(contents) = read::optional(reader, n, true)? else { return Ok(None) };
    let subtrees = read::each(contents, SUBTREES_MAX, |r| {
        let contents = read::contents(r, Tag::Sequence)?;
        read::inside(contents, |r| {
            let base = GeneralName::read(r, IpShape::Range)?;
            match &base {
                GeneralName::Ip(octets) if !is_range(octets) => bad(r),
                _ => Ok(base),
            }
        })
    })?;
    if subtrees.is_empty() { bad(reader) } else { Ok(Some(subtrees)) }
}

// RFC 4632 §5.1: the ones of a mask come before its zeros.
fn is_range(octets: &[u8]) -> bool {
    let (_, mask) = octets.split_at(octets.len() / 2);
    let ones: u32 = mask.iter().map(|octet| octet.leading_ones()).take_while(|ones| *ones == 8).sum();
    let next = mask.get(usize::try_from(ones / 8).unwrap_or(0)..).unwrap_or_default();
    next.split_first().is_none_or(|(first, rest)| {
        first.leading_ones() + first.trailing_zeros().min(8) >= 8 && rest.iter().all(|octet| *octet == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::octets::from_hex;

    #[track_caller]
    fn check(hex: &str, ok: bool) {
        let value = from_hex(hex).unwrap();
        let read = NameConstraints::decode(&value);
        assert_eq!(read.is_some(), ok);
        if let Some(read) = read {
            assert_eq!(read.extension().value, value);
        }
    }

    #[test]
    fn permitted_and_excluded_survive() {
        check("300ea0053003820161a1053003820162", true);
    }
    #[test]
    fn nothing_is_refused() {
        check("3000", false);
    }
    #[test]
    fn an_empty_list_is_refused() {
        check("3002a000", false);
    }
    #[test]
    fn excluded_before_permitted_is_refused() {
        check("300ea1053003820161a0053003820162", false);
    }
    #[test]
    fn a_minimum_is_refused() {
        check("300aa0083006820161800100", false);
        check("300aa0083006820161800101", false);
    }
    #[test]
    fn an_address_and_its_mask() {
        check("300ea00c300a87080a000000ff000000", true);
        check("300ea00c300a87080a000000fff00000", true);
    }
    #[test]
    fn an_address_without_mask_is_refused() {
        check("300aa008300687040a000000", false);
    }
    #[test]
    fn a_mask_with_gaps_is_refused() {
        check("300ea00c300a87080a000000ff00ff00", false);
        check("300ea00c300a87080a000000ffa00000", false);
    }
    #[test]
    fn masks_of_nothing_and_of_everything() {
        check("300ea00c300a87080a00000000000000", true);
        check("300ea00c300a87080a000000ffffffff", true);
    }
    #[test]
    fn one_hundred_and_twenty_nine_subtrees_are_refused() {
        let of = |n| NameConstraints { permitted: vec![GeneralName::Dns("a".into()); n], excluded: Vec::new() };
        assert!(NameConstraints::decode(&of(SUBTREES_MAX).extension().value).is_some());
        assert!(NameConstraints::decode(&of(SUBTREES_MAX + 1).extension().value).is_none());
    }
}
