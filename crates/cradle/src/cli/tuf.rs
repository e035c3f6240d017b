//! `cradle tuf-client`: following a repository of TUF, as conformance suites drive clients.

use super::Common;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemClock;
use adapters::files::{self, DirectoryLock};
use adapters::http::{Fetching, Files, Incoming, NotFetched, PATIENCE, Shown};
use clap::Subcommand;
use ports::Clock;
use serde_json::json;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use update::tuf::{Answer, BadMetadata, Client, FILE_LEN_MAX, Limits, NotDone, Outside, Refused, Target};
use x509::pem;
use zeroize::Zeroizing;

/// Follow a repository of TUF: keep its metadata, and download what it signs. Exit status 0 or 1.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the metadata is kept that is trusted.
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,
    /// Where the repository has its metadata.
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,
    /// Where the repository has its targets.
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,
    /// Where targets are kept.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Which target.
    #[arg(long, value_name = "NAME")]
    target_name: Option<String>,
    #[command(flatten)]
    line: Line,
    #[command(subcommand)]
    verb: Verb,
}

/// How servers are spoken with.
#[derive(clap::Args)]
pub(super) struct Line {
    /// Certificates in PEM, by one of which an https server's must be issued.
    #[arg(long, value_name = "FILE")]
    tls_anchors: Option<PathBuf>,
    /// Our certificate, in PEM, for servers that ask who we are; those between it and its root may follow it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of our certificate: PKCS #8 in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// How many seconds a server may take for each 64 KiB.
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
}

#[derive(Subcommand)]
enum Verb {
    /// Begin with a root that is trusted already.
    Init {
        /// The file, as it came with the device.
        trusted_root: PathBuf,
    },
    /// Bring the metadata up to date.
    Refresh,
    /// Bring the metadata up to date and download a target, unless it is there already.
    Download,
}

/// Longest file of certificates for TLS.
const ANCHORS_LEN_MAX: u64 = 1024 * 1024;

/// The certificates in a file of PEM, in DER.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    let text = files::read_bounded(path, ANCHORS_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    pem::blocks(&text).ok_or_else(|| Failure::file(path, &ErrorKind::InvalidData.into()))
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let ran = match &arguments.verb {
        Verb::Init { trusted_root } => init(common, &arguments.metadata_dir, trusted_root),
        Verb::Refresh => refresh(common, arguments),
        Verb::Download => download(common, arguments),
    };
    // Whoever drives this knows two statuses.
    ran.map_err(|failure| Failure { exit: Exit::Failed, ..failure })
}

fn init(common: &Common, dir: &Path, trusted_root: &Path) -> Result {
    let octets = begin_with(dir, trusted_root)?;
    let shown = json!({ "metadata_dir": dir, "root_octets": octets });
    common.out().one(&shown, || format!("{} is what {} begins with\n", trusted_root.display(), dir.display()))
}

/// Keeps a root to begin with, if it stands by itself and there is no other one.
pub(crate) fn begin_with(dir: &Path, trusted_root: &Path) -> Result<usize> {
    let octets =
        files::read_bounded(trusted_root, Limits::DEFAULT.root_len_max).map_err(|e| Failure::file(trusted_root, &e))?;
    let mut client = Client::new(Limits::DEFAULT, SystemClock.now());
    client.answer(Answer::Octets(octets.clone())).map_err(|refused| failed(&refused))?;
    std::fs::create_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
    let path = dir.join("root.json");
    match files::read_bounded(&path, Limits::DEFAULT.root_len_max) {
        Ok(kept) if kept == octets => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            files::publish(&path, &octets).map_err(|e| Failure::file(&path, &e))?;
        }
        // One that may be newer, or of another repository.
        _ => return Err(Failure::file(&path, &ErrorKind::AlreadyExists.into())),
    }
    Ok(octets.len())
}

fn refresh(common: &Common, arguments: &Arguments) -> Result {
    let _alone = alone(&arguments.metadata_dir)?;
    let mut side = side(arguments)?;
    Client::new(Limits::DEFAULT, SystemClock.now()).drive(&mut side).map_err(|e| side.failed(e))?;
    let shown = json!({ "metadata_dir": arguments.metadata_dir, "refreshed": true });
    common.out().one(&shown, || format!("{} is up to date\n", arguments.metadata_dir.display()))
}

