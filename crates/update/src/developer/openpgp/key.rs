//! Keys of OpenPGP, version 4: one primary key that vouches for itself, and subkeys that both vouch for.
//!
//! Source: RFC 9580 §5.5, §10.1.1, §12.4.

use super::packets::{Octets, packets, without_armour};
use super::signature::{self, OpenPgpSignature, kind};
use x509::{KeyType, PublicKey, Writer};

/// Longest file of a key, in octets.
const KEY_LEN_MAX: usize = 256 * 1024;
/// Most subkeys, and most signatures that are looked at.
const SUBKEYS_MAX: usize = 16;
const SIGNATURES_MAX: usize = 256;
/// Tags of packets. Source: RFC 9580 §5.
const PRIMARY: u8 = 6;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;
/// `This key may be used to sign data`. Source: RFC 9580 §5.2.3.29.
const SIGNS_DATA: u8 = 2;
/// Curves by their object identifiers. Source: RFC 9580 §9.2.
const CURVES: [(&[u8], KeyType); 3] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], KeyType::P256),
    (&[0x2b, 0x81, 4, 0, 0x22], KeyType::P384),
    (&[0x2b, 0x81, 4, 0, 0x23], KeyType::P521),
];
const ED25519: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1];

/// A key of OpenPGP, as it says of itself.
#[derive(Clone, Debug)]
pub struct OpenPgpKey {
    // The primary key first.
    parts: Vec<Part>,
    is_revoked: bool,
    ends_s: Option<u64>,
}

/// A key that may sign.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) public: PublicKey,
    pub(super) created_s: u64,
    pub(super) ends_s: Option<u64>,
    pub(super) is_revoked: bool,
    may_sign: bool,
}

// A key packet that was read, with the octets that signatures over it are over.
struct Read {
    public: Option<PublicKey>,
    created_s: u64,
    signed: Vec<u8>,
}

// A block of packets: a key or a name, and the signatures behind it.
struct Block<'a> {
    tag: u8,
    body: &'a [u8],
    signatures: Vec<OpenPgpSignature>,
}

impl OpenPgpKey {
    /// Reads one key, armoured or not. What others have certified of it is passed over.
    ///
    /// Limits: 256 KiB, 16 subkeys. `None` if it is none, or more than one.
    #[must_use]
    pub fn decode(octets: &[u8]) -> Option<Self> {
        if octets.len() > KEY_LEN_MAX {
            return None;
        }
        let octets = without_armour(octets, "PUBLIC KEY BLOCK")?;
        let blocks = blocks(&octets)?;
        let (first, rest) = blocks.split_first()?;
        let subkeys = rest.iter().filter(|block| block.tag == SUBKEY);
        if first.tag != PRIMARY
            || rest.iter().any(|block| block.tag == PRIMARY)
            || subkeys.clone().count() > SUBKEYS_MAX
        {
            return None;
        }
        let primary = read_key(first.body)?;
        let public = primary.public.clone()?;
        // What the key says of itself: over the key alone, or over a name of it. The last word counts.
        let own =
            first.signatures.iter().filter(|one| one.kind == kind::OF_KEY).map(|one| (one, primary.signed.clone()));
        let names = rest.iter().filter(|block| block.tag == USER_ID);
        let over_names = names.flat_map(|name| {
            let over = [primary.signed.as_slice(), &name_as_signed(name.body)].concat();
            let certifies = |one: &&OpenPgpSignature| kind::CERTIFICATION.contains(&one.kind);
            name.signatures.iter().filter(certifies).map(move |one| (one, over.clone()))
        });
        let said =
            own.chain(over_names).filter(|(one, over)| !one.has_unknown_critical() && one.holds_over(&public, over));
        let said = said.map(|(one, _)| one).max_by_key(|one| one.created_s());
        let is_revoked = revoked(&first.signatures, kind::KEY_REVOKED, &public, &primary.signed);
        let ends_s = said.and_then(|said| end(said, primary.created_s));
        let may_sign = said.is_some_and(|said| said.key_flags().is_none_or(|flags| flags & SIGNS_DATA != 0));
        let mut parts =
            vec![Part { public: public.clone(), created_s: primary.created_s, ends_s, is_revoked, may_sign }];
        if said.is_some() {
            parts.extend(subkeys.filter_map(|block| subkey(block, &primary, &public)));
        }
        Some(Self { parts, is_revoked, ends_s })
    }

