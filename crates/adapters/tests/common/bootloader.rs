//! A bootloader on the other end of a pseudo terminal. It receives files by `rb` of lrzsz.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const PROMPT: &str = "boot> ";
const BLOCK_LEN: usize = 512;

/// What the board is made of, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) memory: Vec<u8>,
    pub(crate) disk: Vec<u8>,
    /// Every command that was executed.
    pub(crate) executed: Vec<String>,
    /// An octet changes in memory after it was received.
    pub(crate) bad_memory: bool,
    /// An octet changes on the disk when it is written.
    pub(crate) bad_disk: bool,
    /// Writing does nothing, and says that all is well.
    pub(crate) writes_nothing: bool,
    /// Reading does nothing, and says that all is well.
    pub(crate) reads_nothing: bool,
    /// Writing fails, and says so.
    pub(crate) full: bool,
    /// How it ends in the middle of a transfer, if it does.
    pub(crate) end: Option<End>,
    /// It says this all the time, and listens to nothing.
    pub(crate) chatter: Option<&'static str>,
    /// It says nothing at all.
    pub(crate) dead: bool,
}

/// How a board ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// It stops answering.
    Silent,
    /// The line itself goes.
    Gone,
    /// It starts again, and chatters.
    Restart,
}

/// A board that runs until it is dropped.
pub(crate) struct Bootloader {
    pub(crate) parts: Arc<Mutex<Parts>>,
    pub(crate) tty: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Without somebody who has the terminal open, the board would see a line that is gone between two stations.
    _held: File,
}

