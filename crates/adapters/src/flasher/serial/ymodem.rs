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
mod tests {
    use super::super::super::deadline::tests::standing;
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const ANSWER_MS: u64 = 12_000;

    /// How a receiver answers to one block.
    #[derive(Clone, Copy, Debug)]
    enum Mood {
        Fine,
        /// Asks again, as most do.
        Nak,
        /// Asks again, as U-Boot does.
        Invite,
        /// Never got it.
        Deaf,
        /// Got it, and is slow to say so: the answer comes when the block has been sent again.
        Late,
        /// Says something else first.
        Noise,
        Cancel,
    }

    /// Plays a receiver. Its answer to block n is the n-th mood; it is fine when they have run out.
    struct Receiver {
        moods: VecDeque<Mood>,
        /// U-Boot invites no data after the header.
        invites_data: bool,
        takes_one_file: bool,
        afterwards: &'static [u8],
        came: Vec<u8>,
        to_us: VecDeque<u8>,
        next: u8,
        file: Vec<u8>,
        length: Option<u64>,
        ended: bool,
        cancelled: bool,
        sent: usize,
        /// An answer that is held back, and one that comes after so many milliseconds.
        late: Option<u8>,
        late_in: Option<(u64, u8)>,
    }

    const LATE_MS: u64 = 50;

    impl Receiver {
        fn new(moods: &[Mood]) -> Self {
            Self {
                moods: moods.iter().copied().collect(),
                invites_data: true,
                takes_one_file: false,
                afterwards: b"",
                came: vec![],
                to_us: VecDeque::new(),
                next: 0,
                file: vec![],
                length: None,
                ended: false,
                cancelled: false,
                sent: 0,
                late: None,
                late_in: None,
            }
        }

        fn say(&mut self, octets: &[u8]) {
            self.to_us.extend(octets);
        }

        fn block(&mut self) {
            let mood = self.moods.pop_front().unwrap_or(Mood::Fine);
            match mood {
                Mood::Fine | Mood::Late => {}
                Mood::Noise => self.say(b"\x00\x18\xff\n"),
                Mood::Nak => return self.say(&[NAK]),
                Mood::Invite => return self.say(&[INVITATION]),
                Mood::Deaf => return,
                Mood::Cancel => return self.say(&[CAN, CAN, CAN]),
            }
            if self.came == [EOT] {
                self.ended = true;
                self.next = 0;
                self.say(&[ACK]);
                if !self.takes_one_file {
                    self.say(&[ACK, INVITATION]);
                }
                self.say(self.afterwards);
                return;
            }
            let (number, body) = (self.came[1], &self.came[3..self.came.len() - 2]);
            assert_eq!(self.came[1], !self.came[2]);
            assert_eq!(crc16(body).to_be_bytes(), self.came[self.came.len() - 2..]);
            if number == self.next.wrapping_sub(1) && self.length.is_some() {
                // A block that we have already.
                if let Some(late) = self.late.take() {
                    self.late_in = Some((LATE_MS, late));
                }
                return self.say(&[ACK]);
            }
            assert_eq!(number, self.next, "blocks in order");
            if self.ended {
                assert!(body.iter().all(|o| *o == 0), "the batch ends with an empty header");
                return self.say(&[ACK]);
            }
            match self.length {
                None => {
                    let mut parts = body.split(|o| *o == 0);
                    assert_eq!(parts.next(), Some(&b"image"[..]));
                    self.length = Some(std::str::from_utf8(parts.next().unwrap()).unwrap().parse().unwrap());
                    self.say(&[ACK]);
                    if self.invites_data {
                        self.say(&[INVITATION]);
                    }
                }
                Some(_) => {
                    self.file.extend_from_slice(&self.came[3..self.came.len() - 2]);
                    if matches!(mood, Mood::Late) {
                        self.late = Some(ACK);
                    } else {
                        self.say(&[ACK]);
                    }
                }
            }
            self.next = self.next.wrapping_add(1);
        }
    }

