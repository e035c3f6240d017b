//! Asking a person.

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use zeroize::Zeroizing;

/// Longest answer, in octets.
const ANSWER_LEN_MAX: u64 = 1024;

/// Asks for a secret on the terminal, without showing it.
///
/// # Errors
/// If there is no terminal, or nothing was typed.
pub fn read_secret(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let shown = tcgetattr(&terminal)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    (&terminal).write_all(prompt.as_bytes())?;
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    let read = BufReader::new((&terminal).take(ANSWER_LEN_MAX)).read_until(b'\n', &mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &shown)?;
    (&terminal).write_all(b"\n")?;
    read?;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    if line.is_empty() { Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing was typed")) } else { Ok(line) }
}
