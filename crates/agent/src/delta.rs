//! An image that is made of the one that is carried, and of a delta that is fetched in its place.
//!
//! What it was made from is compared with what was signed before anything is fetched; the delta comes as an image does, and is
//! verified as one; and what is made is verified as if it had come as a whole. Whatever is wrong before that, the image itself is fetched.

use crate::commands::Commands;
use crate::config::{Config, Places};
use crate::download::{Download, Verified, digest_of};
use crate::fault::{Failure, REFUSED, Result};
use crate::round::{INCOMING, note_of};
use crate::state::Carried;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use update::Image;
use update::delta::Delta;
use update::tuf::Target;

// Names of components may have dots, but their files are told apart by what is behind the last one.
fn kept(config: &Config, component: &str) -> PathBuf {
    config.data.join(INCOMING).join(format!("{component}.delta"))
}
fn note(config: &Config, component: &str) -> PathBuf {
    config.data.join(INCOMING).join(format!("{component}.delta-pieces"))
}

/// Forgets what has come of a delta.
pub(crate) fn forget(config: &Config, component: &str) -> Result {
    Download::forget(&note(config, component))?;
    Download::forget(&kept(config, component))
}

/// A component whose image may be made of what it carries.
pub(crate) struct Making<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a Target,
    pub(crate) carried: Option<&'a Carried>,
    pub(crate) commands: Commands<'a>,
    pub(crate) config: &'a Config,
}

impl Making<'_> {
    /// Makes the image. `None` if there is no delta to it, or the image is coming as a whole already.
    ///
    /// # Errors
    /// What is wrong with it, and how the delta is called.
    pub(crate) fn run(
        &self,
        download: &Download<'_>,
        places: &Places,
    ) -> std::result::Result<Option<Verified>, (String, Failure)> {
        let of = |delta: &Delta| delta.target().name().to_owned();
        let delta = match Delta::to(self.image) {
            Ok(None) => return Ok(None),
            Ok(Some(delta)) => delta,
            Err(bad) => return Err((self.image.name().to_owned(), self.cannot().because(bad))),
        };
        let come = Download::noted(&note_of(self.config, self.name), self.image.length());
        let is_begun = note(self.config, self.name).exists();
        if come == self.image.length() || (come > 0 && !is_begun) {
            return Ok(None);
        }
        self.follow(&delta, download, places).map(Some).map_err(|failure| (of(&delta), failure))
    }

    fn follow(&self, delta: &Delta, download: &Download<'_>, places: &Places) -> Result<Verified> {
        let base = self.base(delta, download)?;
        let place = kept(self.config, self.name);
        let pieces = self.config.privacy.pieces(delta.target().length());
        let note = note(self.config, self.name);
        Download::new(delta.target(), &place, note, pieces).run(&places.targets)?;
        let mut octets = File::open(&place).map_err(|e| Failure::file(&place, &e))?;
        let made = download.make(&mut octets, &base, delta.base().length);
        let verified = made.map_err(|failure| self.cannot().because(failure.why))?;
        forget(self.config, self.name)?;
        Ok(verified)
    }

    /// What it is made of: the image that is carried, octet for octet.
    fn base(&self, delta: &Delta, download: &Download<'_>) -> Result<File> {
        let Image { digest, length } = delta.base();
        if delta.target().length() >= self.image.length() {
            return Err(self.cannot().because("the delta is as long as the image"));
        }
        if self.carried.map(|carried| (carried.sha256, carried.length)) != Some((digest, length)) {
            return Err(self.cannot().because("it was made from another image than the one that is carried"));
        }
        let Some(path) = self.commands.active(self.name)? else {
            return Err(self.cannot().because("nobody says where the image lies that is carried"));
        };
        let ours = |e: std::io::Error| Failure::file(&path, &e);
        let file = File::open(&path).map_err(ours)?;
        if is_same(&file.metadata().map_err(ours)?, download.place()) {
            return Err(self.cannot().because("the image would be written where the one lies that is carried"));
        }
        if digest_of(&file, 0, length).map_err(ours)? != Some(digest) {
            return Err(self
                .cannot()
                .because(format!("{} does not begin with the image that is carried", path.display())));
        }
        Ok(file)
    }

    fn cannot(&self) -> Failure {
        Failure::new(REFUSED, format!("{} is not made of a delta", self.image.name()))
            .next("the image is fetched as a whole; tell who publishes, if the delta should have fitted")
    }
}

// Whether a path leads to an open file or device.
fn is_same(file: &Metadata, path: &Path) -> bool {
    let Ok(other) = std::fs::metadata(path) else { return false };
    let is_device = file.file_type().is_block_device() && other.file_type().is_block_device();
    (file.dev(), file.ino()) == (other.dev(), other.ino()) || (is_device && file.rdev() == other.rdev())
}
