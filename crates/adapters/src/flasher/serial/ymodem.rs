//! Sending one file by YMODEM with CRC-16 and blocks of 1 KiB.
//!
//! Source: Chuck Forsberg, "XMODEM/YMODEM Protocol Reference" (1988), chapters 5 and 7. Receivers that are known:
//! `rb` of lrzsz, and U-Boot's `loady`, which differs: it asks for a repetition with `C` where others send NAK, does not
//! invite the data after the header, and acknowledges the end of the file twice.

use super::super::deadline::Deadline;
use super::super::{fault, source::length_of};
use super::crc::crc16;
use super::line::Line;
use ports::flasher::BoardFault;

const SOH: u8 = 0x01;
const STX: u8 = 0x02;
const EOT: u8 = 0x04;
const ACK: u8 = 0x06;
const BS: u8 = 0x08;
/// How a receiver asks for a block again.
pub(super) const NAK: u8 = 0x15;
/// What makes the other side give up; receivers want two or three in a row.
pub(super) const CAN: u8 = 0x18;
/// What fills the last block.
const SUB: u8 = 0x1a;
/// How a receiver says that it is ready, and wants CRC-16.
pub(super) const INVITATION: u8 = b'C';

/// Octets of a long block and of a short one.
const LONG: usize = 1024;
const SHORT: usize = 128;
/// How long a receiver may take to invite the data after the header, in milliseconds. Those that do, do it at once.
const DATA_INVITATION_MS: u64 = 300;
/// How long a receiver may take to invite the next header after the end of the file, in milliseconds.
const NEXT_INVITATION_MS: u64 = 5000;
/// How long the line must be still after a repetition, in milliseconds, so that the answer to the first copy of a block
/// is not taken for the answer to the next block.
const STILL_MS: u64 = 200;
/// How long the line must be still before a block, in milliseconds: lrzsz clears its input after each of its answers, and
/// would throw away a block that follows at once.
const TURN_MS: u64 = 5;
/// How often a block is sent before the line is given up: the reference's number.
const TRIES_MAX: usize = 10;
/// How often no answer at all may come. A receiver that missed a block, or whose answer was lost, asks by itself: two
/// such questions that are lost as well make a line that is dead.
const SILENCES_MAX: usize = 2;
/// Most octets of noise before an answer.
const NOISE_LEN_MAX: usize = 4096;

/// A file to send.
pub(super) struct File<'a> {
    /// The name that the receiver is told. Shape: short, printable.
    pub(super) name: &'static str,
    /// Length in octets, at most what `fill` will give.
    pub(super) length: u64,
    /// How long the receiver may take to answer to a block, in milliseconds.
    pub(super) answer_time_max_ms: u64,
    /// Fills the buffer, or as much of it as the file still has; 0 at the end.
    pub(super) fill: &'a mut dyn FnMut(&mut [u8]) -> Result<usize, BoardFault>,
}

/// Sends a file to a receiver that has invited it. `progress` hears how many octets were acknowledged. Gives what was
/// heard already of what the receiver says after the transfer.
///
/// # Errors
/// [`BoardFault::Silent`] if the receiver stops answering; [`BoardFault::Refused`] if it cancels, or still asks for a
/// block after the last try; whatever `fill` fails with, after the receiver was told to give up.
pub(super) fn send(
    line: &mut dyn Line,
    deadline: &mut Deadline,
    file: &mut File<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<u8>, BoardFault> {
    let mut sender = Sender { line, deadline, answer_time_max_ms: file.answer_time_max_ms };
    match sender.file(file, progress) {
        Ok(()) => sender.end_batch(),
        Err(fault) => {
            sender.cancel();
            Err(fault)
        }
    }
}

/// One block as it goes over the line: 128 octets if they fit, else 1024, filled up with `fill`.
fn frame(number: u8, octets: &[u8], fill: u8) -> Vec<u8> {
    let (start, len) = if octets.len() <= SHORT { (SOH, SHORT) } else { (STX, LONG) };
    let mut block = octets.to_vec();
    block.resize(len, fill);
    let crc = crc16(&block).to_be_bytes();
    [&[start, number, !number], block.as_slice(), crc.as_slice()].concat()
}

fn cancelled() -> BoardFault {
    fault::refused("the receiver cancelled the transfer")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Acknowledged,
    Again,
    Cancelled,
    Nothing,
}

struct Sender<'a> {
    line: &'a mut dyn Line,
    deadline: &'a mut Deadline,
    answer_time_max_ms: u64,
}

