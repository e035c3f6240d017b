//! Files beneath one directory, whole or in part.

use super::answer::{Answer, Content};
use super::range::{Part, part};
use super::request::Head;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use model::octets::hex;
use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Most names in a path.
const DEPTH_MAX: usize = 16;
/// Longest name, in octets, as Linux has it.
const NAME_LEN_MAX: usize = 255;

/// How much of a file is read at once to sum it up.
const PIECE_LEN: usize = 128 * 1024;

/// What a file comes to, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// By SHA-1: it protects nothing any more, and names the file for who knows nothing better.
    pub sha1: String,
    /// By SHA-256.
    pub sha256: String,
    /// How many octets it has.
    pub len: u64,
}

/// A directory, held open: nothing outside of it is opened, whatever is asked for, and whatever links lie in it.
#[derive(Debug)]
pub struct Beneath {
    directory: File,
}

impl Beneath {
    /// What is beneath this directory.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let directory = File::open(directory)?;
        if directory.metadata()?.is_dir() { Ok(Self { directory }) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    /// Answers a request for a file. `path` is its percent-encoded name beneath the directory, without `/` in front.
    ///
    /// The file is looked for under the name as it was sent, and, if there is none, under what it encodes: a file may have
    /// a percent-encoded name itself. Directories are not listed, links are not followed.
    #[must_use]
    pub fn answer(&self, head: &Head, path: &str, media_type: &str) -> Answer {
        if !matches!(head.method(), "GET" | "HEAD") {
            return Answer::text(405, "This is a file; it can be read only.").with("allow", "GET, HEAD");
        }
        let found = self.find(path).and_then(|file| {
            let about = file.metadata()?;
            if about.is_file() { Ok((file, about)) } else { Err(ErrorKind::NotFound.into()) }
        });
        match found {
            Ok((file, about)) => self::answer(head, file, &about, media_type),
            Err(error) if is_not_there(&error) => Answer::text(404, "There is no such file."),
            Err(error) => {
                tracing::error!(%error, "a file that is served cannot be opened");
                Answer::text(500, "The file cannot be read.")
            }
        }
    }

    /// Reads a whole file, named as for [`Beneath::answer`], and sums it up.
    ///
    /// # Errors
    /// As the operating system says; [`ErrorKind::NotFound`] if it is no file.
    pub fn sums(&self, path: &str) -> io::Result<Sums> {
        let mut file = self.find(path)?;
        if !file.metadata()?.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let (mut sha1, mut sha256) = (Context::new(&SHA1_FOR_LEGACY_USE_ONLY), Context::new(&SHA256));
        let (mut len, mut piece) = (0_u64, vec![0; PIECE_LEN]);
        loop {
            let read = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let octets = piece.get(..read).unwrap_or_default();
            len = len.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            sha1.update(octets);
            sha256.update(octets);
        }
        Ok(Sums { sha1: hex(sha1.finish().as_ref()), sha256: hex(sha256.finish().as_ref()), len })
    }

    fn find(&self, path: &str) -> io::Result<File> {
        let names: Vec<&str> = path.split('/').collect();
        if names.len() > DEPTH_MAX {
            return Err(ErrorKind::NotFound.into());
        }
        match self.descend(names.iter().map(|name| Some(name.as_bytes().to_vec()))) {
            Err(error) if is_not_there(&error) && path.contains('%') => {
                self.descend(names.iter().map(|name| decoded(name)))
            }
            found => found,
        }
    }

    fn descend(&self, names: impl Iterator<Item = Option<Vec<u8>>>) -> io::Result<File> {
        let mut at = self.directory.try_clone()?;
        for name in names {
            let name = name.filter(|name| is_plain(name)).ok_or(ErrorKind::NotFound)?;
            // NONBLOCK: a pipe would wait for a writer.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            at = File::from(openat(&at, name, flags, Mode::empty())?);
        }
        Ok(at)
    }
}

fn is_plain(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_LEN_MAX && !name.iter().any(|c| matches!(c, 0 | b'/'))
}

// A link is `ELOOP`, what lies beneath a file `ENOTDIR`.
fn is_not_there(error: &io::Error) -> bool {
    let link = rustix::io::Errno::LOOP.raw_os_error();
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) || error.raw_os_error() == Some(link)
}

fn decoded(name: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = name.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high << 4 | low
            }
            octet => octet,
        });
    }
    Some(octets)
}

const fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

fn answer(head: &Head, file: File, about: &std::fs::Metadata, media_type: &str) -> Answer {
    let len = about.len();
    // A file is replaced by another one, with another number; one that is altered has another time.
    let tag = format!("\"{:x}-{:x}-{:x}-{len:x}\"", about.ino(), about.mtime(), about.mtime_nsec());
    if head.field("if-none-match").is_some_and(|tags| names(tags, &tag)) {
        return Answer::empty(304).with("etag", &tag);
    }
    let asked = head.field("range").filter(|_| head.field("if-range").is_none_or(|wanted| wanted == tag));
    let (status, from, part_len) = match part(asked, len) {
        Part::Whole => (200, 0, len),
        Part::Range { from, len } => (206, from, len),
        Part::Outside => return Answer::empty(416).with("content-range", &format!("bytes */{len}")),
    };
    let source: Box<dyn Read + Send> = match from_there(file, from) {
        Ok(file) => Box::new(file.take(part_len)),
        Err(error) => {
            tracing::error!(%error, "a file that is served cannot be read");
            return Answer::text(500, "The file cannot be read.");
        }
    };
    let answer = Answer::new(status, media_type, Content::Stream { len: Some(part_len), source });
    let answer = answer.with("etag", &tag).with("accept-ranges", "bytes");
    if status == 206 {
        let last = from.saturating_add(part_len).saturating_sub(1);
        return answer.with("content-range", &format!("bytes {from}-{last}/{len}"));
    }
    answer
}

fn from_there(mut file: File, from: u64) -> io::Result<File> {
    file.seek(SeekFrom::Start(from))?;
    Ok(file)
}

fn names(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
