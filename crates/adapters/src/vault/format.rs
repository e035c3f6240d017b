//! How an image lies in the vault.
//!
//! ```text
//! octets   what
//! 7        "CRADLEV"
//! 1        version, 1
//! 1        number of recipients n, 1 to 16
//! n * 80   for each: encapsulated key (32), content key sealed for this recipient (32 + 16)
//! rest     chunks: 65 536 octets and a tag of 16 each; the last may be shorter, and is empty only if the image is
//! ```
//! - A content key is 32 random octets, used for one image. It is sealed with HPKE, base mode, DHKEM(X25519,
//!   HKDF-SHA256), HKDF-SHA256, AES-256-GCM; `info` is the first nine octets and the blob's name (16 octets), `aad` is
//!   empty. Source: RFC 9180 §6.1.
//! - A chunk is sealed with AES-256-GCM under the content key. Nonce: its number (11 octets, big-endian, from 0) and an
//!   octet that is 1 for the last chunk and 0 for others, so that a cut, a repetition or another order is found (STREAM,
//!   Hoang and others 2015). `aad`: SHA-256 of everything before the chunks and the blob's name, so that another header,
//!   or another name, is found with the first chunk.
//! - Recipients are not named. A reader tries its key on each of them.

use super::key::{KEY_LEN, VaultPrivateKey, VaultPublicKey};
use crate::sealing::HPKE;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use ports::clock::Entropy;
use ports::vault::VaultFault;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use std::io::{self, ErrorKind, Read, Write};
use zeroize::Zeroizing;

/// Octets of an image in one chunk: long enough that tag and nonce cost nothing, short enough to stay in the cache.
pub const CHUNK_LEN: usize = 64 * 1024;
/// Most recipients: sm and pm with their successors, and a few stations.
pub const RECIPIENTS_MAX: usize = 16;

/// The octets of a blob's name.
pub(super) type Name = [u8; 16];

const TAG_LEN: usize = 16;
const MAGIC: &[u8; 8] = b"CRADLEV\x01";
const PREFIX_LEN: usize = MAGIC.len() + 1;
const WRAPPED_LEN: usize = KEY_LEN + TAG_LEN;
const STANZA_LEN: usize = KEY_LEN + WRAPPED_LEN;

const NO_KEY: VaultFault = VaultFault::Medium("a recipient's key is not an X25519 key");

/// Whether octets can be sealed for this key. A point of small order is no key.
pub(super) fn check_recipient(key: &VaultPublicKey) -> Result<(), VaultFault> {
    HPKE.setup_sealer(&[], &HpkePublicKey(key.octets().to_vec())).map(|_| ()).map_err(|_| NO_KEY)
}

/// Seals or opens the chunks of one image.
struct Chunks {
    key: LessSafeKey,
    aad: [u8; 32],
    number: u64,
}

impl Chunks {
    fn new(content_key: &[u8], header: &[u8], name: &Name) -> Result<Self, VaultFault> {
        let key = UnboundKey::new(&AES_256_GCM, content_key).map_err(|_| VaultFault::Unreadable)?;
        let mut aad = [0; 32];
        let bound = digest(&SHA256, &[header, name].concat());
        aad.iter_mut().zip(bound.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { key: LessSafeKey::new(key), aad, number: 0 })
    }

