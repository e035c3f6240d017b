//! A compressed block: literals, and sequences that say where they go and what is copied between them. Source: RFC 8878 §3.1.1.3.

use super::bits::Backward;
use super::fse::{State, Table};
use super::history::History;
use super::{BLOCK_LEN_MAX, BadDelta, huffman};

/// For each kind of symbol: how its table is written at most, what holds without one, and what a symbol means: the least value, and
/// how many bits are added to it. Source: RFC 8878 §3.1.1.3.2.1.1 and §3.1.1.3.2.2.
struct Kind {
    log_max: u8,
    default_log: u8,
    default: &'static [i32],
    symbols: usize,
}

const LITERAL_LENGTHS: Kind = Kind {
    log_max: 9,
    default_log: 6,
    default: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    symbols: 36,
};
const OFFSETS: Kind = Kind {
    log_max: 8,
    default_log: 5,
    default: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    symbols: 32,
};
const MATCH_LENGTHS: Kind = Kind {
    log_max: 9,
    default_log: 6,
    default: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    symbols: 53,
};

/// From code 16 on; below, a code is its value.
const LITERAL_LENGTH_CODES: [(u32, u8); 20] = [
    (16, 1),
    (18, 1),
    (20, 1),
    (22, 1),
    (24, 2),
    (28, 2),
    (32, 3),
    (40, 3),
    (48, 4),
    (64, 6),
    (128, 7),
    (256, 8),
    (512, 9),
    (1024, 10),
    (2048, 11),
    (4096, 12),
    (8192, 13),
    (16384, 14),
    (32768, 15),
    (65536, 16),
];
/// From code 32 on; below, a code is three less than its value.
const MATCH_LENGTH_CODES: [(u32, u8); 21] = [
    (35, 1),
    (37, 1),
    (39, 1),
    (41, 1),
    (43, 2),
    (47, 2),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 5),
    (131, 7),
    (259, 8),
    (515, 9),
    (1027, 10),
    (2051, 11),
    (4099, 12),
    (8195, 13),
    (16387, 14),
    (32771, 15),
    (65539, 16),
];

const BAD_LITERALS: BadDelta = BadDelta::Damaged("literals");
const BAD_SEQUENCES: BadDelta = BadDelta::Damaged("sequences");

/// What blocks take from those before them.
pub(super) struct Blocks {
    codes: Option<huffman::Table>,
    literal_lengths: Option<Table>,
    offsets: Option<Table>,
    match_lengths: Option<Table>,
    repeated: [u64; 3],
}

impl Default for Blocks {
    fn default() -> Self {
        let (codes, literal_lengths, offsets, match_lengths) = (None, None, None, None);
        Self { codes, literal_lengths, offsets, match_lengths, repeated: [1, 4, 8] }
    }
}

fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Blocks {
    pub(super) fn decode(&mut self, block: &[u8], history: &mut History<'_>) -> Result<(), BadDelta> {
        let (literals, rest) = self.literals(block)?;
        self.sequences(&literals, rest, history)
    }

    // RFC 8878 §3.1.1.3.1.
    fn literals<'b>(&mut self, block: &'b [u8]) -> Result<(Vec<u8>, &'b [u8]), BadDelta> {
        let head = block.iter().take(5).rev().fold(0_u64, |head, octet| (head << 8) | u64::from(*octet));
        let field = |from: u32, bits: u32| usize::try_from((head >> from) & ((1 << bits) - 1)).unwrap_or(usize::MAX);
        let (kind, format) = (field(0, 2), field(2, 2));
        if kind < 2 {
            let (head_len, len) = match format {
                0 | 2 => (1, field(3, 5)),
                1 => (2, field(4, 12)),
                _ => (3, field(4, 20)),
            };
            let rest = block.get(head_len..).filter(|_| len <= BLOCK_LEN_MAX).ok_or(BAD_LITERALS)?;
            let (literals, rest) = rest.split_at_checked(if kind == 0 { len } else { 1 }).ok_or(BAD_LITERALS)?;
            let literals = match literals {
                [one] if kind == 1 => vec![*one; len],
                all => all.to_vec(),
            };
            return Ok((literals, rest));
        }
        let (head_len, bits) = match format {
            0 | 1 => (3, 10),
            2 => (4, 14),
            _ => (5, 18),
        };
        let (len, written) = (field(4, bits), field(4 + bits, bits));
        let rest = block.get(head_len..).filter(|_| len <= BLOCK_LEN_MAX).ok_or(BAD_LITERALS)?;
        let (mut coded, rest) = rest.split_at_checked(written).ok_or(BAD_LITERALS)?;
        if kind == 2 {
            let (table, taken) = huffman::Table::read(coded)?;
            self.codes = Some(table);
            coded = coded.get(taken..).unwrap_or_default();
        }
        let codes = self.codes.as_ref().ok_or(BAD_LITERALS)?;
        let mut literals = Vec::with_capacity(len);
        if format == 0 {
            codes.decode(coded, len, &mut literals)?;
        } else {
            four_streams(codes, coded, len, &mut literals)?;
        }
        Ok((literals, rest))
    }

    // RFC 8878 §3.1.1.3.2.
    fn sequences(&mut self, literals: &[u8], section: &[u8], history: &mut History<'_>) -> Result<(), BadDelta> {
        let (count, section) = match section {
            [0] => (0, &[][..]),
            [first @ 1..128, rest @ ..] => (usize::from(*first), rest),
            [255, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])) + 0x7f00, rest),
            [first @ 128..=255, second, rest @ ..] => ((usize::from(*first - 128) << 8) | usize::from(*second), rest),
            _ => return Err(BAD_SEQUENCES),
        };
        if count == 0 {
            return history.add(literals);
        }
        let (modes, mut section) = section.split_first().ok_or(BAD_SEQUENCES)?;
        if modes & 3 != 0 {
            return Err(BAD_SEQUENCES);
        }
        LITERAL_LENGTHS.table(modes >> 6, &mut section, &mut self.literal_lengths)?;
        OFFSETS.table((modes >> 4) & 3, &mut section, &mut self.offsets)?;
        MATCH_LENGTHS.table((modes >> 2) & 3, &mut section, &mut self.match_lengths)?;
        let (Some(literal_lengths), Some(offsets), Some(match_lengths)) =
            (&self.literal_lengths, &self.offsets, &self.match_lengths)
        else {
            return Err(BAD_SEQUENCES);
        };
        let mut bits = Backward::new(section)?;
        let mut turn = Turn {
            literal_length: literal_lengths.begin(&mut bits),
            offset: offsets.begin(&mut bits),
            match_length: match_lengths.begin(&mut bits),
        };
        let mut literals = literals;
        for n in 1..=count {
            // The offset's bits come first, the literals' last.
            let back = offset_value(offsets.symbol(turn.offset), &mut bits)?;
            let copied = match_length(match_lengths.symbol(turn.match_length), &mut bits)?;
            let skipped = literal_length(literal_lengths.symbol(turn.literal_length), &mut bits)?;
            if n < count {
                turn.literal_length = literal_lengths.next(turn.literal_length, &mut bits);
                turn.match_length = match_lengths.next(turn.match_length, &mut bits);
                turn.offset = offsets.next(turn.offset, &mut bits);
            }
            if bits.is_over() {
                return Err(BAD_SEQUENCES);
            }
            let (now, later) = literals.split_at_checked(skipped).ok_or(BAD_SEQUENCES)?;
            history.add(now)?;
            literals = later;
            let back = resolve(&mut self.repeated, back, skipped);
            history.copy(back, copied)?;
        }
        if !bits.is_used_up() {
            return Err(BAD_SEQUENCES);
        }
        history.add(literals)
    }
}

// The three states of a sequence.
struct Turn {
    literal_length: State,
    offset: State,
    match_length: State,
}

