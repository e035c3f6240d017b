//! OCSP, lists of revoked certificates and certificates of authorities, over plain HTTP: all of it is signed by others.
//! Source: RFC 5019, RFC 6960 appendix A, RFC 5280 §4.2.1.13, §4.2.2.1.
//!
//! Prevents: an old list in the place of a newer one; more work for km than a few requests a second, however many ask.

mod together;

use crate::est::untold;
use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Request, Service, Taking};
use model::contract::enrolment::{CaCertificates, CurrentCrl, CurrentCrlShown, WhichAuthority};
use model::{AuthorityName, Fault, UnixTime};
use ports::Clock;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use together::Together;
use wire::ocsp::http::{Caching, NO_STORE, REQUEST_TYPE, RESPONSE_TYPE, decode_path, http_date};
use wire::ocsp::request::REQUEST_LEN_MAX;
use wire::ocsp::{Moment, Response};
use x509::sha256;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long a list is told again without asking km, in seconds: however many ask, km is asked once in this time.
const LIST_KEPT_S: u64 = 5;
/// How long others may keep a list, or an answer of OCSP, in seconds: whoever is revoked is believed no longer than this.
const KEPT_ELSEWHERE_S: u64 = 300;
/// How long others may keep the certificate of an authority, in seconds.
const CERTIFICATE_KEPT_S: u64 = 3600;
/// Lists that are kept here; when there are more, all are forgotten.
const LISTS_MAX: usize = 256;

/// What anybody may ask.
pub struct Status {
    km: Arc<dyn Km>,
    clock: Arc<dyn Clock>,
    lists: Mutex<Lists>,
    together: Together,
}

/// By authority and shard.
type Lists = BTreeMap<(AuthorityName, u32), Arc<Mutex<Known>>>;

/// What is known of a list: what km told last, and when it was asked last.
#[derive(Default)]
struct Known {
    kept: Option<Arc<Kept>>,
    asked: Option<UnixTime>,
}

/// A list.
struct Kept {
    list: CurrentCrlShown,
    etag: String,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// OCSP, the request in the path or in the body.
    Ocsp(Option<&'a str>),
    List(AuthorityName, u32),
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
    let sharded = name.rsplit_once("-shard-").and_then(|(name, n)| {
        let shard = n.parse::<u32>().ok().filter(|shard| *shard > 0 && shard.to_string() == n)?;
        Some(Asked::List(name.parse().ok()?, shard))
    });
    sharded.or_else(|| Some(Asked::List(name.parse().ok()?, 0)))
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
            (_, None) => Answer::text(404, "There are /ocsp, /crl/AUTHORITY.crl and /ca/AUTHORITY.cer."),
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
                Err(bad) => ocsp(bad.status().encode().to_vec()).with("cache-control", NO_STORE),
            },
            ("GET" | "HEAD", Some(Asked::List(authority, shard))) => self.list(head, authority, shard),
            ("GET" | "HEAD", Some(Asked::Certificate(authority))) => self.certificate(head, authority),
            _ => Answer::text(405, "Another method is used for this.").with("allow", "GET, HEAD, POST"),
        }
    }
}

fn ocsp(response: Vec<u8>) -> Answer {
    Answer::new(200, RESPONSE_TYPE, Content::Octets(response))
}

impl Status {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new(km: Arc<dyn Km>, clock: Arc<dyn Clock>) -> Self {
        Self { km, clock, lists: Mutex::default(), together: Together::default() }
    }

    /// Whoever is revoked is revoked at once: answers are kept by km, which knows, and not here.
    fn ocsp(&self, request: Vec<u8>, got: Option<&Head>) -> Answer {
        let response = match self.together.ask(request, |call| self.km.answer_ocsp(call)) {
            Ok(response) => response,
            Err(fault) => return untold(&fault),
        };
        let moment = match Response::decode(&response) {
            Ok(Response::Basic(read)) if read.nonce.is_none() => moment(&read),
            _ => None,
        };
        match (got, moment) {
            (Some(head), Some(moment)) => {
                let mut caching = Caching::of(&response, &moment, self.clock.now());
                caching.max_age_s = caching.max_age_s.min(KEPT_ELSEWHERE_S);
                let (etag, modified) = (caching.etag.clone(), caching.last_modified);
                let answer = if is_known(head, &etag) { Answer::empty(304) } else { ocsp(response) };
                let expires = caching.expires.min(self.clock.now().plus_s(caching.max_age_s));
                told(answer, &etag, modified, expires).with("cache-control", &caching.cache_control())
            }
            _ => ocsp(response).with("cache-control", NO_STORE),
        }
    }

    fn list(&self, head: &Head, authority: AuthorityName, shard: u32) -> Answer {
        let now = self.clock.now();
        let kept = match self.kept(authority, shard, now) {
            Ok(kept) => kept,
            Err(fault) => return untold(&fault),
        };
        let answer = match is_known(head, &kept.etag) {
            true => Answer::empty(304),
            false => Answer::new(200, "application/pkix-crl", Content::Octets(kept.list.crl.0.clone())),
        };
        let max_age = kept.list.next_update.s().saturating_sub(now.s()).min(KEPT_ELSEWHERE_S);
        told(answer, &kept.etag, kept.list.this_update, now.plus_s(max_age))
            .with("cache-control", &format!("max-age={max_age}, public, no-transform, must-revalidate"))
    }

    /// The list that km told last, if that was just now; if km does not answer, as long as the list holds. Who asks for one list
    /// waits for nobody who asks for another.
    fn kept(&self, authority: AuthorityName, shard: u32, now: UnixTime) -> Result<Arc<Kept>, Fault> {
        let key = (authority.clone(), shard);
        let known = self.known(&key);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_now = known.asked.is_some_and(|asked| now >= asked && now.s().saturating_sub(asked.s()) < LIST_KEPT_S);
        let went_back = known.asked.is_some_and(|asked| now < asked);
        let before = known.kept.as_ref().map(Arc::clone).filter(|kept| now <= kept.list.next_update && !went_back);
        if let Some(kept) = before.as_ref().filter(|_| is_now) {
            return Ok(Arc::clone(kept));
        }
        let told = self.km.current_crl(&CurrentCrl { authority, shard });
        known.asked = Some(now);
        let is_away = matches!(told, Err(Fault::Unavailable(_)));
        let kept = match (told, before) {
            (Ok(list), before) if before.as_ref().is_none_or(|before| before.list.number <= list.number) => {
                let etag = format!("\"{}\"", sha256(list.crl.as_ref()));
                Ok(Arc::new(Kept { list, etag }))
            }
            (Ok(_), Some(before)) => Ok(before),
            (Err(_), Some(before)) if is_away => Ok(before),
            (Ok(_), None) => Err(Fault::unavailable("no list")),
            (Err(fault), _) => Err(fault),
        };
        known.kept = kept.as_ref().ok().map(Arc::clone);
        if kept.is_err() {
            // Names of authorities that are none are without number.
            self.lists.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
        kept
    }

    fn known(&self, key: &(AuthorityName, u32)) -> Arc<Mutex<Known>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS_MAX && !lists.contains_key(key) {
            lists.clear();
        }
        Arc::clone(lists.entry(key.clone()).or_default())
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

/// The time that all of an answer holds.
fn moment(read: &wire::ocsp::BasicResponse<'_>) -> Option<Moment> {
    let this = read.responses.iter().map(|single| single.this_update).max()?;
    let next = read.responses.iter().map(|single| single.next_update).min()??;
    Some(Moment::new(read.produced_at, this, next))
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
