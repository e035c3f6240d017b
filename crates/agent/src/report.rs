//! Telling the director what is carried: signed, under the director's nonce, and kept until it has answered.

use crate::config::{Config, Manifests, Padding, Places};
use crate::fault::{Failure, INCOMPLETE, Result};
use crate::state::{Carried, Reported, State};
use adapters::files;
use adapters::http::NotFetched;
use adapters::sealing::seal;
use model::{Nonce, UnixTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use update::Image;
use update::uptane::{
    MANIFEST_LEN_MAX, ManifestKey, Report, SealedManifest, padded, padded_len, write_manifest, write_report,
};

const FILE: &str = "report.json";
/// Longest answer of the director, in octets.
const ANSWER_LEN_MAX: u64 = 4096;
/// What has not changed is reported once a day, so that the director knows that the device is there.
const REPORT_WITHIN_S: u64 = 86_400;

/// How often the director is told of what failed: when a device has said three times that it carries something else than it was
/// told to, it counts as failed.
const TOLD_MAX: u32 = 3;

/// A manifest on its way.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    number: u64,
    carries: BTreeMap<String, Carried>,
    manifest: String,
}

/// What the director gives for the next manifest.
#[derive(Deserialize)]
struct Given {
    nonce: Nonce,
    number: u64,
}

/// What the director made of a manifest.
enum Taken {
    Yes,
    /// Its nonce is used up or too old, or it is not what it should be.
    No(String),
}

/// How a manifest goes to the director.
#[derive(Clone, Copy)]
enum Way {
    Sealed(ManifestKey),
    Plain,
}

impl Way {
    fn of(config: &Config, state: &State) -> Result<Self> {
        match (config.privacy.manifests, state.manifest_key) {
            (Manifests::Plain, _) => Ok(Self::Plain),
            (Manifests::Sealed, Some(key)) => Ok(Self::Sealed(key)),
            (Manifests::Sealed, None) => Err(Failure::new(INCOMPLETE, "what is carried was not reported")
                .because("the director announces no key to which it could be sealed, and others would read it")
                .next("renew the director, or say manifests = \"plain\" below [privacy]; the next round reports it")),
        }
    }

    fn pack(self, config: &Config, manifest: &str) -> std::result::Result<Vec<u8>, adapters::sealing::NotSealed> {
        let octets = manifest.as_bytes().to_vec();
        let octets = match config.privacy.padding {
            Padding::Steps => {
                let len = padded_len(octets.len(), config.components.len());
                padded(octets, len)
            }
            Padding::None => octets,
        };
        let Self::Sealed(to) = self else { return Ok(octets) };
        let key = to.name();
        let sealed = seal(&octets, &SealedManifest::info(key, &config.device), to.octets())?;
        Ok(SealedManifest { key, sealed }.encode())
    }
}

fn path(config: &Config) -> PathBuf {
    config.data.join(FILE)
}

/// Whether a manifest waits for an answer of the director.
pub(crate) fn is_waiting(config: &Config) -> bool {
    path(config).exists()
}

/// Whether there is something that the director does not know; `failed` are the components that were told something and failed.
pub(crate) fn is_needed(config: &Config, state: &State, failed: &[String], now: UnixTime) -> bool {
    let untold = |name: &String| {
        state.components.get(name).and_then(|known| known.failed.as_ref()).is_some_and(|failed| failed.told < TOLD_MAX)
    };
    match &state.reported {
        Some(reported) if state.carries(config.components.keys()).as_ref() == Some(&reported.carries) => {
            failed.iter().any(untold) || now.s().saturating_sub(reported.at_s) >= REPORT_WITHIN_S
        }
        _ => true,
    }
}

/// Sends a manifest that waits, if there is one. If the director does not take it, it may have been taken before; what it said is
/// said anew then.
pub(crate) fn deliver(config: &Config, places: &Places, state: &mut State, now: UnixTime) -> Result {
    let path = path(config);
    let octets = match files::read_bounded(&path, as_u64(2 * MANIFEST_LEN_MAX)) {
        Ok(octets) => octets,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Failure::file(&path, &e)),
    };
    // One that the medium altered is written anew.
    let Ok(waiting) = serde_json::from_slice::<Waiting>(&octets) else { return let_go(config) };
    // Without a key it cannot go; with the next one that the director says, it is written anew.
    let Ok(way) = Way::of(config, state) else { return let_go(config) };
    if let Taken::Yes = send(config, places, way, &waiting)? {
        note(config, state, &waiting, now)?;
    }
    let_go(config)
}

/// Reports what is carried, if that is known of all components.
pub(crate) fn report(config: &Config, places: &Places, state: &mut State, now: UnixTime) -> Result {
    let Some(carries) = state.carries(config.components.keys()) else { return Ok(()) };
    let failed = |why: String| {
        Failure::new(INCOMPLETE, "what is carried was not reported").because(why).next("the next round reports it")
    };
    let way = Way::of(config, state)?;
    let said = places.director.fetch("nonce", ANSWER_LEN_MAX).map_err(|not| failed(not.to_string()))?;
    let given: Given =
        serde_json::from_slice(&said).map_err(|e| failed(format!("the director gives no nonce: {e}")))?;
    let manifest = sign(config, &carries, given.nonce)?;
    let waiting = Waiting { number: given.number, carries, manifest };
    let octets = serde_json::to_vec(&waiting).map_err(|e| failed(e.to_string()))?;
    files::replace(&path(config), &octets).map_err(|e| Failure::file(&path(config), &e))?;
    match send(config, places, way, &waiting)? {
        Taken::Yes => note(config, state, &waiting, now)?,
        Taken::No(why) => {
            let_go(config)?;
            return Err(failed(format!("the director does not take it: {why}")).next(
                "see whether the director knows this device, its components and its keys as the configuration names them",
            ));
        }
    }
    let_go(config)
}

