//! Deltas: an image made of the one before it and of what is new, as `zstd --patch-from` writes them.
//!
//! What an image refers back to is read from where it lies: the image before from its own place, what was made already from where it
//! was written. So memory does not follow from the window that a delta wants, nor from either image: a block, what it
//! is made of, and the last half MiB that was made.
//!
//! A delta proves nothing: what it makes is the image only if it is verified as any other octets are. The checksum in it is passed over.

mod bits;
mod block;
mod fse;
mod history;
mod huffman;
mod said;

pub use history::Medium;
pub use said::Delta;

use crate::image::read_some;
use block::Blocks;
use history::History;
use std::fmt;
use std::io::{self, Read};

/// What a frame begins with. Source: RFC 8878 §3.1.1.
pub(crate) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Longest block, written and made. Source: RFC 8878 §3.1.1.2.4.
const BLOCK_LEN_MAX: usize = 128 * 1024;
const CHECKSUM_LEN: usize = 4;

/// Why a delta does not make an image.
#[derive(Debug)]
pub enum BadDelta {
    /// It does not begin as what zstd writes.
    NoFrame,
    /// It wants a dictionary that it names, and not the image before.
    NamesDictionary,
    /// This part of it is not as zstd writes it.
    Damaged(&'static str),
    /// It ends in the middle.
    Cut,
    /// There is something behind it.
    NotAll,
    /// It refers to what is before the first octet of the image before: it was made from another one.
    OutOfReach,
    /// It makes more octets than the image has.
    TooLong,
    /// It makes fewer octets than the image has.
    TooShort,
    /// It could not be read.
    Unreadable(io::Error),
    /// The image before could not be read, or the image could not be written.
    Medium(io::Error),
}

impl fmt::Display for BadDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFrame => f.write_str("it does not begin as what zstd writes"),
            Self::NamesDictionary => f.write_str("it wants a dictionary, and not the image before"),
            Self::Damaged(part) => write!(f, "it is damaged: {part}"),
            Self::Cut => f.write_str("it ends in the middle"),
            Self::NotAll => f.write_str("there is something behind it"),
            Self::OutOfReach => f.write_str("it was made from another image"),
            Self::TooLong => f.write_str("it makes more octets than the image has"),
            Self::TooShort => f.write_str("it makes fewer octets than the image has"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::Medium(why) => write!(f, "the image before cannot be read, or the image cannot be written: {why}"),
        }
    }
}
impl std::error::Error for BadDelta {}

/// Makes an image of `length` octets from a delta and from the image before, which has `base_len`.
///
/// Limits: never more than `length` octets are written; one frame; memory of about a MiB, whatever the delta says.
/// # Errors
/// [`BadDelta`]. What was written until then is of no use. If there is none it is still to be verified.
/// Source: RFC 8878; what is referred to before the first octet is the end of the image before, as with the dictionaries of its §5.
pub fn apply(delta: &mut dyn Read, base_len: u64, length: u64, medium: &mut dyn Medium) -> Result<(), BadDelta> {
    let has_checksum = header(delta, length)?;
    let mut history = History::new(medium, base_len, length);
    let mut blocks = Blocks::default();
    loop {
        let [a, b, c] = read_array(delta)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let len = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        if len > BLOCK_LEN_MAX {
            return Err(BadDelta::Damaged("a block is too long"));
        }
        match (header >> 1) & 3 {
            0 => history.add(&read_vec(delta, len)?)?,
            1 => history.repeat(read_array::<1>(delta)?, len)?,
            2 => blocks.decode(&read_vec(delta, len)?, &mut history)?,
            _ => return Err(BadDelta::Damaged("a block of no known kind")),
        }
        history.end_block()?;
        if header & 1 == 1 {
            break;
        }
    }
    history.finish()?;
    if has_checksum {
        read_array::<CHECKSUM_LEN>(delta)?;
    }
    match read_some(delta, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(BadDelta::NotAll),
        Err(why) => Err(BadDelta::Unreadable(why)),
    }
}

// RFC 8878 §3.1.1.1: reads it, and says whether a checksum comes at the end. The window costs nothing here.
fn header(delta: &mut dyn Read, length: u64) -> Result<bool, BadDelta> {
    if read_array(delta)? != MAGIC {
        return Err(BadDelta::NoFrame);
    }
    let [described] = read_array(delta)?;
    if described & 0b1000 != 0 {
        return Err(BadDelta::Damaged("the header has what nobody knows"));
    }
    let is_single = described & 0b10_0000 != 0;
    if !is_single {
        let [_window] = read_array(delta)?;
    }
    let dictionary_len = [0, 1, 2, 4].get(usize::from(described & 3)).copied().unwrap_or(0);
    if read_vec(delta, dictionary_len)?.iter().any(|octet| *octet != 0) {
        return Err(BadDelta::NamesDictionary);
    }
    let said = match (described >> 6, is_single) {
        (0, false) => None,
        (0, true) => Some(u64::from(u8::from_le_bytes(read_array(delta)?))),
        (1, _) => Some(u64::from(u16::from_le_bytes(read_array(delta)?)) + 256),
        (2, _) => Some(u64::from(u32::from_le_bytes(read_array(delta)?))),
        (_, _) => Some(u64::from_le_bytes(read_array(delta)?)),
    };
    match said {
        Some(said) if said > length => Err(BadDelta::TooLong),
        Some(said) if said < length => Err(BadDelta::TooShort),
        _ => Ok(described & 0b100 != 0),
    }
}

fn read_into(delta: &mut dyn Read, into: &mut [u8]) -> Result<(), BadDelta> {
    delta.read_exact(into).map_err(|why| match why.kind() {
        io::ErrorKind::UnexpectedEof => BadDelta::Cut,
        _ => BadDelta::Unreadable(why),
    })
}

fn read_array<const N: usize>(delta: &mut dyn Read) -> Result<[u8; N], BadDelta> {
    let mut octets = [0; N];
    read_into(delta, &mut octets)?;
    Ok(octets)
}

// Of a length that was looked at.
fn read_vec(delta: &mut dyn Read, len: usize) -> Result<Vec<u8>, BadDelta> {
    let mut octets = vec![0; len];
    read_into(delta, &mut octets)?;
    Ok(octets)
}
