//! A board behind a tty in the hands of a station.

use super::super::command::Helper;
use super::super::fault;
use super::super::layout::Layout;
use super::super::offer::Offer;
use super::super::source::{Source, length_of};
use super::commands::{Commands, checksum, octets, value};
use super::console::{Console, Manners};
use super::crc::Crc32;
use super::line::Tty;
use super::template::Template;
use super::ymodem;
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
use model::octets::hex;
use ports::Clock;
use ports::flasher::{self, BoardFault, Identity, KeyOffer, Part};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use x509::KeyType;

/// Zeros that are hashed at once.
const ZEROS: &[u8] = &[0; 4096];

/// What all boards of a fixture have in common.
pub(super) struct Setup {
    pub(super) manners: Manners,
    pub(super) layout: Layout,
    pub(super) commands: Commands,
    pub(super) baud_per_s: u32,
    pub(super) load_address: u64,
    pub(super) read_address: u64,
    pub(super) block_len: u64,
    pub(super) piece_len_max: u64,
    pub(super) block_time_max_ms: u64,
    pub(super) clock: Arc<dyn Clock>,
}

pub(super) struct Board {
    setup: Arc<Setup>,
    tty: PathBuf,
    helper: Option<Helper>,
    console: Option<Console<Tty>>,
}

impl Board {
    pub(super) fn new(setup: Arc<Setup>, tty: PathBuf, helper: Option<Helper>) -> Self {
        Self { setup, tty, helper, console: None }
    }

    /// Works with the console, which is found first if need be, and given up after a fault: what the line carries then is
    /// not known.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Setup, &mut Console<Tty>) -> Result<T, BoardFault>,
    ) -> Result<T, BoardFault> {
        let setup = Arc::clone(&self.setup);
        let mut console = match self.console.take() {
            Some(console) => console,
            None => {
                let line = Tty::open(&self.tty, setup.baud_per_s)?;
                let mut console = Console::find(line, &setup.manners, &setup.clock)?;
                for command in &setup.commands.prepare {
                    console.run(&command.fill(&[])?)?;
                }
                console
            }
        };
        let done = work(&setup, &mut console)?;
        self.console = Some(console);
        Ok(done)
    }

    fn no_helper() -> BoardFault {
        fault::fixture("no secure element is configured")
    }
}

impl flasher::Board for Board {
    fn identify(&mut self) -> Result<Identity, BoardFault> {
        let said = self.with(|setup, console| {
            let Some(commands) = &setup.commands.identity else { return Ok(None) };
            let [board, serial, device_type] = commands;
            let mut show = |command: &Template| console.run(&command.fill(&[])?);
            Ok(Some(Identity {
                board: value(&show(board)?)?.parse().map_err(fault::refused)?,
                serial: value(&show(serial)?)?.parse().map_err(fault::refused)?,
                device_type: value(&show(device_type)?)?.parse().map_err(fault::refused)?,
            }))
        })?;
        match (said, &mut self.helper) {
            (Some(identity), _) => Ok(identity),
            (None, Some(helper)) => helper.identify(),
            (None, None) => Err(Self::no_helper()),
        }
    }

    fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault> {
        self.with(|setup, console| {
            let Some(sha256) = setup.commands.sha256.as_ref().filter(|_| length <= setup.piece_len_max) else {
                // A CRC would be easy to forge, and is no digest. So nothing can be told.
                return Ok(None);
            };
            let area = setup.layout.image(length)?;
            let mut job = Job { setup, console };
            job.read_back(area.offset, length)?;
            job.digest(sha256, setup.read_address, length).map(Some)
        })
    }

    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        let mut source = Source::new(image, length);
        self.with(|setup, console| {
            let area = setup.layout.image(length)?;
            let mut done = 0;
            while done < length {
                let piece = Piece {
                    offset: area.offset.saturating_add(done),
                    length: length.saturating_sub(done).min(setup.piece_len_max),
                    padded: setup.padded(length.saturating_sub(done).min(setup.piece_len_max)),
                };
                let mut fill = |buffer: &mut [u8]| source.fill(buffer).map(|part| part.len());
                // The last octet counts as done when the comparison is.
                let mut heard = |sent: u64| progress(done.saturating_add(sent).saturating_sub(1));
                Job { setup, console: &mut *console }.store(&piece, &mut fill, &mut heard)?;
                done = done.saturating_add(piece.length);
            }
            // An image of no octets must end, too.
            if length == 0 { source.fill(&mut []).map(|_| ()) } else { Ok(()) }
        })?;
        progress(length);
        Ok(())
    }

    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        self.with(|setup, console| {
            let area = setup.layout.part(what);
            area.fill(octets)?;
            let mut left = octets;
            let mut fill = |buffer: &mut [u8]| {
                let (now, later) = left.split_at(left.len().min(buffer.len()));
                buffer.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
                left = later;
                Ok(now.len())
            };
            // The zeros of the slot are made on the board, and need not go over the line.
            let piece = Piece { offset: area.offset, length: length_of(octets), padded: area.len_max };
            Job { setup, console }.store(&piece, &mut fill, &mut |_| ())
        })
    }

    fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        if self.setup.commands.key.is_none() {
            return self.helper.as_mut().ok_or_else(Self::no_helper)?.key(key_type);
        }
        self.with(|setup, console| {
            let Some((command, offer, _)) = &setup.commands.key else { return Err(Self::no_helper()) };
            let shown = octets(&console.run(&command.fill(&[("key_type", &key_type.to_string())])?)?)?;
            Ok(match offer {
                Offer::Csr => KeyOffer::CertificationRequest(shown),
                Offer::PublicKey => KeyOffer::PublicKey(shown),
            })
        })
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        if self.setup.commands.key.is_none() {
            return self.helper.as_mut().ok_or_else(Self::no_helper)?.prove(challenge);
        }
        self.with(|setup, console| {
            let Some((_, _, command)) = &setup.commands.key else { return Err(Self::no_helper()) };
            octets(&console.run(&command.fill(&[("challenge", &hex(challenge))])?)?)
        })
    }
}

