//! What is asked over DDI, and by whom: by the device that the certificate names, for itself only.

use super::said::{CONFIG_LEN_MAX, FEEDBACK_LEN_MAX, config, feedback};
use super::side::Heard;
use super::{answers, conduct};
use crate::conduct::Director;
use crate::fault::DirectorFault;
use crate::names::Name;
use adapters::http::serve::{Answer, Beneath, BodyLimits, Content, Head, RequestBody, Taking};
use model::DeviceId;
use ports::Entropy;
use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use update::uptane::Offer;

/// How long a device may take to send what it says.
const SAID_WITHIN: Duration = Duration::from_secs(60);
/// Longest `Host`: a name of 253 letters and a port.
const HOST_LEN_MAX: usize = 260;
/// Longest time between two questions, in seconds: clients read hours of two digits.
pub const SLEEP_S_MAX: u32 = 99 * 3600;
const HAL_JSON: &str = "application/hal+json";
const OCTETS: &str = "application/octet-stream";
const UNKNOWN: &str = "There is no such action for your device.";
const GONE: &str = "This action has ended already.";

/// How devices are served over DDI.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What stands in front of `/controller`: the letters of hawkBit's tenant, small or capital.
    pub tenant: Name,
    /// After how many seconds a device is to ask again; [`SLEEP_S_MAX`] at most.
    pub sleep_s: u32,
}

/// What stands behind the name of a device in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdiPath<'a> {
    /// Nothing: the device's own resource.
    Root,
    /// `configData`
    ConfigData,
    /// `deploymentBase/N`
    Deployment(u32),
    /// `deploymentBase/N/feedback`
    DeploymentFeedback(u32),
    /// `cancelAction/N`
    Cancel(u32),
    /// `cancelAction/N/feedback`
    CancelFeedback(u32),
    /// `installedBase/N`
    Installed(u32),
    /// `artifacts/SHA-256`
    Artifact(&'a str),
}

/// What belongs to one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room<'a> {
    /// The path up to the name of the device.
    pub path: &'a str,
    /// The device, as it is written there.
    pub device: &'a str,
    /// What is asked for; `None` if there is nothing.
    pub asked: Option<DdiPath<'a>>,
}

impl<'a> Room<'a> {
    /// Whose room a path leads to, and to what in it; `None` if it is no path of this interface, or of another tenant.
    pub(crate) fn of(path: &'a str, tenant: &Name) -> Option<Self> {
        let (room, device, rest) = split(path, tenant)?;
        Some(Self { path: room, device, asked: DdiPath::of(rest) })
    }
}

impl<'a> DdiPath<'a> {
    fn of(rest: Option<&'a str>) -> Option<Self> {
        let Some(rest) = rest else { return Some(Self::Root) };
        let mut names = rest.split('/');
        let (what, which, more, end) = (names.next()?, names.next(), names.next(), names.next());
        Some(match (what, which, more, end) {
            ("configData", None, None, None) => Self::ConfigData,
            ("deploymentBase", Some(which), None, None) => Self::Deployment(number(which)?),
            ("deploymentBase", Some(which), Some("feedback"), None) => Self::DeploymentFeedback(number(which)?),
            ("cancelAction", Some(which), None, None) => Self::Cancel(number(which)?),
            ("cancelAction", Some(which), Some("feedback"), None) => Self::CancelFeedback(number(which)?),
            ("installedBase", Some(which), None, None) => Self::Installed(number(which)?),
            ("artifacts", Some(which), None, None) => Self::Artifact(which),
            _ => return None,
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Root | Self::Deployment(_) | Self::Cancel(_) | Self::Installed(_) => "GET",
            Self::ConfigData => "PUT",
            Self::DeploymentFeedback(_) | Self::CancelFeedback(_) => "POST",
            Self::Artifact(_) => "GET, HEAD",
        }
    }
}

// As it was written, and no other way: no sign, no zero in front.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// The path of a device's own room, and what is asked in it.
fn split<'a>(path: &'a str, tenant: &Name) -> Option<(&'a str, &'a str, Option<&'a str>)> {
    let (named, rest) = path.strip_prefix('/')?.split_once("/controller/v1/")?;
    if !named.eq_ignore_ascii_case(tenant.as_str()) {
        return None;
    }
    let (device, rest) = rest.split_once('/').map_or((rest, None), |(device, rest)| (device, Some(rest)));
    let room = path.len() - rest.map_or(0, |rest| rest.len() + 1);
    path.get(..room).map(|room| (room, device, rest))
}