    // Each number is used once: it counts up with every nonce, and an image has fewer than 2^64 chunks.
    fn nonce(&mut self, last: Last) -> Nonce {
        let mut nonce = [0; 12];
        let (number, flag) = nonce.split_at_mut(11);
        number.iter_mut().rev().zip(self.number.to_le_bytes()).for_each(|(to, from)| *to = from);
        flag.fill(u8::from(last == Last::Yes));
        self.number = self.number.saturating_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    // `buffer` holds `len` octets and has room for the tag; gives what is to be written.
    fn seal<'b>(&mut self, buffer: &'b mut [u8], len: usize, last: Last) -> Option<&'b [u8]> {
        let nonce = self.nonce(last);
        let (text, room) = buffer.split_at_mut_checked(len)?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(self.aad), text).ok()?;
        room.get_mut(..TAG_LEN)?.copy_from_slice(tag.as_ref());
        buffer.get(..len.checked_add(TAG_LEN)?)
    }

    // Gives the number of octets that were opened, at the beginning of `sealed`.
    fn open(&mut self, sealed: &mut [u8], last: Last) -> Option<usize> {
        let nonce = self.nonce(last);
        let text = self.key.open_in_place(nonce, Aad::from(self.aad), sealed).ok()?;
        Some(text.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

/// Seals all that `source` gives, at most `len_max` octets, and writes it to `out`. The header is written at once, the
/// last chunk when the source has ended.
pub(super) fn seal(
    source: &mut dyn Read,
    len_max: u64,
    recipients: &[VaultPublicKey],
    name: &Name,
    entropy: &dyn Entropy,
    out: &mut dyn Write,
) -> Result<(), VaultFault> {
    let mut content_key = Zeroizing::new([0; KEY_LEN]);
    entropy.fill(content_key.as_mut());
    let header = header(recipients, name, content_key.as_ref())?;
    let mut chunks = Chunks::new(content_key.as_ref(), &header, name)?;
    out.write_all(&header).map_err(|error| medium(&error))?;

    let (mut now, mut next) = (Buffer::new(), Buffer::new());
    let mut left = now.fill(source, len_max)?;
    loop {
        // A chunk that is not full is the last: a source that has ended is not asked again.
        next.len = 0;
        if now.len == CHUNK_LEN {
            left = next.fill(source, left)?;
        }
        let last = if next.len == 0 { Last::Yes } else { Last::No };
        let sealed =
            chunks.seal(&mut now.octets, now.len, last).ok_or(VaultFault::Medium("the image cannot be sealed"))?;
        out.write_all(sealed).map_err(|error| medium(&error))?;
        if last == Last::Yes {
            return Ok(());
        }
        std::mem::swap(&mut now, &mut next);
    }
}

// A chunk that is being filled, with room for its tag.
struct Buffer {
    octets: Zeroizing<Vec<u8>>,
    len: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { octets: Zeroizing::new(vec![0; CHUNK_LEN + TAG_LEN]), len: 0 }
    }

    // Fills it as far as the source goes, and gives how many octets more the source may give.
    fn fill(&mut self, source: &mut dyn Read, left: u64) -> Result<u64, VaultFault> {
        self.len = 0;
        // One octet more than allowed is enough to notice.
        let len_max = usize::try_from(left.saturating_add(1)).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
        while let Some(window) = self.octets.get_mut(self.len..len_max).filter(|window| !window.is_empty()) {
            match source.read(window) {
                Ok(0) => break,
                Ok(read) => self.len = self.len.saturating_add(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(VaultFault::Source),
            }
        }
        left.checked_sub(count(self.len)).ok_or(VaultFault::TooLong)
    }
}

fn header(recipients: &[VaultPublicKey], name: &Name, content_key: &[u8]) -> Result<Vec<u8>, VaultFault> {
    let count = u8::try_from(recipients.len()).map_err(|_| NO_KEY)?;
    let prefix = [MAGIC.as_slice(), &[count]].concat();
    let info = [prefix.as_slice(), name].concat();
    let mut header = prefix;
    for recipient in recipients {
        let recipient = HpkePublicKey(recipient.octets().to_vec());
        let (encapsulated, wrapped) = HPKE.seal(&info, &[], content_key, &recipient).map_err(|_| NO_KEY)?;
        header.extend(encapsulated.0);
        header.extend(wrapped);
    }
    Ok(header)
}

/// Opens what was sealed, chunk by chunk. Nothing of a chunk is given out before its tag was checked.
pub(super) struct OpenedBlob<R> {
    source: R,
    chunks: Chunks,
    // Sealed octets that were not read yet. None once reading has failed.
    left: Option<u64>,
    buffer: Zeroizing<Vec<u8>>,
    // What of the buffer is open and was not given out.
    open: std::ops::Range<usize>,
}

impl<R: Read> OpenedBlob<R> {
    /// Reads header and first chunk of a blob that has `len` octets. So the header is checked when this returns.
    pub(super) fn new(mut source: R, len: u64, key: &VaultPrivateKey, name: &Name) -> Result<Self, VaultFault> {
        let header = read_header(&mut source)?;
        let content_key = content_key(&header, key, name)?;
        let chunks = Chunks::new(content_key.as_ref(), &header, name)?;
        let left = len.checked_sub(count(header.len())).ok_or(VaultFault::Unreadable)?;
        let buffer = Zeroizing::new(vec![0; CHUNK_LEN + TAG_LEN]);
        let mut blob = Self { source, chunks, left: Some(left), buffer, open: 0..0 };
        blob.next_chunk()?;
        Ok(blob)
    }

    fn next_chunk(&mut self) -> Result<(), VaultFault> {
        // Put back only when all went well: who has read something false reads no further.
        let left = self.left.take().ok_or(VaultFault::Unreadable)?;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_LEN + TAG_LEN);
        let rest = left.saturating_sub(count(len));
        let last = if rest == 0 { Last::Yes } else { Last::No };
        let first = self.chunks.number == 0;
        let sealed = self.buffer.get_mut(..len).unwrap_or_default();
        read_exact(&mut self.source, sealed)?;
        let open = self.chunks.open(sealed, last).ok_or(VaultFault::Unreadable)?;
        // Only an image of no octets has an empty chunk: one image, one way to write it.
        if open == 0 && !first {
            return Err(VaultFault::Unreadable);
        }
        self.open = 0..open;
        self.left = Some(rest);
        Ok(())
    }
}

impl<R: Read> Read for OpenedBlob<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.open.is_empty() && self.left != Some(0) {
            self.next_chunk().map_err(|fault| io::Error::new(kind(fault), fault))?;
        }
        let open = self.buffer.get(self.open.clone()).unwrap_or_default();
        let len = open.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..len), open.get(..len)) {
            to.copy_from_slice(from);
        }
        self.open.start = self.open.start.saturating_add(len);
        Ok(len)
    }
}

