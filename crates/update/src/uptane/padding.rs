//! Lengths that say nothing: what a director tells a device, and what the device reports, has a length that follows from how many
//! components the device has, and not from what they carry.

/// Room for one component, in what is told and in what is reported: about twice what either takes with Ed25519 or P-256, and names of
/// a hundred octets.
const COMPONENT_ROOM: usize = 1024;
/// Room for what stands around them, in the same measure.
const AROUND: usize = 3;

/// How long a file is made that is about so many components: their room, or as long as it is, up to the next power of two.
#[must_use]
pub const fn padded_len(len: usize, components: usize) -> usize {
    let room = components.saturating_add(AROUND).saturating_mul(COMPONENT_ROOM);
    let len = if len > room { len } else { room };
    match len.checked_next_power_of_two() {
        Some(padded) => padded,
        None => len,
    }
}

/// Makes a JSON text longer by white space behind it, which every reader passes over; never shorter.
#[must_use]
pub fn padded(mut octets: Vec<u8>, len: usize) -> Vec<u8> {
    octets.resize(len.max(octets.len()), b' ');
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(len: usize, components: usize, expected: usize) {
        assert_eq!(padded_len(len, components), expected);
    }
    #[test]
    fn nothing_and_much_have_one_length() {
        check(0, 1, 4096);
        check(4096, 1, 4096);
    }
    #[test]
    fn what_has_no_room_goes_up_a_step() {
        check(4097, 1, 8192);
        check(8192, 1, 8192);
    }
    #[test]
    fn more_components_have_more_room() {
        check(0, 2, 8192);
        check(0, 5, 8192);
        check(0, 6, 16_384);
        check(0, 256, 524_288);
    }
    #[test]
    fn no_length_is_too_long() {
        check(usize::MAX, 1, usize::MAX);
        check(0, usize::MAX, usize::MAX);
    }
    #[test]
    fn white_space_is_added_and_nothing_is_cut_off() {
        assert_eq!(padded(b"{}".to_vec(), 4), b"{}  ");
        assert_eq!(padded(b"{}".to_vec(), 1), b"{}");
    }
}
