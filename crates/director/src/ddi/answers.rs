//! What devices are told over DDI, as clients of hawkBit read it.

use super::side::Polled;
use crate::names::Name;
use serde_json::{Map, Value, json};
use update::uptane::Offer;

/// What a device asks next, if anything.
pub(super) fn root(base: &str, sleep_s: u32, polled: Polled) -> Value {
    let (hours, minutes, seconds) = (sleep_s / 3600, sleep_s / 60 % 60, sleep_s % 60);
    let mut links = Map::new();
    let mut link = |name: &str, path: &str| links.insert(name.to_owned(), json!({ "href": format!("{base}/{path}") }));
    if let Some(number) = polled.deployment {
        link("deploymentBase", &format!("deploymentBase/{number}"));
    }
    if let Some(number) = polled.cancel {
        link("cancelAction", &format!("cancelAction/{number}"));
    }
    if let Some(number) = polled.installed {
        link("installedBase", &format!("installedBase/{number}"));
    }
    if polled.is_unknown {
        link("configData", "configData");
    }
    json!({ "config": { "polling": { "sleep": format!("{hours:02}:{minutes:02}:{seconds:02}") } }, "_links": links })
}

/// An action: for each component one chunk with one artifact, of this SHA-1.
pub(super) fn deployment(base: &str, number: u32, parts: &[(Name, Offer, String)]) -> Value {
    let chunk = |(component, offer, sha1): &(Name, Offer, String)| {
        let (name, sha256) = (offer.name(), offer.sha256().unwrap_or_default());
        let file = name.rsplit('/').next().unwrap_or(name);
        json!({
            "part": component.as_str(), "name": name, "version": offer.counter().to_string(),
            "artifacts": [{
                "filename": file, "size": offer.length(), "hashes": { "sha1": sha1, "sha256": sha256 },
                "_links": { "download": { "href": format!("{base}/artifacts/{sha256}") } },
            }],
        })
    };
    let chunks: Vec<_> = parts.iter().map(chunk).collect();
    json!({ "id": number.to_string(), "deployment": { "download": "forced", "update": "forced", "chunks": chunks } })
}

/// That an action is to be left alone.
pub(super) fn cancel(number: u32) -> Value {
    let number = number.to_string();
    json!({ "id": number, "cancelAction": { "stopId": number } })
}
