//! What a director keeps from everybody but itself: what devices report is sealed to its key, and what it says has a length that does not
//! follow from what is in it.

use crate::conduct::Director;
use crate::documents::{ANNOUNCED, kind, load, store, turn};
use crate::fault::DirectorFault;
use adapters::vault::VaultPrivateKey;
use model::DeviceId;
use std::borrow::Cow;
use std::fmt;
use update::uptane::{BadDirections, ManifestKey, SealedManifest, padded, padded_len};

/// How long the answer to a nonce or a manifest is made: twice what it takes.
const ANSWER_LEN: usize = 128;

/// Which manifests are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manifests {
    /// Those that are sealed.
    #[default]
    Sealed,
    /// Others too, for agents that do not seal yet: whoever ends the line reads them.
    AlsoPlain,
}

/// How long what is said is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// As long as anything is that a device with so many components is told.
    #[default]
    Steps,
    /// No longer than it must be, for lines on which each octet costs: whoever watches can tell devices apart.
    Off,
}

/// What a director keeps from others, and by what.
#[derive(Default)]
pub struct Privacy {
    /// The keys that open manifests. The first is announced to devices, the others are older.
    pub keys: Vec<VaultPrivateKey>,
    /// Which manifests are taken.
    pub manifests: Manifests,
    /// How long what is said is made.
    pub padding: Padding,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Privacy({} keys, {:?}, {:?})", self.keys.len(), self.manifests, self.padding)
    }
}

fn public(key: &VaultPrivateKey) -> ManifestKey {
    ManifestKey::new(*key.public_key().octets())
}

impl Privacy {
    /// The key to which devices seal.
    pub(crate) fn announced(&self) -> Option<ManifestKey> {
        self.keys.first().map(public)
    }

    /// What a device sent, opened.
    pub(crate) fn open<'o>(&self, device: &DeviceId, octets: &'o [u8]) -> Result<Cow<'o, [u8]>, BadDirections> {
        let Some(SealedManifest { key: name, sealed }) = SealedManifest::decode(octets) else {
            return match self.manifests {
                Manifests::AlsoPlain => Ok(Cow::Borrowed(octets)),
                Manifests::Sealed => Err(BadDirections::NotSealed),
            };
        };
        let key = self.keys.iter().find(|key| public(key).name() == name).ok_or(BadDirections::OtherSeal)?;
        let opened = key.open_secret(&sealed, &SealedManifest::info(name, device));
        opened.map(|octets| Cow::Owned(octets.to_vec())).map_err(|_| BadDirections::OtherSeal)
    }

    /// How long targets metadata of a device with so many components is made.
    pub(crate) const fn targets_len(&self, len: usize, components: usize) -> usize {
        match self.padding {
            Padding::Steps => padded_len(len, components),
            Padding::Off => len,
        }
    }

    /// The answer to a nonce or a manifest.
    pub(crate) fn answer(&self, octets: Vec<u8>) -> Vec<u8> {
        match self.padding {
            Padding::Steps => padded(octets, ANSWER_LEN),
            Padding::Off => octets,
        }
    }
}

impl Director {
    /// The same director, keeping this from others.
    #[must_use]
    pub fn keeping(mut self, privacy: Privacy) -> Self {
        self.privacy = privacy;
        self
    }

    /// Has each device told anew, when it asks, if it would be told another key or in another length than before.
    ///
    /// # Errors
    /// [`DirectorFault::Documents`]
    pub fn announce(&self) -> Result<(), DirectorFault> {
        let announced = format!("{:?} {:?}", self.privacy.announced(), self.privacy.padding);
        self.documents.change(|now| {
            if load::<String>(now, kind::STATE, ANNOUNCED)?.as_ref() == Some(&announced) {
                return Ok(());
            }
            store(now, kind::STATE, ANNOUNCED, &announced)?;
            turn(now)
        })
    }
}
