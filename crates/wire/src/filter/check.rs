//! Asking a status filter with `core` only, so that firmware may take this file; `contracts/status-filter/check.c` is the same
//! in C. The signature is verified before. Format: `docs/status-filter.md`.

/// Octets before the tables.
pub const HEADER_LEN: usize = 68;
/// What a filter begins with: a name and the version of the format.
pub const MAGIC: [u8; 8] = *b"CRDLSF\x00\x01";
/// How many buckets share one entry of the directory.
pub const GROUP: u32 = 128;

/// A filter where it lies. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Key identifier of the authority whose certificates it speaks of.
    pub authority_key_identifier: [u8; 20],
    /// How many serial numbers are revoked.
    pub count: u32,
    /// Number of the CRL that says the same; one that is lower than the last is refused.
    pub crl_number: u64,
    /// Since when it holds; it does not speak of a certificate that begins later.
    pub this_update: u64,
    /// When there will be a newer one.
    pub next_update: u64,
    salt: u64,
    pub(super) marks: &'a [u8],
    pub(super) directory: &'a [u8],
    pub(super) remainders: &'a [u8],
    pub(super) exceptions: &'a [u8],
}

impl<'a> Filter<'a> {
    /// Finds the parts of a filter, and what follows it, the signature.
    #[must_use]
    pub fn parse(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = octets.split_first_chunk::<HEADER_LEN>()?;
        let (count, exceptions) = (be32(header, 28)?, be32(header, 64)?);
        let word = |at: usize| header.get(at..)?.first_chunk().map(|octets| u64::from_be_bytes(*octets));
        let entries = usize::try_from(count).ok()?;
        let (marks, rest) = rest.split_at_checked(entries.div_ceil(4))?;
        let (directory, rest) = rest.split_at_checked(usize::try_from(count.div_ceil(GROUP)).ok()?.checked_mul(4)?)?;
        let (remainders, rest) = rest.split_at_checked(entries.checked_mul(2)?)?;
        let (exceptions, rest) = rest.split_at_checked(usize::try_from(exceptions).ok()?.checked_mul(8)?)?;
        let filter = Self {
            authority_key_identifier: *header.get(8..)?.first_chunk()?,
            count,
            crl_number: word(32)?,
            this_update: word(40)?,
            next_update: word(48)?,
            salt: word(56)?,
            marks,
            directory,
            remainders,
            exceptions,
        };
        (header.first_chunk() == Some(&MAGIC)).then_some((filter, rest))
    }

    /// Whether a serial number (big-endian, no leading zeros) is revoked; exact for what was issued until `this_update`.
    #[must_use]
    pub fn contains(&self, serial_number: &[u8]) -> bool {
        let hash = hash(self.salt, serial_number);
        self.count > 0 && self.is_marked(hash).unwrap_or(true) && !self.is_exception(hash)
    }

    fn is_marked(&self, hash: u64) -> Option<bool> {
        let (bucket, remainder) = place(hash, self.count);
        let group = bucket / GROUP;
        // A bucket is a one for each entry and a zero at its end. None: the tables contradict themselves.
        let mut ones = be32(self.directory, usize::try_from(group).ok()?.checked_mul(4)?)?;
        let mut bit = ones.checked_add(group.checked_mul(GROUP)?)?;
        let mut zeros = bucket % GROUP;
        loop {
            if self.marks.get(usize::try_from(bit / 8).ok()?)? & (0x80 >> (bit % 8)) != 0 {
                let known: &[u8; 2] = self.remainders.as_chunks().0.get(usize::try_from(ones).ok()?)?;
                if zeros == 0 && *known == remainder.to_be_bytes() {
                    return Some(true);
                }
                ones = ones.checked_add(1)?;
            } else if zeros == 0 {
                return Some(false);
            } else {
                zeros -= 1;
            }
            bit = bit.checked_add(1)?;
        }
    }

    fn is_exception(&self, hash: u64) -> bool {
        self.exceptions.as_chunks().0.binary_search(&hash.to_be_bytes()).is_ok()
    }
}

// Bucket and remainder of a hash: its upper half scaled to the number of buckets, and its lowest 16 bits.
pub(super) fn place(hash: u64, count: u32) -> (u32, u16) {
    let scaled = ((hash >> 32) * u64::from(count)) >> 32;
    (u32::try_from(scaled).unwrap_or(u32::MAX), u16::try_from(hash & 0xffff).unwrap_or(u16::MAX))
}

// The hash of a serial number: words of eight octets, the last one filled with zeros, then the length.
pub(super) fn hash(salt: u64, serial_number: &[u8]) -> u64 {
    let hash = serial_number.chunks(8).fold(mix(salt), |state, word| {
        let mut octets = [0; 8];
        octets.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        mix(state ^ u64::from_be_bytes(octets))
    });
    mix(hash ^ u64::try_from(serial_number.len()).unwrap_or(u64::MAX))
}

// The output function of SplitMix64, a bijection. Source: Steele, Lea, Flood (2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn be32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}
