//! From a request of HTTP to the table, and back.

use super::answer::{Answer, bad_request};
use super::asked::Asked;
use super::desk::{Asker, Desk, Order};
use super::operations::{DESCRIPTION, OPERATIONS, Operation};
use crate::fault::{Exit, Failure};
use adapters::clock::Stopwatch;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use model::Digest;
use model::text::printable;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

/// Until a body must have come.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Until it is answered. What takes longer goes on, and is told to whoever asks again with the same key.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Requests that look at the records at a time. More wait.
const LOOKS_MAX: usize = 4;
/// Longest path in a record, in characters.
const PATH_LEN_MAX: usize = 300;
/// Longest idempotency key, in octets.
const KEY_LEN_MAX: usize = 128;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Who may ask.
#[derive(Clone, Copy, Debug)]
pub(super) enum Admission {
    /// Processes of this user, who has the data directory, and of root.
    Owner(u32),
    /// Whoever shows the token of this SHA-256.
    Token(Digest),
}

/// Whose process is at the other end of a connection; none over TCP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<u32>);

/// The work in hand.
pub(super) struct Office {
    desk: Desk,
    looks: Semaphore,
    /// Whoever is let in changes something; the others wait.
    door: Arc<Mutex<()>>,
}

impl Office {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk, looks: Semaphore::new(LOOKS_MAX), door: Arc::default() }
    }
}

/// What answers at one door.
pub(super) fn router(office: &Arc<Office>, admission: Admission) -> Router {
    let mut router = Router::new();
    for operation in OPERATIONS.iter().chain([&DESCRIPTION]) {
        router = router.route(operation.path, route(operation, Arc::clone(office)));
    }
    router
        .fallback(|| async { no_resource().into_response() })
        .method_not_allowed_fallback(|| async { no_method().into_response() })
        .layer(from_fn(move |request: Request, next: Next| guarded(admission, request, next)))
}

fn route(operation: &'static Operation, office: Arc<Office>) -> MethodRouter {
    let handler = move |request: Request| {
        let office = Arc::clone(&office);
        async move { handle(operation, office, request).await.unwrap_or_else(|problem| problem).into_response() }
    };
    if operation.is_read() { get(handler) } else { post(handler) }
}

fn no_resource() -> Answer {
    let failure = Failure::new(Exit::NotFound, "no-resource", "there is nothing at this path");
    Answer::problem(&failure.next("see the description: `cradle api openapi`"))
}

fn no_method() -> Answer {
    let failure = Failure::new(Exit::Usage, "no-method", "this cannot be done there");
    let failure = failure.next("see the description: `cradle api openapi`");
    Answer::problem_with(StatusCode::METHOD_NOT_ALLOWED, &failure)
}

