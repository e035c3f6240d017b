use super::super::super::deadline::tests::standing;
use super::*;
use std::collections::VecDeque;

const PROMPT: &str = "=> ";

/// Plays a bootloader as seen over its line. Time passes only while nothing comes.
#[derive(Default)]
struct Bootloader {
    to_us: VecDeque<u8>,
    typed: Vec<u8>,
    executed: Vec<String>,
    /// What it says to a command, and the status.
    answers: Vec<(&'static str, &'static str, u8)>,
    /// How many octets of typing are still lost, added to, or both.
    loses: usize,
    /// How long until the prompt is there at all, in calls.
    starts_in: usize,
    dead: bool,
    /// Waits for a block of a transfer that an earlier station began; needs so many cancellations.
    in_transfer: usize,
    /// It throws away what comes until the line has been still for so long; then it asks for the block, and listens.
    asks_after_ms: u64,
    quiet_ms: u64,
    chatters: bool,
    never_ends: bool,
    /// When it is switched on, counted by `now_ms`; until then it is dead. It can be stopped for one second.
    powers_up_at_ms: Option<u64>,
    now_ms: u64,
}

const COUNTDOWN_MS: u64 = 1000;

impl Bootloader {
    fn say(&mut self, text: &str) {
        self.to_us.extend(text.as_bytes());
    }

    fn execute(&mut self) {
        let line = String::from_utf8(std::mem::take(&mut self.typed)).unwrap();
        self.say("\r\n");
        let (command, mark) = line.split_once("; echo ").unwrap();
        self.executed.push(command.to_owned());
        if self.never_ends {
            return self.say("working\r\n");
        }
        let (said, status) =
            self.answers.iter().find(|(c, ..)| *c == command).map_or(("", 0), |(_, said, status)| (*said, *status));
        self.say(&format!("{said}{}\r\n{PROMPT}", mark.replace("$?", &status.to_string())));
    }

    fn key(&mut self, octet: u8) {
        if let Some(at_ms) = self.powers_up_at_ms {
            if octet == 3 && (at_ms..at_ms + COUNTDOWN_MS).contains(&self.now_ms) {
                self.powers_up_at_ms = None;
                self.say("0\r\n=> ");
            }
            return;
        }
        match octet {
            _ if self.quiet_ms < self.asks_after_ms => self.quiet_ms = 0,
            _ if self.in_transfer > 0 => {
                self.in_transfer -= usize::from(octet == CAN);
                if self.in_transfer == 0 {
                    self.say("\r\nCancelled\r\n=> ");
                }
            }
            3 if self.starts_in > 0 => {
                self.starts_in -= 1;
                self.say(if self.starts_in > 0 { "booting\r\n" } else { "\r\n=> " });
            }
            _ if self.starts_in > 0 => {}
            3 => {
                self.typed.clear();
                self.say("<INTERRUPT>\r\n=> ");
            }
            CAN => self.typed.clear(),
            b'\r' => self.execute(),
            _ if self.loses > 0 => self.loses -= 1,
            _ => {
                self.typed.push(octet);
                self.to_us.push_back(octet);
            }
        }
    }
}

impl Line for Bootloader {
    fn send(&mut self, octets: &[u8], _: &mut Deadline) -> Result<(), BoardFault> {
        if !self.dead {
            octets.iter().for_each(|octet| self.key(*octet));
        }
        Ok(())
    }
    fn receive(&mut self, buffer: &mut [u8], deadline: &mut Deadline, wait_ms: u64) -> Result<usize, BoardFault> {
        if self.chatters {
            deadline.spend(1);
            buffer.fill(b'#');
            return Ok(buffer.len());
        }
        let mut wait_ms = wait_ms.min(deadline.left_ms());
        if self.quiet_ms < self.asks_after_ms {
            wait_ms = wait_ms.min(self.asks_after_ms - self.quiet_ms);
            self.quiet_ms += wait_ms;
            self.to_us.extend((self.quiet_ms == self.asks_after_ms).then_some(NAK));
            deadline.spend(wait_ms);
        }
        let (before_ms, after_ms) = (self.now_ms, self.now_ms + wait_ms);
        if let Some(at_ms) = self.powers_up_at_ms.filter(|at_ms| (before_ms + 1..=after_ms).contains(at_ms)) {
            self.now_ms = at_ms;
            deadline.spend(at_ms - before_ms);
            self.say("U-Boot\r\nHit any key to stop autoboot: 1 ");
        }
        let len = self.to_us.len().min(buffer.len());
        buffer.iter_mut().zip(self.to_us.drain(..len)).for_each(|(to, from)| *to = from);
        if len == 0 {
            self.now_ms += wait_ms;
            deadline.spend(wait_ms);
        }
        Ok(len)
    }
}

fn find(line: Bootloader) -> Result<Console<Bootloader>, BoardFault> {
    let manners = Manners {
        prompt: PROMPT.into(),
        wake: "\u{3}".into(),
        prompt_time_max_ms: 30_000,
        command_time_max_ms: 60_000,
        load_time_max_ms: 60_000,
    };
    Console::find(line, &manners, &standing())
}
#[track_caller]
fn found(line: Bootloader, expected: Result<(), BoardFault>) {
    let kind = |fault: &BoardFault| std::mem::discriminant(fault);
    let result = find(line);
    assert_eq!(result.as_ref().err().map(kind), expected.as_ref().err().map(kind), "{:?}", result.err());
}
fn refused() -> BoardFault {
    BoardFault::Refused(String::new())
}