impl Sender<'_> {
    fn file(&mut self, file: &mut File<'_>, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        let header = format!("{}\0{}\0", file.name, file.length);
        self.exchange(&frame(0, header.as_bytes(), 0))?;
        self.invited(DATA_INVITATION_MS)?;
        let (mut number, mut done) = (0_u8, 0_u64);
        let mut buffer = [0; LONG];
        loop {
            let len = (file.fill)(&mut buffer)?;
            let octets = buffer.get(..len).unwrap_or_default();
            if octets.is_empty() {
                break;
            }
            number = number.wrapping_add(1);
            if self.exchange(&frame(number, octets, SUB))? > 1 {
                self.still(STILL_MS)?;
            }
            done = done.saturating_add(length_of(octets));
            progress(done);
        }
        self.exchange(&[EOT])?;
        Ok(())
    }

    /// Ends the batch with an empty header, if the receiver asks for one: not all do, and the file is theirs already.
    ///
    /// From here on the receiver may speak as a console again: lrzsz even throws away its last acknowledgement if the line
    /// has not carried it off at once. So what is not of the protocol is given back, and nothing is taken for a failure.
    fn end_batch(&mut self) -> Result<Vec<u8>, BoardFault> {
        let (mut wait_ms, mut ended) = (NEXT_INVITATION_MS, false);
        for _ in 0..TRIES_MAX {
            match self.octet(wait_ms)? {
                Some(INVITATION | NAK) => {
                    self.octet(TURN_MS)?;
                    self.line.send(&frame(0, &[], 0), self.deadline)?;
                    wait_ms = self.answer_time_max_ms;
                    ended = true;
                }
                // The end of the file may be acknowledged twice.
                Some(ACK) if !ended => {}
                Some(ACK) | None => return Ok(Vec::new()),
                Some(other) => return Ok(vec![other]),
            }
        }
        Ok(Vec::new())
    }

    /// Sends a block until it is acknowledged; gives how often that was.
    fn exchange(&mut self, frame: &[u8]) -> Result<usize, BoardFault> {
        let mut silences = 0;
        for tries in 1..=TRIES_MAX {
            self.still(TURN_MS)?;
            self.line.send(frame, self.deadline)?;
            match self.reply()? {
                Reply::Acknowledged => return Ok(tries),
                Reply::Cancelled => return Err(cancelled()),
                Reply::Again => {}
                Reply::Nothing => silences += 1,
            }
            if silences == SILENCES_MAX || self.deadline.is_over() {
                return Err(BoardFault::Silent);
            }
        }
        Err(fault::refused("the receiver still asks for the same block: the line is bad"))
    }

    fn reply(&mut self) -> Result<Reply, BoardFault> {
        let mut cancelling = false;
        for _ in 0..NOISE_LEN_MAX {
            match self.octet(self.answer_time_max_ms)? {
                None => return Ok(Reply::Nothing),
                Some(ACK) => return Ok(Reply::Acknowledged),
                Some(NAK | INVITATION) => return Ok(Reply::Again),
                Some(CAN) if cancelling => return Ok(Reply::Cancelled),
                Some(octet) => cancelling = octet == CAN,
            }
        }
        Ok(Reply::Nothing)
    }

    /// Whether the receiver invites within this time. Other octets are passed over.
    fn invited(&mut self, time_max_ms: u64) -> Result<bool, BoardFault> {
        for _ in 0..NOISE_LEN_MAX {
            match self.octet(time_max_ms)? {
                None => return Ok(false),
                Some(INVITATION) => return Ok(true),
                Some(_) => {}
            }
        }
        Ok(false)
    }

    /// Waits until nothing comes for this long. What comes answers to nothing, unless it cancels.
    fn still(&mut self, wait_ms: u64) -> Result<(), BoardFault> {
        let mut cancels = 0;
        for _ in 0..NOISE_LEN_MAX {
            match self.octet(wait_ms)? {
                None => break,
                Some(CAN) if cancels == 1 => return Err(cancelled()),
                Some(octet) => cancels = usize::from(octet == CAN),
            }
        }
        Ok(())
    }

    fn octet(&mut self, wait_ms: u64) -> Result<Option<u8>, BoardFault> {
        let mut octet = [0];
        let len = self.line.receive(&mut octet, self.deadline, wait_ms)?;
        let [octet] = octet;
        Ok((len > 0).then_some(octet))
    }

    /// Tells the receiver to give up; the backspaces take the rest off a command line.
    fn cancel(&mut self) {
        let farewell = [[CAN; 8], [BS; 8]].concat();
        let _ = self.still(TURN_MS);
        let _ = self.line.send(&farewell, self.deadline);
    }
}

#[cfg(test)]
mod tests;
