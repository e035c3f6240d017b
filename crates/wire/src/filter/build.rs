//! Building a filter, and comparing it with what it was built from.

use super::check::{GROUP, MAGIC, hash, place};
use x509::SerialNumber;

/// Most revoked serial numbers: what the CRL reader takes.
pub const REVOKED_MAX: usize = 2_000_000;
/// Most serial numbers that were issued and look revoked: one in 65536 of what was issued, so this is never met.
const EXCEPTIONS_MAX: usize = 1_000_000;
/// Most salts that are tried. One is refused if two serial numbers share all 64 bits: with 10 million issued and 100 000
/// revoked once in 20 million builds.
const SALTS_MAX: u64 = 16;

/// What a filter says besides its entries. The times are those of the CRL of that number.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5280")]
pub struct Head {
    pub authority_key_identifier: [u8; 20],
    pub crl_number: u64,
    pub this_update: model::UnixTime,
    pub next_update: model::UnixTime,
}

/// Why there is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFilter {
    /// More than [`REVOKED_MAX`] are revoked, or more than a million issued ones look like them.
    TooMany,
    /// The next update is not later than this one.
    Times,
    /// No salt kept them apart; that does not happen by chance.
    NoSalt,
}

impl std::fmt::Display for BadFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many certificates are revoked for a status filter",
            Self::Times => "the next update is not later than this one",
            Self::NoSalt => "no salt keeps revoked and issued serial numbers apart",
        })
    }
}
impl std::error::Error for BadFilter {}

/// Builds the octets of a filter, to be signed. The same arguments give the same octets.
///
/// `revoked` in any order, repetitions count once. `issued` gives every serial number that the authority has issued and that has
/// not expired, revoked ones too if that is easier; it is called once for each salt that is tried, which is nearly always one,
/// and is not kept in memory.
/// Limits: [`REVOKED_MAX`]; 28 octets of memory for each revoked one.
/// # Errors
/// [`BadFilter`]
pub fn build<I: Iterator<Item = SerialNumber>>(
    head: &Head,
    revoked: impl Iterator<Item = SerialNumber>,
    issued: impl Fn() -> I,
) -> Result<Vec<u8>, BadFilter> {
    if head.next_update.s() <= head.this_update.s() {
        return Err(BadFilter::Times);
    }
    let mut serials: Vec<SerialNumber> = revoked.take(REVOKED_MAX + 1).collect();
    if serials.len() > REVOKED_MAX {
        return Err(BadFilter::TooMany);
    }
    serials.sort_unstable();
    serials.dedup();
    for salt in 0..SALTS_MAX {
        if let Some(tables) = Tables::new(&serials, salt, issued())? {
            return Ok(tables.write(head));
        }
    }
    Err(BadFilter::NoSalt)
}

struct Tables {
    salt: u64,
    // Bucket and remainder of each revoked serial number, sorted.
    places: Vec<(u32, u16)>,
    // Hashes of issued ones that have the place of a revoked one, sorted.
    exceptions: Vec<u64>,
}

impl Tables {
    // `None` if this salt does not keep them apart.
    fn new(
        revoked: &[SerialNumber],
        salt: u64,
        issued: impl Iterator<Item = SerialNumber>,
    ) -> Result<Option<Self>, BadFilter> {
        let count = u32::try_from(revoked.len()).map_err(|_| BadFilter::TooMany)?;
        let mut hashed: Vec<(u64, SerialNumber)> = revoked.iter().map(|s| (hash(salt, s.octets()), *s)).collect();
        hashed.sort_unstable();
        let mut places: Vec<(u32, u16)> = hashed.iter().map(|(hash, _)| place(*hash, count)).collect();
        places.sort_unstable();
        let mut exceptions = Vec::new();
        for serial in issued {
            let hash = hash(salt, serial.octets());
            if places.binary_search(&place(hash, count)).is_err() {
                continue;
            }
            let from = hashed.partition_point(|(known, _)| *known < hash);
            let same = hashed.iter().skip(from).take_while(|(known, _)| *known == hash);
            let is_revoked = same.clone().any(|(_, known)| *known == serial);
            match (same.count(), is_revoked) {
                (0, _) if exceptions.len() == EXCEPTIONS_MAX => return Err(BadFilter::TooMany),
                (0, _) => exceptions.push(hash),
                (_, true) => {}
                (_, false) => return Ok(None),
            }
        }
        exceptions.sort_unstable();
        exceptions.dedup();
        Ok(Some(Self { salt, places, exceptions }))
    }

    fn write(&self, head: &Head) -> Vec<u8> {
        let count = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let exceptions = u32::try_from(self.exceptions.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(96 + self.places.len() * 5 / 2 + self.exceptions.len() * 8);
        out.extend(MAGIC);
        out.extend(head.authority_key_identifier);
        out.extend(count.to_be_bytes());
        for field in [head.crl_number, head.this_update.s(), head.next_update.s(), self.salt] {
            out.extend(field.to_be_bytes());
        }
        out.extend(exceptions.to_be_bytes());
        let (marks, directory) = marks(&self.places, count);
        out.extend(marks);
        directory.into_iter().for_each(|entry| out.extend(entry.to_be_bytes()));
        self.places.iter().for_each(|(_, remainder)| out.extend(remainder.to_be_bytes()));
        self.exceptions.iter().for_each(|hash| out.extend(hash.to_be_bytes()));
        out
    }
}

/// For each bucket a one for each entry and a zero; and before each group of buckets, how many entries there are.
pub(super) fn marks(places: &[(u32, u16)], count: u32) -> (Vec<u8>, Vec<u32>) {
    let mut marks = vec![0_u8; places.len().div_ceil(4)];
    let mut directory = Vec::new();
    let mut entries = places.iter().peekable();
    let mut bit = 0_usize;
    let mut ones = 0_u32;
    for bucket in 0..count {
        if bucket % GROUP == 0 {
            directory.push(ones);
        }
        while entries.next_if(|(of, _)| *of == bucket).is_some() {
            if let Some(octet) = marks.get_mut(bit / 8) {
                *octet |= 0x80 >> (bit % 8);
            }
            bit += 1;
            ones += 1;
        }
        bit += 1;
    }
    (marks, directory)
}
