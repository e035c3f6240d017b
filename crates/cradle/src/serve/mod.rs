//! What monitoring asks of a running installation, over HTTP on loopback: reads only, beside whoever writes.
//!
//! Prevents: being reached from another machine, or by a page in a browser on this one; being kept busy by one peer.

pub(crate) mod connections;
pub(crate) mod host;
mod metrics;
mod ready;
mod watch;

pub(crate) use ready::{BROKER_WITHIN, Readiness, Standing, ask, no_broker, no_lease};
pub(crate) use watch::Watch;

use crate::fault::{Exit, Failure, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Octets of a body that are read: nothing here wants one.
const BODY_LEN_MAX: usize = 0;
/// Threads that look: two at the records, as one that is given up may still be there, and the same for /ready.
const BLOCKING_MAX: usize = 4;

/// Does something when the process is told to end.
pub(crate) fn on_signal(told: impl FnOnce() + Send + 'static) -> Result {
    let failed = |e: std::io::Error| Failure::new(Exit::Unavailable, "thread", "the process cannot run").because(e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut ended = runtime.block_on(async { connections::ended() }).map_err(failed)?;
    let waiting = std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(ended.wait());
        told();
    });
    waiting.map(drop).map_err(failed)
}

/// The address that was named, if only this machine can reach it.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr> {
    let refused = |why: &str| {
        Err(Failure::new(Exit::Usage, "not-loopback", format!("{text} is not listened on"))
            .because(why)
            .next("name 127.0.0.1:PORT or [::1]:PORT; put a proxy that authenticates in front for other machines"))
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        return refused("it is no numeric address with a port; a name could lead anywhere");
    };
    if !address.ip().is_loopback() {
        return refused("other machines could reach it, and whoever asks is not authenticated");
    }
    Ok(address)
}

/// Listens, says where by `listening`, and serves until the process is told to end.
pub(crate) fn serve(address: SocketAddr, watch: Watch, listening: impl FnOnce(SocketAddr) -> Result) -> Result {
    let runtime = runtime()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed("listening"))?;
        let mut ended = connections::ended().map_err(failed("waiting for signals"))?;
        listening(listener.local_addr().map_err(failed("listening"))?)?;
        connections::carry(listener, guarded_router(watching(watch)), ended.wait()).await;
        Ok(())
    })
}

/// What answers beside the work of this process. Dropping it waits until it has ended.
pub(crate) struct Beside {
    at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// Answers /live and /ready on a thread of its own, and what monitoring asks.
    pub(crate) fn start(address: SocketAddr, watch: Watch, readiness: Arc<Readiness>) -> Result<Self> {
        let runtime = runtime()?;
        let listener =
            runtime.block_on(async { tokio::net::TcpListener::bind(address).await }).map_err(failed("listening"))?;
        let at = listener.local_addr().map_err(failed("listening"))?;
        tracing::info!(url = %format!("http://{at}"), "answers /live and /ready");
        let (stop, stopped) = oneshot::channel();
        let router = guarded_router(watching(watch).merge(working(readiness)));
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(connections::carry(listener, router, async { drop(stopped.await) }));
            // Who still looks at the records is not waited for.
            runtime.shutdown_background();
        });
        Ok(Self { at, stop: Some(stop), thread: Some(thread.map_err(failed("listening"))?) })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended_already = thread.join();
        }
    }
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| {
        Failure::new(Exit::Unavailable, "listen", format!("{what} cannot be done"))
            .because(error)
            .next("name another port, or 0 for any; see who listens with `ss -ltnp`")
    }
}

/// One thread carries all connections; the records are read on others.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_MAX)
        .enable_all()
        .build()
        .map_err(failed("starting the runtime"))
}

fn guarded_router(router: Router) -> Router {
    let there = "There are /metrics, /status and /health; where modules run, /live and /ready.\n";
    router
        .fallback(move || async move { (StatusCode::NOT_FOUND, there) })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(from_fn(guarded))
}

fn watching(watch: Watch) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/metrics", get(show_metrics))
        .route("/status", get(show_status))
        .route("/health", get(show_health))
        .with_state(Arc::new(watch))
}

fn working(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/live", get(|| async { json(StatusCode::OK, "{\"live\":true}\n".into()) }))
        .route("/ready", get(show_ready))
        .with_state(readiness)
}

