//! An image on a block device (an SD card, an eMMC in mass-storage mode, a USB disk) or in a file.
//!
//! The image is written sparsely: a run of zeros becomes a hole, which reads as zeros whatever was there before. Then
//! everything is synchronised, thrown out of the page cache and read back.
//!
//! Parts stand in slots of their own beside the image: the octets of the part, then zeros to the end of the slot. PEM
//! has no zero octet, so a device reads up to the first one: `dd ... | tr -d '\0'`.
//!
//! Identity, key and proof come from a program, the [secure element](super::command::HelperConfig).

mod medium;
mod store;
mod target;

use super::command::{Helper, HelperConfig};
use super::layout::{Area, Layout};
use super::slot::{self, Slot};
use super::{fault, source::Source};
use medium::{FileMedium, Medium};
use model::Digest;
use ports::Clock;
use ports::flasher::{self, BoardFault, Flasher, Identity, KeyOffer, Part};
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509::KeyType;

/// Where an image and its parts are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockConfig {
    /// The device or file; `{slot}` stands for the slot's name. Relative to the directory of the device type.
    ///
    /// Not a symbolic link, except one that the system keeps in `/dev/disk/`, and nothing that is mounted.
    pub target: String,
    /// The places of the fixture, one board each.
    #[serde(default = "slot::one")]
    pub slots: Vec<Slot>,
    /// If there is no such file, makes one of this length in octets; without it, a missing target is a silent board.
    pub create_len: Option<u64>,
    /// Where the image begins, in octets.
    #[serde(default)]
    pub image_offset: u64,
    /// Longest image in octets; without it, as much as the target holds.
    pub image_len_max: Option<u64>,
    /// Where the trust anchors go.
    pub trust_anchors: Area,
    /// Where the certificate chain goes.
    pub certificate_chain: Area,
    /// The program that knows the board's identity and holds its key.
    pub secure_element: HelperConfig,
}

/// A fixture that shows its boards as block devices or files.
pub struct Block {
    config: BlockConfig,
    base_dir: PathBuf,
    layout: Layout,
    clock: Arc<dyn Clock>,
}

impl Block {
    /// Opens the fixture. The targets are opened later, board by board.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if image and slots overlap, or several boards would be one.
    pub fn open(config: &BlockConfig, base_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, BoardFault> {
        slot::check(&config.slots, Some(&config.target)).map_err(fault::fixture)?;
        config.secure_element.check()?;
        let BlockConfig { image_offset, image_len_max, trust_anchors, certificate_chain, .. } = *config;
        let layout = Layout::new(image_offset, image_len_max, trust_anchors, certificate_chain)?;
        Ok(Self { config: config.clone(), base_dir: base_dir.to_owned(), layout, clock })
    }
}

impl Flasher for Block {
    fn boards(&self, max: usize) -> Result<Vec<Box<dyn flasher::Board>>, BoardFault> {
        let board = |slot: &Slot| -> Box<dyn flasher::Board> {
            Box::new(Board {
                path: self.base_dir.join(slot.fill(&self.config.target)),
                create_len: self.config.create_len,
                layout: self.layout,
                helper: Helper::new(&self.config.secure_element, slot, &self.base_dir, &self.clock),
                medium: None,
                broken: false,
            })
        };
        Ok(self.config.slots.iter().take(max).map(board).collect())
    }
}

struct Board {
    path: PathBuf,
    create_len: Option<u64>,
    layout: Layout,
    helper: Helper,
    medium: Option<FileMedium>,
    /// A synchronisation failed. The system has then forgotten which octets it lost, and says next time that all is
    /// well: nothing that is written through this board any more can be believed.
    broken: bool,
}

impl Board {
    fn medium(&mut self) -> Result<&mut FileMedium, BoardFault> {
        if self.broken {
            return Err(fault::fixture("the medium failed to synchronise; take the board up anew"));
        }
        match &mut self.medium {
            Some(medium) => Ok(medium),
            empty => Ok(empty.insert(target::open(&self.path, self.create_len)?)),
        }
    }

    /// Notes a failed synchronisation.
    fn settle<T>(&mut self, result: Result<T, store::Failed>) -> Result<T, BoardFault> {
        result.map_err(|failed| match failed {
            store::Failed::Board(fault) => fault,
            store::Failed::Sync(error) => {
                self.broken = true;
                self.medium = None;
                fault::system("the medium failed to synchronise")(error)
            }
        })
    }
}

impl flasher::Board for Board {
    fn identify(&mut self) -> Result<Identity, BoardFault> {
        self.medium()?;
        self.helper.identify()
    }

    fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault> {
        let at = self.layout.image_at();
        let medium = self.medium()?;
        if at.checked_add(length).is_none_or(|end| end > medium.length()) {
            return Ok(None);
        }
        store::digest(medium, at, length, &mut |_| ()).map(Some)
    }

    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        let area = self.layout.image(length)?;
        let medium = self.medium()?;
        area.fits(medium.length())?;
        let result = store::write_image(medium, area.offset, &mut Source::new(image, length), length, progress);
        self.settle(result)
    }

    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        let area = self.layout.part(what);
        let filled = area.fill(octets)?;
        let medium = self.medium()?;
        area.fits(medium.length())?;
        let result = store::write_part(medium, area.offset, &filled);
        self.settle(result)
    }

    fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        self.helper.key(key_type)
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.helper.prove(challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::super::deadline::tests::standing;
    use super::*;

    #[test]
    fn a_failed_synchronisation_ends_the_board() {
        let config: BlockConfig = toml::from_str(
            "target = 'none'\ntrust_anchors = { offset = 0, len_max = 1 }\nimage_offset = 2\n\
             certificate_chain = { offset = 1, len_max = 1 }\nsecure_element = { program = 'none' }",
        )
        .unwrap();
        let block = Block::open(&config, Path::new("/"), standing()).unwrap();
        let mut board = Board {
            path: "/none".into(),
            create_len: None,
            layout: block.layout,
            helper: Helper::new(&config.secure_element, &config.slots[0], Path::new("/"), &block.clock),
            medium: None,
            broken: false,
        };
        assert_eq!(board.medium().err(), Some(BoardFault::Silent));
        let failed = store::Failed::Sync(std::io::Error::from_raw_os_error(5));
        let Err(BoardFault::Fixture(text)) = board.settle::<()>(Err(failed)) else { panic!("another fault") };
        assert!(text.contains("synchronise"), "{text}");
        // The target is not even looked for any more.
        assert!(matches!(board.medium().err(), Some(BoardFault::Fixture(_))));
    }
}