impl Setup {
    /// This many octets in whole blocks.
    fn padded(&self, length: u64) -> u64 {
        length.checked_next_multiple_of(self.block_len).unwrap_or(length)
    }
}

/// Octets that fit the board's memory, and where they go on its disk.
struct Piece {
    offset: u64,
    /// How many octets go over the line.
    length: u64,
    /// How many go to the disk: the rest are zeros.
    padded: u64,
}

/// Work with a console.
struct Job<'a> {
    setup: &'a Setup,
    console: &'a mut Console<Tty>,
}

impl Job<'_> {
    /// Sends a piece, checks it in memory, writes it to the disk, reads it back and checks it again.
    fn store(
        &mut self,
        piece: &Piece,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<usize, BoardFault>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BoardFault> {
        let (load, commands) = (self.setup.load_address, &self.setup.commands);
        // Zeros behind the octets, and not what the memory held: it goes to the disk as well.
        self.clear(load, "0", piece.padded)?;
        let mut sums = Sums { crc32: Crc32::new(), sha256: Context::new(&SHA256) };
        if piece.length > 0 {
            let mut left = piece.length;
            let mut summed = |buffer: &mut [u8]| {
                let max = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let buffer = buffer.get_mut(..max).unwrap_or_default();
                let len = fill(buffer)?;
                let octets = buffer.get(..len).unwrap_or_default();
                sums.update(octets);
                left = left.saturating_sub(length_of(octets));
                Ok(len)
            };
            let mut file = ymodem::File {
                name: "image",
                length: piece.length,
                answer_time_max_ms: self.setup.block_time_max_ms,
                fill: &mut summed,
            };
            self.console.load(&commands.load.fill(&[("address", &address(load))])?, &mut file, progress)?;
        }
        sums.zeros(piece.padded.saturating_sub(piece.length));
        self.compare(&sums, load, piece.padded)?;
        self.disk(&commands.write, load, piece.offset, piece.padded)?;
        self.read_back(piece.offset, piece.padded)?;
        self.compare(&sums, self.setup.read_address, piece.padded)
    }

    /// Reads the disk to the other place in memory.
    fn read_back(&mut self, offset: u64, length: u64) -> Result<(), BoardFault> {
        let (setup, to) = (self.setup, self.setup.read_address);
        let padded = setup.padded(length);
        // Otherwise a reading that does nothing would find what an earlier one left there.
        self.clear(to, "ff", padded)?;
        self.disk(&setup.commands.read, to, offset, padded)
    }

    fn clear(&mut self, at: u64, fill: &str, length: u64) -> Result<(), BoardFault> {
        let values = [("address", &*address(at)), ("fill", fill), ("length", &address(length))];
        self.console.run(&self.setup.commands.clear.fill(&values)?).map(|_| ())
    }

    fn disk(&mut self, command: &Template, at: u64, offset: u64, length: u64) -> Result<(), BoardFault> {
        let block_len = self.setup.block_len;
        let values = [
            ("address", &*address(at)),
            ("blocks", &address(length / block_len)),
            ("block", &address(offset / block_len)),
        ];
        self.console.run(&command.fill(&values)?).map(|_| ())
    }

    fn compare(&mut self, sums: &Sums, at: u64, length: u64) -> Result<(), BoardFault> {
        let same = match &self.setup.commands.sha256 {
            Some(command) => self.digest(command, at, length)? == sums.digest(),
            None => {
                let values = [("address", &*address(at)), ("length", &address(length))];
                let output = self.console.run(&self.setup.commands.crc32.fill(&values)?)?;
                u32::from_be_bytes(checksum(&output)?) == sums.crc32.value()
            }
        };
        if same { Ok(()) } else { Err(BoardFault::Mismatch) }
    }

    fn digest(&mut self, command: &Template, at: u64, length: u64) -> Result<Digest, BoardFault> {
        let values = [("address", &*address(at)), ("length", &address(length))];
        Ok(Digest::new(checksum(&self.console.run(&command.fill(&values)?)?)?))
    }
}

fn address(number: u64) -> String {
    format!("{number:x}")
}

/// What the board's checksums must be.
struct Sums {
    crc32: Crc32,
    sha256: Context,
}

impl Sums {
    fn update(&mut self, octets: &[u8]) {
        self.crc32.update(octets);
        self.sha256.update(octets);
    }
    fn zeros(&mut self, length: u64) {
        let mut left = length;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            let zeros = ZEROS.get(..len).unwrap_or_default();
            self.update(zeros);
            left = left.saturating_sub(length_of(zeros));
        }
    }
    fn digest(&self) -> Digest {
        let Some(digest) = Digest::from_slice(self.sha256.clone().finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        digest
    }
}
