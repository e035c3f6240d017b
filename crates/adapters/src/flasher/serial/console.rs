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
mod tests {
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
}