async fn show_ready(State(readiness): State<Arc<Readiness>>) -> Response {
    let standing = readiness.now().await;
    let status = if standing.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&standing) {
        Ok(text) => json(status, text + "\n"),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn root() -> &'static str {
    "cradle: /metrics for Prometheus, /status as JSON, /health with status 200 or 503\n"
}

/// Turns away what did not mean this server, marks answers, and logs the request.
async fn guarded(request: Request, next: Next) -> Response {
    let watch = adapters::clock::Stopwatch::start();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // A page in a browser can make a foreign name lead here; then the name is still in the request.
    let mut response = if is_for_loopback(request.uri(), request.headers().get(HOST)) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "This server answers for loopback addresses and localhost only.\n")
            .into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let us = watch.ns() / 1000;
    tracing::info!(method = %method, path = %path, status = response.status().as_u16(), us, "request");
    response
}

pub(crate) fn is_for_loopback(uri: &Uri, host: Option<&HeaderValue>) -> bool {
    let host = match (uri.host(), host) {
        (Some(host), _) => host.to_owned(),
        (None, Some(value)) => {
            match value.to_str().ok().and_then(|text| text.parse::<axum::http::uri::Authority>().ok()) {
                Some(authority) => authority.host().to_owned(),
                None => return false,
            }
        }
        // HTTP/1.0 knew no names.
        (None, None) => return true,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An error, as the command line says it to programs.
fn unavailable(failure: &Failure) -> Response {
    let Failure { what, why, next, code, .. } = failure;
    tracing::warn!(code, what = %what, why = %why, "the installation cannot be looked at");
    let body = serde_json::json!({"error": {"code": code, "what": what, "why": why, "next": next}});
    json(StatusCode::SERVICE_UNAVAILABLE, format!("{body}\n"))
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn show_metrics(State(watch): State<Arc<Watch>>) -> Response {
    match watch.look().await {
        Ok(survey) => match metrics::text(&survey, watch.errors()) {
            Ok(text) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                (StatusCode::OK, [(CONTENT_TYPE, kind)], text).into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        Err(failure) => unavailable(&failure),
    }
}

async fn show_status(State(watch): State<Arc<Watch>>) -> Response {
    match watch.look().await {
        Ok(survey) => match serde_json::to_string_pretty(&*survey) {
            Ok(text) => json(StatusCode::OK, text + "\n"),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        Err(failure) => unavailable(&failure),
    }
}

async fn show_health(State(watch): State<Arc<Watch>>) -> Response {
    match watch.look().await {
        Ok(survey) => {
            let failing = |f: &&crate::survey::Finding| f.severity == crate::survey::Severity::Fail;
            let codes: Vec<_> = survey.findings.iter().filter(failing).map(|finding| finding.code).collect();
            let status = if codes.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let word = if codes.is_empty() { "ok" } else { "failing" };
            json(status, format!("{}\n", serde_json::json!({"health": word, "failing": codes})))
        }
        Err(failure) => unavailable(&failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn listens(text: &str, expected: bool) {
        assert_eq!(loopback(text).is_ok(), expected, "{text}");
    }
    #[test]
    fn loopback_addresses_are_listened_on() {
        listens("127.0.0.1:0", true);
        listens("127.8.9.10:9100", true);
        listens("[::1]:0", true);
    }
    #[test]
    fn other_addresses_are_not() {
        listens("0.0.0.0:0", false);
        listens("[::]:0", false);
        listens("192.0.2.1:80", false);
        listens("[::ffff:127.0.0.1]:0", false);
    }
    #[test]
    fn names_are_not() {
        listens("localhost:0", false);
        listens("127.0.0.1", false);
        listens("", false);
    }

    #[track_caller]
    fn answers(host: &str, expected: bool) {
        let value = HeaderValue::from_str(host).unwrap();
        assert_eq!(is_for_loopback(&Uri::from_static("/metrics"), Some(&value)), expected, "{host}");
    }
    #[test]
    fn who_means_this_machine_is_answered() {
        answers("127.0.0.1:9100", true);
        answers("[::1]:9100", true);
        answers("LocalHost:9100", true);
    }
    #[test]
    fn who_means_another_is_not() {
        answers("evil.example:9100", false);
        answers("localhost.evil.example", false);
        answers("192.0.2.1", false);
        answers("", false);
    }
}
