//! OCSP, lists of revoked certificates and certificates of authorities, over plain HTTP: all of it is signed by others.
//! Source: RFC 5019, RFC 6960 appendix A, RFC 5280 §4.2.1.13, §4.2.2.1.
//!
//! Prevents: an old list in the place of a newer one; more work for km than a few requests a second, however many ask.

mod answers;
mod lists;
mod together;

use crate::est::untold;
use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Request, Service, Taking};
use answers::{Answers, Said};
use lists::{List, Lists};
use model::contract::enrolment::{CaCertificates, WhichAuthority};
use model::{AuthorityName, Fault, UnixTime};
use ports::Clock;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use wire::ocsp::http::{NO_STORE, REQUEST_TYPE, RESPONSE_TYPE, decode_path, http_date};
use wire::ocsp::request::REQUEST_LEN_MAX;
use x509::sha256;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long others may keep a list, or an answer of OCSP, in seconds: whoever is revoked is believed no longer than this.
const KEPT_ELSEWHERE_S: u64 = 300;
/// How long others may keep the certificate of an authority, in seconds.
const CERTIFICATE_KEPT_S: u64 = 3600;

/// What anybody may ask.
pub struct Status {
    km: Arc<dyn Km>,
    clock: Arc<dyn Clock>,
    lists: Lists,
    answers: Answers,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// OCSP, the request in the path or in the body.
    Ocsp(Option<&'a str>),
    List(List),
    Certificate(AuthorityName),
}

fn asked(path: &str) -> Option<Asked<'_>> {
    if path == "/ocsp" || path == "/ocsp/" {
        return Some(Asked::Ocsp(None));
    }
    if let Some(rest) = path.strip_prefix("/ocsp/") {
        return Some(Asked::Ocsp(Some(rest)));
    }
    if let Some(name) = path.strip_prefix("/ca/").and_then(|file| file.strip_suffix(".cer")) {
        return name.parse().ok().map(Asked::Certificate);
    }
    let name = path.strip_prefix("/crl/")?.strip_suffix(".crl")?;
    let (name, delta) = name.strip_suffix("-delta").map_or((name, false), |name| (name, true));
    let sharded = name.rsplit_once("-shard-").and_then(|(name, n)| {
        let shard = n.parse::<u32>().ok().filter(|shard| *shard > 0 && shard.to_string() == n)?;
        Some(List { authority: name.parse().ok()?, shard, delta })
    });
    sharded.or_else(|| Some(List { authority: name.parse().ok()?, shard: 0, delta })).map(Asked::List)
}

impl Service for Status {
    fn limits(&self, head: &Head) -> BodyLimits {
        match (head.method(), asked(head.path())) {
            ("POST", Some(Asked::Ocsp(None))) => BodyLimits {
                len_max: u64::try_from(REQUEST_LEN_MAX).unwrap_or(u64::MAX),
                within: REQUEST_WITHIN,
                taking: Taking::Whole,
            },
            _ => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let head = &request.head;
        match (head.method(), asked(head.path())) {
            (_, None) => Answer::text(
                404,
                "There are /ocsp, /crl/AUTHORITY.crl, /crl/AUTHORITY-delta.crl and /ca/AUTHORITY.cer.",
            ),
            ("POST", Some(Asked::Ocsp(None))) => {
                // RFC 6960 appendix A.1; some clients say nothing.
                if head.field("content-type").is_some_and(|said| !said.eq_ignore_ascii_case(REQUEST_TYPE)) {
                    return Answer::text(415, "Send application/ocsp-request.");
                }
                let mut body = Vec::new();
                match request.body.read_to_end(&mut body) {
                    Ok(_) => self.ocsp(body, None),
                    Err(_) => Answer::text(400, "The request did not come."),
                }
            }
            ("GET" | "HEAD", Some(Asked::Ocsp(Some(path)))) => match decode_path(path.as_bytes()) {
                Ok(der) => self.ocsp(der, Some(head)),
                Err(bad) => ocsp(bad.status().encode().to_vec().into()).with("cache-control", NO_STORE),
            },
            ("GET" | "HEAD", Some(Asked::List(list))) => self.list(head, &list),
            ("GET" | "HEAD", Some(Asked::Certificate(authority))) => self.certificate(head, authority),
            _ => Answer::text(405, "Another method is used for this.").with("allow", "GET, HEAD, POST"),
        }
    }
}

fn ocsp(response: Arc<[u8]>) -> Answer {
    Answer::new(200, RESPONSE_TYPE, Content::Shared(response))
}

impl Status {
    /// Nothing is kept yet. `elapsed_ms` are milliseconds that pass whatever becomes of the clock.
    #[must_use]
    pub fn new(km: Arc<dyn Km>, clock: Arc<dyn Clock>, elapsed_ms: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        let answers = Answers::new(Arc::clone(&km), Arc::clone(&clock), elapsed_ms);
        Self { lists: Lists::new(Arc::clone(&km)), answers, km, clock }
    }

