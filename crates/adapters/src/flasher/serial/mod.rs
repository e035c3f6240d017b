//! A board whose bootloader (U-Boot, or one like it) is reached over a tty.
//!
//! The image goes in pieces by YMODEM into the board's memory, is checked there, written to the board's disk by a
//! command, read back from the disk to another place in memory, and checked again. The commands are templates, so that
//! any storage that the bootloader knows can be used.
//!
//! Parts stand in slots beside the image, filled up with zeros, as on a block device ([`super::block`]).

mod board;
mod commands;
mod console;
mod crc;
mod line;
mod template;
mod ymodem;

pub use commands::{CommandTemplates, IdentityCommands, KeyCommands};

use super::command::{Helper, HelperConfig};
use super::fault;
use super::layout::{Area, Layout};
use super::slot::{self, Slot};
use board::{Board, Setup};
use commands::Commands;
use console::Manners;
use ports::Clock;
use ports::flasher::{self, BoardFault, Flasher};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest time that a limit may allow, in seconds: one day.
const TIME_MAX_S: u64 = 86_400;
/// Longest block of a disk in octets.
const BLOCK_LEN_MAX: u64 = 1024 * 1024;
/// Longest piece in octets: at 11 KiB/s it takes more than an hour.
const PIECE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// A bootloader behind a tty. Numbers in commands are hexadecimal, as bootloaders read them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialConfig {
    /// The tty; `{slot}` stands for the slot's name. Relative to the directory of the device type.
    pub tty: String,
    /// The places of the fixture, one board each.
    #[serde(default = "slot::one")]
    pub slots: Vec<Slot>,
    /// The speed of the line.
    #[serde(default = "defaults::baud_per_s")]
    pub baud_per_s: u32,
    /// What the bootloader prints when it waits for a command.
    #[serde(default = "defaults::prompt")]
    pub prompt: String,
    /// What is sent to stop the countdown and to clear the command line.
    ///
    /// Control-C unless it is given. A carriage return would make U-Boot repeat its last command, writing included.
    #[serde(default = "defaults::wake")]
    pub wake: String,
    /// Where in the board's memory the image is received.
    pub load_address: u64,
    /// Where in the board's memory the disk is read back to.
    pub read_address: u64,
    /// Length of a block of the disk, in octets. Limits: a power of two to 1 MiB.
    #[serde(default = "defaults::block_len")]
    pub block_len: u64,
    /// Longest piece of the image that is in the board's memory at once, in octets. Limits: whole blocks, to 64 MiB.
    #[serde(default = "defaults::piece_len_max")]
    pub piece_len_max: u64,
    /// Where on the disk the image begins, in octets, a whole number of blocks.
    #[serde(default)]
    pub image_offset: u64,
    /// Longest image in octets; without it, as much as the disk holds.
    pub image_len_max: Option<u64>,
    /// Where on the disk the trust anchors go, in whole blocks.
    pub trust_anchors: Area,
    /// Where on the disk the certificate chain goes, in whole blocks.
    pub certificate_chain: Area,
    /// What is typed.
    pub commands: CommandTemplates,
    /// Commands that show who the board is; without them, the secure element says it.
    pub identity: Option<IdentityCommands>,
    /// Commands that make the key and sign with it; without them, the secure element does.
    pub key: Option<KeyCommands>,
    /// The program that knows the board's identity and holds its key.
    pub secure_element: Option<HelperConfig>,
    /// How long the prompt may take to come, in seconds: power-up and countdown included.
    #[serde(default = "defaults::prompt_time_max_s")]
    pub prompt_time_max_s: u64,
    /// How long a command may take, in seconds.
    #[serde(default = "defaults::command_time_max_s")]
    pub command_time_max_s: u64,
    /// How long the bootloader may take to answer to one block of a transfer, in seconds. One that asks for a block
    /// again does so by itself, U-Boot after 5 s and others after 10 s, so this is longer.
    #[serde(default = "defaults::block_time_max_s")]
    pub block_time_max_s: u64,
    /// How long it may take to send one piece, in seconds.
    #[serde(default = "defaults::load_time_max_s")]
    pub load_time_max_s: u64,
}

mod defaults {
    pub(super) fn baud_per_s() -> u32 {
        115_200
    }
    pub(super) fn prompt() -> String {
        "=> ".to_owned()
    }
    pub(super) fn wake() -> String {
        "\u{3}".to_owned()
    }
    pub(super) fn block_len() -> u64 {
        512
    }
    // Two minutes at 115200 baud: little is lost when a piece must be sent again.
    pub(super) fn piece_len_max() -> u64 {
        1024 * 1024
    }
    pub(super) fn prompt_time_max_s() -> u64 {
        30
    }
    pub(super) fn command_time_max_s() -> u64 {
        60
    }
    pub(super) fn block_time_max_s() -> u64 {
        12
    }
    pub(super) fn load_time_max_s() -> u64 {
        3600
    }
}

/// A fixture whose boards are reached over ttys.
pub struct Serial {
    config: SerialConfig,
    base_dir: PathBuf,
    setup: Arc<Setup>,
}

