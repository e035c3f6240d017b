//! ACME over HTTPS. Messages are signed from end to end: km verifies them, and this module knows no account. Where names are to be
//! proved it looks, and tells km what it saw; what that proves km decides.
//! Source: RFC 8555, RFC 9773.
//!
//! Prevents: work for km with what is no message by its path, its type or its size; more looks at a time than there is room for.

use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Request, Service, Taking};
use model::contract::acme::{AcmeAnswered, AnswerAcme, Look, ReportSeen};
use model::{EstLabel, Fault};
use ports::Looker;
use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use wire::acme::{
    BadPath, JOSE, MESSAGE_LEN_MAX, PROBLEM, Problem, Resource, Urls, decode_path, problem, problem_object,
};

/// How long a client may take to send its message.
const MESSAGE_WITHIN: Duration = Duration::from_secs(20);
/// Who looks at a time, and how many looks wait.
const LOOKERS: usize = 4;
const WAITING_MAX: usize = 64;
/// When a client asks again if nobody has time to look, or km does not answer, in seconds.
const RETRY: &str = "30";
/// Longest name of a host and its port, in octets.
const HOST_LEN_MAX: usize = 260;

/// ACME.
pub struct Acme {
    km: Arc<dyn Km>,
    looks: SyncSender<Look>,
}

/// ACME beside what else is answered at an address.
pub struct WithAcme {
    /// ACME.
    pub acme: Acme,
    /// What has all other paths.
    pub other: Arc<dyn Service>,
}

fn is_acme(head: &Head) -> bool {
    decode_path(head.path()) != Err(BadPath::NotAcme)
}

impl Service for WithAcme {
    fn limits(&self, head: &Head) -> BodyLimits {
        if is_acme(head) { self.acme.limits(head) } else { self.other.limits(head) }
    }
    fn answer(&self, request: &mut Request) -> Answer {
        if is_acme(&request.head) { self.acme.answer(request) } else { self.other.answer(request) }
    }
}

impl Service for Acme {
    fn limits(&self, head: &Head) -> BodyLimits {
        if head.method() == "POST" && decode_path(head.path()).is_ok() {
            let len_max = u64::try_from(MESSAGE_LEN_MAX).unwrap_or(u64::MAX);
            return BodyLimits { len_max, within: MESSAGE_WITHIN, taking: Taking::Whole };
        }
        BodyLimits::NONE
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let Ok(route) = decode_path(request.head.path()) else {
            return refused(Problem { name: "malformed", status: 404 }, "There is no such path.");
        };
        let is_open = matches!(route.resource, Resource::Directory | Resource::NewNonce | Resource::RenewalInfo(_));
        let message = match (request.head.method(), is_open) {
            ("GET" | "HEAD", true) => None,
            ("POST", _) => {
                // RFC 8555 §6.2.
                if request.head.field("content-type") != Some(JOSE) {
                    return refused(Problem { name: "malformed", status: 415 }, "Send application/jose+json.");
                }
                let mut message = Vec::new();
                if request.body.read_to_end(&mut message).is_err() {
                    return refused(Problem { name: "malformed", status: 400 }, "The message did not come.");
                }
                Some(message.into())
            }
            _ => {
                let problem = Problem { name: "malformed", status: 405 };
                return refused(problem, "Another method is used for this.")
                    .with("allow", if is_open { "GET, HEAD, POST" } else { "POST" });
            }
        };
        let Some(base) = base(&request.head) else {
            return refused(Problem { name: "malformed", status: 400 }, "The field Host names no host.");
        };
        self.ask(&request.head, base, &route.label, &route.resource, message)
    }
}

/// What the client calls us. Whether that is our name km knows.
fn base(head: &Head) -> Option<String> {
    let host = head.field("host").filter(|host| !host.is_empty() && host.len() <= HOST_LEN_MAX)?;
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.:".contains(&c);
    host.bytes().all(is_plain).then(|| format!("https://{host}"))
}

fn refused(problem: Problem, detail: &str) -> Answer {
    let body = problem_object(&problem, detail);
    Answer::new(problem.status, PROBLEM, Content::Octets(body)).with("cache-control", "no-store")
}

impl Acme {
    /// ACME before this km. It looks as long as this is there.
    #[must_use]
    pub fn new(km: Arc<dyn Km>, looker: Arc<dyn Looker>) -> Self {
        let (looks, waiting) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LOOKERS {
            let (km, looker, waiting) = (Arc::clone(&km), Arc::clone(&looker), Arc::clone(&waiting));
            thread::spawn(move || keep_looking(km.as_ref(), looker.as_ref(), &waiting));
        }
        Self { km, looks }
    }

    fn ask(
        &self,
        head: &Head,
        base: String,
        label: &EstLabel,
        resource: &Resource,
        message: Option<model::Base64>,
    ) -> Answer {
        let index = Urls { base: &base, label }.of(&Resource::Directory);
        let is_message = message.is_some();
        let call = AnswerAcme { base, path: head.path().to_owned(), message };
        let said = match self.km.answer_acme(&call) {
            Ok(said) => said,
            Err(fault) => {
                tracing::warn!(%fault, "km did not answer");
                let problem = problem(&Fault::unavailable("km"));
                return refused(problem, "It cannot be answered now.").with("retry-after", RETRY);
            }
        };
        if let Some(look) = said.look.clone()
            && self.looks.try_send(look).is_err()
        {
            // The client tries the challenge again; km has it looked at anew then.
            tracing::warn!("more names are to be proved at a time than there is room for");
        }
        // RFC 8555 §7.2: with GET it is 204, with HEAD 200.
        let is_nonce = *resource == Resource::NewNonce && !is_message;
        let status = if is_nonce && head.method() == "HEAD" { 200 } else { said.status };
        answered(said, status, &index)
    }
}

fn answered(said: AcmeAnswered, status: u16, index: &str) -> Answer {
    let AcmeAnswered { media_type, body, location, up, retry_after_s, nonce, .. } = said;
    let mut answer = if body.0.is_empty() {
        Answer::empty(status)
    } else {
        Answer::new(status, &media_type, Content::Octets(body.0))
    };
    answer = answer.with("cache-control", "no-store").with("link", &format!("<{index}>;rel=\"index\""));
    if let Some(up) = up {
        answer = answer.with("link", &format!("<{up}>;rel=\"up\""));
    }
    if let Some(nonce) = nonce {
        answer = answer.with("replay-nonce", &nonce);
    }
    if let Some(location) = location {
        answer = answer.with("location", &location);
    }
    if let Some(s) = retry_after_s {
        answer = answer.with("retry-after", &s.to_string());
    }
    answer
}

/// Looks until nobody is there any more who wants it.
fn keep_looking(km: &dyn Km, looker: &dyn Looker, waiting: &Mutex<Receiver<Look>>) {
    loop {
        // Held while waiting: one waits for the next look, the others for their turn.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(look) = next else { return };
        let seen = looker.look(&look);
        let report = ReportSeen { authorization: look.authorization, kind: look.kind, seen };
        if let Err(fault) = km.report_seen(&report) {
            tracing::warn!(%fault, "km did not take what was seen where a name was to be proved");
        }
    }
}
