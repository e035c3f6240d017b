//! Any program that speaks a small protocol of JSON lines: a vendor's tool, a script, a container.
//!
//! The protocol is documented in `docs/flasher-protocol.md`, and `demo/command-example` speaks it. The program is held to
//! it: a line that is no answer, an answer to another question, a line of megabytes, silence, or an early end stop the
//! program and everything that it started, and are a fault of the fixture.

mod dialogue;
mod image;
mod process;
mod protocol;

use super::slot::{self, Slot};
use super::{fault, source::Source};
use dialogue::{Dialogue, Patience};
use image::PrivateImage;
use model::Digest;
use ports::Clock;
use ports::flasher::{self, BoardFault, Flasher, Identity, KeyOffer, Part};
use process::Program;
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509::KeyType;

/// Longest time that a limit may allow, in seconds: one day.
const TIME_MAX_S: u64 = 86_400;

/// A program, and the patience with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The program's file, relative to the directory of the device type. It is not looked for elsewhere.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them, so no secret belongs here.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Its `PATH`, the only environment variable that it gets.
    #[serde(default = "defaults::search_path")]
    pub search_path: String,
    /// The places of the fixture, one board each. Each has its own run of the program.
    #[serde(default = "slot::one")]
    pub slots: Vec<Slot>,
    /// Where the image lies while it is flashed, instead of in the station's own directory: for a program that sees
    /// only a part of the file system. Nobody else may be able to write there.
    pub image_dir: Option<PathBuf>,
    /// How long every step but `flash` may take, in seconds.
    #[serde(default = "defaults::answer_time_max_s")]
    pub answer_time_max_s: u64,
    /// How long `flash` may take, in seconds.
    #[serde(default = "defaults::flash_time_max_s")]
    pub flash_time_max_s: u64,
    /// How long the program may report no progress while it flashes, in seconds.
    #[serde(default = "defaults::silence_max_s")]
    pub silence_max_s: u64,
}

/// A program that knows a board's identity and holds its key, beside an adapter that writes to the board otherwise.
///
/// It speaks the same protocol and is asked for `identify`, `key` and `prove` only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperConfig {
    /// The program's file, relative to the directory of the device type. It is not looked for elsewhere.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them, so no secret belongs here.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Its `PATH`, the only environment variable that it gets.
    #[serde(default = "defaults::search_path")]
    pub search_path: String,
    /// How long every step may take, in seconds.
    #[serde(default = "defaults::answer_time_max_s")]
    pub answer_time_max_s: u64,
}

mod defaults {
    pub(super) fn search_path() -> String {
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()
    }
    // A secure element may take some seconds to make an RSA key.
    pub(super) fn answer_time_max_s() -> u64 {
        60
    }
    pub(super) fn flash_time_max_s() -> u64 {
        3600
    }
    pub(super) fn silence_max_s() -> u64 {
        60
    }
}

fn time(name: &str, s: u64) -> Result<u64, BoardFault> {
    if (1..=TIME_MAX_S).contains(&s) {
        Ok(s * 1000)
    } else {
        Err(fault::fixture(format_args!("{name} is 1 to {TIME_MAX_S}")))
    }
}

impl HelperConfig {
    pub(super) fn check(&self) -> Result<(), BoardFault> {
        time("answer_time_max_s", self.answer_time_max_s).map(|_| ())
    }
}

/// The program beside a board.
pub(super) struct Helper(Dialogue);

impl Helper {
    pub(super) fn new(config: &HelperConfig, slot: &Slot, base_dir: &Path, clock: &Arc<dyn Clock>) -> Self {
        let HelperConfig { program, arguments, search_path, answer_time_max_s } = config;
        let program = program_of(base_dir, program, arguments, search_path);
        let time_max_ms = answer_time_max_s.saturating_mul(1000);
        let patience = Patience { time_max_ms, silence_max_ms: time_max_ms };
        Self(Dialogue::new(program, base_dir, slot, clock, patience))
    }
    pub(super) fn identify(&mut self) -> Result<Identity, BoardFault> {
        self.0.identify()
    }
    pub(super) fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        self.0.key(key_type)
    }
    pub(super) fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.0.prove(challenge)
    }
}

fn program_of(base_dir: &Path, program: &Path, arguments: &[String], search_path: &str) -> Program {
    Program { path: base_dir.join(program), arguments: arguments.to_vec(), search_path: search_path.to_owned() }
}

/// A fixture behind a program.
pub struct Command {
    program: Program,
    base_dir: PathBuf,
    image_dir: PathBuf,
    slots: Vec<Slot>,
    answer: Patience,
    flash: Patience,
    clock: Arc<dyn Clock>,
}

impl Command {
    /// Opens the fixture. The program is started later, once for each board that is taken up.
    ///
    /// `work_dir` is for this fixture alone; images that a killed process left there are removed.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if a time is no time, or two slots have one name.
    pub fn open(
        config: &CommandConfig,
        base_dir: &Path,
        work_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BoardFault> {
        slot::check(&config.slots, None).map_err(fault::fixture)?;
        let answer_ms = time("answer_time_max_s", config.answer_time_max_s)?;
        let flash = Patience {
            time_max_ms: time("flash_time_max_s", config.flash_time_max_s)?,
            silence_max_ms: time("silence_max_s", config.silence_max_s)?,
        };
        let image_dir = config.image_dir.as_ref().map_or_else(|| work_dir.to_owned(), |dir| base_dir.join(dir));
        image::sweep(&image_dir, &config.slots);
        Ok(Self {
            program: program_of(base_dir, &config.program, &config.arguments, &config.search_path),
            base_dir: base_dir.to_owned(),
            image_dir,
            slots: config.slots.clone(),
            answer: Patience { time_max_ms: answer_ms, silence_max_ms: answer_ms },
            flash,
            clock,
        })
    }
}

impl Flasher for Command {
    fn boards(&self, max: usize) -> Result<Vec<Box<dyn flasher::Board>>, BoardFault> {
        let board = |slot: &Slot| -> Box<dyn flasher::Board> {
            Box::new(Board {
                dialogue: Dialogue::new(self.program.clone(), &self.base_dir, slot, &self.clock, self.answer),
                image_dir: self.image_dir.clone(),
                slot: slot.clone(),
                flash: self.flash,
            })
        };
        Ok(self.slots.iter().take(max).map(board).collect())
    }
}

struct Board {
    dialogue: Dialogue,
    image_dir: PathBuf,
    slot: Slot,
    flash: Patience,
}

impl flasher::Board for Board {
    fn identify(&mut self) -> Result<Identity, BoardFault> {
        self.dialogue.identify()
    }

    fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault> {
        self.dialogue.installed(length)
    }

    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        let (file, sha256) = PrivateImage::write(&self.image_dir, &self.slot, &mut Source::new(image, length))?;
        self.dialogue.flash(file.path(), length, sha256, self.flash, progress)
    }

    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        self.dialogue.write(what, octets)
    }

    fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        self.dialogue.key(key_type)
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.dialogue.prove(challenge)
    }
}
