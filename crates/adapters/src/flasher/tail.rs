//! The last of what was said.

/// Adds `more` to what is kept, and forgets the beginning of what is longer than `len_max`.
pub(crate) fn keep(kept: &mut Vec<u8>, more: &[u8], len_max: usize) {
    kept.extend_from_slice(more);
    let excess = kept.len().saturating_sub(len_max);
    kept.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(more: &[u8], expected: &[u8]) {
        let mut kept = b"abc".to_vec();
        keep(&mut kept, more, 5);
        assert_eq!(kept, expected);
    }
    #[test]
    fn what_fits_is_kept() {
        check(b"de", b"abcde");
    }
    #[test]
    fn the_beginning_is_forgotten() {
        check(b"def", b"bcdef");
    }
    #[test]
    fn more_than_can_be_kept() {
        check(b"1234567", b"34567");
    }
}
