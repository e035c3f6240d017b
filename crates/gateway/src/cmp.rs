//! CMP over HTTPS and HTTP. Messages are protected from end to end: km verifies them and protects what it answers, and this
//! module knows neither a secret nor a certificate.
//! Source: RFC 9811.
//!
//! Prevents: work for km with what is no message by its path, its type or its size.

use crate::est::untold;
use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Request, Service, Taking};
use model::EstLabel;
use model::contract::enrolment::AnswerCmp;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use wire::cmp::server::{BadPath, decode_path};
use wire::cmp::{MEDIA_TYPE, MESSAGE_LEN_MAX};

/// How long a client may take to send its message.
const MESSAGE_WITHIN: Duration = Duration::from_secs(20);

/// CMP.
pub struct Cmp {
    /// km.
    pub km: Arc<dyn Km>,
}

/// CMP beside what else is answered at an address.
pub struct WithCmp {
    /// CMP.
    pub cmp: Cmp,
    /// What has all other paths.
    pub other: Arc<dyn Service>,
}

fn is_cmp(head: &Head) -> bool {
    decode_path(head.path()) != Err(BadPath::NotCmp)
}

impl Service for WithCmp {
    fn limits(&self, head: &Head) -> BodyLimits {
        if is_cmp(head) { self.cmp.limits(head) } else { self.other.limits(head) }
    }
    fn answer(&self, request: &mut Request) -> Answer {
        if is_cmp(&request.head) { self.cmp.answer(request) } else { self.other.answer(request) }
    }
}

/// Source: RFC 9811 §3.2; parameters say nothing here.
fn is_message(head: &Head) -> bool {
    let said = head.field("content-type").unwrap_or_default();
    said.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

impl Service for Cmp {
    fn limits(&self, head: &Head) -> BodyLimits {
        match decode_path(head.path()) {
            Ok(_) if head.method() == "POST" && is_message(head) => BodyLimits {
                len_max: u64::try_from(MESSAGE_LEN_MAX).unwrap_or(u64::MAX),
                within: MESSAGE_WITHIN,
                taking: Taking::Whole,
            },
            _ => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let Ok(route) = decode_path(request.head.path()) else { return Answer::text(404, "There is no such path.") };
        if request.head.method() != "POST" {
            return Answer::text(405, "Another method is used for this.").with("allow", "POST");
        }
        if !is_message(&request.head) {
            return Answer::text(415, "Send application/pkixcmp.");
        }
        let mut message = Vec::new();
        if request.body.read_to_end(&mut message).is_err() {
            return Answer::text(400, "The message did not come.");
        }
        self.hand_on(route.label, message)
    }
}

impl Cmp {
    /// RFC 9811 §3.4: whatever a message says, an error too, is answered with 200.
    fn hand_on(&self, label: Option<EstLabel>, message: Vec<u8>) -> Answer {
        match self.km.answer_cmp(&AnswerCmp { label, message: message.into() }) {
            Ok(answered) => {
                Answer::new(200, MEDIA_TYPE, Content::Octets(answered.message.0)).with("cache-control", "no-store")
            }
            Err(fault) => untold(&fault),
        }
    }
}
