//! A file that comes over a line which breaks: what is missing is asked for again, and nothing comes twice.

use super::{Fetching, Files, NotFetched, PACE_LEN};
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// How often in a row the line may break before it has brought [`PACE_LEN`] octets.
const IDLE_MAX: u32 = 3;
/// How often the line may break at all.
const BROKEN_MAX: u32 = 1000;

/// A file of a length that is known before. Whether its parts are of one file is for its reader to find out.
pub struct Resuming {
    files: Files,
    path: String,
    length: u64,
    source: Option<Fetching>,
    at: u64,
    since_broken: u64,
    idle: u32,
    broken: u32,
}

impl Resuming {
    /// Begins to fetch a file; `path` is percent-encoded and not absolute. From a server that sends no parts all of it comes again.
    ///
    /// # Errors
    /// [`NotFetched`], also if the file is longer.
    pub fn open(files: &Files, path: &str, length: u64) -> Result<Self, NotFetched> {
        let source = Some(files.open(path, length)?);
        let (files, path) = (files.clone(), path.to_owned());
        Ok(Self { files, path, length, source, at: 0, since_broken: 0, idle: 0, broken: 0 })
    }

    // `Ok(None)`: the line broke, and is tried again.
    fn go_on(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        if self.source.is_none() {
            match self.files.open_part(&self.path, self.at, self.length, self.length) {
                Ok(source) => self.source = Some(source),
                Err(NotFetched::Unreachable(why)) => return self.broke(io::Error::other(why)),
                Err(NotFetched::TooSlow) => return self.broke(ErrorKind::TimedOut.into()),
                Err(NotFetched::TooLong) => return Err(ErrorKind::FileTooLarge.into()),
                Err(NotFetched::TooShort) => return Err(ErrorKind::InvalidData.into()),
                Err(NotFetched::NotThere) => return Err(ErrorKind::NotFound.into()),
            }
        }
        let Some(source) = &mut self.source else { unreachable!("it was opened above") };
        match source.read(into) {
            Ok(len) => {
                let read = u64::try_from(len).unwrap_or(u64::MAX);
                self.at = self.at.saturating_add(read);
                self.since_broken = self.since_broken.saturating_add(read);
                Ok(Some(len))
            }
            Err(fault) if fault.kind() == ErrorKind::Interrupted => Ok(None),
            Err(fault) => self.broke(fault),
        }
    }

    fn broke(&mut self, fault: io::Error) -> io::Result<Option<usize>> {
        self.source = None;
        self.broken += 1;
        self.idle = if std::mem::take(&mut self.since_broken) < PACE_LEN { self.idle + 1 } else { 0 };
        let is_final = fault.kind() == ErrorKind::FileTooLarge || self.at >= self.length;
        if is_final || self.idle == IDLE_MAX || self.broken == BROKEN_MAX { Err(fault) } else { Ok(None) }
    }
}

impl Read for Resuming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(len) = self.go_on(into)? {
                return Ok(len);
            }
        }
    }
}

impl fmt::Debug for Resuming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resuming")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;
    use crate::sources::DirectoriesAndServers;
    use model::contract::software::Source;
    use ports::source::Sources;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;
    use std::time::Duration;

    const LEN: usize = 400_000;

    fn file() -> Vec<u8> {
        (0..LEN).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    /// Answers each connection with so many octets of what was asked for, and closes it. Gives where each began that was asked for.
    fn server(brings: Vec<usize>, knows_parts: bool) -> (String, JoinHandle<Vec<usize>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for brings in brings {
                let (mut client, _) = listener.accept().unwrap();
                let head: Vec<_> =
                    BufReader::new(&client).lines().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
                let from = head.iter().find_map(|line| line.strip_prefix("Range: bytes="));
                let from = from.map_or(0, |range| range.split_once('-').unwrap().0.parse().unwrap());
                asked.push(from);
                let (status, from) = if from > 0 && knows_parts { ("206 Partial", from) } else { ("200 OK", 0) };
                let range = format!("Content-Range: bytes {from}-{}/{LEN}", LEN - 1);
                let range = if status.starts_with("206") { range } else { "Age: 0".to_owned() };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}\r\n\r\n", LEN - from);
                client.write_all(head.as_bytes()).unwrap();
                let _gone = client.write_all(&file()[from..LEN.min(from + brings)]);
            }
            asked
        });
        (url, answering)
    }

    #[track_caller]
    fn check(brings: &[usize], knows_parts: bool, asked: &[usize], comes: bool) {
        let (url, answering) = server(brings.to_vec(), knows_parts);
        let files = Files::below(&url, &[], Duration::from_secs(60)).unwrap();
        let mut octets = Vec::new();
        let read = Resuming::open(&files, "image", u64::try_from(LEN).unwrap()).unwrap().read_to_end(&mut octets);
        // Who gave up does not ask the last time: the server is not to wait for it.
        let _asked = (!comes).then(|| Files::fetch(&files, "image", 1));
        assert_eq!((read.is_ok(), answering.join().unwrap()), (comes, asked.to_vec()), "{read:?}");
        assert!(!comes || octets == file(), "{} octets are not the file", octets.len());
    }
    #[test]
    fn a_line_that_holds_is_asked_once() {
        check(&[LEN], true, &[0], true);
    }
    #[test]
    fn what_is_missing_is_asked_for_and_nothing_twice() {
        check(&[100_000, 70_000, 80_000, LEN], true, &[0, 100_000, 170_000, 250_000], true);
    }
    #[test]
    fn a_server_that_sends_no_parts_is_asked_too() {
        check(&[100_000, 200_000, LEN], false, &[0, 100_000, 200_000], true);
    }
    #[test]
    fn a_line_that_brings_next_to_nothing_is_given_up() {
        check(&[100_000, 10, 10, 10, LEN], true, &[0, 100_000, 100_010, 100_020, 0], false);
        check(&[10, 10, 10, LEN], true, &[0, 10, 20, 0], false);
    }
    #[test]
    fn one_that_brings_something_again_is_not() {
        check(
            &[100_000, 10, 10, 100_000, 10, 10, LEN],
            true,
            &[0, 100_000, 100_010, 100_020, 200_020, 200_030, 200_040],
            true,
        );
    }
    #[test]
    fn so_do_images_that_sm_fetches() {
        let (images, answering) = server(vec![100_000, LEN], true);
        let source = Source::Servers { images, director: None, tls_anchors: Vec::new() };
        let found = DirectoriesAndServers::default().open(&source).unwrap();
        let mut octets = Vec::new();
        found.targets.open("image", u64::try_from(LEN).unwrap()).unwrap().read_to_end(&mut octets).unwrap();
        assert_eq!((octets == file(), answering.join().unwrap()), (true, vec![0, 100_000]));
    }
}