/// Turns away who may not ask and what was meant for another host, marks answers, and logs the request.
async fn guarded(admission: Admission, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match admitted(admission, &request) {
        Ok(asker) => {
            let mut request = request;
            request.extensions_mut().insert(asker);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (path, us) = (printable(&path, PATH_LEN_MAX), watch.ns() / 1000);
    tracing::info!(method = %method, path, status = response.status().as_u16(), us, "request");
    response
}

fn admitted(admission: Admission, request: &Request) -> Result<Asker, Answer> {
    let refused = |why: &str| {
        Failure::new(Exit::NotAuthorised, "api-not-allowed", "nothing is answered to this process")
            .because(why)
            .next("ask as the owner of the data directory, over its socket; over TCP show the token in `api/token`")
    };
    match admission {
        Admission::Owner(owner) => match request.extensions().get() {
            Some(Peer(Some(uid))) if may_ask(*uid, owner) => Ok(Asker::User(*uid)),
            _ => Err(Answer::problem(&refused("its user is not the owner of the data directory"))),
        },
        Admission::Token(token) => {
            // A page in a browser can make a foreign name lead here; then the name is still in the request.
            if !crate::serve::is_for_loopback(request.uri(), request.headers().get(HOST)) {
                let failure = refused("it was meant for another host");
                return Err(Answer::problem_with(StatusCode::MISDIRECTED_REQUEST, &failure));
            }
            let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
            // Digests are compared: how far they agree says nothing of the token.
            match shown.map(|shown| x509::sha256(shown.as_bytes())) {
                Some(digest) if digest == token => Ok(Asker::Token),
                _ => Err(Answer::problem_with(StatusCode::UNAUTHORIZED, &refused("it did not show the token"))),
            }
        }
    }
}

/// Whether a process of this user may ask: who has the data directory may use the command line there.
const fn may_ask(uid: u32, owner: u32) -> bool {
    uid == owner || uid == 0
}

async fn handle(operation: &'static Operation, office: Arc<Office>, request: Request) -> Result<Answer, Answer> {
    let (mut parts, body) = request.into_parts();
    let path = path_of(&mut parts).await?;
    let body = body_of(operation, &parts.headers, body).await?;
    let problem = |failure: Failure| Answer::problem(&failure);
    let request = format!("{} {}", parts.method, printable(parts.uri.path(), PATH_LEN_MAX));
    let digest =
        x509::sha256(&[parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &body].join(&b'\n'));
    let key = key_of(&parts.headers)?;
    let asked = Asked::read(operation, &path, parts.uri.query(), body).map_err(problem)?;
    if operation.is_read() {
        return look(office, asked).await;
    }
    let who = parts.extensions.get::<Asker>().cloned().unwrap_or(Asker::Token);
    carry_out(office, asked, Order { who, request, key, digest }).await
}

async fn path_of(parts: &mut Parts) -> Result<Vec<(String, String)>, Answer> {
    // What is no text names nothing.
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| no_resource())?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

async fn body_of(operation: &Operation, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Answer> {
    let limit = operation.body.as_ref().map_or(0, |(_, len_max)| *len_max);
    let at_all = |value: &HeaderValue| value.to_str().is_ok_and(is_json);
    if operation.body.is_some() && !headers.get(CONTENT_TYPE).is_some_and(at_all) {
        let failure = bad_request("the body is not JSON", "its Content-Type is not application/json");
        return Err(Answer::problem_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, &failure));
    }
    match timeout(BODY_WITHIN, to_bytes(body, limit)).await {
        Ok(Ok(octets)) => Ok(octets.into()),
        Ok(Err(_)) if limit == 0 => Err(Answer::problem(&bad_request("there is a body", "none is taken here"))),
        Ok(Err(_)) => {
            let failure = bad_request("the body is too long, or broke off", format!("{limit} octets are taken"));
            Err(Answer::problem_with(StatusCode::PAYLOAD_TOO_LARGE, &failure))
        }
        Err(_) => {
            let failure = bad_request("the body did not come in time", format!("{BODY_WITHIN:?} are waited"));
            Err(Answer::problem_with(StatusCode::REQUEST_TIMEOUT, &failure))
        }
    }
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The SHA-256 of the idempotency key, if there is one.
fn key_of(headers: &HeaderMap) -> Result<Option<Digest>, Answer> {
    let bad = || {
        let failure = Failure::new(Exit::Usage, "idempotency-key", "this Idempotency-Key cannot be used");
        Answer::problem(&failure.because("it is 1 to 128 visible characters, once").next("use another one"))
    };
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = all.next() else { return Ok(None) };
    let octets = key.as_bytes();
    let fits = (1..=KEY_LEN_MAX).contains(&octets.len()) && octets.iter().all(u8::is_ascii_graphic);
    if fits && all.next().is_none() { Ok(Some(x509::sha256(octets))) } else { Err(bad()) }
}

async fn look(office: Arc<Office>, asked: Asked) -> Result<Answer, Answer> {
    let looked = timeout(ANSWER_WITHIN, async {
        let turn = office.looks.acquire().await;
        let own = Arc::clone(&office);
        let answer = tokio::task::spawn_blocking(move || own.desk.look(&asked)).await;
        drop(turn);
        answer
    });
    looked.await.ok().and_then(Result::ok).ok_or_else(too_slow)
}

async fn carry_out(office: Arc<Office>, asked: Asked, order: Order) -> Result<Answer, Answer> {
    let done = timeout(ANSWER_WITHIN, async {
        // It is held until it is done, also if nobody waits for it any more.
        let alone = Arc::clone(&office.door).lock_owned().await;
        let own = Arc::clone(&office);
        tokio::task::spawn_blocking(move || {
            let answer = own.desk.carry_out(&asked, &order);
            drop(alone);
            answer
        })
        .await
    });
    done.await.ok().and_then(Result::ok).ok_or_else(too_slow)
}

fn too_slow() -> Answer {
    let failure = Failure::new(Exit::TryAgain, "too-busy", "it took too long")
        .because("the records, or a module, did not answer in time")
        .next("ask again; with the same Idempotency-Key what was done meanwhile is told");
    Answer::problem(&failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_and_root_may_ask_and_nobody_else() {
        assert!(may_ask(1000, 1000) && may_ask(0, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
    }
    #[test]
    fn json_is_json_whatever_stands_beside() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("text/json") && !is_json("") && !is_json("application/jsonl"));
    }

    #[track_caller]
    fn key(values: &[&'static [u8]], expected: Option<bool>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(key_of(&headers).ok().map(|key| key.is_some()), expected);
    }
    #[test]
    fn a_key_is_visible_and_short_and_one() {
        key(&[], Some(false));
        key(&[b"7"], Some(true));
        key(&[&[b'x'; 128]], Some(true));
        key(&[&[b'x'; 129]], None);
        key(&[b""], None);
        key(&[b"a b"], None);
        key(&[b"\xff"], None);
        key(&[b"a", b"a"], None);
    }
}
