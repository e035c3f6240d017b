//! Which repositories of software a box follows: the files of their first roots, which an operator put there.

use super::Workshop;
use crate::config::{Config, FILE, FollowConfig, Places};
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use model::audit::{Entry, Event};
use model::{DeviceId, DeviceType, Module};
use ports::store::AuditSink;
use std::path::{Path, PathBuf};
use update::bundle::{Primary, Repository, is_root};
use update::tuf::Limits;
use x509::sha256;

const SETTINGS_LEN_MAX: u64 = 64 * 1024;

/// The file of the first root of a repository.
pub(crate) fn root_file(places: &Places, repository: Repository) -> PathBuf {
    places.roots().join(format!("{}.json", repository.name()))
}

/// Who this box is to a director: the installation, whose boxes have the same records.
pub(crate) fn device(config: &Config) -> Result<DeviceId> {
    let text = format!("urn:dev:ops:{}-box-{}", config.maker_pen, config.log().as_str().replace('-', "%2D"));
    text.parse().map_err(|e: model::text::BadName| {
        Failure::new(Exit::Usage, "name", "this installation has no name that a director knows").because(e)
    })
}

/// The types of devices that this box provisions: those that have a file.
pub(crate) fn device_types(places: &Places) -> Result<Vec<DeviceType>> {
    let directory = places.device_types();
    let mut types = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(|e| Failure::file(&directory, &e))? {
        let path = entry.map_err(|e| Failure::file(&directory, &e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"));
        types.extend(name.and_then(|name| name.parse::<DeviceType>().ok()));
    }
    types.sort();
    Ok(types)
}

/// Reads a root that stands by itself.
pub(crate) fn read_root(path: &Path) -> Result<Vec<u8>> {
    let octets = files::read_bounded(path, Limits::DEFAULT.root_len_max).map_err(|e| Failure::file(path, &e))?;
    is_root(&octets).map_err(|refused| {
        Failure::new(Exit::Failed, "root", format!("{} cannot be a first root", path.display()))
            .because(refused.bad)
            .next("get the repository's root.json again from whoever publishes, and compare its SHA-256 with them")
    })?;
    Ok(octets)
}

/// This box, if it follows repositories: as its settings say, whatever lies in `roots/`.
pub(crate) fn primary(places: &Places, config: &Config) -> Result<Option<Primary>> {
    let Some(follow) = config.follow else { return Ok(None) };
    let root = |repository, expected| {
        let path = root_file(places, repository);
        let octets = read_root(&path)?;
        if sha256(&octets) == expected {
            return Ok(octets);
        }
        let what = format!("{} is not the root that this box began with", path.display());
        Err(Failure::new(Exit::Failed, "root", what)
            .because(format!("[follow] in cradle.toml has SHA-256 {expected}"))
            .next("put it back from a backup; to follow another repository, use `cradle release follow`"))
    };
    Ok(Some(Primary {
        device: device(config)?,
        device_types: device_types(places)?,
        images_root: root(Repository::Images, follow.images)?,
        director_root: follow.director.map(|expected| root(Repository::Director, expected)).transpose()?,
    }))
}

/// Has an installation follow these repositories from now on, which is recorded before it counts.
pub(crate) fn begin(workshop: &Workshop, images: &[u8], director: Option<&[u8]>) -> Result<FollowConfig> {
    let event = Event::RepositoriesFollowed { images: sha256(images), director: director.map(sha256) };
    let entry = Entry { at: workshop.clock.now(), by: Module::Console, event };
    workshop.store.append(vec![entry])?;
    follow(&workshop.places, images, director)
}

/// Follows these repositories from now on: their roots first, then the line in the settings that makes them count.
fn follow(places: &Places, images: &[u8], director: Option<&[u8]>) -> Result<FollowConfig> {
    let directory = places.roots();
    files::private_directory(&directory).map_err(|e| Failure::file(&directory, &e))?;
    for (repository, root) in [(Repository::Images, Some(images)), (Repository::Director, director)] {
        let path = root_file(places, repository);
        let Some(root) = root else { continue };
        files::publish(&path, root).map_err(|e| Failure::file(&path, &e))?;
    }
    let follow = FollowConfig { images: sha256(images), director: director.map(sha256) };
    let path = places.data().join(FILE);
    let text = files::read_bounded(&path, SETTINGS_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
    let text = with_follow(&String::from_utf8_lossy(&text), follow);
    files::publish(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    Ok(follow)
}

// Everything else in the settings stays as somebody wrote it.
fn with_follow(text: &str, follow: FollowConfig) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim() == "[follow]";
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let director = follow.director.map(|digest| format!("director = \"{digest}\"\n")).unwrap_or_default();
    format!("{}\n\n[follow]\nimages = \"{}\"\n{director}", kept.trim_end(), follow.images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_as_they_are_but_for_what_is_followed() {
        let (one, two) = (sha256(b"1"), sha256(b"2"));
        let text = "name = \"works\" # by hand\n\n[vault]\nsoftware = \"x\"\n";
        let first = with_follow(text, FollowConfig { images: one, director: None });
        assert_eq!(first, format!("{text}\n[follow]\nimages = \"{one}\"\n"));
        let behind = format!("{first}\n[station]\ntray_len = 3\n");
        let second = with_follow(&behind, FollowConfig { images: two, director: Some(one) });
        let expected =
            format!("{text}\n[station]\ntray_len = 3\n\n[follow]\nimages = \"{two}\"\ndirector = \"{one}\"\n");
        assert_eq!(second, expected);
    }
}
