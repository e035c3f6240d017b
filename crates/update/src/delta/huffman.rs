//! Literals as Huffman wrote them. Source: RFC 8878 §4.2.

use super::BadDelta;
use super::bits::Backward;
use super::fse::Table as Weights;

/// Longest code, in bits. Source: RFC 8878 §4.2.1.
const LOG_MAX: u8 = 11;
/// Of the table in which weights are written.
const WEIGHTS_LOG_MAX: u8 = 6;
/// All but the last one, which follows from them.
const WEIGHTS_MAX: usize = 255;

#[derive(Clone, Debug)]
pub(super) struct Table {
    log: u8,
    // By the bits that come next: the symbol, and how many of them it takes.
    cells: Vec<(u8, u8)>,
}

const BAD: BadDelta = BadDelta::Damaged("a table of codes");
const BAD_STREAM: BadDelta = BadDelta::Damaged("a stream of codes");

impl Table {
    /// Reads the table, and says how many octets that took.
    pub(super) fn read(octets: &[u8]) -> Result<(Self, usize), BadDelta> {
        let (first, rest) = octets.split_first().ok_or(BAD)?;
        let first = usize::from(*first);
        let (weights, len) = if first < 128 {
            (compressed(rest.get(..first).ok_or(BAD)?)?, first)
        } else {
            let (count, len) = (first - 127, (first - 126) / 2);
            let octets = rest.get(..len).ok_or(BAD)?;
            let weights = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]).take(count);
            (weights.collect(), len)
        };
        Ok((Self::of(weights)?, len + 1))
    }

    // The last weight is what is missing to a power of two.
    fn of(mut weights: Vec<u8>) -> Result<Self, BadDelta> {
        if weights.len() > WEIGHTS_MAX || weights.iter().any(|weight| *weight > LOG_MAX) {
            return Err(BAD);
        }
        let share = |weight: &u8| if *weight == 0 { 0 } else { 1_u32 << (weight - 1) };
        let sum: u32 = weights.iter().map(share).sum();
        let log = sum.checked_ilog2().ok_or(BAD)? + 1;
        let left = (1 << log) - sum;
        let log = u8::try_from(log).ok().filter(|log| *log <= LOG_MAX).ok_or(BAD)?;
        if !left.is_power_of_two() {
            return Err(BAD);
        }
        weights.push(u8::try_from(left.ilog2() + 1).map_err(|_| BAD)?);
        let mut cells = Vec::with_capacity(1 << log);
        for weight in 1..=log {
            for (symbol, _) in (0..=u8::MAX).zip(&weights).filter(|(_, other)| **other == weight) {
                let many = usize::try_from(share(&weight)).unwrap_or(0);
                cells.extend(std::iter::repeat_n((symbol, log + 1 - weight), many));
            }
        }
        if cells.len() == 1 << log { Ok(Self { log, cells }) } else { Err(BAD) }
    }

    /// Appends so many symbols of one stream.
    pub(super) fn decode(&self, stream: &[u8], count: usize, out: &mut Vec<u8>) -> Result<(), BadDelta> {
        let mut bits = Backward::new(stream)?;
        for _ in 0..count {
            let next = usize::try_from(bits.peek(self.log)).unwrap_or(usize::MAX);
            let (symbol, taken) = *self.cells.get(next).ok_or(BAD_STREAM)?;
            bits.skip(taken);
            if bits.is_over() {
                return Err(BAD_STREAM);
            }
            out.push(symbol);
        }
        if bits.is_used_up() { Ok(()) } else { Err(BAD_STREAM) }
    }
}

// RFC 8878 §4.2.1.2: two states take turns, until there are no bits any more.
fn compressed(octets: &[u8]) -> Result<Vec<u8>, BadDelta> {
    let (table, len) = Weights::read(octets, WEIGHTS_LOG_MAX, usize::from(LOG_MAX) + 1)?;
    let mut bits = Backward::new(octets.get(len..).unwrap_or_default())?;
    let (mut now, mut then) = (table.begin(&mut bits), table.begin(&mut bits));
    let mut weights = Vec::new();
    while weights.len() < WEIGHTS_MAX {
        weights.push(table.symbol(now));
        let next = table.next(now, &mut bits);
        if bits.is_over() {
            weights.push(table.symbol(then));
            return Ok(weights);
        }
        (now, then) = (then, next);
    }
    Err(BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], read: Option<(u8, usize)>) {
        assert_eq!(Table::read(octets).ok().map(|(table, len)| (table.log, len)), read, "{octets:02x?}");
    }
    #[test]
    fn weights_that_stand_there_as_they_are() {
        // Two of weight 1 and, from that, one of weight 2.
        check(&[129, 0x11], Some((2, 2)));
        check(&[129], None);
        // None at all; weights that leave no power of two; one that is too heavy.
        check(&[129, 0x00], None);
        check(&[129, 0x31], None);
        check(&[128, 0xc0], None);
        check(&[], None);
    }
    #[test]
    fn a_stream_ends_where_its_symbols_end() {
        let (table, _) = Table::read(&[129, 0x11]).unwrap();
        let decode = |stream: &[u8], count| {
            let mut out = Vec::new();
            table.decode(stream, count, &mut out).ok().map(|()| out)
        };
        // The end, then 1, 00, 01.
        assert_eq!(decode(&[0b0011_0001], 3), Some(vec![2, 0, 1]));
        assert_eq!((decode(&[0b0011_0001], 2), decode(&[0b0011_0001], 4)), (None, None));
    }
}
