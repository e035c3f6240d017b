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
    let mut file = File { name: "image", length: length_of(contents), answer_time_max_ms: ANSWER_MS, fill: &mut fill };
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
