//! A program that is spoken with by lines, and can be relied on for nothing.

use super::super::deadline::Deadline;
use super::super::{fault, tail};
use super::protocol::LINE_LEN_MAX;
use ports::Clock;
use ports::flasher::BoardFault;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// How much of what a program writes to its standard error is kept, in octets: as much as the text of a fault has room
/// for, and the last words are what explains.
const LAST_WORDS_LEN_MAX: usize = 160;
/// How long a program may take to end by itself after its standard input was closed, in milliseconds.
const END_TIME_MAX_MS: u64 = 1000;
/// How long a killed program may take to be gone: only one that hangs in the kernel takes longer, and is left behind.
const KILL_TIME_MAX_MS: u64 = 5000;
/// Octets that are read at once.
const READ_LEN: usize = 64 * 1024;

/// What is started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: std::path::PathBuf,
    pub(super) arguments: Vec<String>,
    /// The one environment variable that it gets: `PATH`.
    pub(super) search_path: String,
}

/// A running program and its pipes. Dropping it ends the program and everything in its process group.
pub(super) struct Process {
    child: Child,
    pipes: Pipes,
    clock: Arc<dyn Clock>,
    /// The number of its process group, as long as nobody else can have it.
    group: Option<Pid>,
}

struct Pipes {
    /// `None` once it was closed to tell the program to end.
    to: Option<ChildStdin>,
    from: ChildStdout,
    /// `None` once the program closed it.
    words: Option<ChildStderr>,
    /// What was read and is no whole line yet, or a line that nobody asked for.
    read: Vec<u8>,
    last_words: Vec<u8>,
}

/// What came of waiting for a line.
pub(super) enum Heard {
    /// A line, without its line feed.
    Line(Vec<u8>),
    /// The time is over.
    Nothing,
    /// The program closed its standard output.
    End,
}

