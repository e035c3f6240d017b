//! Boards in a fixture, and what a station does to them.

use model::{BoardId, DeviceSerial, DeviceType, Digest};
use std::fmt;
use std::io::Read;
use x509::KeyType;

/// Finds boards. One flasher serves one fixture.
pub trait Flasher: Send + Sync {
    /// The boards that are in the fixture now, at most `max`, in a fixed order.
    ///
    /// # Errors
    /// [`BoardFault`] if the fixture itself does not work; a silent board is not an error here.
    fn boards(&self, max: usize) -> Result<Vec<Box<dyn Board>>, BoardFault>;
}

/// One board in the fixture.
pub trait Board: Send {
    /// What the board says of itself. Asked first; may power it up.
    ///
    /// # Errors
    /// [`BoardFault`]
    fn identify(&mut self) -> Result<Identity, BoardFault>;

    /// The digest of the image that the board carries, read back from it, if it can tell without being written to.
    /// `length` is the image's length in octets.
    ///
    /// # Errors
    /// [`BoardFault`]
    fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault>;

    /// Writes an image, reads it back and compares.
    ///
    /// `image` must end after exactly `length` octets: it is read to its end, so that a reader which authenticates what
    /// it reads has had its say before this returns. `progress` hears how much of the work is done, reading back
    /// included: in octets of the image, never falling, `length` only at the end.
    ///
    /// # Errors
    /// [`BoardFault::Mismatch`] if what was read back differs; [`BoardFault::Source`] if `image` failed, or was shorter
    /// or longer than `length`.
    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault>;

    /// Writes something small beside the image: trust anchors before the key, certificates after it.
    ///
    /// # Errors
    /// [`BoardFault`]
    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault>;

    /// Makes the device's key, if it has none, and shows it. The key stays the same until the board is erased.
    ///
    /// # Errors
    /// [`BoardFault`]
    fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault>;

    /// Signs a challenge with the device's key.
    ///
    /// # Errors
    /// [`BoardFault`]
    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault>;
}

/// What a board says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the hardware says.
    pub board: BoardId,
    /// What the label says.
    pub serial: DeviceSerial,
    /// What it is.
    pub device_type: DeviceType,
}

/// Something small that is written to a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Certificates of the authorities that the device trusts, PEM, root first.
    TrustAnchors,
    /// The device's certificate and its chain, PEM, the device's own first.
    CertificateChain,
}

impl Part {
    /// The name in device types and in the protocol of the `command` adapter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TrustAnchors => "trust-anchors",
            Self::CertificateChain => "certificate-chain",
        }
    }
}

/// How a board shows its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOffer {
    /// A request that it made and signed itself, PKCS #10 in DER.
    CertificationRequest(Vec<u8>),
    /// Only the public key, SubjectPublicKeyInfo in DER; the station vouches for it.
    PublicKey(Vec<u8>),
}

/// What went wrong with a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardFault {
    /// It does not answer.
    Silent,
    /// It, or the program that speaks with it, refused; the text is made printable.
    Refused(String),
    /// The fixture failed, not the board: its line, its medium, its program or how it is set up; the text is made
    /// printable.
    Fixture(String),
    /// What was read back is not what was written.
    Mismatch,
    /// The octets to write could not be read; nothing is known of the board.
    Source,
}

impl fmt::Display for BoardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("the board does not answer"),
            Self::Refused(what) => write!(f, "the board refused: {what}"),
            Self::Fixture(what) => write!(f, "the fixture failed: {what}"),
            Self::Mismatch => f.write_str("what was read back is not what was written"),
            Self::Source => f.write_str("the image could not be read while it was written"),
        }
    }
}
impl std::error::Error for BoardFault {}
