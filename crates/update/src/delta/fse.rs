//! Finite state entropy: tables, and how they are written. Source: RFC 8878 §4.1.

use super::BadDelta;
use super::bits::{Backward, Forward};

/// Most symbols of a table here: those of weights.
const SYMBOLS_MAX: usize = 256;

/// What a state stands for, and how the next one is found.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    symbol: u8,
    bits: u8,
    base: u32,
}

/// A table of states.
#[derive(Clone, Debug)]
pub(super) struct Table {
    log: u8,
    cells: Vec<Cell>,
}

/// A state in a table; only tables make and read them.
#[derive(Clone, Copy)]
pub(super) struct State(u32);

const BAD: BadDelta = BadDelta::Damaged("a table of probabilities");

impl Table {
    /// One symbol, always.
    pub(super) fn of_one(symbol: u8) -> Self {
        Self { log: 0, cells: vec![Cell { symbol, bits: 0, base: 0 }] }
    }

    /// Reads how probable symbols are, and says how many octets that took.
    ///
    /// Limits: `log_max` at most, and so many symbols. Source: RFC 8878 §4.1.1.
    pub(super) fn read(octets: &[u8], log_max: u8, symbols_max: usize) -> Result<(Self, usize), BadDelta> {
        let mut bits = Forward::new(octets);
        let log = u8::try_from(bits.take(4)).unwrap_or(u8::MAX).saturating_add(5);
        if log > log_max {
            return Err(BAD);
        }
        let (mut left, mut counts) = (1_i32 << log, Vec::new());
        while left > 0 {
            // A value has one bit less if it is below what cannot be more than is left.
            let most = u32::try_from(left).unwrap_or(0) + 1;
            let width = u8::try_from(u32::BITS - most.leading_zeros()).unwrap_or(u8::MAX);
            let short = (1_u32 << (width - 1)) - 1;
            let threshold = (1_u32 << width) - 1 - most;
            let mut value = bits.peek(width);
            if value & short < threshold {
                value &= short;
                bits.skip(width - 1);
            } else {
                if value > short {
                    value -= threshold;
                }
                bits.skip(width);
            }
            let count = i32::try_from(value).unwrap_or(i32::MAX) - 1;
            left -= count.abs();
            counts.push(count);
            if count == 0 {
                loop {
                    let zeros = bits.take(2);
                    counts.extend((0..zeros).map(|_| 0));
                    if zeros < 3 || counts.len() > symbols_max {
                        break;
                    }
                }
            }
            if counts.len() > symbols_max {
                return Err(BAD);
            }
        }
        let begun = bits.begun().ok_or(BAD)?;
        if left < 0 {
            return Err(BAD);
        }
        Ok((Self::of(&counts, log)?, begun))
    }

    /// The table of these counts, of which -1 is less than one; together they are two to the power of `log`.
    ///
    /// Source: RFC 8878 §4.1.1.
    pub(super) fn of(counts: &[i32], log: u8) -> Result<Self, BadDelta> {
        let size = 1_usize << log;
        let (mut cells, mut next) = (vec![Cell::default(); size], [0_u32; SYMBOLS_MAX]);
        let mut high = size;
        for ((symbol, count), next) in (0..=u8::MAX).zip(counts).zip(&mut next) {
            *next = u32::try_from(*count).unwrap_or(1);
            if *count < 0 {
                high = high.checked_sub(1).ok_or(BAD)?;
                cells.get_mut(high).ok_or(BAD)?.symbol = symbol;
            }
        }
        let (step, mut at) = ((size >> 1) + (size >> 3) + 3, 0);
        for (symbol, count) in (0..=u8::MAX).zip(counts) {
            for _ in 0..(*count).max(0) {
                cells.get_mut(at).ok_or(BAD)?.symbol = symbol;
                at = (at + step) & (size - 1);
                while at >= high && high > 0 {
                    at = (at + step) & (size - 1);
                }
            }
        }
        if at != 0 {
            return Err(BAD);
        }
        for cell in &mut cells {
            let next = next.get_mut(usize::from(cell.symbol)).ok_or(BAD)?;
            let bits = u8::try_from(next.checked_ilog2().ok_or(BAD)?).ok().and_then(|high| log.checked_sub(high));
            cell.bits = bits.ok_or(BAD)?;
            cell.base = (*next << cell.bits).checked_sub(1 << log).ok_or(BAD)?;
            *next += 1;
        }
        Ok(Self { log, cells })
    }

    /// The first state.
    pub(super) fn begin(&self, bits: &mut Backward<'_>) -> State {
        State(bits.take(self.log))
    }
    /// What a state stands for.
    pub(super) fn symbol(&self, state: State) -> u8 {
        self.cell(state).symbol
    }
    /// The state after it.
    pub(super) fn next(&self, state: State, bits: &mut Backward<'_>) -> State {
        let Cell { bits: count, base, .. } = self.cell(state);
        State(base + bits.take(count))
    }
    fn cell(&self, State(state): State) -> Cell {
        let cell = usize::try_from(state).ok().and_then(|state| self.cells.get(state));
        let Some(cell) = cell else { unreachable!("a state has as many bits as its table") };
        *cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], log_max: u8, symbols_max: usize, is_read: bool) {
        assert_eq!(Table::read(octets, log_max, symbols_max).is_ok(), is_read, "{octets:02x?}");
    }
    #[test]
    fn counts_must_fill_the_table() {
        // Of 32 states, 32 of the first symbol: 33, in six bits.
        check(&[0xf0, 0x03], 9, 36, true);
        check(&[0xf0], 9, 36, false);
        check(&[], 9, 36, false);
    }
    #[test]
    fn a_table_may_be_too_large_or_have_too_many_symbols() {
        check(&[0x0f, 0xff], 9, 36, false);
        check(&[0xff; 64], 9, 36, false);
        // Nothing but zeros, and further ones.
        let mut zeros = vec![0x10, 0xfe];
        zeros.resize(64, 0xff);
        check(&zeros, 9, 36, false);
    }
    #[test]
    fn a_table_of_counts_that_do_not_fill_it() {
        assert!(Table::of(&[16], 5).is_err() && Table::of(&[33], 5).is_err() && Table::of(&[32], 5).is_ok());
        assert!(Table::of(&[-1; 33], 5).is_err() && Table::of(&[-1; 32], 5).is_ok());
    }
}