impl Process {
    /// Starts a program in `directory` with an empty environment, in a process group of its own.
    pub(super) fn start(program: &Program, directory: &Path, clock: &Arc<dyn Clock>) -> Result<Self, BoardFault> {
        let mut child = Command::new(&program.path)
            .args(&program.arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", &program.search_path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| fault::fixture(format_args!("{} cannot be started: {error}", program.path.display())))?;
        let (Some(to), Some(from), Some(words)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            unreachable!("all three were asked to be pipes")
        };
        let pipes = Pipes { to: Some(to), from, words: Some(words), read: Vec::new(), last_words: Vec::new() };
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = Self { child, pipes, clock: Arc::clone(clock), group };
        process.pipes.never_block()?;
        Ok(process)
    }

    /// Sends a line. What the program says meanwhile is kept.
    pub(super) fn send(&mut self, line: &[u8], deadline: &mut Deadline) -> Result<Heard, BoardFault> {
        self.pipes.talk(line, deadline, Wanted::Sent)
    }

    /// Waits for a line, at most `silence_max_ms` and not beyond the deadline.
    pub(super) fn line(&mut self, deadline: &mut Deadline, silence_max_ms: u64) -> Result<Heard, BoardFault> {
        deadline.within(silence_max_ms, |silence| self.pipes.talk(&[], silence, Wanted::Line))
    }

    /// Whether the program has said something that nobody asked for.
    pub(super) fn has_spoken(&mut self) -> Result<bool, BoardFault> {
        self.pipes.take_words()?;
        self.pipes.take_output()?;
        Ok(!self.pipes.read.is_empty())
    }

    /// Ends the program, and says how it ended and what its last words were.
    pub(super) fn end(mut self) -> String {
        self.stop();
        let mut text = match self.child.try_wait() {
            Ok(Some(status)) => status.to_string(),
            Ok(None) | Err(_) => "still there".to_owned(),
        };
        let words = String::from_utf8_lossy(&self.pipes.last_words);
        if !words.trim().is_empty() {
            let _ = write!(text, "; it said: {}", words.trim());
        }
        text
    }

    /// Asks the program to end, and then makes it end with all that it started.
    fn stop(&mut self) {
        self.pipes.to = None;
        // As long as the child is not reaped, nobody else can have its number, nor that of its group.
        let Some(group) = self.group.take() else { return };
        self.wait_for_end(group, END_TIME_MAX_MS);
        let _ = self.pipes.take_words();
        let _ = kill_process_group(group, Signal::KILL);
        self.wait_for_end(group, KILL_TIME_MAX_MS);
        let _ = self.child.try_wait();
    }

    fn wait_for_end(&self, pid: Pid, time_max_ms: u64) {
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let mut deadline = Deadline::new(&self.clock, time_max_ms);
        while !deadline.is_over() {
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            let woken = deadline.wait(&mut fds, time_max_ms);
            let [pidfd] = &fds;
            if woken.is_err() || !pidfd.revents().is_empty() {
                return;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What ends a talk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Sent,
    Line,
}

impl Pipes {
    fn never_block(&self) -> Result<(), BoardFault> {
        let mut fds = vec![self.from.as_fd()];
        fds.extend(self.to.as_ref().map(AsFd::as_fd));
        fds.extend(self.words.as_ref().map(AsFd::as_fd));
        fds.into_iter().try_for_each(|fd| {
            let flags = rustix::fs::fcntl_getfl(fd).map_err(fault::system("a pipe"))?;
            rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(fault::system("a pipe"))
        })
    }

    fn talk(&mut self, mut to_send: &[u8], deadline: &mut Deadline, wanted: Wanted) -> Result<Heard, BoardFault> {
        loop {
            if wanted == Wanted::Sent && to_send.is_empty() {
                return Ok(Heard::Line(Vec::new()));
            }
            if wanted == Wanted::Line
                && let Some(line) = self.whole_line()?
            {
                return Ok(Heard::Line(line));
            }
            if wanted == Wanted::Sent && self.read.len() > LINE_LEN_MAX {
                return Err(fault::fixture("the program speaks and does not listen"));
            }
            if deadline.is_over() {
                return Ok(Heard::Nothing);
            }
            self.wait(!to_send.is_empty(), deadline)?;
            self.take_words()?;
            if self.take_output()? == Taken::End && (wanted == Wanted::Sent || !self.read.contains(&b'\n')) {
                return Ok(Heard::End);
            }
            self.give(&mut to_send);
        }
    }

    fn wait(&self, sending: bool, deadline: &mut Deadline) -> Result<(), BoardFault> {
        let mut fds = vec![PollFd::new(&self.from, PollFlags::IN)];
        fds.extend(self.words.as_ref().map(|words| PollFd::new(words, PollFlags::IN)));
        let to = self.to.as_ref().filter(|_| sending);
        fds.extend(to.map(|to| PollFd::new(to, PollFlags::OUT)));
        let left_ms = deadline.left_ms();
        deadline.wait(&mut fds, left_ms).map(|_| ())
    }

    /// Gives what the pipe takes now. A program that closed its end has ended or will be silent: reading tells.
    fn give(&mut self, to_send: &mut &[u8]) {
        let Some(to) = &mut self.to else { return };
        match to.write(to_send) {
            Ok(len) => *to_send = to_send.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => *to_send = &[],
            Err(_) => {}
        }
    }

    /// Cuts the first line off what was read.
    fn whole_line(&mut self) -> Result<Option<Vec<u8>>, BoardFault> {
        let Some(len) = self.read.iter().position(|octet| *octet == b'\n') else {
            if self.read.len() > LINE_LEN_MAX {
                return Err(fault::fixture(format_args!(
                    "the program wrote a line of more than {LINE_LEN_MAX} octets"
                )));
            }
            return Ok(None);
        };
        let mut line: Vec<u8> = self.read.drain(..=len).collect();
        line.pop();
        Ok(Some(line))
    }

    /// Reads what the program wrote. Stops reading when there is a line's worth: the program then waits.
    fn take_output(&mut self) -> Result<Taken, BoardFault> {
        if self.read.len() > LINE_LEN_MAX {
            return Ok(Taken::Something);
        }
        let mut buffer = vec![0; READ_LEN];
        match self.from.read(&mut buffer) {
            Ok(0) => Ok(Taken::End),
            Ok(len) => {
                self.read.extend_from_slice(buffer.get(..len).unwrap_or_default());
                Ok(Taken::Something)
            }
            Err(error) if is_for_later(&error) => Ok(Taken::Nothing),
            Err(error) => Err(fault::system("the program's output")(error)),
        }
    }

    /// Keeps the last of what the program wrote to its standard error.
    fn take_words(&mut self) -> Result<(), BoardFault> {
        let Some(words) = &mut self.words else { return Ok(()) };
        let mut buffer = vec![0; READ_LEN];
        match words.read(&mut buffer) {
            Ok(0) => self.words = None,
            Ok(len) => {
                let said = buffer.get(..len).unwrap_or_default();
                tail::keep(&mut self.last_words, said, LAST_WORDS_LEN_MAX);
            }
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(fault::system("the program's standard error")(error)),
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Taken {
    Something,
    Nothing,
    End,
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
