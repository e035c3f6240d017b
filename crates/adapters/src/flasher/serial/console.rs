//! A bootloader's command line.
//!
//! Nothing that is typed is trusted to arrive: a command goes out in small pieces, each of which must come back as its
//! echo before the next is sent, and is executed only when all of it has. Its end is found by a mark that the bootloader
//! prints with the command's status, so neither old output nor a board that restarts is taken for success.

use super::super::deadline::Deadline;
use super::super::{fault, tail};
use super::line::Line;
use super::ymodem::{self, CAN, INVITATION, NAK};
use ports::Clock;
use ports::flasher::BoardFault;
use std::sync::Arc;

/// Octets that are typed before their echo must be there: what a common UART holds while the bootloader is busy.
const PIECE_LEN: usize = 16;
/// How long the echo of a piece may take, in milliseconds.
const ECHO_TIME_MAX_MS: u64 = 2000;
/// How often a command is typed before the line is given up.
const TYPING_TRIES_MAX: usize = 4;
/// How long the line must be still to be taken as waiting for us, in milliseconds.
const STILL_MS: u64 = 100;
/// How often a bootloader is called in one round, and how long each call waits, in milliseconds: a countdown of one
/// second must not be missed.
const CALLS: usize = 8;
const CALL_MS: u64 = 250;
/// How long to keep still after cancelling a transfer that an earlier station left behind, in milliseconds. U-Boot first
/// wants 2 s of silence, and waits another 0.75 s before it listens for the next cancellation; lrzsz wants 5 s, and throws
/// away what comes before.
const CANCEL_MS: u64 = 6000;
/// Octets of output that are kept: the last ones matter.
const OUTPUT_LEN_MAX: usize = 16 * 1024;
/// Characters of output that a fault quotes.
const QUOTE_LEN: usize = 200;

/// How the bootloader is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    /// What it prints when it waits for a command.
    pub(super) prompt: String,
    /// What stops its countdown and clears its command line.
    pub(super) wake: String,
    pub(super) prompt_time_max_ms: u64,
    pub(super) command_time_max_ms: u64,
    pub(super) load_time_max_ms: u64,
}

/// A command line that has answered.
pub(super) struct Console<L> {
    line: L,
    manners: Manners,
    clock: Arc<dyn Clock>,
    /// Makes the marks of this session differ from those of an earlier one.
    session: u64,
    commands: u64,
}

impl<L: Line> Console<L> {
    /// Finds the prompt.
    ///
    /// # Errors
    /// [`BoardFault::Silent`] if nothing comes from the board; [`BoardFault::Refused`] if it speaks, but shows no prompt.
    pub(super) fn find(line: L, manners: &Manners, clock: &Arc<dyn Clock>) -> Result<Self, BoardFault> {
        let session = clock.now().ms() % 1_000_000;
        let mut console = Self { line, manners: manners.clone(), clock: Arc::clone(clock), session, commands: 0 };
        let mut deadline = Deadline::new(clock, manners.prompt_time_max_ms);
        let mut heard = Heard::default();
        while !deadline.is_over() {
            let mut fresh = Heard::default();
            let came = console.call(&mut fresh, &mut deadline)?
                // A board that speaks is starting up, and its countdown would pass while we wait for silence.
                || !fresh.is_speech() && console.cancel_transfer(&mut fresh, &mut deadline)?;
            if came {
                return Ok(console);
            }
            heard.add(&fresh.text);
        }
        if heard.total == 0 {
            return Err(BoardFault::Silent);
        }
        Err(fault::refused(format_args!("the board speaks, but shows no prompt: {}", heard.quote())))
    }

    /// Runs a command and gives what it printed.
    ///
    /// # Errors
    /// [`BoardFault::Refused`] if it failed, with what it printed; [`BoardFault::Silent`] if it does not end.
    pub(super) fn run(&mut self, command: &str) -> Result<String, BoardFault> {
        let mark = self.execute(command)?;
        let mut deadline = Deadline::new(&self.clock, self.manners.command_time_max_ms);
        let mut heard = Heard::default();
        self.finish(&mark, command, &mut heard, &mut deadline)
    }

