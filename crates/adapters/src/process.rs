//! Other processes of this machine.

use crate::files::DirectoryLock;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, kill_process_group, pidfd_open};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Tells a process to end in order. One that has ended already is not found, which is what was wanted.
pub fn terminate(child: &Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ended_already = id.map(|id| kill_process(id, Signal::TERM));
}

/// Whether this process may do everything.
#[must_use]
pub fn is_superuser() -> bool {
    geteuid().is_root()
}

/// What became of a program that ran to its end.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The first of what it wrote to its standard output.
    pub said: Vec<u8>,
    /// The last of what it wrote to its standard error.
    pub last_words: Vec<u8>,
}

/// How much of what a program says is kept, in octets.
pub const SAID_LEN_MAX: usize = 1024;
/// The one environment variable that a program gets, `PATH`.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Octets that are read at once.
const READ_LEN: usize = 4096;

/// Runs a program to its end, by its absolute path and without a shell, in a process group of its own. What it started and
/// left behind goes on, and is heard no more.
///
/// The lock is what the program reads: nothing. So it is held until the program has ended, also if this process is killed before.
///
/// # Errors
/// As the operating system says; [`io::ErrorKind::TimedOut`] if it takes longer: then it was killed, with its group.
pub fn run(program: &Path, arguments: &[String], lock: &DirectoryLock, within: Duration) -> io::Result<Ended> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .stdin(lock.share()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let listened = listen(&mut child, within);
    if listened.is_err() {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _gone_already = group.map(|group| kill_process_group(group, Signal::KILL));
    }
    let status = child.wait()?;
    let (said, last_words) = listened?;
    Ok(Ended { status, said, last_words })
}

// What it says until it ends.
fn listen(child: &mut Child, within: Duration) -> io::Result<(Vec<u8>, Vec<u8>)> {
    #[expect(clippy::disallowed_methods, reason = "what waits for others must end; nothing is decided on it")]
    let until = Instant::now() + within;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let (mut output, mut errors) = (child.stdout.take(), child.stderr.take());
    let fds = [output.as_ref().map(AsFd::as_fd), errors.as_ref().map(AsFd::as_fd)];
    for fd in fds.into_iter().flatten() {
        fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
    }
    let (mut said, mut last_words) = (Vec::new(), Vec::new());
    loop {
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(output.as_ref().map(|output| PollFd::new(output, PollFlags::IN)));
        fds.extend(errors.as_ref().map(|errors| PollFd::new(errors, PollFlags::IN)));
        #[expect(clippy::disallowed_methods, reason = "what waits for others must end; nothing is decided on it")]
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not end within {} s", within.as_secs()),
            ));
        }
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_over = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        take(&mut output, |octets| {
            let room = SAID_LEN_MAX.saturating_sub(said.len());
            said.extend(octets.iter().take(room));
        })?;
        take(&mut errors, |octets| {
            last_words.extend_from_slice(octets);
            last_words.drain(..last_words.len().saturating_sub(SAID_LEN_MAX));
        })?;
        if is_over {
            return Ok((said, last_words));
        }
    }
}

// Reads what is there, and lets go of a pipe that was closed.
fn take(pipe: &mut Option<impl Read>, mut keep: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; READ_LEN];
    // A program that never stops speaking is looked at again for its end.
    for _ in 0..64 {
        let Some(from) = pipe else { return Ok(()) };
        match from.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(len) => keep(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    fn sh(script: &str, within_ms: u64) -> io::Result<Ended> {
        let dir = Temporary::new();
        let lock = DirectoryLock::take(dir.path())?;
        run(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], &lock, Duration::from_millis(within_ms))
    }
    #[track_caller]
    fn check(script: &str, code: i32, said: &str, last_words: &str) {
        let ended = sh(script, 60_000).unwrap();
        let heard = (String::from_utf8(ended.said).unwrap(), String::from_utf8(ended.last_words).unwrap());
        assert_eq!((ended.status.code(), heard.0.as_str(), heard.1.as_str()), (Some(code), said, last_words));
    }
    #[test]
    fn what_a_program_says_and_how_it_ends() {
        check("echo a; echo b >&2", 0, "a\n", "b\n");
        check("exit 7", 7, "", "");
    }
    #[test]
    fn it_has_no_environment_but_a_search_path_and_hears_nothing() {
        check("echo ${HOME-none} $PATH; read line || echo no line", 0, &format!("none {SEARCH_PATH}\nno line\n"), "");
    }
    #[test]
    fn the_first_of_what_it_says_is_kept_and_the_last_words() {
        let ended =
            sh("printf first; yes | head -c 100000; yes | head -c 100000 >&2; printf last >&2", 60_000).unwrap();
        assert!(ended.said.starts_with(b"first") && ended.said.len() == SAID_LEN_MAX);
        assert!(ended.last_words.ends_with(b"last") && ended.last_words.len() == SAID_LEN_MAX);
    }
    #[test]
    fn one_that_does_not_end_is_killed_with_what_it_started() {
        let dir = Temporary::new();
        let path = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", path.display());
        assert_eq!(sh(&script, 500).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let pid: u32 = std::fs::read_to_string(path).unwrap().trim().parse().unwrap();
        let is_there = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!((0..1_000_000).any(|_| !is_there()), "it goes on");
    }
    #[test]
    fn one_that_leaves_something_behind_has_ended() {
        check("sleep 5 & echo started", 0, "started\n", "");
    }
    #[test]
    fn a_lock_is_held_as_long_as_what_was_started_with_it() {
        let dir = Temporary::new();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let mut child = Command::new("/bin/cat").arg("/dev/stdin").stdin(lock.share().unwrap()).spawn().unwrap();
        assert!(child.wait().unwrap().success(), "it cannot be read");
        let mut child = Command::new("/bin/sleep").arg("1000").stdin(lock.share().unwrap()).spawn().unwrap();
        drop(lock);
        assert_eq!(DirectoryLock::take(dir.path()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        child.kill().unwrap();
        child.wait().unwrap();
        DirectoryLock::take(dir.path()).unwrap();
    }
    #[test]
    fn one_that_is_not_there() {
        let dir = Temporary::new();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let gone = run(Path::new("/nowhere/program"), &[], &lock, Duration::from_secs(1));
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