fn sign(config: &Config, carries: &BTreeMap<String, Carried>, nonce: Nonce) -> Result<String> {
    let failed = |why: String| Failure::new("key", "the manifest was not signed").because(why);
    let device_key = config.device_key()?;
    let mut reports = Vec::new();
    for (name, carried) in carries {
        let Some(component) = config.components.get(name) else { continue };
        let report = Report {
            component: name.parse().map_err(|_| failed(format!("{name} is no name of a component")))?,
            hardware_id: component.hardware_id.clone(),
            target: carried.target.clone(),
            image: Image { digest: carried.sha256, length: carried.length },
            counter: carried.release_counter,
        };
        let own_key = config.component_key(component)?;
        let key = own_key.as_ref().unwrap_or(&device_key);
        reports.push(write_report(&report, nonce, |message| key.sign(message)).map_err(|e| failed(e.to_string()))?);
    }
    let manifest = write_manifest(&config.device, nonce, &reports, |message| device_key.sign(message));
    let manifest = manifest.map_err(|e| failed(e.to_string()))?;
    String::from_utf8(manifest).map_err(|e| failed(e.to_string()))
}

fn send(config: &Config, places: &Places, way: Way, waiting: &Waiting) -> Result<Taken> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(INCOMPLETE, format!("manifest {} was not delivered", waiting.number))
            .because(why)
            .next("it is kept; the next round sends it again")
    };
    let octets = way.pack(config, &waiting.manifest).map_err(|why| failed(&why))?;
    let sent = places.director.send("manifest", "application/octet-stream", &octets, ANSWER_LEN_MAX);
    let (status, said) = sent.map_err(|not: NotFetched| failed(&not))?;
    match status {
        200..=299 => Ok(Taken::Yes),
        400 | 413 | 422 => Ok(Taken::No(String::from_utf8_lossy(&said).trim().to_owned())),
        other => Err(failed(&format!("HTTP status {other}"))),
    }
}

fn note(config: &Config, state: &mut State, waiting: &Waiting, now: UnixTime) -> Result {
    state.reported = Some(Reported { at_s: now.s(), number: waiting.number, carries: waiting.carries.clone() });
    for failed in state.components.values_mut().filter_map(|known| known.failed.as_mut()) {
        failed.told = failed.told.saturating_add(1);
    }
    state.save(&config.data)
}

fn let_go(config: &Config) -> Result {
    let path = path(config);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Failure::file(&path, &e)),
        _ => Ok(()),
    }
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(privacy: &str) -> Config {
        let config = format!(
            "device = 'urn:dev:ops:32473-gateway-SN1'\ndata = 'd'\nkey = 'k'\n[director]\nurl = 'https://d'\nroot = 'r'\n\
             [images]\nmetadata = 'https://m'\ntargets = 'https://t'\nroot = 'r'\n[privacy]\n{privacy}\n\
             [components.modem]\nhardware_id = 'modem.a'\n[components.modem.slots]\ninstall = ['/i']\n"
        );
        crate::config::of_text(&config)
    }
    fn key() -> ManifestKey {
        // The base point of X25519: every reader of RFC 7748 knows it.
        let mut octets = [0; 32];
        octets[0] = 9;
        ManifestKey::new(octets)
    }
    // What goes to the director of a manifest.
    fn packed(privacy: &str, manifest_key: Option<ManifestKey>, manifest: &str) -> Option<Vec<u8>> {
        let (config, state) = (config(privacy), State { manifest_key, ..State::default() });
        Way::of(&config, &state).ok().map(|way| way.pack(&config, manifest).unwrap())
    }
    #[track_caller]
    fn check(privacy: &str, manifest_key: Option<ManifestKey>, expected: Option<(bool, usize)>) {
        let packed = packed(privacy, manifest_key, "{\"a\":1}");
        let seen = packed.map(|octets| (SealedManifest::decode(&octets).is_some(), octets.len()));
        assert_eq!(seen, expected);
    }
    #[test]
    fn a_manifest_is_sealed_or_does_not_go() {
        check("", Some(key()), Some((true, 4096 + 64)));
        check("", None, None);
    }
    #[test]
    fn unless_it_is_said_that_it_may() {
        check("manifests = 'plain'", None, Some((false, 4096)));
        check("manifests = 'plain'\npadding = 'none'", Some(key()), Some((false, 7)));
        check("padding = 'none'", Some(key()), Some((true, 7 + 64)));
    }
    #[test]
    fn the_same_manifest_never_looks_the_same() {
        assert_ne!(packed("", Some(key()), "{}"), packed("", Some(key()), "{}"));
    }
}