    /// Runs a command that receives a file by YMODEM, and sends the file.
    ///
    /// # Errors
    /// As [`run`](Self::run), and those of [`ymodem::send`].
    pub(super) fn load(
        &mut self,
        command: &str,
        file: &mut ymodem::File<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BoardFault> {
        let mark = self.execute(command)?;
        self.await_invitation(&mark, command)?;
        let mut deadline = Deadline::new(&self.clock, self.manners.load_time_max_ms);
        let mut heard = Heard::default();
        heard.add(&ymodem::send(&mut self.line, &mut deadline, file, progress)?);
        let mut deadline = Deadline::new(&self.clock, self.manners.command_time_max_ms);
        self.finish(&mark, command, &mut heard, &mut deadline).map(|_| ())
    }

    /// Waits until the bootloader asks for the file, and says nothing behind it.
    fn await_invitation(&mut self, mark: &str, command: &str) -> Result<(), BoardFault> {
        let mut deadline = Deadline::new(&self.clock, self.manners.command_time_max_ms);
        let mut heard = Heard::default();
        while !deadline.is_over() {
            let len = self.listen(&mut heard, &mut deadline, STILL_MS)?;
            if len == 0 && heard.text.last() == Some(&INVITATION) {
                return Ok(());
            }
            if heard.status(mark).is_some() {
                let output = self.finish(mark, command, &mut heard, &mut deadline)?;
                return Err(fault::refused(format_args!("{command} ended without receiving: {output}")));
            }
        }
        Err(BoardFault::Silent)
    }

    /// Calls the bootloader; whether the prompt came.
    fn call(&mut self, heard: &mut Heard, deadline: &mut Deadline) -> Result<bool, BoardFault> {
        for _ in 0..CALLS {
            self.line.send(self.manners.wake.as_bytes(), deadline)?;
            if deadline.within(CALL_MS, |slice| self.prompt_came(heard, slice))? {
                return Ok(true);
            }
            if deadline.is_over() {
                break;
            }
        }
        Ok(false)
    }

    /// A station that was killed in mid-transfer leaves a bootloader that waits for the next block. Cancels it, and again
    /// whenever it asks for the block: then it listens. Whether the prompt came.
    fn cancel_transfer(&mut self, heard: &mut Heard, deadline: &mut Deadline) -> Result<bool, BoardFault> {
        self.line.send(&[CAN; 3], deadline)?;
        deadline.within(CANCEL_MS, |slice| {
            while !slice.is_over() && !heard.is_speech() {
                if heard.text.ends_with(self.manners.prompt.as_bytes()) {
                    return Ok(true);
                }
                let left_ms = slice.left_ms();
                let len = self.listen(heard, slice, left_ms)?;
                if len > 0 && matches!(heard.text.last(), Some(&(INVITATION | NAK))) {
                    self.line.send(&[CAN; 3], slice)?;
                }
            }
            Ok(false)
        })
    }

    /// Whether what was heard ends with the prompt, and nothing follows.
    fn prompt_came(&mut self, heard: &mut Heard, deadline: &mut Deadline) -> Result<bool, BoardFault> {
        loop {
            let len = self.listen(heard, deadline, STILL_MS)?;
            if len == 0 && heard.text.ends_with(self.manners.prompt.as_bytes()) {
                return Ok(true);
            }
            if deadline.is_over() {
                return Ok(false);
            }
        }
    }

    /// Types a command and its mark, and executes it; gives the mark.
    fn execute(&mut self, command: &str) -> Result<String, BoardFault> {
        self.commands = self.commands.saturating_add(1);
        let mark = format!("mark{}n{}", self.session, self.commands);
        let text = format!("{command}; echo {mark}=$?");
        let mut deadline = Deadline::new(&self.clock, self.manners.command_time_max_ms);
        for _ in 0..TYPING_TRIES_MAX {
            if self.type_in(&text, &mut deadline)? {
                self.line.send(b"\r", &mut deadline)?;
                return Ok(mark);
            }
            // Something was lost or added on the way. The wake clears the line, and nothing was executed.
            let mut heard = Heard::default();
            if !self.call(&mut heard, &mut deadline)? && heard.total == 0 {
                return Err(BoardFault::Silent);
            }
        }
        Err(fault::refused("the board does not echo what is typed: the line is bad"))
    }

    /// Types a text; whether all of it came back.
    fn type_in(&mut self, text: &str, deadline: &mut Deadline) -> Result<bool, BoardFault> {
        for piece in text.as_bytes().chunks(PIECE_LEN) {
            self.line.send(piece, deadline)?;
            let mut echo = Heard::default();
            deadline.within(ECHO_TIME_MAX_MS, |slice| {
                while echo.text.len() < piece.len() && !slice.is_over() {
                    let left_ms = slice.left_ms();
                    self.listen(&mut echo, slice, left_ms)?;
                }
                Ok::<_, BoardFault>(())
            })?;
            if echo.text != piece {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads to the mark and the prompt behind it; gives what was printed before the mark.
    fn finish(
        &mut self,
        mark: &str,
        command: &str,
        heard: &mut Heard,
        deadline: &mut Deadline,
    ) -> Result<String, BoardFault> {
        loop {
            if let Some((output, status)) = heard.status(mark)
                && heard.text.ends_with(self.manners.prompt.as_bytes())
            {
                return if status == "0" {
                    Ok(output)
                } else {
                    Err(fault::refused(format_args!("{command}: {}", Heard::last_of(&output))))
                };
            }
            if deadline.is_over() {
                return Err(if heard.total == 0 {
                    BoardFault::Silent
                } else {
                    fault::refused(format_args!("{command} does not end: {}", heard.quote()))
                });
            }
            let left_ms = deadline.left_ms();
            self.listen(heard, deadline, left_ms)?;
        }
    }

    /// Hears what comes; gives how many octets that were.
    fn listen(&mut self, heard: &mut Heard, deadline: &mut Deadline, wait_ms: u64) -> Result<usize, BoardFault> {
        let mut buffer = [0; 1024];
        let len = self.line.receive(&mut buffer, deadline, wait_ms)?;
        heard.add(buffer.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// What the board said.
#[derive(Default)]
struct Heard {
    text: Vec<u8>,
    total: usize,
}

impl Heard {
    fn add(&mut self, octets: &[u8]) {
        tail::keep(&mut self.text, octets, OUTPUT_LEN_MAX);
        self.total = self.total.saturating_add(octets.len());
    }

    /// Whether it is more than what a receiver says that waits for a block.
    fn is_speech(&self) -> bool {
        self.text.iter().any(u8::is_ascii_lowercase)
    }

    /// What was printed before the mark, and the status behind it. The typed command has the mark too, but no digit
    /// behind it.
    fn status(&self, mark: &str) -> Option<(String, String)> {
        let text = String::from_utf8_lossy(&self.text);
        let (output, rest) = text.rsplit_once(&format!("{mark}="))?;
        let (status, _) = rest.split_once(['\r', '\n'])?;
        let is_number = !status.is_empty() && status.bytes().all(|c| c.is_ascii_digit());
        is_number.then(|| (output.trim().to_owned(), status.to_owned()))
    }

    fn quote(&self) -> String {
        Self::last_of(&String::from_utf8_lossy(&self.text))
    }

    fn last_of(text: &str) -> String {
        let text = text.trim();
        let skip = text.chars().count().saturating_sub(QUOTE_LEN);
        text.chars().skip(skip).collect()
    }
}

#[cfg(test)]
mod tests;
