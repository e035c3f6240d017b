//! Questions and answers with one program, and what they say of a board.

use super::super::deadline::Deadline;
use super::super::slot::Slot;
use super::super::{fault, source::length_of};
use super::process::{Heard, Process, Program};
use super::protocol::{Answer, ErrorKind, Question, Request, VERSION};
use model::Digest;
use model::octets::Base64;
use ports::Clock;
use ports::flasher::{BoardFault, Identity, KeyOffer, Part};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509::KeyType;
use x509::csr::CSR_LEN_MAX;
use x509::key::SPKI_LEN_MAX;

/// Most progress lines in one step: one for every 40 KiB of an image of 4 GiB.
const PROGRESS_MAX: usize = 100_000;
/// Longest signature in octets: ML-DSA-87 (FIPS 204, table 2).
const SIGNATURE_LEN_MAX: usize = 4627;

/// How long a step may take, and how long the program may say nothing in it, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) time_max_ms: u64,
    pub(super) silence_max_ms: u64,
}

/// A program, started when it is first needed, and again after it failed.
pub(super) struct Dialogue {
    program: Program,
    directory: PathBuf,
    slot: Slot,
    clock: Arc<dyn Clock>,
    answer: Patience,
    process: Option<Process>,
    asked: u64,
}

impl Dialogue {
    pub(super) fn new(
        program: Program,
        directory: &Path,
        slot: &Slot,
        clock: &Arc<dyn Clock>,
        answer: Patience,
    ) -> Self {
        let (slot, clock) = (slot.clone(), Arc::clone(clock));
        Self { program, directory: directory.to_owned(), slot, clock, answer, process: None, asked: 0 }
    }

    pub(super) fn identify(&mut self) -> Result<Identity, BoardFault> {
        match self.ask(Request::Identify)? {
            Answer::Identity { board, serial, device_type, .. } => Ok(Identity { board, serial, device_type }),
            other => self.unexpected(&other),
        }
    }

    pub(super) fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault> {
        match self.ask(Request::Installed { length })? {
            Answer::Installed { sha256, .. } => Ok(sha256),
            other => self.unexpected(&other),
        }
    }

    pub(super) fn flash(
        &mut self,
        image: &Path,
        length: u64,
        sha256: Digest,
        patience: Patience,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BoardFault> {
        let mut last = 0;
        let mut in_order = |octets| {
            let fits = (last..=length).contains(&octets);
            if fits {
                last = octets;
                // The last octet counts as done when the comparison is.
                progress(octets.min(length.saturating_sub(1)));
            }
            fits
        };
        match self.step(Request::Flash { image, length, sha256 }, patience, &mut in_order)? {
            Answer::Flashed { sha256: read_back, .. } if read_back == sha256 => {
                progress(length);
                Ok(())
            }
            Answer::Flashed { .. } => Err(BoardFault::Mismatch),
            other => self.unexpected(&other),
        }
    }

    pub(super) fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        match self.ask(Request::Write { part: what.name(), octets: Base64(octets.to_vec()) })? {
            Answer::Written { sha256, .. } if sha256 == x509::sha256(octets) => Ok(()),
            Answer::Written { .. } => Err(BoardFault::Mismatch),
            other => self.unexpected(&other),
        }
    }