/// What a body may be.
pub(crate) fn limits(method: &str, asked: Option<DdiPath<'_>>) -> BodyLimits {
    let len_max = match (asked, method) {
        (Some(DdiPath::ConfigData), "PUT") => CONFIG_LEN_MAX,
        (Some(DdiPath::DeploymentFeedback(_) | DdiPath::CancelFeedback(_)), "POST") => FEEDBACK_LEN_MAX,
        _ => return BodyLimits::NONE,
    };
    BodyLimits { len_max, within: SAID_WITHIN, taking: Taking::Whole }
}

/// What answers a device over DDI.
pub(crate) struct Ddi<'a> {
    pub(crate) director: &'a Director,
    pub(crate) images: Option<&'a Beneath>,
    /// After how many seconds a device is to ask again.
    pub(crate) sleep_s: u32,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) now: model::UnixTime,
}

impl Ddi<'_> {
    /// Answers what is asked in this room. `device` is whom the certificate names.
    pub(crate) fn answer(
        &self,
        head: &Head,
        body: &mut RequestBody,
        device: Option<&DeviceId>,
        room: Room<'_>,
    ) -> Result<Answer, DirectorFault> {
        // Whoever asks for another learns nothing, not even whether there is one.
        let Some(device) = device.filter(|device| is_named(room.device, device)) else {
            return Ok(Answer::text(
                404,
                "There is no such device for you: ask for the one that your certificate names.",
            ));
        };
        let Some(asked) = room.asked else {
            let there =
                "There are configData, deploymentBase/N, cancelAction/N, installedBase/N and artifacts/SHA-256.";
            return Ok(Answer::text(404, there));
        };
        if !asked.methods().split(", ").any(|method| method == head.method()) {
            let why = format!("Only {} is understood here.", asked.methods());
            return Ok(Answer::text(405, &why).with("allow", asked.methods()));
        }
        let Some(base) = base(head, room.path) else {
            return Ok(Answer::text(400, "The field Host must be the name of this server."));
        };
        self.asked(head, body, device, asked, &base)
    }

    fn asked(
        &self,
        head: &Head,
        body: &mut RequestBody,
        device: &DeviceId,
        asked: DdiPath<'_>,
        base: &str,
    ) -> Result<Answer, DirectorFault> {
        let director = self.director;
        Ok(match asked {
            DdiPath::Root => match director.ddi_poll(device, self.entropy)? {
                Some(polled) => said(&answers::root(base, self.sleep_s, polled)),
                None => Answer::text(404, "Devices of your type are not served over DDI."),
            },
            DdiPath::Deployment(number) => self.deployment(base, device, number)?,
            DdiPath::Installed(number) => self.parts(base, number, director.ddi_installed(device, number)?),
            DdiPath::Cancel(number) => match director.ddi_is_withdrawn(device, number)? {
                true => said(&answers::cancel(number)),
                false => Answer::text(404, "This action is not to be left alone."),
            },
            DdiPath::Artifact(sha256) => match (self.images, director.ddi_image(device, sha256)?) {
                (Some(images), Some(offer)) => images.answer(head, &conduct::file_of(&offer), OCTETS),
                _ => Answer::text(404, "There is no such file for your device."),
            },
            DdiPath::DeploymentFeedback(number) => match feedback(&whole(body)) {
                Ok(feedback) => heard(&director.ddi_hear(device, number, &feedback, self.now)?),
                Err(why) => Answer::text(400, why),
            },
            DdiPath::CancelFeedback(number) => match feedback(&whole(body)) {
                Ok(feedback) => heard(&director.ddi_hear_cancel(device, number, &feedback)?),
                Err(why) => Answer::text(400, why),
            },
            DdiPath::ConfigData => match config(&whole(body)) {
                Ok(change) => match director.ddi_describe(device, &change)? {
                    Some(true) => Answer::empty(200),
                    Some(false) => Answer::text(400, "That is more than 100 attributes."),
                    None => Answer::text(404, "Devices of your type are not served over DDI."),
                },
                Err(why) => Answer::text(400, why),
            },
        })
    }

    fn deployment(&self, base: &str, device: &DeviceId, number: u32) -> Result<Answer, DirectorFault> {
        let parts = self.director.ddi_deployment(device, number)?;
        let answer = self.parts(base, number, parts);
        // Durable before it is told.
        match answer.status() {
            200 if !self.director.ddi_begin(device, number)? => Ok(Answer::text(404, UNKNOWN)),
            _ => Ok(answer),
        }
    }

    fn parts(&self, base: &str, number: u32, parts: Option<Vec<(Name, Offer)>>) -> Answer {
        let Some(parts) = parts else { return Answer::text(404, UNKNOWN) };
        let sum = |(component, offer): (Name, Offer)| {
            let images = self.images.ok_or(DirectorFault::Image("no image repository is served here: name --images"));
            match images.and_then(|images| self.director.ddi_sha1(images, &offer)) {
                Ok(sha1) => Some((component, offer, sha1)),
                Err(fault) => {
                    tracing::error!(image = offer.name(), %fault, "an image cannot be served");
                    None
                }
            }
        };
        match parts.into_iter().map(sum).collect::<Option<Vec<_>>>() {
            Some(summed) => said(&answers::deployment(base, number, &summed)),
            None => Answer::text(503, "An image cannot be served now.").with("retry-after", "60"),
        }
    }
}

