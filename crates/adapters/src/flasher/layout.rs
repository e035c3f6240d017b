//! What goes where on a target.

use super::fault;
use super::source::length_of;
use ports::flasher::{BoardFault, Part};
use serde::Deserialize;

/// Longest slot in octets: chains have some KiB.
const SLOT_LEN_MAX: u64 = 1024 * 1024;

/// A place on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Where it begins, in octets.
    pub offset: u64,
    /// How long it is, in octets. Limits: 1 to 1 MiB.
    pub len_max: u64,
}

impl Area {
    /// Whether the area ends within `length` octets.
    pub(crate) fn fits(self, length: u64) -> Result<(), BoardFault> {
        if self.end().is_some_and(|end| end <= length) {
            Ok(())
        } else {
            Err(fault::fixture("the target is smaller than what is to be written"))
        }
    }

    /// The whole slot: `octets`, then zeros.
    pub(crate) fn fill(self, octets: &[u8]) -> Result<Vec<u8>, BoardFault> {
        if length_of(octets) > self.len_max {
            return Err(fault::fixture(format_args!("the part is longer than its slot of {} octets", self.len_max)));
        }
        if octets.contains(&0) {
            return Err(fault::fixture("a part with zero octets cannot stand in a slot that zeros fill up"));
        }
        let mut filled = octets.to_vec();
        filled.resize(usize::try_from(self.len_max).unwrap_or(octets.len()), 0);
        Ok(filled)
    }

    fn end(self) -> Option<u64> {
        self.offset.checked_add(self.len_max)
    }

    fn overlaps(self, other: Self) -> bool {
        match (self.end(), other.end()) {
            (Some(end), Some(other_end)) => self.offset < other_end && other.offset < end,
            _ => true,
        }
    }
}

/// A checked layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    image_offset: u64,
    image_len_max: Option<u64>,
    trust_anchors: Area,
    certificate_chain: Area,
}

impl Layout {
    /// Checks that image and slots keep off each other.
    pub(crate) fn new(
        image_offset: u64,
        image_len_max: Option<u64>,
        trust_anchors: Area,
        certificate_chain: Area,
    ) -> Result<Self, BoardFault> {
        let layout = Self { image_offset, image_len_max, trust_anchors, certificate_chain };
        if [trust_anchors, certificate_chain].iter().any(|slot| !(1..=SLOT_LEN_MAX).contains(&slot.len_max)) {
            return Err(fault::fixture("a slot has 1 octet to 1 MiB"));
        }
        if trust_anchors.overlaps(certificate_chain) {
            return Err(fault::fixture("the slots overlap each other"));
        }
        // Without a longest image, one octet shows whether it begins inside a slot.
        layout.clear_of_slots(Area { offset: image_offset, len_max: image_len_max.unwrap_or(1) })?;
        Ok(layout)
    }

    pub(crate) fn image_at(&self) -> u64 {
        self.image_offset
    }

    /// The area of an image of this length.
    pub(crate) fn image(&self, length: u64) -> Result<Area, BoardFault> {
        if self.image_len_max.is_some_and(|max| length > max) {
            return Err(fault::fixture("the image is longer than its place"));
        }
        let area = Area { offset: self.image_offset, len_max: length };
        self.clear_of_slots(area)?;
        Ok(area)
    }

    pub(crate) fn part(&self, part: Part) -> Area {
        match part {
            Part::TrustAnchors => self.trust_anchors,
            Part::CertificateChain => self.certificate_chain,
        }
    }

    fn clear_of_slots(&self, image: Area) -> Result<(), BoardFault> {
        if image.overlaps(self.trust_anchors) || image.overlaps(self.certificate_chain) {
            return Err(fault::fixture("the image would overlap a slot"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(
        (offset, len_max): (u64, Option<u64>),
        anchors: (u64, u64),
        chain: (u64, u64),
    ) -> Result<Layout, BoardFault> {
        let area = |(offset, len_max)| Area { offset, len_max };
        Layout::new(offset, len_max, area(anchors), area(chain))
    }
    #[track_caller]
    fn check(image: (u64, Option<u64>), anchors: (u64, u64), chain: (u64, u64), ok: bool) {
        assert_eq!(layout(image, anchors, chain).is_ok(), ok);
    }

    #[test]
    fn neighbours_touch() {
        check((0, Some(100)), (100, 50), (150, 50), true);
    }
    #[test]
    fn a_slot_in_the_image_is_refused() {
        check((0, Some(101)), (100, 50), (150, 50), false);
    }
    #[test]
    fn an_image_in_a_slot_is_refused() {
        check((149, Some(1)), (100, 50), (150, 50), false);
    }
    #[test]
    fn slots_that_overlap_are_refused() {
        check((0, Some(1)), (100, 51), (150, 50), false);
    }
    #[test]
    fn an_end_behind_all_numbers_is_refused() {
        check((0, Some(1)), (u64::MAX, 2), (150, 50), false);
    }
    #[test]
    fn an_empty_slot_is_refused() {
        check((0, Some(1)), (100, 0), (150, 50), false);
    }
    #[test]
    fn a_giant_slot_is_refused() {
        check((0, Some(1)), (100, 50), (150, SLOT_LEN_MAX + 1), false);
    }

    #[track_caller]
    fn image(len_max: Option<u64>, length: u64, ok: bool) {
        let layout = layout((0, len_max), (100, 50), (150, 50)).unwrap();
        assert_eq!(layout.image(length).is_ok(), ok);
    }
    #[test]
    fn an_image_up_to_the_slot() {
        image(None, 100, true);
    }
    #[test]
    fn an_image_into_the_slot_is_refused() {
        image(None, 101, false);
    }
    #[test]
    fn an_image_longer_than_its_place_is_refused() {
        image(Some(10), 11, false);
    }

    #[track_caller]
    fn fill(octets: &[u8], expected: Option<&[u8]>) {
        assert_eq!(Area { offset: 0, len_max: 4 }.fill(octets).ok().as_deref(), expected);
    }
    #[test]
    fn zeros_fill_a_slot() {
        fill(b"ab", Some(b"ab\0\0"));
    }
    #[test]
    fn a_full_slot_has_no_zero() {
        fill(b"abcd", Some(b"abcd"));
    }
    #[test]
    fn one_octet_too_many_is_refused() {
        fill(b"abcde", None);
    }
    #[test]
    fn a_zero_in_a_part_is_refused() {
        fill(b"a\0b", None);
    }

    #[track_caller]
    fn fits(offset: u64, len_max: u64, length: u64, ok: bool) {
        assert_eq!(Area { offset, len_max }.fits(length).is_ok(), ok);
    }
    #[test]
    fn a_target_that_ends_with_the_area() {
        fits(10, 10, 20, true);
    }
    #[test]
    fn a_target_one_octet_too_small() {
        fits(10, 10, 19, false);
    }
    #[test]
    fn an_area_behind_all_numbers_fits_nothing() {
        fits(u64::MAX, 10, u64::MAX, false);
    }
}