fn download(common: &Common, arguments: &Arguments) -> Result {
    let name = needed(arguments.target_name.as_ref(), "--target-name")?;
    let dir = needed(arguments.target_dir.as_ref(), "--target-dir")?;
    let base = needed(arguments.target_base_url.as_ref(), "--target-base-url")?;
    let targets = arguments.line.below(base)?;
    let _alone = alone(&arguments.metadata_dir)?;
    let mut side = side(arguments)?;
    let mut client = Client::new(Limits::DEFAULT, SystemClock.now());
    let target = client.look_for(name, &mut side).map_err(|e| side.failed(e))?;
    std::fs::create_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
    let path = dir.join(target.file());
    let fetched = fetch(&target, &targets, &path)?;
    let shown = json!({ "target": name, "file": path, "length": target.length(), "fetched": fetched });
    common.out().one(&shown, || {
        let came = if fetched { "was downloaded to" } else { "is already in" };
        format!("{name} {came} {}\n", path.display())
    })
}

/// What two processes keep at once would be a mixture of both.
pub(super) fn alone(dir: &Path) -> Result<DirectoryLock> {
    DirectoryLock::take(dir).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => Failure::new(Exit::Failed, "in-use", format!("{} is in use", dir.display()))
            .because("another command follows a repository with it")
            .next("wait until it has ended"),
        _ => Failure::file(dir, &e),
    })
}

fn side(arguments: &Arguments) -> Result<Side> {
    let url = needed(arguments.metadata_url.as_ref(), "--metadata-url")?;
    Ok(Side::new(&arguments.metadata_dir, arguments.line.below(url)?))
}

/// An option without which this cannot be done.
pub(super) fn needed<'a, T>(option: Option<&'a T>, name: &str) -> Result<&'a T> {
    option.ok_or_else(|| Failure::new(Exit::Usage, "usage", format!("{name} is missing")).next("see --help"))
}

impl Line {
    pub(super) fn below(&self, url: &str) -> Result<Files> {
        let anchors = match &self.tls_anchors {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        // An address of http needs no anchors, whatever the other address needs them for.
        let anchors = if url.starts_with("https://") { anchors } else { Vec::new() };
        let shown = if url.starts_with("https://") { self.shown()? } else { None };
        Files::showing(url, &anchors, shown.as_ref(), Duration::from_secs(self.patience)).map_err(|bad| {
            Failure::new(Exit::Usage, "usage", format!("{url} cannot be used")).because(bad).next("correct it")
        })
    }
}

impl Line {
    fn shown(&self) -> Result<Option<Shown>> {
        let (Some(certificate), Some(key)) = (&self.tls_certificate, &self.tls_key) else { return Ok(None) };
        let octets = Zeroizing::new(files::read_bounded(key, ANCHORS_LEN_MAX).map_err(|e| Failure::file(key, &e))?);
        let decoded = pem::decode(&octets).filter(|(label, _)| label == "PRIVATE KEY");
        let key = decoded.ok_or_else(|| Failure::file(key, &ErrorKind::InvalidData.into()))?.1;
        Ok(Some(Shown { chain: certificates(certificate)?, key: Zeroizing::new(key).into() }))
    }
}

/// One repository, and the directory where what is trusted of it is kept.
pub(crate) struct Side {
    dir: PathBuf,
    repository: Source,
    /// What became of the last file that did not come.
    last: Option<NotFetched>,
}

/// Where the files of a repository are.
enum Source {
    Line(Files),
    Folder(PathBuf),
}

/// A file of ours cannot be used.
#[derive(Debug)]
pub(crate) struct Broken(PathBuf, std::io::Error);

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Side({})", self.dir.display())
    }
}

impl Side {
    pub(super) fn new(dir: &Path, repository: Files) -> Self {
        Self { dir: dir.to_owned(), repository: Source::Line(repository), last: None }
    }

    /// A repository whose metadata lies in a folder of this machine.
    pub(crate) fn of_folder(dir: &Path, metadata: &Path) -> Self {
        Self { dir: dir.to_owned(), repository: Source::Folder(metadata.to_owned()), last: None }
    }

    /// Why a client was not driven to its end, with what the line said.
    pub(crate) fn failed(&self, why: NotDone<Broken>) -> Failure {
        match (why, &self.last) {
            (NotDone::Outside(Broken(path, fault)), _) => Failure::file(path, &fault),
            (NotDone::Refused(refused), Some(NotFetched::Unreachable(what)))
                if refused.bad == BadMetadata::Unreachable =>
            {
                let failure = failed(&refused);
                let why = format!("{}: {what}", failure.why);
                failure.because(why)
            }
            (NotDone::Refused(refused), _) => failed(&refused),
        }
    }
}

impl Outside for Side {
    type Fault = Broken;

    fn load(&mut self, file: &str) -> std::result::Result<Answer, Broken> {
        let path = self.dir.join(file);
        match files::read_bounded(&path, u64::try_from(FILE_LEN_MAX).unwrap_or(u64::MAX)) {
            Ok(octets) => Ok(Answer::Octets(octets)),
            // One that is longer than any that was ever kept is as good as none.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => Ok(Answer::NotThere),
            Err(e) => Err(Broken(path, e)),
        }
    }