    impl Line for Receiver {
        fn send(&mut self, octets: &[u8], _: &mut Deadline) -> Result<(), BoardFault> {
            self.sent += 1;
            self.came = octets.to_vec();
            match octets[0] {
                CAN => self.cancelled = true,
                _ => self.block(),
            }
            Ok(())
        }
        fn receive(&mut self, buffer: &mut [u8], deadline: &mut Deadline, wait_ms: u64) -> Result<usize, BoardFault> {
            match self.to_us.pop_front() {
                Some(octet) => {
                    buffer[0] = octet;
                    Ok(1)
                }
                None => match self.late_in {
                    Some((in_ms, octet)) if in_ms <= wait_ms => {
                        self.late_in = None;
                        deadline.spend(in_ms);
                        buffer[0] = octet;
                        Ok(1)
                    }
                    _ => {
                        self.late_in = self.late_in.map(|(in_ms, octet)| (in_ms - wait_ms, octet));
                        deadline.spend(wait_ms);
                        Ok(0)
                    }
                },
            }
        }
    }

    fn transfer(receiver: &mut Receiver, contents: &[u8]) -> Result<Vec<u8>, BoardFault> {
        let mut left = contents;
        let mut fill = |buffer: &mut [u8]| {
            let len = left.len().min(buffer.len());
            buffer[..len].copy_from_slice(&left[..len]);
            left = &left[len..];
            Ok(len)
        };
        let mut file =
            File { name: "image", length: length_of(contents), answer_time_max_ms: ANSWER_MS, fill: &mut fill };
        let mut deadline = Deadline::new(&standing(), 3_600_000);
        let mut last = 0;
        let sent = send(receiver, &mut deadline, &mut file, &mut |n| {
            assert!(n > last);
            last = n;
        });
        if sent.is_ok() {
            assert_eq!(last, length_of(contents));
        }
        sent
    }

    #[track_caller]
    fn check(moods: &[Mood], expected: Result<(), BoardFault>) {
        let mut receiver = Receiver::new(moods);
        let contents: Vec<u8> = (0..3000_u16).map(|n| n.to_be_bytes()[1]).collect();
        let sent = transfer(&mut receiver, &contents);
        let kind = std::mem::discriminant::<BoardFault>;
        assert_eq!(sent.as_ref().err().map(kind), expected.as_ref().err().map(kind), "{sent:?}");
        assert_eq!(receiver.cancelled, sent.is_err(), "a receiver is told when a transfer is given up");
        if sent.is_ok() {
            assert_eq!(receiver.file[..3000], contents);
            assert!(receiver.file[3000..].iter().all(|o| *o == SUB));
        }
    }

    fn refused() -> BoardFault {
        BoardFault::Refused(String::new())
    }

