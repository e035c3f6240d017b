//! An image that comes in as many parts as the line lets through, to where it will stay.
//!
//! What is on the medium is read and compared again before anything is added to it: by the digests of its pieces, which are
//! noted as they are durable. They say only where to go on. That it is the image is decided at the end, over all of it, read back
//! from the medium.

use crate::fault::{Failure, NOT_THERE, REFUSED, Result};
use crate::pieces::{Part, Pieces};
use adapters::files;
use adapters::http::{Fetching, Files, NotFetched, PACE_LEN};
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use update::delta::{self, Medium};
use update::tuf::{BadMetadata, HashFunction, Refused, Target};

/// How many octets are noted at once: as many may be fetched again after the process was killed.
const PIECE_LEN: u64 = 1024 * 1024;
/// How much is in memory at once.
const BUFFER_LEN: usize = 64 * 1024;
/// How often in a row the line may break before it has brought [`PACE_LEN`] octets, until this is for the next round.
const IDLE_MAX: u32 = 3;
/// How often the line may break in one round.
const ATTEMPTS_MAX: u32 = 1000;
/// Longest note of pieces: those of the longest image.
const NOTE_LEN_MAX: u64 = 8 * 1024 * 1024;

/// What is known of an image that is coming.
#[derive(Debug)]
pub(crate) struct Download<'a> {
    target: &'a Target,
    place: &'a Path,
    note: PathBuf,
    pieces: Pieces,
}

/// An image that lies where it was written, and was verified there. Only [`Download::run`] makes one.
#[derive(Debug)]
pub(crate) struct Verified {
    sha256: Digest,
}

impl Verified {
    pub(crate) const fn sha256(&self) -> Digest {
        self.sha256
    }
}

// Where an image is written, and how far it has come.
struct Coming {
    file: File,
    note: File,
    at: u64,
    piece: Context,
}

// An image that is made of the one before.
struct Making<'a> {
    download: &'a Download<'a>,
    coming: Coming,
    base: &'a File,
}

impl Medium for Making<'_> {
    fn read_base(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.base.read_exact_at(into, at)
    }
    fn read_made(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.coming.file.read_exact_at(into, at)
    }
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.download.put(&mut self.coming, octets).map_err(|failure| io::Error::other(failure.why))
    }
}

/// How a server sends a file of which a part was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Parts,
    Whole,
}

enum Broken {
    Line(NotFetched),
    Ours(Failure),
}

impl<'a> Download<'a> {
    /// Of a target, to a place, asked for in these pieces; `note` is the file where what has come is noted.
    pub(crate) const fn new(target: &'a Target, place: &'a Path, note: PathBuf, pieces: Pieces) -> Self {
        Self { target, place, note, pieces }
    }

    /// Where it is written.
    pub(crate) const fn place(&self) -> &Path {
        self.place
    }

    /// Fetches what is not there yet, and verifies the whole.
    pub(crate) fn run(&self, targets: &Files) -> Result<Verified> {
        let file = self.open().map_err(|e| Failure::file(self.place, &e))?;
        let (at, note) = self.resume(&file).map_err(|e| Failure::file(&self.note, &e))?;
        let mut coming = Coming { file, note, at, piece: Context::new(&SHA256) };
        let (mut idle, mut broken) = (0, 0);
        let mut source = Source::Parts;
        while coming.at < self.target.length() {
            let before = coming.at;
            match self.fetch(targets, &mut coming) {
                Ok(said) => (idle, source) = (0, said),
                Err(Broken::Ours(failure)) => return Err(failure),
                Err(Broken::Line(not)) => {
                    broken += 1;
                    idle = if coming.at - before < PACE_LEN { idle + 1 } else { 0 };
                    if idle == IDLE_MAX
                        || matches!(not, NotFetched::NotThere | NotFetched::TooLong | NotFetched::TooShort)
                    {
                        return Err(self.not_come(&not));
                    }
                    if broken == ATTEMPTS_MAX {
                        let why = format!("the line broke {ATTEMPTS_MAX} times");
                        return Err(self.not_come(&NotFetched::Unreachable(why)));
                    }
                }
            }
        }
        if source == Source::Parts {
            self.pieces.cover().for_each(|part| self.pretend(targets, part));
        }
        self.finish(&coming.file)
    }

