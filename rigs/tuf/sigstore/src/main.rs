//! A device with sigstore-tuf, the client of TUF that sigstore's programs in Rust use: brings its metadata up to date, and
//! downloads a target.
//!
//! `sigstore-follow KEPT REPOSITORY NOW NAME`: what is trusted lies in KEPT, beginning with `root.json`; the repository is read
//! where it lies. Prints the octets; nothing if nobody announces them. Exit status 1, with the reason, if something is refused.

use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, FileStore, Repository, Result, Updater};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

/// A repository in files.
struct Folder(PathBuf);

impl Folder {
    fn fetch(&self, folder: &str, name: &str, len_max: u64) -> Result<Option<Vec<u8>>> {
        let failed = |e| Error::io(format!("reading {name}"), e);
        let file = match std::fs::File::open(self.0.join(folder).join(name)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut octets = Vec::new();
        let read = file.take(len_max + 1).read_to_end(&mut octets).map_err(failed)?;
        if read as u64 > len_max { Err(Error::transport(format!("{name} is too long"))) } else { Ok(Some(octets)) }
    }
}

impl Repository for Folder {
    fn fetch_metadata<'a>(&'a self, name: &'a str, len_max: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.fetch("metadata", name, len_max) })
    }
    fn fetch_target<'a>(&'a self, path: &'a str, len_max: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.fetch("targets", path, len_max) })
    }
}

/// Files never make anybody wait for them.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn follow(kept: &Path, repository: &Path, at: jiff::Timestamp, name: &str) -> Result<Option<Vec<u8>>> {
    let root = std::fs::read(kept.join("root.json")).map_err(|e| Error::io("reading the first root", e))?;
    let mut updater =
        Updater::new(Folder(repository.to_owned()), &root)?.with_store(FileStore::new(kept.join("store")));
    now(updater.refresh(at))?;
    match now(updater.get_target_info(name, at))? {
        Some(target) => now(updater.download_target(&target, name)).map(Some),
        None => Ok(None),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kept, repository, at, name] = words.as_slice() else {
        eprintln!("usage: sigstore-follow KEPT REPOSITORY NOW NAME");
        return ExitCode::from(2);
    };
    let Ok(at) = at.parse() else {
        eprintln!("{at} is no time");
        return ExitCode::from(2);
    };
    match follow(Path::new(kept), Path::new(repository), at, name) {
        Ok(octets) => match std::io::stdout().write_all(&octets.unwrap_or_default()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(refused) => {
            let mut why: Option<&dyn std::error::Error> = Some(&refused);
            while let Some(error) = why {
                eprintln!("{error}");
                why = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
