//! In which pieces an image is fetched: all of one size, and so many that others have as many. Whoever watches the line sees the
//! piece and the number, and not the length of the image.

/// Longest piece, in octets: a connection for each costs less than a hundredth of it.
const PIECE_LEN_MAX: u64 = 1024 * 1024;
/// Shortest piece of an image that has as many octets.
const PIECE_LEN_MIN: u64 = 64 * 1024;
/// How many classes there are between a length and its double, as a power of two: an image costs an eighth more at most.
const CLASSES_LOG: u32 = 3;

/// How an image of some length is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    length: u64,
    piece: u64,
    count: u64,
}

/// A part of an image that is asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Pieces {
    /// Pieces that hide the length.
    pub(crate) fn hiding(length: u64) -> Self {
        let floor = |len: u64| len.checked_ilog2().map_or(1, |log| 1 << log);
        let least = floor(length).min(PIECE_LEN_MIN);
        let piece = floor(length >> CLASSES_LOG).clamp(least, PIECE_LEN_MAX);
        let needed = length.div_ceil(piece);
        let step = floor(needed >> CLASSES_LOG);
        Self { length, piece, count: needed.next_multiple_of(step) }
    }

    /// One that is the whole.
    pub(crate) const fn whole(length: u64) -> Self {
        Self { length, piece: length, count: 1 }
    }

    /// What is asked for when everything before `at` is there. The last piece begins before, because it is as long as others.
    pub(crate) fn next(&self, at: u64) -> Part {
        let piece = self.piece.max(1);
        let to = (at / piece + 1).saturating_mul(piece).min(self.length);
        let from = if at.is_multiple_of(piece) { to.saturating_sub(piece) } else { at };
        Part { from: from.min(at), to }
    }

    /// What is asked for once all is there, so that there are as many pieces as of longer images.
    pub(crate) fn cover(&self) -> impl Iterator<Item = Part> {
        let piece = self.piece;
        let needed = if piece == 0 { self.count } else { self.length.div_ceil(piece) };
        (0..self.count.saturating_sub(needed)).map(move |n| Part { from: n * piece, to: (n + 1) * piece })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    // What is seen of an image: which pieces, how often.
    #[track_caller]
    fn check(length: u64, piece: u64, count: u64) {
        let pieces = Pieces::hiding(length);
        assert_eq!((pieces.piece, pieces.count), (piece, count), "{length}");
        let (mut at, mut seen) = (0, Vec::new());
        while at < length {
            let part = pieces.next(at);
            assert!(part.from <= at && part.to > at && part.to <= length, "{part:?} at {at} of {length}");
            seen.push(part.to - part.from);
            at = part.to;
        }
        for part in pieces.cover() {
            assert!(part.to <= length, "{part:?} of {length}");
            seen.push(part.to - part.from);
        }
        assert!(seen.iter().all(|len| *len == piece), "{length}: {seen:?}");
        assert_eq!(seen.len(), usize::try_from(count).unwrap(), "{length}");
    }
    #[test]
    fn short_images_are_one_or_two_pieces() {
        check(1, 1, 1);
        check(1000, 512, 2);
        check(1024, 1024, 1);
        check(65_535, 32_768, 2);
    }
    #[test]
    fn images_of_up_to_eight_mebibytes_are_up_to_sixteen() {
        check(65_536, 65_536, 1);
        check(65_537, 65_536, 2);
        check(300_000, 65_536, 5);
        check(320_000, 65_536, 5);
        check(MIB, 128 * KIB, 8);
        check(2 * MIB - 1, 128 * KIB, 16);
        check(8 * MIB - 1, 512 * KIB, 16);
    }
    #[test]
    fn longer_ones_are_covered() {
        check(8 * MIB, MIB, 8);
        check(16 * MIB + 1, MIB, 18);
        check(256 * MIB, MIB, 256);
        check(256 * MIB + 1, MIB, 288);
        check(287 * MIB, MIB, 288);
    }
    #[test]
    fn what_was_broken_off_is_gone_on_with() {
        let pieces = Pieces::hiding(300_000);
        assert_eq!(pieces.next(65_536 + 5), Part { from: 65_541, to: 131_072 });
        assert_eq!(pieces.next(262_144), Part { from: 300_000 - 65_536, to: 300_000 });
        assert_eq!(pieces.next(262_145), Part { from: 262_145, to: 300_000 });
    }
    #[test]
    fn the_whole_is_one_piece() {
        let pieces = Pieces::whole(300_000);
        assert_eq!(pieces.next(0), Part { from: 0, to: 300_000 });
        assert_eq!(pieces.next(7), Part { from: 7, to: 300_000 });
        assert_eq!(pieces.cover().count(), 0);
        assert_eq!((Pieces::whole(0).cover().count(), Pieces::hiding(0).cover().count()), (0, 0));
    }
    #[test]
    fn no_image_costs_much_more() {
        for length in (0..400).map(|n| MIB + n * 777_777) {
            let pieces = Pieces::hiding(length);
            assert!(pieces.piece * pieces.count <= length + length / 8 + 1, "{length}");
        }
    }
}