    fn ocsp(&self, request: Vec<u8>, got: Option<&Head>) -> Answer {
        let said = match self.answers.to(request) {
            Ok(said) => said,
            Err(fault) => return untold(&fault),
        };
        let Said { response, caching, .. } = said.as_ref();
        match (got, caching) {
            (Some(head), Some(caching)) => {
                let (now, mut caching) = (self.clock.now(), caching.clone());
                caching.max_age_s = caching.expires.s().saturating_sub(now.s()).min(KEPT_ELSEWHERE_S);
                let known = is_known(head, &caching.etag);
                let answer = if known { Answer::empty(304) } else { ocsp(Arc::clone(response)) };
                let expires = caching.expires.min(now.plus_s(caching.max_age_s));
                told(answer, &caching.etag, caching.last_modified, expires)
                    .with("cache-control", &caching.cache_control())
            }
            _ => ocsp(Arc::clone(response)).with("cache-control", NO_STORE),
        }
    }

    fn list(&self, head: &Head, list: &List) -> Answer {
        let now = self.clock.now();
        let kept = match self.lists.get(list, now) {
            Ok(kept) => kept,
            Err(fault) => return untold(&fault),
        };
        let answer = match is_known(head, &kept.etag) {
            true => Answer::empty(304),
            false => Answer::new(200, "application/pkix-crl", Content::Shared(Arc::clone(&kept.der))),
        };
        let max_age = kept.next_update.s().saturating_sub(now.s()).min(KEPT_ELSEWHERE_S);
        told(answer, &kept.etag, kept.this_update, now.plus_s(max_age))
            .with("cache-control", &format!("max-age={max_age}, public, no-transform, must-revalidate"))
    }

    fn certificate(&self, head: &Head, authority: AuthorityName) -> Answer {
        let shown = match self.km.ca_certificates(&CaCertificates { of: WhichAuthority::Name(authority) }) {
            Ok(shown) => shown,
            Err(fault) => return untold(&fault),
        };
        let Some(der) = shown.chain.into_iter().next() else { return untold(&Fault::unavailable("no certificate")) };
        let (etag, now) = (format!("\"{}\"", sha256(der.as_ref())), self.clock.now());
        let answer = match is_known(head, &etag) {
            true => Answer::empty(304),
            false => Answer::new(200, "application/pkix-cert", Content::Octets(der.0)),
        };
        answer
            .with("etag", &etag)
            .with("expires", &http_date(now.plus_s(CERTIFICATE_KEPT_S)))
            .with("cache-control", &format!("max-age={CERTIFICATE_KEPT_S}, public, no-transform"))
    }
}

/// Whether who asks has it already.
fn is_known(head: &Head, etag: &str) -> bool {
    let said = head.field("if-none-match");
    said.is_some_and(|said| said.split(',').any(|one| one.trim().trim_start_matches("W/") == etag))
}

fn told(answer: Answer, etag: &str, modified: UnixTime, expires: UnixTime) -> Answer {
    answer.with("etag", etag).with("last-modified", &http_date(modified)).with("expires", &http_date(expires))
}

#[cfg(test)]
mod tests;
