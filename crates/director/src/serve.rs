//! What devices ask over HTTP: both repositories, a nonce, and to take a manifest; and what boxes report. Who asks is who its certificate says.

use crate::conduct::Director;
use crate::ddi::{self, Ddi, Settings};
use crate::fault::DirectorFault;
use crate::route::{ImagePath, Route, UptanePath};
use adapters::http::serve::{Answer, Beneath, BodyLimits, Content, Head, Request, RequestBody, Service, Taking};
use model::DeviceId;
use ports::{Clock, Entropy};
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use update::uptane::SEALED_LEN_MAX;
use x509::extension::{GeneralName, decode_subject_alt_name};
use x509::{Certificate, oids};

/// How long a device may take to send its manifest.
const MANIFEST_WITHIN: Duration = Duration::from_secs(60);
const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

/// What answers devices.
pub struct Serving {
    /// The director.
    pub director: Arc<Director>,
    /// The image repository's directory, with `metadata` and `targets` in it, if it is served here too.
    pub images: Option<Beneath>,
    /// How devices are served that speak hawkBit's interface.
    pub ddi: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For nonces.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// The device that a certificate is for: the only name of that form in it.
#[must_use]
pub fn device_of(certificate: &[u8]) -> Option<DeviceId> {
    let certificate = Certificate::decode(certificate).ok()?;
    let names = decode_subject_alt_name(&certificate.tbs().extension(oids::SUBJECT_ALT_NAME)?.value)?;
    let mut devices = names.iter().filter_map(|name| match name {
        GeneralName::Uri(uri) => uri.parse().ok(),
        GeneralName::Dns(_) | GeneralName::Rfc822(_) | GeneralName::Directory(_) => None,
        GeneralName::Ip(_) | GeneralName::Other(_) => None,
    });
    match (devices.next(), devices.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

impl Service for Serving {
    fn limits(&self, head: &Head) -> BodyLimits {
        match Route::of(head.method(), head.path(), &self.ddi.tenant) {
            Some(Route::Ddi(room)) => ddi::limits(head.method(), room.asked),
            Some(Route::Uptane { asked: Some(UptanePath::Manifest | UptanePath::Report), .. }) => BodyLimits {
                len_max: u64::try_from(SEALED_LEN_MAX).unwrap_or(u64::MAX),
                within: MANIFEST_WITHIN,
                taking: Taking::Whole,
            },
            Some(Route::Images(_) | Route::Uptane { .. }) | None => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let Request { head, body } = request;
        let device = head.peer().certificate.as_deref().and_then(device_of);
        match Route::of(head.method(), head.path(), &self.ddi.tenant) {
            // Images are for whoever was let in, and mean nothing without what is said of them.
            Some(Route::Images(asked)) => self.image(head, asked),
            Some(Route::Ddi(room)) => {
                let (director, images) = (self.director.as_ref(), self.images.as_ref());
                let (entropy, now) = (self.entropy.as_ref(), self.clock.now());
                let ddi = Ddi { director, images, sleep_s: self.ddi.sleep_s, entropy, now };
                ddi.answer(head, body, device.as_ref(), room).unwrap_or_else(|fault| refusal(&fault))
            }
            Some(Route::Uptane { device: name, asked }) => self.uptane(body, device.as_ref(), name, asked),
            None => Answer::text(404, "There are /images/, /director/DEVICE/ and /TENANT/controller/v1/DEVICE."),
        }
    }
}

impl Serving {
    // Of the same length, whatever the number.
    fn said(&self, answer: String) -> Option<Vec<u8>> {
        Some(self.director.privacy.answer(answer.into_bytes()))
    }

    /// Answers the device that the certificate names, if `name` is that of its room.
    fn uptane(
        &self,
        body: &mut RequestBody,
        device: Option<&DeviceId>,
        name: &str,
        asked: Option<UptanePath<'_>>,
    ) -> Answer {
        let now = self.clock.now();
        let Some(device) = device else { return Answer::text(403, "Your certificate names no device.") };
        // As it is, or with the `%` in it encoded again.
        let written = device.to_string();
        if name != written && name != written.replace('%', "%25") {
            return Answer::text(403, "Your certificate names another device.");
        }
        let said = match asked {
            None => return Answer::text(404, "There are metadata/, nonce, manifest and report."),
            Some(UptanePath::File(file)) => self.director.file(device, file, now),
            Some(UptanePath::Nonce) => self
                .director
                .ask(device, self.entropy.as_ref(), now)
                .map(|(nonce, number)| self.said(format!("{{\"nonce\":\"{nonce}\",\"number\":{number}}}\n"))),
            Some(sealed @ (UptanePath::Manifest | UptanePath::Report)) => {
                let mut octets = Vec::new();
                if body.read_to_end(&mut octets).is_err() {
                    return Answer::text(400, "What was announced did not come.");
                }
                let number = match sealed {
                    UptanePath::Report => self.director.report(device, &octets, now),
                    _ => self.director.manifest(device, &octets, now),
                };
                number.map(|number| self.said(format!("{{\"number\":{number}}}\n")))
            }
        };
        match said {
            Ok(Some(octets)) => Answer::new(200, JSON, Content::Octets(octets)).with("cache-control", "no-store"),
            Ok(None) => Answer::text(404, "There is no such file."),
            Err(fault) => refusal(&fault),
        }
    }

    fn image(&self, head: &Head, asked: Option<ImagePath<'_>>) -> Answer {
        let (path, media_type) = match asked {
            Some(ImagePath::Metadata(path)) => (path, JSON),
            Some(ImagePath::Target(path)) => (path, OCTETS),
            None => return Answer::text(404, "There are metadata/ and targets/."),
        };
        match &self.images {
            Some(images) => images.answer(head, path, media_type),
            None => Answer::text(404, "The image repository is elsewhere."),
        }
    }
}

fn refusal(fault: &DirectorFault) -> Answer {
    match fault {
        DirectorFault::NotFound(_) => Answer::text(403, "Nobody has registered your device."),
        DirectorFault::Uptane(bad) => Answer::text(422, &bad.to_string()),
        DirectorFault::Refused(why) => Answer::text(409, why),
        other => {
            tracing::error!(fault = %other, "a device was not answered");
            Answer::text(503, "The director cannot answer now.").with("retry-after", "60")
        }
    }
}
