//! Repositories of software in directories and on servers.

use crate::http::{Files as Served, PATIENCE, Resuming, Shown};
use model::Fault;
use model::contract::software::Source;
use ports::source::{Files, NotFetched, Repositories, Sources};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Directories of this box, and servers.
#[derive(Clone, Debug, Default)]
pub struct DirectoriesAndServers {
    /// What is shown to https servers that ask who we are.
    pub shown: Option<Shown>,
}

impl Sources for DirectoriesAndServers {
    fn open(&self, source: &Source) -> Result<Repositories, Fault> {
        match source {
            Source::Directory(path) => directory(Path::new(path)),
            Source::Servers { images, director, tls_anchors } => {
                let anchors: Vec<_> = tls_anchors.iter().map(|der| der.as_ref().to_vec()).collect();
                let below = |address: &str, folder: &str| -> Result<Box<dyn Files>, Fault> {
                    let address = format!("{}/{folder}", address.trim_end_matches('/'));
                    // An address of http needs no anchors, whatever the other address needs them for.
                    let anchors = if address.starts_with("https://") { anchors.as_slice() } else { &[] };
                    let served = Served::showing(&address, anchors, self.shown.as_ref(), PATIENCE);
                    Ok(Box::new(served.map_err(|bad| Fault::Malformed(bad.0.into()))?))
                };
                let director = director.as_deref().map(|address| below(address, "metadata")).transpose()?;
                Ok(Repositories { images: below(images, "metadata")?, targets: below(images, "targets")?, director })
            }
        }
    }
}

fn directory(path: &Path) -> Result<Repositories, Fault> {
    let images = path.join("images");
    // What is an image repository itself has no other one in it.
    let images = if images.is_dir() { images } else { path.to_owned() };
    if !images.join("metadata").is_dir() {
        return Err(Fault::unavailable("there is no repository in this directory: it has no folder `metadata`"));
    }
    let below = |folder: PathBuf| -> Box<dyn Files> { Box::new(Directory(folder)) };
    let director = path.join("director").join("metadata");
    let director = director.is_dir().then(|| below(director));
    Ok(Repositories { images: below(images.join("metadata")), targets: below(images.join("targets")), director })
}

/// Files of a directory. Their names are those that a repository gives, and never lead upwards.
struct Directory(PathBuf);

impl Directory {
    fn path(&self, path: &str) -> Result<PathBuf, NotFetched> {
        let leads_away = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\0']);
        if path.split('/').any(leads_away) {
            return Err(NotFetched::NotThere);
        }
        Ok(self.0.join(path))
    }
}

impl Files for Directory {
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        crate::files::read_bounded(&self.path(path)?, len_max).map_err(|e| not_read(&e))
    }
    fn open(&self, path: &str, _len_max: u64) -> Result<Box<dyn Read + Send>, NotFetched> {
        let file = crate::files::open_regular(&self.path(path)?).map_err(|e| not_read(&e))?;
        Ok(Box::new(file))
    }
}

fn not_read(error: &io::Error) -> NotFetched {
    match error.kind() {
        ErrorKind::NotFound => NotFetched::NotThere,
        ErrorKind::FileTooLarge => NotFetched::TooLong,
        _ => NotFetched::Unreachable(error.to_string()),
    }
}

impl Files for Served {
    fn fetch(&self, path: &str, len_max: u64) -> Result<Vec<u8>, NotFetched> {
        Self::fetch(self, path, len_max)
    }
    fn open(&self, path: &str, len_max: u64) -> Result<Box<dyn Read + Send>, NotFetched> {
        Ok(Box::new(Resuming::open(self, path, len_max)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;
    use std::fs;

    fn open(path: &Path) -> Result<Repositories, Fault> {
        DirectoriesAndServers::default().open(&Source::Directory(path.display().to_string()))
    }
    fn put(dir: &Path, name: &str, octets: &[u8]) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    }

    #[test]
    fn a_stick_has_both_repositories() {
        let dir = Temporary::new();
        put(dir.path(), "images/metadata/timestamp.json", b"images");
        put(dir.path(), "images/targets/a/b.img", b"image");
        put(dir.path(), "director/metadata/timestamp.json", b"director");
        let found = open(dir.path()).unwrap();
        assert_eq!(found.images.fetch("timestamp.json", 6), Ok(b"images".to_vec()));
        assert_eq!(found.images.fetch("timestamp.json", 5), Err(NotFetched::TooLong));
        assert_eq!(found.director.unwrap().fetch("timestamp.json", 100), Ok(b"director".to_vec()));
        let mut image = Vec::new();
        found.targets.open("a/b.img", 5).unwrap().read_to_end(&mut image).unwrap();
        assert_eq!(image, b"image");
    }
    #[test]
    fn an_image_repository_is_a_source_itself() {
        let dir = Temporary::new();
        put(dir.path(), "metadata/timestamp.json", b"images");
        let found = open(dir.path()).unwrap();
        assert_eq!(found.images.fetch("timestamp.json", 100), Ok(b"images".to_vec()));
        assert_eq!(found.images.fetch("2.root.json", 100), Err(NotFetched::NotThere));
        assert!(found.director.is_none());
    }
    #[test]
    fn no_name_leads_elsewhere() {
        let dir = Temporary::new();
        put(dir.path(), "metadata/timestamp.json", b"images");
        put(dir.path(), "secret", b"secret");
        let found = open(dir.path()).unwrap();
        for path in ["../secret", "/etc/hostname", "a/../../secret", "./timestamp.json", "", "a\\b"] {
            assert_eq!(found.images.fetch(path, 100), Err(NotFetched::NotThere), "{path:?}");
        }
        assert!(matches!(found.targets.open("../secret", 100), Err(NotFetched::NotThere)));
    }
    #[test]
    fn a_directory_without_a_repository_is_none() {
        let dir = Temporary::new();
        assert!(matches!(open(dir.path()), Err(Fault::Unavailable(_))));
        assert!(matches!(open(&dir.path().join("none")), Err(Fault::Unavailable(_))));
    }
    #[test]
    fn addresses_that_are_none() {
        let open = |images: &str| {
            let source = Source::Servers { images: images.into(), director: None, tls_anchors: Vec::new() };
            DirectoriesAndServers::default().open(&source).map(drop)
        };
        assert!(open("http://127.0.0.1:1/repository/").is_ok());
        assert!(matches!(open("ftp://example"), Err(Fault::Malformed(_))));
        assert!(matches!(open("https://example"), Err(Fault::Malformed(_))), "nobody is trusted to certify it");
    }
}
