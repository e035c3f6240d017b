//! What the agent knows of its components, from one round to the next.

use crate::fault::{Failure, Result};
use adapters::files;
use model::{Digest, UnixTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use update::uptane::ManifestKey;

const FILE: &str = "state.json";
/// Longest file of what is known: a component takes about a thousand octets.
const STATE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// An image, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Carried {
    pub(crate) target: String,
    pub(crate) length: u64,
    pub(crate) sha256: Digest,
    pub(crate) release_counter: u64,
}

/// How far an image has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// It comes.
    Downloading,
    /// It was begun to be installed, so often.
    Installing { tries: u32 },
    /// It is installed; the next start runs it, or it runs already. It is not confirmed.
    Unconfirmed,
    /// It runs and is not well; the device was told to go back to what it ran before.
    Reverting,
}

/// An image on its way to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) target: String,
    pub(crate) release_counter: u64,
    pub(crate) length: u64,
    /// One of its hashes, which tells it from others.
    pub(crate) hash: String,
    /// Known once all of it was verified.
    pub(crate) sha256: Option<Digest>,
    pub(crate) stage: Stage,
    /// Where it is written.
    pub(crate) place: PathBuf,
    /// What ran before it was installed, and in which run of the machine that was.
    pub(crate) before: Option<String>,
    pub(crate) boot: Option<String>,
}

impl Pending {
    /// Once it is verified.
    pub(crate) fn carried(&self) -> Option<Carried> {
        let (target, length, release_counter) = (self.target.clone(), self.length, self.release_counter);
        self.sha256.map(|sha256| Carried { target, length, sha256, release_counter })
    }
}

/// An image that a component had and did not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) target: String,
    pub(crate) release_counter: u64,
    pub(crate) hash: String,
    pub(crate) why: String,
    pub(crate) at_s: u64,
    /// How often the director was told, since, what is carried instead.
    pub(crate) told: u32,
}

/// A delta that was not used: its image is fetched as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassedOver {
    pub(crate) delta: String,
    /// One of the image's hashes.
    pub(crate) hash: String,
    pub(crate) why: String,
    pub(crate) at_s: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComponentState {
    /// What it carries, confirmed.
    pub(crate) carries: Option<Carried>,
    /// Nothing with a lower release counter is installed.
    pub(crate) floor: u64,
    pub(crate) pending: Option<Pending>,
    pub(crate) failed: Option<Failed>,
    /// The last one.
    pub(crate) passed_over: Option<PassedOver>,
}

/// The last that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) at_s: u64,
    pub(crate) what: String,
    pub(crate) why: String,
}

/// What the director has answered that it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) at_s: u64,
    pub(crate) number: u64,
    pub(crate) carries: BTreeMap<String, Carried>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) components: BTreeMap<String, ComponentState>,
    pub(crate) refused: Option<Refusal>,
    pub(crate) reported: Option<Reported>,
    /// The key to which the director wants reports sealed, as it said last.
    pub(crate) manifest_key: Option<ManifestKey>,
}

impl State {
    /// What is kept in a directory, for these components. One that is new carries what it left the factory with.
    pub(crate) fn load<'a>(
        directory: &Path,
        components: impl Iterator<Item = (&'a str, Option<&'a Carried>)>,
    ) -> Result<Self> {
        let path = directory.join(FILE);
        let mut state: Self = match files::read_bounded(&path, STATE_LEN_MAX) {
            Ok(octets) => serde_json::from_slice(&octets).map_err(|e| {
                Failure::new("state", format!("{} cannot be used", path.display())).because(e).next(
                    "the medium altered it. Say in the configuration what each component carries, with its release counter, and remove the file",
                )
            })?,
            Err(e) if e.kind() == ErrorKind::NotFound => Self::default(),
            Err(e) => return Err(Failure::file(&path, &e)),
        };
        // One that the configuration leaves out for a while keeps its floor.
        for (name, carries) in components {
            let component = state.components.entry(name.to_owned()).or_default();
            if component.carries.is_none() {
                component.carries = carries.cloned();
            }
            let least = component.carries.as_ref().map_or(0, |carried| carried.release_counter);
            component.floor = component.floor.max(least).max(carries.map_or(0, |carried| carried.release_counter));
        }
        Ok(state)
    }

    /// Keeps it, durably.
    pub(crate) fn save(&self, directory: &Path) -> Result {
        let path = directory.join(FILE);
        let octets =
            serde_json::to_vec(self).map_err(|e| Failure::new("state", "the state was not kept").because(e))?;
        files::replace(&path, &octets).map_err(|e| Failure::file(&path, &e))
    }

    /// What these components carry, if that is known of all.
    pub(crate) fn carries<'a>(&self, names: impl Iterator<Item = &'a String>) -> Option<BTreeMap<String, Carried>> {
        names.map(|name| Some((name.clone(), self.components.get(name)?.carries.clone()?))).collect()
    }

    /// Remembers what was refused.
    pub(crate) fn refuse(&mut self, failure: &Failure, now: UnixTime) {
        if failure.code == crate::fault::REFUSED {
            self.refused = Some(Refusal { at_s: now.s(), what: failure.what.clone(), why: failure.why.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(release_counter: u64) -> Carried {
        Carried { target: "os.img".into(), length: 1, sha256: Digest::new([7; 32]), release_counter }
    }
    #[track_caller]
    fn check(kept: Option<(u64, u64)>, configured: Option<u64>, expected: (Option<u64>, u64)) {
        let dir = tempfile::tempdir().unwrap();
        if let Some((carries, floor)) = kept {
            let component = ComponentState { carries: Some(image(carries)), floor, ..ComponentState::default() };
            State { components: [("modem".to_owned(), component)].into(), ..State::default() }
                .save(dir.path())
                .unwrap();
            // Between the two, the configuration leaves it out.
            State::load(dir.path(), [("radio", None)].into_iter()).unwrap().save(dir.path()).unwrap();
        }
        let configured = configured.map(image);
        let state = State::load(dir.path(), [("modem", configured.as_ref())].into_iter()).unwrap();
        let modem = &state.components["modem"];
        assert_eq!((modem.carries.as_ref().map(|image| image.release_counter), modem.floor), expected);
    }
    #[test]
    fn what_a_device_left_the_factory_with() {
        check(None, None, (None, 0));
        check(None, Some(3), (Some(3), 3));
    }
    #[test]
    fn what_is_kept_counts_more_than_the_factory() {
        check(Some((5, 5)), Some(3), (Some(5), 5));
        check(Some((5, 7)), None, (Some(5), 7));
    }
    #[test]
    fn a_floor_in_the_configuration_only_raises() {
        check(Some((5, 5)), Some(9), (Some(5), 9));
    }
    #[test]
    fn a_component_of_which_nothing_is_known_keeps_all_from_being_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (modem, radio) = (image(1), "radio".to_owned());
        let state = State::load(dir.path(), [("modem", Some(&modem)), ("radio", None)].into_iter()).unwrap();
        assert_eq!(state.carries(["modem".to_owned()].iter()).unwrap()["modem"], modem);
        assert_eq!(state.carries(["modem".to_owned(), radio].iter()), None);
    }
}