    /// Whether there is something in it to sign data with.
    pub(in super::super) fn can_sign(&self) -> bool {
        self.signing().next().is_some()
    }
    /// All keys in it that may sign.
    pub(in super::super) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.signing().map(|part| &part.public)
    }
    pub(super) fn signing(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.may_sign)
    }
    /// Whether the whole is revoked.
    pub(super) const fn is_revoked(&self) -> bool {
        self.is_revoked
    }
    /// When the whole ends, if it does.
    pub(super) const fn ends_s(&self) -> Option<u64> {
        self.ends_s
    }
}

fn blocks(octets: &[u8]) -> Option<Vec<Block<'_>>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut count = 0;
    for packet in packets(octets)? {
        if packet.tag != signature::TAG {
            blocks.push(Block { tag: packet.tag, body: packet.body, signatures: Vec::new() });
            continue;
        }
        count += 1;
        if count > SIGNATURES_MAX {
            return None;
        }
        // Signatures of other versions are of others, or count for nothing.
        blocks.last_mut()?.signatures.extend(OpenPgpSignature::read(packet.body));
    }
    Some(blocks)
}

// RFC 9580 §5.2.4: a key is signed behind an octet and its length.
fn as_signed(body: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(body.len()).ok()?;
    Some([&[0x99], len.to_be_bytes().as_slice(), body].concat())
}

fn name_as_signed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[0xb4], len.to_be_bytes().as_slice(), body].concat()
}

fn read_key(body: &[u8]) -> Option<Read> {
    let mut rest = Octets(body);
    if rest.octet()? != 4 {
        return None;
    }
    let created_s = rest.number(4)?;
    let public = match rest.octet()? {
        1 | 3 => rsa(&mut rest),
        19 => {
            let curve = rest.behind(1)?;
            let key_type = CURVES.iter().find(|(oid, _)| *oid == curve).map(|(_, key_type)| *key_type);
            key_type.and_then(|key_type| PublicKey::from_bits(key_type, rest.integer()?).ok())
        }
        22 if rest.behind(1)? == ED25519 => {
            // An octet in front says that the point is compressed (RFC 9580 §11.2.1).
            let point = rest.integer()?.strip_prefix(&[0x40])?;
            PublicKey::from_bits(KeyType::Ed25519, point).ok()
        }
        27 => rest.take(32).and_then(|point| PublicKey::from_bits(KeyType::Ed25519, point).ok()),
        // A subkey for something else.
        _ => return Some(Read { public: None, created_s, signed: as_signed(body)? }),
    };
    if !rest.is_empty() {
        return None;
    }
    Some(Read { public, created_s, signed: as_signed(body)? })
}

fn rsa(rest: &mut Octets<'_>) -> Option<PublicKey> {
    let (modulus, exponent) = (rest.integer()?, rest.integer()?);
    let zeros = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    let bits = u16::try_from(modulus.len() * 8 - zeros).ok()?;
    let mut w = Writer::default();
    w.sequence(|w| {
        w.unsigned(modulus).unsigned(exponent);
    });
    PublicKey::from_bits(KeyType::Rsa(bits), &w.finish()).ok()
}

// When a key ends, or what is said of it does, whichever comes first.
fn end(said: &OpenPgpSignature, created_s: u64) -> Option<u64> {
    let key_ends_s = said.key_lifetime_s().map(|lifetime_s| created_s.saturating_add(lifetime_s));
    key_ends_s.into_iter().chain(said.ends_s()).min()
}

// A revocation holds whenever it was made: it is not asked whether the key was lost before or after a signature.
fn revoked(signatures: &[OpenPgpSignature], kind: u8, by: &PublicKey, over: &[u8]) -> bool {
    signatures.iter().any(|one| one.kind == kind && one.holds_over(by, over))
}

// A subkey that signs: the primary key says so, and the subkey that it belongs to the primary key, or anybody could take
// the signatures of another's key for his own.
fn subkey(block: &Block<'_>, primary: &Read, by: &PublicKey) -> Option<Part> {
    let read = read_key(block.body)?;
    let public = read.public?;
    let over = [primary.signed.as_slice(), &read.signed].concat();
    let binds =
        |one: &&OpenPgpSignature| one.kind == kind::SUBKEY && !one.has_unknown_critical() && one.holds_over(by, &over);
    let said = block.signatures.iter().filter(binds).max_by_key(|one| one.created_s())?;
    let back = said.embedded().is_some_and(|one| one.kind == kind::BY_SUBKEY && one.holds_over(&public, &over));
    Some(Part {
        may_sign: back && said.key_flags().is_some_and(|flags| flags & SIGNS_DATA != 0),
        ends_s: end(said, read.created_s),
        is_revoked: revoked(&block.signatures, kind::SUBKEY_REVOKED, by, &over),
        created_s: read.created_s,
        public,
    })
}
