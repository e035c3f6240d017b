//! Replays a corpus without libFuzzer: every seed, and mutations of it that are the same on every run.

use std::path::Path;

/// How many mutations a target is fed with: a second for all targets, so that it is never left out.
const MUTATIONS: u64 = 20_000;
/// Octets that mean something in DER: lengths at their limits, tags, signs.
const TELLING: [u8; 14] = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31, 0x7f, 0x80, 0x81, 0xa0, 0xff];

/// Feeds a target with the seeds in `fuzz/corpus/<target>` below `root`, and with mutations of them.
///
/// # Panics
/// If there is no seed, or the target panics; the message has the octets that it was fed with.
pub fn replay(root: &Path, target: &str, body: fn(&[u8])) {
    let seeds = seeds(&root.join("fuzz/corpus").join(target));
    assert!(!seeds.is_empty(), "fuzz/corpus/{target} has no seeds");
    for (name, seed) in &seeds {
        feed(body, seed, name);
    }
    let mut dice = Dice(0x6372_6164_6c65);
    for n in 0..MUTATIONS {
        let (Some((name, seed)), Some((_, other))) = (dice.pick(&seeds), dice.pick(&seeds)) else { return };
        let mut octets = seed.clone();
        for _ in 0..=dice.below(4) {
            mutate(&mut octets, other, &mut dice);
        }
        feed(body, &octets, &format!("mutation {n}, of {name}"));
    }
}

fn seeds(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |entry: std::fs::DirEntry| {
        let octets = std::fs::read(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), octets))
    };
    let mut seeds: Vec<_> = entries.filter_map(read).collect();
    seeds.sort();
    seeds
}

fn feed(body: fn(&[u8]), octets: &[u8], what: &str) {
    if std::panic::catch_unwind(|| body(octets)).is_err() {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        panic!("{what} broke it; make a named test of these octets, then add them to the corpus: {hex}");
    }
}

/// Changes some octets, as transmission, a careless encoder or an enemy would.
fn mutate(octets: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let (from, to) = dice.range(octets.len());
    match dice.below(7) {
        0 => octets.iter_mut().skip(from).take(1).for_each(|octet| *octet ^= 1 << dice.below(8)),
        1 => octets.iter_mut().skip(from).take(1).for_each(|octet| *octet = dice.telling()),
        // A length that is off by one.
        2 => octets.iter_mut().skip(from).take(1).for_each(|octet| *octet = octet.wrapping_add(1)),
        3 => octets.truncate(from),
        4 => drop(octets.drain(from..to)),
        5 => {
            let again = octets.get(from..to).unwrap_or_default().to_vec();
            drop(octets.splice(from..from, again));
        }
        _ => {
            let (start, end) = dice.range(other.len());
            let foreign = other.get(start..end).unwrap_or_default().to_vec();
            drop(octets.splice(from..to, foreign));
        }
    }
}

/// The same numbers on every run. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.roll() % end.max(1)).unwrap_or(0)
    }
    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
    fn telling(&mut self) -> u8 {
        self.pick(&TELLING).copied().unwrap_or(0)
    }
    /// Most ranges are short, because most structures are.
    fn range(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len + 1);
        let longest = if self.below(4) == 0 { len } else { 8 };
        (from, (from + self.below(longest + 1)).min(len))
    }
}