// What did not come whole is no JSON; the listener says so in place of what is answered.
fn whole(body: &mut RequestBody) -> Vec<u8> {
    let mut octets = Vec::new();
    match body.read_to_end(&mut octets) {
        Ok(_) => octets,
        Err(_) => Vec::new(),
    }
}

// As it is written, or with some of it encoded.
fn is_named(name: &str, device: &DeviceId) -> bool {
    let written = device.to_string();
    let encoded = written.replace('%', "%25");
    name == written || name == encoded || name == encoded.replace(':', "%3A")
}

/// Where the room of a device is, as the device itself asks for it: nobody else is told of it.
fn base(head: &Head, room: &str) -> Option<String> {
    let host = head.field("host").filter(|host| !host.is_empty() && host.len() <= HOST_LEN_MAX)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    host.chars().all(is_plain).then(|| format!("https://{host}{room}"))
}

fn heard(heard: &Heard) -> Answer {
    match heard {
        Heard::Nothing | Heard::Said | Heard::Ended(_) => Answer::empty(200),
        Heard::Gone => Answer::text(410, GONE),
        Heard::Unknown => Answer::text(404, UNKNOWN),
    }
}

fn said(json: &Value) -> Answer {
    let octets = Content::Octets(json.to_string().into_bytes());
    Answer::new(200, HAL_JSON, octets).with("cache-control", "no-store")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, &str, Option<&str>)>) {
        assert_eq!(split(path, &"default".parse().unwrap()), expected, "{path}");
    }
    #[test]
    fn the_room_of_a_device() {
        check("/default/controller/v1/D", Some(("/default/controller/v1/D", "D", None)));
        check("/DEFault/controller/v1/D/", Some(("/DEFault/controller/v1/D", "D", Some(""))));
        check("/default/controller/v1/D/a/b", Some(("/default/controller/v1/D", "D", Some("a/b"))));
        check("/default/controller/v1/", Some(("/default/controller/v1/", "", None)));
    }
    #[test]
    fn what_is_none() {
        check("/defaults/controller/v1/D", None);
        check("/x/default/controller/v1/D", None);
        check("default/controller/v1/D", None);
        check("/default/controller/v2/D", None);
        check("/default/controller/v1", None);
        check("/images/targets/x", None);
    }
    #[track_caller]
    fn names(name: &str, expected: bool) {
        assert_eq!(is_named(name, &"urn:dev:ops:32473-gateway-SN%2D1".parse().unwrap()), expected, "{name}");
    }
    #[test]
    fn a_device_by_its_own_name_only() {
        names("urn:dev:ops:32473-gateway-SN%2D1", true);
        names("urn:dev:ops:32473-gateway-SN%252D1", true);
        names("urn%3Adev%3Aops%3A32473-gateway-SN%252D1", true);
        names("urn:dev:ops:32473-gateway-SN-1", false);
        names("urn:dev:ops:32473-gateway-SN%2D2", false);
        names("urn:dev:ops:32473-gateway-SN%2D1x", false);
        names("", false);
    }
    #[test]
    fn numbers_are_written_in_one_way() {
        for (text, expected) in [("1", Some(1)), ("4294967295", Some(u32::MAX)), ("0", Some(0))] {
            assert_eq!(number(text), expected);
        }
        for text in ["", "01", "+1", "-1", " 1", "1 ", "4294967296", "0x1", "\u{661}"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