    #[test]
    fn a_friendly_receiver() {
        check(&[], Ok(()));
    }
    #[test]
    fn the_header_is_asked_for_again() {
        check(&[Mood::Nak], Ok(()));
    }
    #[test]
    fn a_block_is_asked_for_again() {
        check(&[Mood::Fine, Mood::Fine, Mood::Nak, Mood::Invite], Ok(()));
    }
    #[test]
    fn a_block_is_lost_and_the_receiver_does_not_ask() {
        check(&[Mood::Fine, Mood::Deaf], Ok(()));
        check(&[Mood::Fine, Mood::Deaf, Mood::Deaf], Err(BoardFault::Silent));
    }
    #[test]
    fn a_late_answer_is_not_taken_for_the_next_one() {
        check(&[Mood::Fine, Mood::Late, Mood::Fine, Mood::Deaf], Ok(()));
    }
    #[test]
    fn noise_before_an_answer_and_a_single_cancel_are_passed_over() {
        check(&[Mood::Noise, Mood::Noise, Mood::Noise], Ok(()));
    }
    #[test]
    fn the_end_is_asked_for_again() {
        check(&[Mood::Fine, Mood::Fine, Mood::Fine, Mood::Fine, Mood::Nak], Ok(()));
    }
    #[test]
    fn the_tenth_try_is_the_last() {
        check(&[[Mood::Fine].as_slice(), &[Mood::Nak; 9]].concat(), Ok(()));
        check(&[[Mood::Fine].as_slice(), &[Mood::Nak; 10]].concat(), Err(refused()));
    }
    #[test]
    fn a_cable_that_is_pulled() {
        check(&[[Mood::Fine; 2].as_slice(), &[Mood::Deaf; 100]].concat(), Err(BoardFault::Silent));
    }
    #[test]
    fn a_receiver_that_cancels() {
        check(&[Mood::Fine, Mood::Fine, Mood::Cancel], Err(refused()));
    }
    #[test]
    fn a_receiver_that_never_was() {
        check(&[Mood::Deaf; 100], Err(BoardFault::Silent));
    }
    #[test]
    fn a_receiver_for_one_file_hears_no_second_header() {
        let mut receiver = Receiver { takes_one_file: true, ..Receiver::new(&[]) };
        assert_eq!(transfer(&mut receiver, &[1; 10]), Ok(vec![]));
        assert_eq!(receiver.came, [EOT]);
    }
    #[test]
    fn what_the_receiver_says_afterwards_is_given_back() {
        let mut receiver = Receiver { takes_one_file: true, afterwards: b"## Total", ..Receiver::new(&[]) };
        assert_eq!(transfer(&mut receiver, &[1; 10]), Ok(b"#".to_vec()));
        assert_eq!(receiver.to_us, b"# Total");
    }
    #[test]
    fn a_last_acknowledgement_that_is_lost_changes_nothing() {
        check(&[[Mood::Fine; 5].as_slice(), &[Mood::Deaf]].concat(), Ok(()));
    }
    #[test]
    fn a_last_header_that_is_lost_is_sent_again() {
        check(&[[Mood::Fine; 5].as_slice(), &[Mood::Invite; 2]].concat(), Ok(()));
    }
    #[test]
    fn a_deadline_ends_a_transfer() {
        let mut receiver = Receiver::new(&[Mood::Deaf; 100]);
        let mut file = File { name: "image", length: 0, answer_time_max_ms: ANSWER_MS, fill: &mut |_| Ok(0) };
        let mut deadline = Deadline::new(&standing(), ANSWER_MS * 3 / 2);
        assert_eq!(send(&mut receiver, &mut deadline, &mut file, &mut |_| ()), Err(BoardFault::Silent));
        // Two tries, and the cancellation.
        assert_eq!(receiver.sent, 3);
    }
    #[test]
    fn a_source_that_fails_cancels_the_transfer() {
        let mut receiver = Receiver::new(&[]);
        let mut file =
            File { name: "image", length: 10, answer_time_max_ms: ANSWER_MS, fill: &mut |_| Err(BoardFault::Source) };
        let mut deadline = Deadline::new(&standing(), 1000);
        assert_eq!(send(&mut receiver, &mut deadline, &mut file, &mut |_| ()), Err(BoardFault::Source));
        assert!(receiver.cancelled);
    }

    #[test]
    fn a_short_block_is_filled_up() {
        let block = frame(255, b"ab", SUB);
        assert_eq!((block.len(), &block[..6]), (133, &[SOH, 255, 0, b'a', b'b', SUB][..]));
    }
    #[test]
    fn an_octet_too_many_for_a_short_block_makes_a_long_one() {
        assert_eq!((frame(1, &[0; 128], SUB).len(), frame(1, &[0; 129], SUB).len()), (133, 1029));
    }

    proptest! {
        // Whatever goes wrong on the line, what arrives is what was sent. Numbers of blocks run over after 256.
        #[test]
        fn what_arrives_is_what_was_sent(
            len in prop::sample::select(vec![0_usize, 1, 127, 128, 129, 1023, 1024, 1025, 5000, 300 * 1024]),
            seed: u8,
            moods in prop::collection::vec(prop::sample::select(
                vec![Mood::Fine, Mood::Fine, Mood::Nak, Mood::Invite, Mood::Deaf, Mood::Noise, Mood::Late]), 0..20),
            invites_data: bool,
        ) {
            // Ten bad moods in a row would be the end of the transfer, and so would two silences.
            let bad = |mood: &Mood| !matches!(mood, Mood::Fine | Mood::Noise);
            let deaf = |run: &[Mood]| run.iter().filter(|m| matches!(m, Mood::Deaf | Mood::Late)).count();
            prop_assume!(moods.chunk_by(|a, b| bad(a) && bad(b)).all(|run| run.len() < 10 && deaf(run) < 2));
            let contents: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0].wrapping_mul(seed) ^ n.to_le_bytes()[1]).collect();
            let mut receiver = Receiver { invites_data, ..Receiver::new(&moods) };
            prop_assert!(transfer(&mut receiver, &contents).is_ok());
            prop_assert_eq!(&receiver.file[..len], &contents);
            prop_assert_eq!(receiver.length, Some(length_of(&contents)));
        }
    }
}
