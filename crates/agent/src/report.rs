//! Telling the director what is carried: signed, under the director's nonce, and kept until it has answered.

use crate::config::{Config, Places};
use crate::fault::{Failure, INCOMPLETE, Result};
use crate::state::{Carried, Reported, State};
use adapters::files;
use adapters::http::NotFetched;
use model::{Nonce, UnixTime};
use ports::Signer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use update::Image;
use update::uptane::{MANIFEST_LEN_MAX, Report, write_manifest, write_report};

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
    if let Taken::Yes = send(places, &waiting)? {
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
    let said = places.director.fetch("nonce", ANSWER_LEN_MAX).map_err(|not| failed(not.to_string()))?;
    let given: Given =
        serde_json::from_slice(&said).map_err(|e| failed(format!("the director gives no nonce: {e}")))?;
    let manifest = sign(config, &carries, given.nonce)?;
    let waiting = Waiting { number: given.number, carries, manifest };
    let octets = serde_json::to_vec(&waiting).map_err(|e| failed(e.to_string()))?;
    files::replace(&path(config), &octets).map_err(|e| Failure::file(&path(config), &e))?;
    match send(places, &waiting)? {
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

fn send(places: &Places, waiting: &Waiting) -> Result<Taken> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(INCOMPLETE, format!("manifest {} was not delivered", waiting.number))
            .because(why)
            .next("it is kept; the next round sends it again")
    };
    let sent = places.director.send("manifest", "application/json", waiting.manifest.as_bytes(), ANSWER_LEN_MAX);
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