    fn fetch(&mut self, file: &str, len_max: u64) -> Answer {
        let fetched = match &self.repository {
            Source::Line(files) => files.fetch(file, len_max),
            Source::Folder(folder) => files::read_bounded(&folder.join(file), len_max).map_err(|e| match e.kind() {
                ErrorKind::NotFound => NotFetched::NotThere,
                ErrorKind::FileTooLarge => NotFetched::TooLong,
                _ => NotFetched::Unreachable(e.to_string()),
            }),
        };
        match fetched {
            Ok(octets) => Answer::Octets(octets),
            Err(not) => {
                self.last = Some(not.clone());
                answer(&not)
            }
        }
    }

    fn forget(&mut self, file: &str) -> std::result::Result<(), Broken> {
        let path = self.dir.join(file);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Broken(path, e)),
            _ => files::sync_directory(&self.dir).map_err(|e| Broken(path, e)),
        }
    }

    fn persist(&mut self, file: &str, octets: &[u8]) -> std::result::Result<(), Broken> {
        let path = self.dir.join(file);
        files::publish(&path, octets).map_err(|e| Broken(path, e))
    }
}

fn answer(not: &NotFetched) -> Answer {
    match not {
        NotFetched::NotThere => Answer::NotThere,
        NotFetched::TooLong => Answer::TooLong,
        NotFetched::TooSlow => Answer::TooSlow,
        NotFetched::TooShort | NotFetched::Unreachable(_) => Answer::Unreachable,
    }
}

/// Downloads a target, unless the file is it already; nothing else ever lies there. Says whether it was fetched.
pub(super) fn fetch(target: &Target, targets: &Files, path: &Path) -> Result<bool> {
    if files::open_regular(path).is_ok_and(|file| flow(target, file, |_| Ok(())).is_ok()) {
        return Ok(false);
    }
    let source = targets.open(&target.path(), target.length()).map_err(|not| not_come(target, &not))?;
    keep(target, source, path)?;
    Ok(true)
}

/// Keeps a target in a file, once all of it is right.
pub(crate) fn keep(target: &Target, source: impl Read, path: &Path) -> Result {
    let mut incoming = Incoming::begin(path).map_err(|e| Failure::file(path, &e))?;
    match flow(target, source, |octets| incoming.write(octets)) {
        Ok(()) => incoming.publish().map_err(|e| Failure::file(path, &e)),
        Err(Ended::Refused(bad)) => Err(failed(&Refused { file: target.name().to_owned(), bad })),
        Err(Ended::Line(fault)) => Err(not_come(target, &Fetching::why(&fault))),
        Err(Ended::Disk(fault)) => Err(Failure::file(path, &fault)),
    }
}

enum Ended {
    Refused(BadMetadata),
    Line(std::io::Error),
    Disk(std::io::Error),
}

/// How much of a target is in memory at once.
const PIECE_LEN: usize = 64 * 1024;

// Compares a target while it flows to where it goes.
fn flow(
    target: &Target,
    mut source: impl Read,
    mut to: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::result::Result<(), Ended> {
    let (mut check, mut piece) = (target.check(), vec![0; PIECE_LEN]);
    loop {
        let len = match source.read(&mut piece) {
            Ok(0) => return check.finish().map_err(Ended::Refused),
            Ok(len) => len,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Ended::Line(e)),
        };
        let octets = piece.get(..len).unwrap_or_default();
        check.feed(octets).map_err(Ended::Refused)?;
        to(octets).map_err(Ended::Disk)?;
    }
}

fn not_come(target: &Target, not: &NotFetched) -> Failure {
    let bad = match not {
        NotFetched::NotThere => BadMetadata::NotThere,
        NotFetched::TooLong => BadMetadata::TargetTooLong,
        NotFetched::TooShort => BadMetadata::TargetMismatch,
        NotFetched::TooSlow => BadMetadata::TooSlow,
        NotFetched::Unreachable(_) => BadMetadata::Unreachable,
    };
    let failure = failed(&Refused { file: target.name().to_owned(), bad });
    let why = format!("{}: {not}", failure.why);
    failure.because(why)
}

/// What a refusal is to whoever asked.
pub(super) fn failed(refused: &Refused) -> Failure {
    let (code, next) = match (refused.bad, refused.bad.attack()) {
        (BadMetadata::NoTarget, _) => ("tuf-no-target", "check its name; who publishes says what there is"),
        (_, Some(_)) => (
            "tuf-refused",
            "nothing of it was taken; tell who publishes, and try again later: nothing is to be repaired",
        ),
        (_, None) => ("tuf-incomplete", "check the address, and try again later: nothing is to be repaired"),
    };
    Failure::new(Exit::Failed, code, format!("{} was not taken", refused.file)).because(refused.bad).next(next)
}