    pub(super) fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        match self.ask(Request::Key { key_type: key_type.to_string() })? {
            Answer::Csr { octets: Base64(octets), .. } if octets.len() <= CSR_LEN_MAX => {
                Ok(KeyOffer::CertificationRequest(octets))
            }
            Answer::PublicKey { octets: Base64(octets), .. } if octets.len() <= SPKI_LEN_MAX => {
                Ok(KeyOffer::PublicKey(octets))
            }
            Answer::Csr { .. } | Answer::PublicKey { .. } => Err(self.give_up("the key is too long")),
            other => self.unexpected(&other),
        }
    }

    pub(super) fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        match self.ask(Request::Prove { challenge: Base64(challenge.to_vec()) })? {
            Answer::Proof { signature: Base64(octets), .. } if octets.len() <= SIGNATURE_LEN_MAX => Ok(octets),
            Answer::Proof { .. } => Err(self.give_up("the signature is too long")),
            other => self.unexpected(&other),
        }
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Answer, BoardFault> {
        self.step(request, self.answer, &mut |_| false)
    }

    /// One step: starts the program if it does not run, asks, and gives the answer that ends the step.
    fn step(
        &mut self,
        request: Request<'_>,
        patience: Patience,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Answer, BoardFault> {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.program, &self.directory, &self.clock)?);
            let slot = self.slot.clone();
            let hello = Request::Hello { protocol: VERSION, slot: slot.as_str() };
            match self.exchange(hello, self.answer, &mut |_| false)? {
                Answer::Hello { protocol: VERSION, .. } => {}
                Answer::Hello { protocol, .. } => {
                    return Err(self.give_up(&format!("the program speaks version {protocol} of the protocol, not 1")));
                }
                other => return self.unexpected(&other),
            }
        }
        self.exchange(request, patience, progress)
    }

    fn exchange(
        &mut self,
        request: Request<'_>,
        patience: Patience,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Answer, BoardFault> {
        self.asked = self.asked.saturating_add(1);
        let name = request.name();
        let answer = match &mut self.process {
            Some(process) => converse(process, &self.clock, self.asked, request, patience, progress),
            None => unreachable!("a step starts the program first"),
        };
        match answer {
            Ok(Answer::Error { kind, text, .. }) => Err(match kind {
                ErrorKind::Silent => BoardFault::Silent,
                ErrorKind::Refused => fault::refused(text),
                ErrorKind::Mismatch => BoardFault::Mismatch,
                ErrorKind::Fixture => fault::fixture(text),
            }),
            Ok(answer) => Ok(answer),
            Err(broken) => Err(self.give_up(&format!("{name}: {broken}"))),
        }
    }

    fn unexpected<T>(&mut self, answer: &Answer) -> Result<T, BoardFault> {
        // Its contents are the program's affair; which answer it is says enough.
        let text = format!("{answer:?}");
        let kind = text.split(' ').next().unwrap_or_default();
        Err(self.give_up(&format!("the program answered something else: {kind}")))
    }

    /// Ends a program that cannot be relied on any more; the next step starts it anew.
    fn give_up(&mut self, why: &str) -> BoardFault {
        let Some(process) = self.process.take() else { return fault::fixture(why) };
        fault::fixture(format_args!("{why} (the program: {})", process.end()))
    }
}

/// Asks one question and reads to the answer that ends it. An error says how the program broke the protocol.
fn converse(
    process: &mut Process,
    clock: &Arc<dyn Clock>,
    id: u64,
    request: Request<'_>,
    patience: Patience,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Answer, String> {
    let plain = |fault: BoardFault| match fault {
        BoardFault::Fixture(text) => text,
        other => other.to_string(),
    };
    if process.has_spoken().map_err(plain)? {
        return Err("it spoke without being asked".to_owned());
    }
    let mut line = serde_json::to_vec(&Question { id, request }).map_err(|e| e.to_string())?;
    line.push(b'\n');
    let mut deadline = Deadline::new(clock, patience.time_max_ms);
    let too_long = || format!("no answer within {} s", patience.time_max_ms / 1000);
    match process.send(&line, &mut deadline).map_err(plain)? {
        Heard::Line(_) => {}
        Heard::Nothing => return Err(format!("it did not take {} octets within its time", length_of(&line))),
        Heard::End => return Err("it ended".to_owned()),
    }
    for _ in 0..PROGRESS_MAX {
        let line = match process.line(&mut deadline, patience.silence_max_ms).map_err(plain)? {
            Heard::Line(line) => line,
            Heard::Nothing if deadline.is_over() => return Err(too_long()),
            Heard::Nothing => return Err(format!("it said nothing for {} s", patience.silence_max_ms / 1000)),
            Heard::End => return Err("it ended without an answer".to_owned()),
        };
        let answer = Answer::decode(&line).map_err(|bad| format!("no answer: {bad}"))?;
        match answer {
            _ if answer.id() != id => return Err("it answered another question".to_owned()),
            Answer::Progress { octets, .. } if progress(octets) => {}
            Answer::Progress { .. } => return Err("its progress is out of order".to_owned()),
            answer => return Ok(answer),
        }
    }
    Err("it reports progress without end".to_owned())
}