    /// Makes the whole of a delta and of the image before, which has so many octets, and verifies it as if it had come.
    pub(crate) fn make(&self, delta: &mut File, base: &File, base_len: u64) -> Result<Verified> {
        let file = self.open().map_err(|e| Failure::file(self.place, &e))?;
        Self::forget(&self.note)?;
        let (at, note) = self.resume(&file).map_err(|e| Failure::file(&self.note, &e))?;
        let coming = Coming { file, note, at, piece: Context::new(&SHA256) };
        let mut making = Making { download: self, coming, base };
        let made = delta::apply(delta, base_len, self.target.length(), &mut making);
        made.map_err(|bad| Failure::new(REFUSED, format!("{} was not made", self.target.name())).because(bad))?;
        self.finish(&making.coming.file)
    }

    /// Forgets what has come.
    pub(crate) fn forget(note: &Path) -> Result {
        match std::fs::remove_file(note) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Failure::file(note, &e)),
            _ => Ok(()),
        }
    }

    /// How many octets of an image are noted. What is there was compared with nothing.
    pub(crate) fn noted(note: &Path, length: u64) -> u64 {
        let Ok(octets) = files::read_bounded(note, NOTE_LEN_MAX) else { return 0 };
        let lines = octets.iter().filter(|octet| **octet == b'\n').count();
        let pieces = u64::try_from(lines).unwrap_or(u64::MAX).saturating_sub(1);
        pieces.saturating_mul(PIECE_LEN).min(length)
    }

    fn open(&self) -> io::Result<File> {
        // In /dev a name that is wrong would become a file in memory.
        let may_make = !self.place.starts_with("/dev");
        OpenOptions::new().read(true).write(true).create(may_make).truncate(false).mode(0o600).open(self.place)
    }

    // What the note is about: these octets at this place, and no others.
    fn title(&self) -> String {
        format!("{} {} {}", self.target.length(), self.target.hashes().naming(), self.place.display())
    }

    /// Compares what is there with what was noted of it. Gives how much is good, and the note, to be continued.
    fn resume(&self, file: &File) -> io::Result<(u64, File)> {
        let noted = match files::read_bounded(&self.note, NOTE_LEN_MAX) {
            Ok(octets) => String::from_utf8(octets).unwrap_or_default(),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => String::new(),
            Err(e) => return Err(e),
        };
        let (mut lines, mut good, mut at) = (noted.split_inclusive('\n'), String::new(), 0);
        if lines.next().and_then(|line| line.strip_suffix('\n')) == Some(&self.title()) {
            for line in lines {
                let len = PIECE_LEN.min(self.target.length().saturating_sub(at));
                let Some(noted) = line.strip_suffix('\n').and_then(|text| text.parse::<Digest>().ok()) else { break };
                if len == 0 || digest_of(file, at, len)? != Some(noted) {
                    break;
                }
                good.push_str(line);
                at += len;
            }
        }
        files::replace(&self.note, format!("{}\n{good}", self.title()).as_bytes())?;
        Ok((at, OpenOptions::new().append(true).open(&self.note)?))
    }

    // One connection, until it breaks or a piece is there; all, from a server that sends no parts.
    fn fetch(&self, targets: &Files, coming: &mut Coming) -> std::result::Result<Source, Broken> {
        let length = self.target.length();
        let Part { from, to } = self.pieces.next(coming.at);
        let mut source = targets.open_part(&self.target.path(), from, to, length).map_err(Broken::Line)?;
        let (to, said) = if source.is_part() { (to, Source::Parts) } else { (length, Source::Whole) };
        let mut buffer = vec![0; BUFFER_LEN];
        // What is there already, in a piece that begins before.
        let mut known = coming.at - from;
        while coming.at < to {
            let left = if known > 0 { known } else { to - coming.at };
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let into = buffer.get_mut(..room).unwrap_or_default();
            let len = match source.read(into) {
                Ok(0) => return Err(Broken::Line(NotFetched::Unreachable("it ended in the middle".to_owned()))),
                Ok(len) => len,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(Broken::Line(Fetching::why(&e))),
            };
            if known > 0 {
                known -= u64::try_from(len).unwrap_or(u64::MAX);
                continue;
            }
            let octets = into.get(..len).unwrap_or_default();
            self.put(coming, octets).map_err(Broken::Ours)?;
        }
        Ok(said)
    }

    // Writes what comes next, and notes each piece that is whole.
    fn put(&self, coming: &mut Coming, mut octets: &[u8]) -> Result {
        while !octets.is_empty() {
            let left = (coming.at / PIECE_LEN + 1) * PIECE_LEN - coming.at;
            let (now, later) = octets.split_at(octets.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            coming.file.write_all_at(now, coming.at).map_err(|e| Failure::file(self.place, &e))?;
            coming.piece.update(now);
            coming.at += u64::try_from(now.len()).unwrap_or(u64::MAX);
            if coming.at == self.target.length() || coming.at.is_multiple_of(PIECE_LEN) {
                self.take_note(coming).map_err(|e| Failure::file(&self.note, &e))?;
            }
            octets = later;
        }
        Ok(())
    }

    // Fetches what is there already, for whoever watches. That it did not come changes nothing.
    fn pretend(&self, targets: &Files, part: Part) {
        let Ok(source) = targets.open_part(&self.target.path(), part.from, part.to, self.target.length()) else {
            return;
        };
        let _unheard = io::copy(&mut source.take(part.to - part.from), &mut io::sink());
    }

    // The piece is durable before it is noted, and noted at once: whoever is killed leaves a whole line, or none.
    fn take_note(&self, coming: &mut Coming) -> io::Result<()> {
        files::sync(&coming.file, self.place);
        let piece = std::mem::replace(&mut coming.piece, Context::new(&SHA256));
        let Some(digest) = Digest::from_slice(piece.finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        coming.note.write_all(format!("{digest}\n").as_bytes())?;
        files::sync(&coming.note, &self.note);
        Ok(())
    }

    // Reads all of it back, from the medium as far as the system lets.
    fn finish(&self, file: &File) -> Result<Verified> {
        let ours = |e: io::Error| Failure::file(self.place, &e);
        let there = file.metadata().map_err(ours)?;
        if there.is_file() && there.len() > self.target.length() {
            file.set_len(self.target.length()).map_err(ours)?;
        }
        files::sync(file, self.place);
        files::forget_in_memory(file);
        let announced = self.target.hashes().of(HashFunction::Sha256).and_then(Digest::from_slice);
        let mut sha256 = if announced.is_none() { Some(Context::new(&SHA256)) } else { None };
        let (mut check, mut at, mut buffer) = (self.target.check(), 0, vec![0; BUFFER_LEN]);
        while at < self.target.length() {
            let room = usize::try_from(self.target.length() - at).unwrap_or(usize::MAX).min(BUFFER_LEN);
            let len = file.read_at(buffer.get_mut(..room).unwrap_or_default(), at).map_err(ours)?;
            if len == 0 {
                break;
            }
            let octets = buffer.get(..len).unwrap_or_default();
            check.feed(octets).map_err(|bad| self.refuse(bad))?;
            if let Some(context) = &mut sha256 {
                context.update(octets);
            }
            at += u64::try_from(len).unwrap_or(u64::MAX);
        }
        if let Err(bad) = check.finish() {
            // Which of its octets are wrong is not known: none of them is gone on from.
            Self::forget(&self.note)?;
            return Err(self.refuse(bad));
        }
        let computed = sha256.and_then(|context| Digest::from_slice(context.finish().as_ref()));
        let Some(sha256) = announced.or(computed) else { unreachable!("SHA-256 has 32 octets (FIPS 180-4)") };
        Ok(Verified { sha256 })
    }

    fn refuse(&self, bad: BadMetadata) -> Failure {
        Failure::refused(&Refused { file: self.target.name().to_owned(), bad })
    }

    fn not_come(&self, not: &NotFetched) -> Failure {
        let bad = match not {
            NotFetched::NotThere => BadMetadata::NotThere,
            NotFetched::TooLong => BadMetadata::TargetTooLong,
            NotFetched::TooShort => BadMetadata::TargetMismatch,
            NotFetched::TooSlow => BadMetadata::TooSlow,
            NotFetched::Unreachable(_) => BadMetadata::Unreachable,
        };
        let mut failure = self.refuse(bad);
        if bad == BadMetadata::NotThere {
            failure.code = NOT_THERE;
        }
        let why = format!("{}: {not}", failure.why);
        failure.because(why)
    }
}

/// The digest of so many octets; `None` if there are fewer.
pub(crate) fn digest_of(file: &File, from: u64, len: u64) -> io::Result<Option<Digest>> {
    let (mut context, mut at, mut buffer) = (Context::new(&SHA256), 0, vec![0; BUFFER_LEN]);
    while at < len {
        let room = usize::try_from(len - at).unwrap_or(usize::MAX).min(BUFFER_LEN);
        let got = file.read_at(buffer.get_mut(..room).unwrap_or_default(), from + at)?;
        if got == 0 {
            return Ok(None);
        }
        context.update(buffer.get(..got).unwrap_or_default());
        at += u64::try_from(got).unwrap_or(u64::MAX);
    }
    Ok(Digest::from_slice(context.finish().as_ref()))
}