const fn kind(fault: VaultFault) -> ErrorKind {
    match fault {
        VaultFault::Unreadable => ErrorKind::InvalidData,
        VaultFault::Missing
        | VaultFault::TooLong
        | VaultFault::Source
        | VaultFault::Medium(_)
        | VaultFault::NotDurable => ErrorKind::Other,
    }
}

fn read_header(source: &mut dyn Read) -> Result<Vec<u8>, VaultFault> {
    let mut prefix = [0; PREFIX_LEN];
    read_exact(source, &mut prefix)?;
    let (magic, count) = prefix.split_at(MAGIC.len());
    let recipients = count.first().copied().map_or(0, usize::from);
    if magic != MAGIC || !(1..=RECIPIENTS_MAX).contains(&recipients) {
        return Err(VaultFault::Unreadable);
    }
    let mut stanzas = vec![0; recipients.saturating_mul(STANZA_LEN)];
    read_exact(source, &mut stanzas)?;
    Ok([prefix.as_slice(), &stanzas].concat())
}

fn content_key(header: &[u8], key: &VaultPrivateKey, name: &Name) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
    let (prefix, stanzas) = header.split_at_checked(PREFIX_LEN).ok_or(VaultFault::Unreadable)?;
    let info = [prefix, name].concat();
    let private = HpkePrivateKey::from(key.octets().to_vec());
    let unwrap = |stanza: &[u8]| {
        let (encapsulated, wrapped) = stanza.split_at_checked(KEY_LEN)?;
        HPKE.open(&EncapsulatedSecret(encapsulated.to_vec()), &info, &[], wrapped, &private).ok()
    };
    stanzas.chunks_exact(STANZA_LEN).find_map(unwrap).map(Zeroizing::new).ok_or(VaultFault::Unreadable)
}

// A file that ends too early was cut; any other failure is the medium's.
fn read_exact(source: &mut dyn Read, out: &mut [u8]) -> Result<(), VaultFault> {
    source.read_exact(out).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => VaultFault::Unreadable,
        _ => VaultFault::Medium("the vault cannot be read"),
    })
}

/// What a failed write means.
pub(super) fn medium(error: &io::Error) -> VaultFault {
    VaultFault::Medium(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => "the disk is full",
        _ => "the vault cannot be written",
    })
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