#[test]
fn a_prompt_that_is_there() {
    found(Bootloader::default(), Ok(()));
}
#[test]
fn a_prompt_that_comes_later() {
    found(Bootloader { starts_in: 20, ..Default::default() }, Ok(()));
}
#[test]
fn a_prompt_that_never_comes() {
    found(Bootloader { starts_in: 100_000, ..Default::default() }, Err(refused()));
}
#[test]
fn a_countdown_is_not_missed_whenever_it_begins() {
    for at_ms in (50..12_000).step_by(50) {
        found(Bootloader { powers_up_at_ms: Some(at_ms), ..Default::default() }, Ok(()));
    }
}
#[test]
fn a_dead_board() {
    found(Bootloader { dead: true, ..Default::default() }, Err(BoardFault::Silent));
}
#[test]
fn garbage_without_end() {
    found(Bootloader { chatters: true, ..Default::default() }, Err(refused()));
}
#[test]
fn a_transfer_that_somebody_left() {
    found(Bootloader { in_transfer: 3, ..Default::default() }, Ok(()));
}
#[test]
fn a_transfer_that_misses_the_first_cancellation() {
    found(Bootloader { in_transfer: 6, ..Default::default() }, Ok(()));
}
#[test]
fn a_receiver_that_only_listens_when_it_asks() {
    found(Bootloader { in_transfer: 3, asks_after_ms: 5000, ..Default::default() }, Ok(()));
}

#[track_caller]
fn run(line: Bootloader, command: &str, expected: Result<&str, BoardFault>) {
    let mut console = find(line).unwrap();
    assert_eq!(console.run(command), expected.map(str::to_owned));
}

#[test]
fn output_is_what_stands_before_the_mark() {
    run(Bootloader { answers: vec![("version", "U-Boot\r\n", 0)], ..Default::default() }, "version", Ok("U-Boot"));
}
#[test]
fn a_command_that_says_nothing() {
    run(Bootloader::default(), "mw.b 0 0 1", Ok(""));
}
#[test]
fn a_failed_command_is_a_refusal() {
    let answers = vec![("virtio write", "-5 blocks written: ERROR\r\n", 1)];
    let expected = BoardFault::Refused("virtio write: -5 blocks written: ERROR".into());
    run(Bootloader { answers, ..Default::default() }, "virtio write", Err(expected));
}
#[test]
fn a_command_that_does_not_end() {
    let expected = BoardFault::Refused("sleep does not end: working".into());
    run(Bootloader { never_ends: true, ..Default::default() }, "sleep", Err(expected));
}
#[test]
fn a_command_that_was_garbled_is_typed_again_and_run_once() {
    let mut console = find(Bootloader { loses: 5, ..Default::default() }).unwrap();
    assert_eq!(console.run("virtio write 84000000 0 10"), Ok(String::new()));
    assert_eq!(console.line.executed, ["virtio write 84000000 0 10"]);
}
#[test]
fn a_line_that_garbles_everything_runs_nothing() {
    let mut console = find(Bootloader { loses: 100_000, ..Default::default() }).unwrap();
    assert!(matches!(console.run("reset"), Err(BoardFault::Refused(_))));
    assert!(console.line.executed.is_empty());
}
#[test]
fn a_board_that_dies_before_a_command() {
    let mut console = find(Bootloader::default()).unwrap();
    console.line.dead = true;
    assert_eq!(console.run("version"), Err(BoardFault::Silent));
}
#[test]
fn the_output_of_an_earlier_command_is_not_taken_for_this_one() {
    let mut console = find(Bootloader::default()).unwrap();
    console.line.answers = vec![("b", "mark0n1=0\r\n=> \r\n", 1)];
    assert!(console.run("a").is_ok());
    assert!(matches!(console.run("b"), Err(BoardFault::Refused(_))));
}
#[test]
fn loading_where_there_is_no_such_command() {
    let mut console = find(Bootloader::default()).unwrap();
    console.line.answers = vec![("loady 0", "Unknown command 'loady'\r\n", 1)];
    let mut file = ymodem::File { name: "image", length: 0, answer_time_max_ms: 1000, fill: &mut |_| Ok(0) };
    let loaded = console.load("loady 0", &mut file, &mut |_| ());
    assert_eq!(loaded, Err(BoardFault::Refused("loady 0: Unknown command 'loady'".into())));
}

#[track_caller]
fn status(text: &str, expected: Option<&str>) {
    let heard = Heard { text: text.as_bytes().to_vec(), total: 0 };
    assert_eq!(heard.status("m1").map(|(_, status)| status).as_deref(), expected);
}
#[test]
fn the_typed_command_is_no_status() {
    status("ls; echo m1=$?\r\n", None);
}
#[test]
fn half_a_status_is_none() {
    status("m1=1", None);
}
#[test]
fn a_whole_status() {
    status("ls; echo m1=$?\r\nm1=12\r\n", Some("12"));
}
