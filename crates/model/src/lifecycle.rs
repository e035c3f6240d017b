//! What happens to a device at the station, as types: a step that must not happen does not compile.
//!
//! ```
//! use model::lifecycle::{Device, Registered};
//! # fn f(device: Device<Registered>, image: model::Digest, key: model::Digest, serial: String) {
//! let operational = device.flashed(image).keyed(key).certified(serial).proved();
//! # }
//! ```
//! A device without a key cannot be certified:
//! ```compile_fail
//! # use model::lifecycle::{Device, Registered};
//! # fn f(device: Device<Registered>, image: model::Digest, serial: String) {
//! device.flashed(image).certified(serial);
//! # }
//! ```
//! A device that did not prove its key is not operational:
//! ```compile_fail
//! # use model::lifecycle::{Device, Keyed, Operational};
//! # fn f(device: Device<Keyed>, serial: String) -> Device<Operational> {
//! device.certified(serial)
//! # }
//! ```
//! Software comes before the certificate:
//! ```compile_fail
//! # use model::lifecycle::{Device, Registered};
//! # fn f(device: Device<Registered>, key: model::Digest) {
//! device.keyed(key);
//! # }
//! ```

use crate::{BoardId, DeviceId, Digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A device on its way through the station. `S` says how far it has come.
#[derive(Debug)]
pub struct Device<S> {
    id: DeviceId,
    board: BoardId,
    state: S,
}

/// On a list, of the right type, not provisioned yet, its serial number bound to this board.
#[derive(Debug)]
pub struct Registered(());
/// Carries the image of this digest, read back and compared.
#[derive(Debug)]
pub struct Flashed {
    image: Digest,
}
/// Has shown a public key; its digest is that of the SubjectPublicKeyInfo.
#[derive(Debug)]
pub struct Keyed {
    image: Digest,
    key: Digest,
}
/// Holds a certificate for that key.
#[derive(Debug)]
pub struct Certified {
    image: Digest,
    key: Digest,
    serial: String,
}
/// Has proved with the certificate that it holds the key.
#[derive(Debug)]
pub struct Operational {
    image: Digest,
    key: Digest,
    serial: String,
}

impl<S> Device<S> {
    /// The device's name.
    pub fn id(&self) -> &DeviceId {
        &self.id
    }
    /// The hardware that carries the name.
    pub fn board(&self) -> &BoardId {
        &self.board
    }
    fn become_<T>(self, state: impl FnOnce(S) -> T) -> Device<T> {
        Device { id: self.id, board: self.board, state: state(self.state) }
    }
}

impl Device<Registered> {
    /// The registry's answer: this board may be provisioned under this name.
    #[must_use]
    pub fn admitted(id: DeviceId, board: BoardId) -> Self {
        Self { id, board, state: Registered(()) }
    }
    /// The image was written, read back and compared.
    #[must_use]
    pub fn flashed(self, image: Digest) -> Device<Flashed> {
        self.become_(|_| Flashed { image })
    }
}
impl Device<Flashed> {
    /// The board has shown its public key.
    #[must_use]
    pub fn keyed(self, key: Digest) -> Device<Keyed> {
        self.become_(|s| Keyed { image: s.image, key })
    }
}
impl Device<Keyed> {
    /// The authority has certified the key; `serial` is the certificate's serial number in hexadecimal digits.
    #[must_use]
    pub fn certified(self, serial: String) -> Device<Certified> {
        self.become_(|s| Certified { image: s.image, key: s.key, serial })
    }
    /// The digest of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.state.key
    }
}
impl Device<Certified> {
    /// The board has signed the station's challenge with the certified key.
    #[must_use]
    pub fn proved(self) -> Device<Operational> {
        self.become_(|s| Operational { image: s.image, key: s.key, serial: s.serial })
    }
    /// The digest of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.state.key
    }
}
impl Device<Operational> {
    /// What the registry records of it.
    #[must_use]
    pub fn record(&self) -> (Digest, Digest, &str) {
        (self.state.image, self.state.key, &self.state.serial)
    }
}

/// Who has the device in hand, as the registry records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Custody {
    /// On a list; no board has shown up yet.
    Planned,
    /// A board carries the name and verified software.
    Made,
    /// It has its certificate and has proved its key.
    Provisioned,
}

impl fmt::Display for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Planned => "planned",
            Self::Made => "made",
            Self::Provisioned => "provisioned",
        })
    }
}