impl Serial {
    /// Opens the fixture. The ttys are opened later, board by board.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if the configuration contradicts itself: areas of the disk or of the memory overlap, are
    /// no whole blocks, a command has an unknown place, or nothing says who the board is.
    pub fn open(config: &SerialConfig, base_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, BoardFault> {
        slot::check(&config.slots, Some(&config.tty)).map_err(fault::fixture)?;
        config.secure_element.as_ref().map_or(Ok(()), HelperConfig::check)?;
        check(config).map_err(fault::fixture)?;
        let SerialConfig { image_offset, image_len_max, trust_anchors, certificate_chain, .. } = *config;
        let setup = Setup {
            manners: Manners {
                prompt: config.prompt.clone(),
                wake: config.wake.clone(),
                prompt_time_max_ms: config.prompt_time_max_s * 1000,
                command_time_max_ms: config.command_time_max_s * 1000,
                load_time_max_ms: config.load_time_max_s * 1000,
            },
            layout: Layout::new(image_offset, image_len_max, trust_anchors, certificate_chain)?,
            commands: Commands::new(config)?,
            baud_per_s: config.baud_per_s,
            load_address: config.load_address,
            read_address: config.read_address,
            block_len: config.block_len,
            piece_len_max: config.piece_len_max,
            block_time_max_ms: config.block_time_max_s * 1000,
            clock,
        };
        Ok(Self { config: config.clone(), base_dir: base_dir.to_owned(), setup: Arc::new(setup) })
    }
}

impl Flasher for Serial {
    fn boards(&self, max: usize) -> Result<Vec<Box<dyn flasher::Board>>, BoardFault> {
        let board = |slot: &Slot| -> Box<dyn flasher::Board> {
            let helper = self.config.secure_element.as_ref();
            Box::new(Board::new(
                Arc::clone(&self.setup),
                self.base_dir.join(slot.fill(&self.config.tty)),
                helper.map(|config| Helper::new(config, slot, &self.base_dir, &self.setup.clock)),
            ))
        };
        Ok(self.config.slots.iter().take(max).map(board).collect())
    }
}

fn check(config: &SerialConfig) -> Result<(), &'static str> {
    let whole = |n: u64| n.is_multiple_of(config.block_len);
    let slots = [config.trust_anchors, config.certificate_chain];
    let times = [config.prompt_time_max_s, config.command_time_max_s, config.block_time_max_s, config.load_time_max_s];
    let distance = config.load_address.abs_diff(config.read_address);
    if !config.block_len.is_power_of_two() || config.block_len > BLOCK_LEN_MAX {
        Err("block_len is a power of two, at most 1 MiB")
    } else if !(config.block_len..=PIECE_LEN_MAX).contains(&config.piece_len_max) || !whole(config.piece_len_max) {
        Err("piece_len_max is one block to 64 MiB, in whole blocks")
    } else if !whole(config.image_offset) || slots.iter().any(|s| !whole(s.offset) || !whole(s.len_max)) {
        Err("image_offset and the slots are whole blocks")
    } else if slots.iter().any(|slot| slot.len_max > config.piece_len_max) {
        Err("a slot is not longer than a piece")
    } else if distance < config.piece_len_max {
        Err("load_address and read_address lie at least a piece apart")
    } else if config.load_address.max(config.read_address).checked_add(config.piece_len_max).is_none() {
        Err("load_address and read_address lie within the memory")
    } else if times.iter().any(|s| !(1..=TIME_MAX_S).contains(s)) {
        Err("times are 1 to 86400 s")
    } else if config.baud_per_s == 0 {
        Err("a line without speed carries nothing")
    } else if config.prompt.trim().is_empty() || config.wake.is_empty() {
        Err("prompt and wake are not empty")
    } else if config.secure_element.is_none() && (config.identity.is_none() || config.key.is_none()) {
        Err("without a secure element, commands must show identity and key")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "tty = 'tty'\nload_address = 0x84000000\nread_address = 0x88000000\n\
        trust_anchors = { offset = 524288, len_max = 8192 }\ncertificate_chain = { offset = 532480, len_max = 8192 }\n\
        commands = { write = 'w {address} {block} {blocks}', read = 'r {address} {block} {blocks}' }\n";
    const ELEMENT: &str = "secure_element = { program = 'se' }\n";

    #[track_caller]
    fn check(more: &str, ok: bool) {
        // A later line of the same name replaces the earlier one.
        let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let new: Vec<_> = more.lines().map(name).collect();
        let kept = CONFIG.lines().filter(|line| !new.contains(&name(line))).collect::<Vec<_>>().join("\n");
        let config: SerialConfig = toml::from_str(&format!("{kept}\n{more}")).unwrap();
        let opened = Serial::open(&config, Path::new("/"), super::super::deadline::tests::standing());
        assert_eq!(opened.is_ok(), ok, "{:?}", opened.err());
    }

    #[test]
    fn a_sound_configuration() {
        check(ELEMENT, true);
    }
    #[test]
    fn nobody_to_say_who_it_is() {
        check("", false);
    }
    #[test]
    fn commands_that_say_who_it_is() {
        let identity = "identity = { board = 'printenv cpu', serial = 'printenv serial#', device_type = 'printenv t' }";
        let key = "key = { key = 'se key {key_type}', offer = 'public-key', prove = 'se sign {challenge}' }";
        check(&format!("{identity}\n{key}"), true);
        check(identity, false);
    }
    #[test]
    fn blocks_that_are_no_power_of_two() {
        check(&format!("{ELEMENT}block_len = 500"), false);
    }
    #[test]
    fn half_a_block() {
        check(&format!("{ELEMENT}image_offset = 256"), false);
    }
    #[test]
    fn memory_that_overlaps() {
        check(&format!("{ELEMENT}read_address = 0x84080000"), false);
    }
    #[test]
    fn a_slot_longer_than_a_piece() {
        check(&format!("{ELEMENT}piece_len_max = 4096"), false);
    }
    #[test]
    fn a_command_with_an_unknown_place() {
        check(&format!("{ELEMENT}commands = {{ write = 'w {{sector}}', read = 'r' }}"), false);
    }
    #[test]
    fn no_time() {
        check(&format!("{ELEMENT}prompt_time_max_s = 0"), false);
    }
    #[test]
    fn two_slots_on_one_tty() {
        check(&format!("{ELEMENT}slots = ['0', '1']"), false);
    }
}
