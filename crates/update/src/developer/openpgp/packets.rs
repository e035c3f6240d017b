//! Packets of OpenPGP as octets: their heads, numbers, subpackets, and the armour around them.
//!
//! Lengths that are not known from the start (partial, indeterminate) are refused: neither keys nor signatures need them.
//! Source: RFC 9580 §3, §4, §5.2.3, §6.

use model::octets::from_base64;

/// Most packets of one file: a key with many certifications by others.
const PACKETS_MAX: usize = 1024;
/// Most subpackets of one signature.
const SUBPACKETS_MAX: usize = 64;

/// A packet: what it is, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Octets that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets<'a>(pub(super) &'a [u8]);

impl<'a> Octets<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
    pub(super) fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    /// A number of up to eight octets, big-endian.
    pub(super) fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }
    /// What is behind its length in so many octets.
    pub(super) fn behind(&mut self, len: usize) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number(len)?).ok()?;
        self.take(len)
    }
    /// A multiprecision integer without leading zeros, whose length in bits is said rightly. Source: RFC 9580 §3.2.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        let bits = usize::try_from(self.number(2)?).ok()?;
        let octets = self.take(bits.div_ceil(8))?;
        let leading = usize::try_from(octets.first()?.leading_zeros()).ok()?;
        (octets.len() * 8 - leading == bits).then_some(octets)
    }
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All packets of a file; `None` if something in it is none.
pub(super) fn packets(octets: &[u8]) -> Option<Vec<Packet<'_>>> {
    let (mut rest, mut found) = (Octets(octets), Vec::new());
    while !rest.is_empty() {
        if found.len() == PACKETS_MAX {
            return None;
        }
        found.push(packet(&mut rest)?);
    }
    Some(found)
}

fn packet<'a>(rest: &mut Octets<'a>) -> Option<Packet<'a>> {
    let head = rest.octet()?;
    let (tag, body) = match head {
        // The form of today.
        0xc0.. => (head & 0x3f, {
            let len = match rest.octet()? {
                len @ 0..=191 => u64::from(len),
                len @ 192..=223 => ((u64::from(len) - 192) << 8) + rest.number(1)? + 192,
                255 => rest.number(4)?,
                224..=254 => return None,
            };
            rest.take(usize::try_from(len).ok()?)?
        }),
        // The form before, which GnuPG still writes.
        0x80..=0xbf => (
            head >> 2 & 0x0f,
            match head & 3 {
                0 => rest.behind(1)?,
                1 => rest.behind(2)?,
                2 => rest.behind(4)?,
                _ => return None,
            },
        ),
        0..=0x7f => return None,
    };
    Some(Packet { tag, body })
}

/// A subpacket: what it is, whether it must be understood, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subpacket<'a> {
    pub(super) kind: u8,
    pub(super) is_critical: bool,
    pub(super) value: &'a [u8],
}

pub(super) fn subpackets(octets: &[u8]) -> Option<Vec<Subpacket<'_>>> {
    let (mut rest, mut found) = (Octets(octets), Vec::new());
    while !rest.is_empty() {
        if found.len() == SUBPACKETS_MAX {
            return None;
        }
        let len = match rest.octet()? {
            len @ 0..=191 => u64::from(len),
            len @ 192..=254 => ((u64::from(len) - 192) << 8) + rest.number(1)? + 192,
            255 => rest.number(4)?,
        };
        let (kind, value) = rest.take(usize::try_from(len).ok()?)?.split_first()?;
        found.push(Subpacket { kind: kind & 0x7f, is_critical: kind & 0x80 != 0, value });
    }
    Some(found)
}

/// Takes the armour off, if there is some: one block of this kind, and nothing behind it. The checksum is not looked at: what is in it
/// is signed. Source: RFC 9580 §6.2.
pub(super) fn without_armour(octets: &[u8], kind: &str) -> Option<Vec<u8>> {
    if octets.first().is_some_and(|first| *first >= 0x80) {
        return Some(octets.to_vec());
    }
    let text = std::str::from_utf8(octets).ok()?.trim();
    let block = text.strip_prefix(&format!("-----BEGIN PGP {kind}-----"))?;
    let block = block.strip_suffix(&format!("-----END PGP {kind}-----"))?;
    // Headers end with an empty line; there may be none of them.
    let mut lines = block.lines().map(str::trim_end).skip(1);
    lines.by_ref().find(|line| line.is_empty())?;
    let text: String = lines.take_while(|line| !line.starts_with('=')).collect();
    from_base64(text.as_bytes())
}
