//! Notices that a repository has something new: taken as they come, handed to sm, which knows the secret. Nothing is decided here.
//!
//! Prevents: that whoever can reach this door can do more with it than have sm verify a signature now and then.

use adapters::http::serve::{Answer, BodyLimits, Head, Request, Service, Taking};
use model::Fault;
use model::contract::software::{HearNotice, Heard};
use ports::Link;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Where notices are taken.
pub const NOTICES: &str = "/.well-known/cradle/notice";
/// Longest body: a notice of ours has 256 octets.
const NOTICE_LEN_MAX: u64 = 1024;
const NOTICE_WITHIN: Duration = Duration::from_secs(10);
/// How long sm may take: it computes one hash and writes one row.
const PATIENCE_MS: u64 = 5000;

/// What takes notices.
pub struct Notices(pub Arc<Link>);

impl Service for Notices {
    fn limits(&self, head: &Head) -> BodyLimits {
        match (head.method(), head.path()) {
            ("POST", NOTICES) => BodyLimits { len_max: NOTICE_LEN_MAX, within: NOTICE_WITHIN, taking: Taking::Whole },
            _ => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let head = &request.head;
        match (head.method(), head.path()) {
            ("POST", NOTICES) => {}
            (_, NOTICES) => return Answer::text(405, "Another method is used for this.").with("allow", "POST"),
            _ => return Answer::text(404, "There is nothing here."),
        }
        let field = |name| head.field(name).unwrap_or_default().to_owned();
        let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
        let signature = field("webhook-signature");
        let mut body = Vec::new();
        if request.body.read_to_end(&mut body).is_err() {
            return Answer::text(400, "The notice did not come.");
        }
        match self.0.call_within(&HearNotice { id, timestamp, signature, body: body.into() }, PATIENCE_MS) {
            Ok(Heard::New | Heard::Known) => Answer::empty(204),
            // Who knows the secret knows why; to all others each refusal is the same.
            Err(Fault::Refused(_) | Fault::Malformed(_)) => Answer::text(401, "The notice is not taken."),
            Err(fault @ Fault::Unavailable(_)) => {
                tracing::warn!(%fault, "a notice could not be handed on");
                Answer::text(503, "Not now.").with("retry-after", "30")
            }
        }
    }
}
