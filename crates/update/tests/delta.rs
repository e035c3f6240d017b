//! Deltas that zstd has made: what they make, and what is refused. Provenance: `testdata/PROVENANCE.toml`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "what cannot go on here has failed")]

use std::io;
use update::delta::{BadDelta, Medium, apply};

const BASE: &[u8] = include_bytes!("../../../testdata/rfc8878/base");
const IMAGE: &[u8] = include_bytes!("../../../testdata/rfc8878/image");
const LEVEL_1: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-level-1.zst");
const LEVEL_19: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-level-19.zst");
const WINDOW: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-window-2-31.zst");
const FAST: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-fast.zst");
const STREAM: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-stream.zst");
const ZEROS: &[u8] = include_bytes!("../../../testdata/rfc8878/zstd-1.5.4-zeros.zst");

/// Images in memory; `room` is how much can be written.
struct Memory<'a> {
    base: &'a [u8],
    made: Vec<u8>,
    room: usize,
}

fn read(from: &[u8], at: u64, into: &mut [u8]) -> io::Result<()> {
    let at = usize::try_from(at).unwrap();
    let found = from.get(at..at + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
    into.copy_from_slice(found);
    Ok(())
}

impl Medium for Memory<'_> {
    fn read_base(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        read(self.base, at, into)
    }
    fn read_made(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        read(&self.made, at, into)
    }
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.made.extend_from_slice(octets);
        if self.made.len() > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn make(mut delta: &[u8], base: &[u8], base_len: usize, length: usize) -> (Result<(), BadDelta>, Vec<u8>) {
    let mut memory = Memory { base, made: Vec::new(), room: usize::MAX };
    let made = apply(&mut delta, base_len.try_into().unwrap(), length.try_into().unwrap(), &mut memory);
    (made, memory.made)
}

#[track_caller]
fn check(delta: &[u8], base: &[u8], length: usize, expected: Option<&str>) {
    let (made, octets) = make(delta, base, base.len(), length);
    let said = made.err().map(|bad| bad.to_string());
    assert_eq!(said.as_deref(), expected);
    assert!(octets.len() <= length, "{} octets were written for {length}", octets.len());
    // What is refused has not the whole image, unless more than that was wanted.
    assert_eq!(octets == IMAGE, expected.is_none() || (octets == IMAGE && length > IMAGE.len()));
}

#[test]
fn what_zstd_wrote_makes_the_image() {
    for delta in [LEVEL_1, LEVEL_19, WINDOW, FAST] {
        check(delta, BASE, IMAGE.len(), None);
    }
    check(STREAM, b"", IMAGE.len(), None);
    // A window of two GiB is said, and costs nothing.
    assert!(WINDOW.len() < IMAGE.len());
}
#[test]
fn images_of_other_lengths() {
    check(LEVEL_1, BASE, IMAGE.len() - 1, Some("it makes more octets than the image has"));
    check(LEVEL_1, BASE, IMAGE.len() + 1, Some("it makes fewer octets than the image has"));
    check(STREAM, b"", IMAGE.len() - 1, Some("it makes more octets than the image has"));
    check(STREAM, b"", IMAGE.len() + 1, Some("it makes fewer octets than the image has"));
    check(ZEROS, b"", IMAGE.len(), Some("it makes more octets than the image has"));
}
#[test]
fn another_image_before() {
    check(LEVEL_1, b"", IMAGE.len(), Some("it was made from another image"));
    check(LEVEL_1, &BASE[1000..], IMAGE.len(), Some("it was made from another image"));
    // As long, and other octets: what is made is not the image, which verification tells.
    let (made, octets) = make(LEVEL_1, &vec![b'x'; BASE.len()], BASE.len(), IMAGE.len());
    assert!(made.is_ok() && octets.len() == IMAGE.len() && octets != IMAGE);
}
#[test]
fn a_medium_that_fails() {
    let failed = "the image before cannot be read, or the image cannot be written: unexpected end of file";
    let (made, _) = make(LEVEL_1, &BASE[..10], BASE.len(), IMAGE.len());
    assert_eq!(made.unwrap_err().to_string(), failed);
    let mut memory = Memory { base: BASE, made: Vec::new(), room: 10 };
    let lengths = (BASE.len().try_into().unwrap(), IMAGE.len().try_into().unwrap());
    let made = apply(&mut { LEVEL_1 }, lengths.0, lengths.1, &mut memory);
    assert!(matches!(made, Err(BadDelta::Medium(_))));
}
#[test]
fn each_octet_may_be_the_last() {
    for delta in [LEVEL_1, LEVEL_19, STREAM] {
        for len in 0..delta.len() {
            let (made, octets) = make(&delta[..len], BASE, BASE.len(), IMAGE.len());
            assert!(made.is_err() && octets.len() <= IMAGE.len(), "{len} octets of it are enough");
        }
    }
    let more = [LEVEL_1, b"x"].concat();
    check_refused(&more, "there is something behind it");
}
#[track_caller]
fn check_refused(delta: &[u8], why: &str) {
    let (made, _) = make(delta, BASE, BASE.len(), IMAGE.len());
    assert_eq!(made.unwrap_err().to_string(), why);
}
#[test]
fn headers_that_are_not_taken() {
    check_refused(b"\x28\xb5\x2f\xfe", "it does not begin as what zstd writes");
    check_refused(b"\x28\xb5\x2f\xfd", "it ends in the middle");
    check_refused(b"\x28\xb5\x2f\xfd\x08\x00", "it is damaged: the header has what nobody knows");
    check_refused(b"\x28\xb5\x2f\xfd\x01\x00\x07", "it wants a dictionary, and not the image before");
    // The number 0 is that of no dictionary.
    check_refused(b"\x28\xb5\x2f\xfd\x01\x00\x00\x01\x00\x00", "it makes fewer octets than the image has");
}
#[test]
fn blocks_that_are_not_taken() {
    let block = |head: u32, octets: &[u8]| {
        let head = head.to_le_bytes();
        [b"\x28\xb5\x2f\xfd\x00\x00", &head[..3], octets].concat()
    };
    let longest = 128 * 1024;
    let whole = |kind: u32, len: u32| block(1 | (kind << 1) | (len << 3), &[7; 2 * 128 * 1024]);
    let (made, octets) = make(&block(1 | 2 | (longest << 3), b"x"), b"", 0, longest.try_into().unwrap());
    assert!(made.is_ok() && octets == vec![b'x'; longest.try_into().unwrap()]);
    check_refused(&whole(0, longest + 1), "it is damaged: a block is too long");
    check_refused(&whole(1, longest + 1), "it is damaged: a block is too long");
    check_refused(&whole(3, 4), "it is damaged: a block of no known kind");
    check_refused(&whole(2, 0), "it is damaged: literals");
    // Literals of another length than there are, and tables that no block before has left.
    check_refused(&block(1 | 4 | (1 << 3), &[0xf8]), "it is damaged: literals");
    check_refused(&block(1 | 4 | (4 << 3), &[0x03, 0, 0, 0]), "it is damaged: literals");
    check_refused(&block(1 | 4 | (4 << 3), &[0x00, 1, 0xfc, 1]), "it is damaged: sequences");
    check_refused(&block(1 | 4 | (4 << 3), &[0x00, 1, 0x03, 1]), "it is damaged: sequences");
    // One octet that is repeated 1048575 times, which no block may make.
    check_refused(&block(1 | 4 | (5 << 3), &[0xfd, 0xff, 0xff, 7, 0]), "it is damaged: literals");
}
/// Whatever is altered in one, nothing is made beyond the image, and most of it is seen.
#[test]
fn each_bit_of_a_delta() {
    let mut seen = 0;
    for bit in 0..LEVEL_19.len() * 8 {
        let mut altered = LEVEL_19.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        let (made, octets) = make(&altered, BASE, BASE.len(), IMAGE.len());
        assert!(octets.len() <= IMAGE.len());
        seen += usize::from(made.is_err() || octets != IMAGE);
    }
    assert!(seen > LEVEL_19.len() * 7, "{seen} of {} were seen", LEVEL_19.len() * 8);
}
