//! What an image refers back to: the end of what was made in memory, what is before that on the medium, and before that the image
//! before.

use super::{BLOCK_LEN_MAX, BadDelta};
use std::io;

/// How much of what was made is kept in memory: most of what is referred to is not far away.
const KEPT_LEN: usize = 512 * 1024;

/// Where images lie.
pub trait Medium {
    /// Fills `into` with octets of the image before, from `at` on.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read_base(&mut self, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// Fills `into` with octets that were written, from `at` on.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read_made(&mut self, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// Appends to what was written.
    ///
    /// # Errors
    /// If they cannot be written.
    fn write(&mut self, octets: &[u8]) -> io::Result<()>;
}

pub(super) struct History<'a> {
    medium: &'a mut dyn Medium,
    base_len: u64,
    // How many octets the image has.
    length: u64,
    // How many are written.
    written: u64,
    // The last ones that were written, and then those of the block that is being made.
    kept: Vec<u8>,
    in_block: usize,
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn at_most(len: usize, bound: u64) -> usize {
    len.min(usize::try_from(bound).unwrap_or(usize::MAX))
}

impl<'a> History<'a> {
    pub(super) fn new(medium: &'a mut dyn Medium, base_len: u64, length: u64) -> Self {
        let kept = Vec::with_capacity(KEPT_LEN + BLOCK_LEN_MAX);
        Self { medium, base_len, length, written: 0, kept, in_block: 0 }
    }

    // Counts what is about to be made.
    fn room_for(&mut self, len: usize) -> Result<(), BadDelta> {
        self.in_block += len;
        if self.in_block > BLOCK_LEN_MAX {
            return Err(BadDelta::Damaged("a block makes too much"));
        }
        if self.written + count(self.in_block) > self.length { Err(BadDelta::TooLong) } else { Ok(()) }
    }

    /// Makes these octets.
    pub(super) fn add(&mut self, octets: &[u8]) -> Result<(), BadDelta> {
        self.room_for(octets.len())?;
        self.kept.extend_from_slice(octets);
        Ok(())
    }

    /// Makes one octet so often.
    pub(super) fn repeat(&mut self, [octet]: [u8; 1], len: usize) -> Result<(), BadDelta> {
        self.room_for(len)?;
        self.kept.resize(self.kept.len() + len, octet);
        Ok(())
    }

    /// Makes again what is so far back.
    pub(super) fn copy(&mut self, back: u64, len: usize) -> Result<(), BadDelta> {
        let made = self.written + count(self.in_block);
        self.room_for(len)?;
        if back == 0 || back > made + self.base_len {
            return Err(BadDelta::OutOfReach);
        }
        // From the first octet of the image before on.
        let (mut from, mut left) = (made + self.base_len - back, len);
        let in_memory = made + self.base_len - count(self.kept.len());
        while left > 0 {
            let taken = if from < self.base_len {
                let taken = at_most(left, self.base_len - from);
                self.fetch(taken, |medium, into| medium.read_base(from, into))?;
                taken
            } else if from < in_memory {
                let (taken, at) = (at_most(left, in_memory - from), from - self.base_len);
                self.fetch(taken, |medium, into| medium.read_made(at, into))?;
                taken
            } else {
                let at = at_most(usize::MAX, from - in_memory);
                let taken = left.min(self.kept.len() - at);
                self.kept.extend_from_within(at..at + taken);
                taken
            };
            from += count(taken);
            left -= taken;
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        len: usize,
        read: impl FnOnce(&mut dyn Medium, &mut [u8]) -> io::Result<()>,
    ) -> Result<(), BadDelta> {
        let at = self.kept.len();
        self.kept.resize(at + len, 0);
        read(self.medium, self.kept.get_mut(at..).unwrap_or_default()).map_err(BadDelta::Medium)
    }

    /// Writes what the block has made.
    pub(super) fn end_block(&mut self) -> Result<(), BadDelta> {
        let from = self.kept.len() - self.in_block;
        self.medium.write(self.kept.get(from..).unwrap_or_default()).map_err(BadDelta::Medium)?;
        self.written += count(self.in_block);
        self.in_block = 0;
        if let Some(more) = self.kept.len().checked_sub(KEPT_LEN) {
            self.kept.drain(..more);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), BadDelta> {
        if self.written == self.length { Ok(()) } else { Err(BadDelta::TooShort) }
    }
}
