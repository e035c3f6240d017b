//! Writing sparsely, and reading back.

use super::super::fault;
use super::super::source::{Source, length_of};
use super::medium::Medium;
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
use ports::flasher::BoardFault;
use std::io;

/// Octets that are read at once: large writes are what flash memory likes, and a few of them in flight are little.
const CHUNK_LEN: usize = 1024 * 1024;
/// The smallest run of zeros that becomes a hole: below this, finding and making holes costs more than writing.
const CELL_LEN: usize = 64 * 1024;

/// Why something is not on the medium.
#[derive(Debug)]
pub(super) enum Failed {
    /// As the station shall hear it.
    Board(BoardFault),
    /// Synchronising failed, after which nothing of the medium can be believed.
    Sync(io::Error),
}

impl From<BoardFault> for Failed {
    fn from(fault: BoardFault) -> Self {
        Self::Board(fault)
    }
}

/// Writes an image, reads it back and compares. Writing is the first half of the progress, reading back the second.
pub(super) fn write_image(
    medium: &mut impl Medium,
    at: u64,
    source: &mut Source<'_>,
    length: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Failed> {
    let written = write_sparse(medium, at, source, &mut |done| progress(done / 2))?;
    medium.sync().map_err(Failed::Sync)?;
    // The last octet counts as done when the comparison is.
    let read = digest(medium, at, length, &mut |done| progress((length / 2 + done / 2).min(length.saturating_sub(1))))?;
    if read != written {
        return Err(BoardFault::Mismatch.into());
    }
    progress(length);
    Ok(())
}

/// Writes a part, reads it back and compares.
pub(super) fn write_part(medium: &mut impl Medium, at: u64, octets: &[u8]) -> Result<(), Failed> {
    medium.write(octets, at).map_err(fault::system("writing to the medium"))?;
    medium.sync().map_err(Failed::Sync)?;
    let read = digest(medium, at, length_of(octets), &mut |_| ())?;
    if read == x509::sha256(octets) { Ok(()) } else { Err(BoardFault::Mismatch.into()) }
}

/// The digest of what the medium carries.
pub(super) fn digest(
    medium: &mut impl Medium,
    at: u64,
    length: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Digest, BoardFault> {
    medium.drop_cache().map_err(fault::system("dropping the cache"))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; CHUNK_LEN];
    let mut done = 0;
    while done < length {
        let len = usize::try_from(length.saturating_sub(done)).unwrap_or(usize::MAX).min(CHUNK_LEN);
        let chunk = buffer.get_mut(..len).unwrap_or_default();
        medium.read(chunk, at.saturating_add(done)).map_err(fault::system("reading from the medium"))?;
        context.update(chunk);
        done = done.saturating_add(length_of(chunk));
        progress(done);
    }
    Ok(finish(context))
}

/// Writes what the source gives, with holes for runs of zeros; gives the digest of what was written.
fn write_sparse(
    medium: &mut impl Medium,
    at: u64,
    source: &mut Source<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Digest, BoardFault> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; CHUNK_LEN];
    let mut done = 0_u64;
    // Zeros at the end of what was read: they may go on in the next chunk, and one large hole is cheaper than many.
    let mut hole = 0_u64;
    loop {
        let chunk = &*source.fill(&mut buffer)?;
        if chunk.is_empty() {
            break;
        }
        context.update(chunk);
        for cell in chunk.chunks(CELL_LEN) {
            if cell.iter().all(|octet| *octet == 0) {
                hole = hole.saturating_add(length_of(cell));
            } else {
                punch(medium, at.saturating_add(done), &mut hole)?;
                medium.write(cell, at.saturating_add(done)).map_err(fault::system("writing to the medium"))?;
            }
            done = done.saturating_add(length_of(cell));
        }
        progress(done);
    }
    punch(medium, at.saturating_add(done), &mut hole)?;
    Ok(finish(context))
}

/// Makes the hole that ends at `end`.
fn punch(medium: &mut impl Medium, end: u64, hole: &mut u64) -> Result<(), BoardFault> {
    let len = std::mem::take(hole);
    if len == 0 {
        return Ok(());
    }
    medium.zero(end.saturating_sub(len), len).map_err(fault::system("writing zeros to the medium"))
}

fn finish(context: Context) -> Digest {
    let Some(digest) = Digest::from_slice(context.finish().as_ref()) else {
        unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
    };
    digest
}

#[cfg(test)]
mod tests {
    use super::super::medium::write_zeros;
    use super::*;
    use proptest::prelude::*;

    /// A medium whose cache hides what became of the octets until it is dropped.
    #[derive(Default)]
    struct Card {
        cache: Vec<u8>,
        medium: Vec<u8>,
        cached: bool,
        no_holes: bool,
        flips_at: Option<usize>,
        full_at: Option<u64>,
        sync_fails: bool,
        holes: Vec<(u64, u64)>,
        written: u64,
    }
    impl Card {
        fn dirty(len: usize) -> Self {
            Self { cache: vec![0xa5; len], medium: vec![0xa5; len], ..Self::default() }
        }
    }
    impl Medium for Card {
        fn length(&self) -> u64 {
            length_of(&self.cache)
        }
        fn write(&mut self, octets: &[u8], at: u64) -> io::Result<()> {
            if self.full_at.is_some_and(|full| at + length_of(octets) > full) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let at = usize::try_from(at).unwrap();
            self.cache[at..at + octets.len()].copy_from_slice(octets);
            self.written += length_of(octets);
            self.cached = true;
            Ok(())
        }
        fn zero(&mut self, at: u64, len: u64) -> io::Result<()> {
            if self.no_holes {
                return write_zeros(self, at, len);
            }
            self.holes.push((at, len));
            let at = usize::try_from(at).unwrap();
            self.cache[at..at + usize::try_from(len).unwrap()].fill(0);
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            if self.sync_fails {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.medium.clone_from(&self.cache);
            if let Some(at) = self.flips_at {
                self.medium[at] ^= 0x10;
            }
            Ok(())
        }
        fn drop_cache(&mut self) -> io::Result<()> {
            self.cached = false;
            Ok(())
        }
        fn read(&mut self, buffer: &mut [u8], at: u64) -> io::Result<()> {
            let at = usize::try_from(at).unwrap();
            let from = if self.cached { &self.cache } else { &self.medium };
            buffer.copy_from_slice(&from[at..at + buffer.len()]);
            Ok(())
        }
    }

