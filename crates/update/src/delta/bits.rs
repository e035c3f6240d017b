//! Bits in octets, from the first on, and from the last back.

use super::BadDelta;

// As many as are ever taken at once: an offset.
const TAKEN_MAX: u64 = 32;

fn word(octets: &[u8], at: u64) -> u64 {
    let from = usize::try_from(at / 8).unwrap_or(usize::MAX);
    let octets = octets.get(from..).unwrap_or_default();
    let word = octets.iter().take(8).rev().fold(0_u64, |word, octet| (word << 8) | u64::from(*octet));
    word >> (at % 8)
}

fn lowest(word: u64, count: u64) -> u32 {
    u32::try_from(word & ((1 << count.min(TAKEN_MAX)) - 1)).unwrap_or(u32::MAX)
}

fn bits_of(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX).saturating_mul(8)
}

/// Bits from the first octet on; behind the last there are zeros.
pub(super) struct Forward<'a> {
    octets: &'a [u8],
    at: u64,
}

impl<'a> Forward<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }
    pub(super) fn peek(&self, count: u8) -> u32 {
        lowest(word(self.octets, self.at), u64::from(count))
    }
    pub(super) fn skip(&mut self, count: u8) {
        self.at += u64::from(count);
    }
    pub(super) fn take(&mut self, count: u8) -> u32 {
        let taken = self.peek(count);
        self.skip(count);
        taken
    }
    /// How many octets were begun; `None` if there are fewer.
    pub(super) fn begun(&self) -> Option<usize> {
        usize::try_from(self.at.div_ceil(8)).ok().filter(|begun| *begun <= self.octets.len())
    }
}

/// Bits from the last octet back. Its highest bit that is set is the end. Source: RFC 8878 §3.1.1.3.1.6.
pub(super) struct Backward<'a> {
    octets: &'a [u8],
    left: u64,
    is_over: bool,
}

impl<'a> Backward<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Result<Self, BadDelta> {
        match octets.last() {
            Some(0) | None => Err(BadDelta::Damaged("a stream of bits has no end")),
            Some(last) => {
                let left = bits_of(octets) - u64::from(last.leading_zeros()) - 1;
                Ok(Self { octets, left, is_over: false })
            }
        }
    }
    /// The next ones; before the first octet there are zeros.
    pub(super) fn peek(&self, count: u8) -> u32 {
        let count = u64::from(count);
        match self.left.checked_sub(count) {
            Some(from) => lowest(word(self.octets, from), count),
            None => lowest(word(self.octets, 0), self.left) << (count - self.left),
        }
    }
    pub(super) fn skip(&mut self, count: u8) {
        match self.left.checked_sub(u64::from(count)) {
            Some(left) => self.left = left,
            None => (self.left, self.is_over) = (0, true),
        }
    }
    pub(super) fn take(&mut self, count: u8) -> u32 {
        let taken = self.peek(count);
        self.skip(count);
        taken
    }
    /// Whether more were taken than there are.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
    /// Whether exactly all of them were taken.
    pub(super) const fn is_used_up(&self) -> bool {
        self.left == 0 && !self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_first_on() {
        let mut bits = Forward::new(&[0b1010_0110, 0xff]);
        assert_eq!((bits.take(3), bits.take(2), bits.take(5), bits.begun()), (0b110, 0, 0b11101, Some(2)));
        assert_eq!((bits.take(8), bits.begun()), (0b11_1111, None));
    }
    #[test]
    fn from_the_last_back() {
        let mut bits = Backward::new(&[0b1010_0110, 0b0001_0111]).unwrap();
        assert_eq!((bits.take(4), bits.peek(8), bits.is_used_up()), (0b0111, 0b1010_0110, false));
        assert_eq!((bits.take(8), bits.is_used_up()), (0b1010_0110, true));
        assert_eq!((bits.take(1), bits.is_over(), bits.is_used_up()), (0, true, false));
    }
    #[test]
    fn zeros_stand_before_the_first() {
        let bits = Backward::new(&[0b0000_0111]).unwrap();
        assert_eq!((bits.peek(2), bits.peek(5)), (0b11, 0b11000));
    }
    #[test]
    fn without_an_end() {
        assert!(Backward::new(&[]).is_err() && Backward::new(&[1, 0]).is_err());
    }
}