impl Kind {
    // RFC 8878 §3.1.1.3.2.1: which table holds from here on.
    fn table(&self, mode: u8, section: &mut &[u8], held: &mut Option<Table>) -> Result<(), BadDelta> {
        let (table, taken) = match mode {
            0 => (Table::of(self.default, self.default_log)?, 0),
            1 => {
                let symbol = section.first().filter(|symbol| usize::from(**symbol) < self.symbols);
                (Table::of_one(*symbol.ok_or(BAD_SEQUENCES)?), 1)
            }
            2 => Table::read(section, self.log_max, self.symbols)?,
            _ => return if held.is_some() { Ok(()) } else { Err(BAD_SEQUENCES) },
        };
        *section = section.get(taken..).ok_or(BAD_SEQUENCES)?;
        *held = Some(table);
        Ok(())
    }
}

// RFC 8878 §3.1.1.3.1.6: a table of jumps, and four streams, of which the last has what is left.
fn four_streams(codes: &huffman::Table, coded: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), BadDelta> {
    let Some((jumps, mut rest)) = coded.split_first_chunk::<6>() else { return Err(BAD_LITERALS) };
    let [a, b, c, d, e, f] = jumps;
    let each = len.div_ceil(4);
    for jump in [[*a, *b], [*c, *d], [*e, *f]] {
        let (stream, later) = rest.split_at_checked(usize::from(u16::from_le_bytes(jump))).ok_or(BAD_LITERALS)?;
        codes.decode(stream, each, out)?;
        rest = later;
    }
    codes.decode(rest, len.checked_sub(3 * each).ok_or(BAD_LITERALS)?, out)
}

fn offset_value(code: u8, bits: &mut Backward<'_>) -> Result<u64, BadDelta> {
    if usize::from(code) >= OFFSETS.symbols {
        return Err(BAD_SEQUENCES);
    }
    Ok((1_u64 << code) + u64::from(bits.take(code)))
}

fn match_length(code: u8, bits: &mut Backward<'_>) -> Result<usize, BadDelta> {
    let Some(above) = code.checked_sub(32) else { return Ok(usize::from(code) + 3) };
    let (least, more) = *MATCH_LENGTH_CODES.get(usize::from(above)).ok_or(BAD_SEQUENCES)?;
    Ok(size(least + bits.take(more)))
}

fn literal_length(code: u8, bits: &mut Backward<'_>) -> Result<usize, BadDelta> {
    let Some(above) = code.checked_sub(16) else { return Ok(usize::from(code)) };
    let (least, more) = *LITERAL_LENGTH_CODES.get(usize::from(above)).ok_or(BAD_SEQUENCES)?;
    Ok(size(least + bits.take(more)))
}

// RFC 8878 §3.1.1.5: how far back, which may be as far as one of the last three. 0 is nowhere.
fn resolve(repeated: &mut [u64; 3], value: u64, skipped: usize) -> u64 {
    let [first, second, third] = *repeated;
    let value = if skipped == 0 && value <= 3 {
        value + 1
    } else if value <= 3 {
        value
    } else {
        value + 1
    };
    match value {
        1 => first,
        2 => {
            *repeated = [second, first, third];
            second
        }
        3 => {
            *repeated = [third, first, second];
            third
        }
        4 => {
            *repeated = [first.saturating_sub(1), first, second];
            first.saturating_sub(1)
        }
        far => {
            *repeated = [far - 4, first, second];
            far - 4
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: u64, skipped: usize, expected: u64, after: [u64; 3]) {
        let mut repeated = [10, 20, 30];
        assert_eq!((resolve(&mut repeated, value, skipped), repeated), (expected, after));
    }
    #[test]
    fn offsets_that_are_repeated() {
        check(1, 5, 10, [10, 20, 30]);
        check(2, 5, 20, [20, 10, 30]);
        check(3, 5, 30, [30, 10, 20]);
        check(4, 5, 1, [1, 10, 20]);
        check(104, 5, 101, [101, 10, 20]);
    }
    #[test]
    fn offsets_that_are_repeated_without_literals_between() {
        check(1, 0, 20, [20, 10, 30]);
        check(2, 0, 30, [30, 10, 20]);
        check(3, 0, 9, [9, 10, 20]);
        check(4, 0, 1, [1, 10, 20]);
    }
    #[test]
    fn what_holds_without_a_table() {
        for kind in [LITERAL_LENGTHS, OFFSETS, MATCH_LENGTHS] {
            assert!(Table::of(kind.default, kind.default_log).is_ok());
        }
    }
}