    fn flash(card: &mut Card, at: u64, image: &[u8]) -> (Result<(), Failed>, Vec<u64>) {
        let mut reader = image;
        let mut heard = Vec::new();
        let length = length_of(image);
        let result = write_image(card, at, &mut Source::new(&mut reader, length), length, &mut |n| heard.push(n));
        (result, heard)
    }

    const CELL: usize = CELL_LEN;

    #[test]
    fn zeros_become_one_hole_over_chunks() {
        let mut card = Card::dirty(4 * CHUNK_LEN);
        let mut image = vec![0; 3 * CHUNK_LEN];
        image[0] = 1;
        flash(&mut card, 0, &image).0.unwrap();
        assert_eq!(card.holes, [(length_of(&image[..CELL]), length_of(&image[CELL..]))]);
        assert_eq!(card.medium[..image.len()], image);
        assert!(card.medium[image.len()..].iter().all(|o| *o == 0xa5), "the rest of the target is not ours");
    }
    #[test]
    fn a_dirty_target_without_holes_is_written_with_zeros() {
        let mut card = Card { no_holes: true, ..Card::dirty(3 * CHUNK_LEN) };
        let image = vec![0; 2 * CHUNK_LEN + 5];
        flash(&mut card, 512, &image).0.unwrap();
        assert_eq!(card.medium[512..512 + image.len()], image);
    }
    #[test]
    fn an_octet_that_turns_on_the_medium_is_found_behind_the_cache() {
        let mut card = Card { flips_at: Some(70_000), ..Card::dirty(CHUNK_LEN) };
        let result = flash(&mut card, 0, &vec![7; 100_000]).0;
        assert!(matches!(result, Err(Failed::Board(BoardFault::Mismatch))), "{result:?}");
    }
    #[test]
    fn an_octet_that_turns_in_a_part_is_found_behind_the_cache() {
        let mut card = Card { flips_at: Some(3), ..Card::dirty(100) };
        let result = write_part(&mut card, 0, &[7; 10]);
        assert!(matches!(result, Err(Failed::Board(BoardFault::Mismatch))), "{result:?}");
    }
    #[test]
    fn a_full_medium_is_a_fault_of_the_fixture() {
        let mut card = Card { full_at: Some(65_536), ..Card::dirty(CHUNK_LEN) };
        let result = flash(&mut card, 0, &vec![7; 100_000]).0;
        assert!(matches!(result, Err(Failed::Board(BoardFault::Fixture(_)))), "{result:?}");
    }
    #[test]
    fn a_failed_synchronisation_is_told_apart() {
        let mut card = Card { sync_fails: true, ..Card::dirty(CHUNK_LEN) };
        assert!(matches!(flash(&mut card, 0, &[7; 10]).0, Err(Failed::Sync(_))));
        assert!(matches!(write_part(&mut card, 0, &[7; 10]), Err(Failed::Sync(_))));
    }
    #[test]
    fn progress_never_falls_and_ends_with_the_comparison() {
        let mut card = Card::dirty(4 * CHUNK_LEN);
        let (result, heard) = flash(&mut card, 0, &vec![7; 3 * CHUNK_LEN + 1]);
        result.unwrap();
        assert!(heard.is_sorted(), "{heard:?}");
        let whole = 3 * 1024 * 1024 + 1;
        assert_eq!((heard.last(), heard.iter().filter(|n| **n == whole).count()), (Some(&whole), 1));
    }
    #[test]
    fn progress_is_not_whole_if_the_comparison_fails() {
        let mut card = Card { flips_at: Some(0), ..Card::dirty(CHUNK_LEN) };
        assert!(!flash(&mut card, 0, &[7; 1000]).1.contains(&1000));
    }
    #[test]
    fn an_image_that_ends_early_is_a_fault_of_the_source() {
        let mut reader: &[u8] = &[1; 10];
        let mut card = Card::dirty(100);
        let result = write_image(&mut card, 0, &mut Source::new(&mut reader, 11), 11, &mut |_| ());
        assert!(matches!(result, Err(Failed::Board(BoardFault::Source))));
    }

    proptest! {
        // Whatever runs of zeros there are, the target carries what a plain copy would.
        #[test]
        fn a_sparse_copy_is_a_copy(
            runs in prop::collection::vec((any::<bool>(), 0..3 * CELL), 0..12),
            at in 0_u64..2000,
            no_holes: bool,
        ) {
            let image: Vec<u8> = runs.iter().flat_map(|(zero, len)| vec![u8::from(!*zero); *len]).collect();
            let mut card = Card { no_holes, ..Card::dirty(image.len() + 4000) };
            let mut plain = card.cache.clone();
            let start = usize::try_from(at).unwrap();
            plain[start..start + image.len()].copy_from_slice(&image);
            flash(&mut card, at, &image).0.unwrap();
            prop_assert_eq!(card.medium, plain);
        }
    }
}