impl Bootloader {
    pub(crate) fn start(dir: &Path, parts: Parts) -> Self {
        let parts = Parts { memory: vec![0x5a; 4 * 1024 * 1024], disk: vec![0xa5; 1024 * 1024], ..parts };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let tty = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let held = rustix::fs::open(&tty, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let (parts, stop) = (Arc::new(Mutex::new(parts)), Arc::new(AtomicBool::new(false)));
        let board = Board {
            line: File::from(master),
            parts: Arc::clone(&parts),
            stop: Arc::clone(&stop),
            dir: dir.to_owned(),
            typed: String::new(),
        };
        let thread = Some(std::thread::spawn(|| board.run()));
        Self { parts, tty, stop, thread, _held: File::from(held) }
    }
}
impl Drop for Bootloader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Board {
    line: File,
    parts: Arc<Mutex<Parts>>,
    stop: Arc<AtomicBool>,
    dir: PathBuf,
    typed: String,
}

impl Board {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let (chatter, dead) = {
                let parts = self.parts.lock().unwrap();
                (parts.chatter, parts.dead)
            };
            if let Some(chatter) = chatter {
                self.say(chatter);
            }
            let Some(octets) = self.hear() else { continue };
            if dead || chatter.is_some() {
                continue;
            }
            for octet in octets {
                if !self.key(octet) {
                    return;
                }
            }
        }
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        if rustix::event::poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&timeout)).unwrap() == 0 {
            return None;
        }
        let mut buffer = [0; 4096];
        let len = self.line.read(&mut buffer).unwrap_or(0);
        Some(buffer[..len].to_vec())
    }

    fn say(&mut self, text: &str) {
        // A chatterer must not wait for a listener.
        let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        if rustix::event::poll(&mut [PollFd::new(&self.line, PollFlags::OUT)], Some(&timeout)).unwrap() > 0 {
            let _ = self.line.write_all(text.as_bytes());
        }
    }

    /// One octet from the line; whether the board goes on.
    fn key(&mut self, octet: u8) -> bool {
        match octet {
            3 => {
                self.typed.clear();
                self.say(&format!("<INTERRUPT>\r\n{PROMPT}"));
            }
            0x18 => self.typed.clear(),
            8 => drop(self.typed.pop()),
            b'\r' => return self.execute(),
            octet => {
                self.typed.push(char::from(octet));
                self.say(&char::from(octet).to_string());
            }
        }
        true
    }

    fn execute(&mut self) -> bool {
        let typed = std::mem::take(&mut self.typed);
        let (command, mark) = typed.split_once("; echo ").unwrap();
        self.parts.lock().unwrap().executed.push(command.to_owned());
        self.say("\r\n");
        let words: Vec<&str> = command.split(' ').collect();
        let end = self.parts.lock().unwrap().end;
        let (output, status) = match (words[0], end) {
            ("loady", Some(end)) => return self.end(end),
            ("loady", None) => self.load(number(words[1])),
            _ => self.command(&words),
        };
        self.say(&format!("{output}\r\n{}\r\n{PROMPT}", mark.replace("$?", &status.to_string())));
        true
    }

    fn command(&mut self, words: &[&str]) -> (String, u8) {
        let mut parts = self.parts.lock().unwrap();
        let numbers: Vec<usize> = words[1..].iter().map(|word| number(word)).collect();
        match (words[0], numbers.as_slice()) {
            ("mw.b", [at, fill, len]) => {
                let fill = u8::try_from(*fill).unwrap();
                parts.memory[*at..at + len].fill(fill);
                (String::new(), 0)
            }
            ("write", _) if parts.full => ("ERROR: disk full".to_owned(), 1),
            ("write", _) if parts.writes_nothing => ("OK".to_owned(), 0),
            ("read", _) if parts.reads_nothing => ("OK".to_owned(), 0),
            ("write", [at, block, blocks]) => {
                let (from, to, len) = (*at, block * BLOCK_LEN, blocks * BLOCK_LEN);
                let octets = parts.memory[from..from + len].to_vec();
                parts.disk[to..to + len].copy_from_slice(&octets);
                if parts.bad_disk {
                    parts.disk[to + 100] ^= 1;
                }
                ("OK".to_owned(), 0)
            }
            ("read", [at, block, blocks]) => {
                let (to, from, len) = (*at, block * BLOCK_LEN, blocks * BLOCK_LEN);
                let octets = parts.disk[from..from + len].to_vec();
                parts.memory[to..to + len].copy_from_slice(&octets);
                ("OK".to_owned(), 0)
            }
            ("crc32", [at, len]) => (format!("crc32 ==> {:08x}", crc32(&parts.memory[*at..at + len])), 0),
            ("sha256", [at, len]) => (format!("sha256 ==> {}", x509::sha256(&parts.memory[*at..at + len])), 0),
            ("show-board", _) => ("cpu_id=CPU:1".to_owned(), 0),
            ("show-serial", _) => ("SN1".to_owned(), 0),
            ("show-type", _) => ("board_type=sensor".to_owned(), 0),
            ("key", _) => ("spki=0a0b".to_owned(), 0),
            ("sign", _) => (words[1].to_owned(), 0),
            (unknown, _) => (format!("Unknown command '{unknown}'"), 1),
        }
    }

    /// Receives a file by lrzsz.
    fn load(&mut self, at: usize) -> (String, u8) {
        let line = || Stdio::from(self.line.try_clone().unwrap());
        let mut rb = Command::new("rb");
        rb.arg("--overwrite").current_dir(&self.dir).stdin(line()).stdout(line()).stderr(Stdio::null());
        if !rb.status().unwrap().success() {
            return ("## Binary (ymodem) download aborted".to_owned(), 1);
        }
        let octets = std::fs::read(self.dir.join("image")).unwrap();
        let mut parts = self.parts.lock().unwrap();
        parts.memory[at..at + octets.len()].copy_from_slice(&octets);
        if parts.bad_memory {
            parts.memory[at + 100] ^= 1;
        }
        (format!("## Total Size = {}", octets.len()), 0)
    }

    /// Takes the first 3000 octets of a transfer, and ends.
    fn end(&mut self, end: End) -> bool {
        self.say("C");
        let mut len = 0;
        while len < 3000 && !self.stop.load(Ordering::Relaxed) {
            let heard = self.hear().unwrap_or_default();
            len += heard.len();
            if heard.len() >= 100 || heard.len() == 1 {
                self.say("\x06");
            }
            if len == 133 {
                self.say("C");
            }
        }
        match end {
            End::Silent => self.parts.lock().unwrap().dead = true,
            End::Restart => self.parts.lock().unwrap().chatter = Some("Booting Linux...\r\n"),
            End::Gone => return false,
        }
        true
    }
}

fn number(digits: &str) -> usize {
    usize::from_str_radix(digits, 16).unwrap_or(0)
}

fn crc32(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
