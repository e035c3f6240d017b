//! Signed checkpoints of the audit log.
//! Source: C2SP signed-note and tlog-checkpoint, Ed25519.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Digest;
use ports::{SignFault, Signer};
use x509::{PublicKey, SignatureAlgorithm, sha256, signature};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Hash of the tree over them.
    pub root: Digest,
    /// The last entry that tells of an operation mode, so that who starts need not look for it: an extension line.
    pub mode: Option<u64>,
}

/// How the extension line begins.
const MODE: &str = "mode ";
/// Type of an Ed25519 key in a signed note.
const ED25519: u8 = 1;

fn key_hash(name: &str, key: &PublicKey) -> [u8; 4] {
    let digest = sha256(&[name.as_bytes(), b"\n", &[ED25519], key.bits()].concat());
    let [a, b, c, d, ..] = *digest.octets();
    [a, b, c, d]
}

impl Checkpoint {
    fn text(&self) -> String {
        let mode = self.mode.map(|entry| format!("{MODE}{entry}\n")).unwrap_or_default();
        format!("{}\n{}\n{}\n{mode}", self.origin, self.size, STANDARD.encode(self.root.octets()))
    }

    /// Writes and signs the checkpoint; the key goes by the name of the log.
    ///
    /// # Errors
    /// [`SignFault`] if the key cannot be used or is not an Ed25519 key.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignFault> {
        if signer.algorithm() != SignatureAlgorithm::Ed25519 {
            return Err(SignFault("only Ed25519 keys sign checkpoints"));
        }
        let text = self.text();
        let mut octets = key_hash(&self.origin, signer.public_key()).to_vec();
        octets.extend(signer.sign(text.as_bytes())?);
        Ok(format!("{text}\n— {} {}\n", self.origin, STANDARD.encode(octets)))
    }

    /// The last entry that tells of an operation mode, of a note that was verified before.
    #[must_use]
    pub fn mode_of(note: &str) -> Option<u64> {
        note.split_once("\n\n")?.0.split('\n').nth(3)?.strip_prefix(MODE)?.parse().ok()
    }

    /// Reads a checkpoint and verifies that `key` signed it.
    ///
    /// `None` if it is not written as a checkpoint is, or the signature does not hold.
    #[must_use]
    pub fn verify(note: &str, key: &PublicKey) -> Option<Self> {
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(root).ok()?)?,
            mode: match lines.next() {
                Some(line) => Some(line.strip_prefix(MODE)?.parse().ok()?),
                None => None,
            },
        };
        let signed = checkpoint.text();
        if lines.next().is_some() || signed.strip_suffix('\n') != Some(text) {
            return None;
        }
        let holds = |line: &str| {
            let (name, octets) = line.strip_prefix("— ")?.split_once(' ')?;
            let octets = STANDARD.decode(octets).ok()?;
            let (hash, octets) = octets.split_first_chunk::<4>()?;
            let ours = name == origin && *hash == key_hash(name, key);
            let holds = || signature::verify(key, SignatureAlgorithm::Ed25519, signed.as_bytes(), octets).is_ok();
            (ours && holds()).then_some(())
        };
        signatures.lines().any(|line| holds(line).is_some()).then_some(checkpoint)
    }
}
