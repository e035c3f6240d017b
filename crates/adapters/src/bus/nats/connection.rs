//! One module's connection to the broker, and the answers that come over it.

use super::address::Site;
use super::fault::OpenFault;
use super::{Setting, credentials};
use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use model::UnixTime;
use model::contract::MESSAGE_LEN_MAX;
use ports::Clock;
use ports::bus::BusFault;
use rustls::crypto::CryptoProvider;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a message has beside its octets: our headers are shorter.
const HEADERS_LEN_MAX: usize = 4096;
/// Longest message that the server must take, in octets.
pub const PAYLOAD_LEN_MIN: usize = MESSAGE_LEN_MAX + HEADERS_LEN_MAX;
/// The oldest server with which this was tried.
pub(super) const OLDEST: &str = "2.9";

/// Until when the caller waits, in milliseconds since 1970. Whoever changes it can make a call late, which he can anyway.
const DEADLINE: &str = "Cradle-Deadline";
/// Why there is no answer.
const FAULT: &str = "Cradle-Fault";
const BROKEN: &str = "broken";
const TOO_LONG: &str = "too-long";

/// How often a silent connection is asked whether it is there: twice without an answer, and it is given up. A lease is
/// half a minute.
const PING_S: u64 = 5;
/// Longest wait for a server that is asked for a connection.
const CONNECT_S: u64 = 5;
/// Longest pause between attempts to connect again: a server that is back is not let wait.
const RETRY_MS_MAX: u64 = 500;
/// Messages that wait to be written. Each may be of full length, and what waits here outlives its deadline.
const OUTBOUND_MAX: usize = 32;
/// Messages of one subscription that are read but not looked at yet. What comes beyond is dropped: that is a flood.
const INBOUND_MAX: usize = 1024;
/// How often it is looked whether the connection is back.
const LOOK_MS: u64 = 10;
/// Longest wait for an answer of the broker itself.
pub(super) const FENCE_S: u64 = 10;

type Answer = Result<Vec<u8>, BusFault>;
type Waiter = Box<dyn FnOnce(Answer) + Send>;

/// How the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The version that it says.
    pub version: String,
    /// The longest message that it takes, in octets.
    pub payload_len_max: usize,
    /// Whether it is supported by those who make it.
    pub age: Age,
    /// Whether it can be reached now.
    pub link: Reach,
}

/// Whether a server is supported by those who make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// 2.10 or newer.
    Supported,
    /// Older: it works, but gets no corrections except from distributors.
    Old,
}

/// Whether a server can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    Up,
    /// It cannot now; calls wait for it until their deadlines.
    Down,
}

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) site: Site,
    pub(super) clock: Arc<dyn Clock>,
    inbox: String,
    waiting: Mutex<HashMap<u64, Waiter>>,
    next: AtomicU64,
}

impl Connection {
    pub(super) async fn open(setting: &Setting, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenFault> {
        let client = connect(setting).await?;
        let found = client.max_payload();
        if found < PAYLOAD_LEN_MIN {
            return Err(OpenFault::Payload { found });
        }
        let standing = standing(&client);
        if standing.age == Age::Old {
            tracing::warn!(
                version = %standing.version,
                "the broker is older than 2.10: its makers do not correct it any more; use a newer nats-server if there is one"
            );
        }
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await;
        let answers = answers.map_err(|e| OpenFault::Unreachable(e.to_string()))?;
        let (waiting, next) = (Mutex::default(), AtomicU64::new(0));
        let connection = Arc::new(Self { client, site: setting.site.clone(), clock, inbox, waiting, next });
        tokio::spawn(Arc::clone(&connection).read_answers(answers));
        connection.fence().await.map_err(|_| OpenFault::Forbidden)?;
        Ok(connection)
    }

    async fn read_answers(self: Arc<Self>, mut answers: Subscriber) {
        while let Some(message) = answers.next().await {
            let number = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
            // The first answer counts; for another nobody waits any more.
            let waiter = number.and_then(|number| self.locked_waiting().remove(&number));
            if let Some(waiter) = waiter {
                waiter(read_answer(&message));
            }
        }
    }

    fn locked_waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer as long as what is returned lives.
    pub(super) fn expect(self: &Arc<Self>, waiter: Waiter) -> Expected {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.locked_waiting().insert(number, waiter);
        Expected { connection: Arc::clone(self), number }
    }

    /// Publishes a message, with the connection there, until the deadline.
    pub(super) async fn publish(&self, message: Outgoing, deadline: UnixTime) -> Result<(), BusFault> {
        let patience = Duration::from_millis(deadline.since_ms(self.clock.now()));
        let published = tokio::time::timeout(patience, async {
            // What is given to the client without a connection would wait there, behind its deadline too.
            while self.client.connection_state() != State::Connected {
                tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            }
            let Outgoing { to, reply_to, headers, octets } = message;
            let octets = octets.into();
            match reply_to {
                Some(reply_to) => self.client.publish_with_reply_and_headers(to, reply_to, headers, octets).await,
                None => self.client.publish_with_headers(to, headers, octets).await,
            }
        });
        // It does not say what went wrong: the server may take less than it did, or be gone.
        published.await.map_err(|_| BusFault::Late)?.map_err(|_| BusFault::Late)
    }

    /// Waits until the broker has done what it was told before.
    pub(super) async fn fence(self: &Arc<Self>) -> Result<(), BusFault> {
        let (sender, receiver) = oneshot::channel();
        let expected = self.expect(Box::new(move |answer| {
            let _nobody_waits = sender.send(answer);
        }));
        let message =
            Outgoing { to: expected.address(), reply_to: None, headers: HeaderMap::new(), octets: Vec::new() };
        self.publish(message, self.clock.now().plus_s(FENCE_S)).await?;
        match tokio::time::timeout(Duration::from_secs(FENCE_S), receiver).await {
            Ok(Ok(answer)) => answer.map(drop),
            Ok(Err(_)) | Err(_) => Err(BusFault::Late),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        standing(&self.client)
    }
}

/// A place among those who wait for an answer.
pub(super) struct Expected {
    connection: Arc<Connection>,
    number: u64,
}

impl Expected {
    pub(super) fn address(&self) -> String {
        format!("{}.{}", self.connection.inbox, self.number)
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.connection.locked_waiting().remove(&self.number);
    }
}

/// A message to be published.
pub(super) struct Outgoing {
    pub(super) to: String,
    pub(super) reply_to: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) octets: Vec<u8>,
}

// The client of NATS takes whatever version of TLS the process can speak. The gateway may speak 1.2; nobody else does.
fn speak_tls13_only() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let is_new = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
    let cipher_suites = provider.cipher_suites.iter().copied().filter(is_new).collect();
    let _it_was_done_before = CryptoProvider { cipher_suites, ..provider }.install_default();
}

async fn connect(setting: &Setting) -> Result<Client, OpenFault> {
    speak_tls13_only();
    let mut options = ConnectOptions::new()
        .name(format!("cradle {} on {}", setting.module, setting.site.instance))
        .custom_inbox_prefix(setting.site.inbox(setting.module))
        // Only the servers that were named.
        .ignore_discovered_servers()
        .connection_timeout(Duration::from_secs(CONNECT_S))
        .ping_interval(Duration::from_secs(PING_S))
        .client_capacity(OUTBOUND_MAX)
        .subscription_capacity(INBOUND_MAX)
        .reconnect_delay_callback(|attempts| {
            let doubled = 1_u64.checked_shl(u32::try_from(attempts).unwrap_or(u32::MAX)).unwrap_or(RETRY_MS_MAX);
            Duration::from_millis(if attempts <= 1 { 0 } else { doubled.min(RETRY_MS_MAX) })
        })
        .event_callback(|event| async move { note(&event) });
    if let Some(seed) = &setting.seed {
        options = options.nkey(credentials::read_seed(seed)?.as_str().to_owned());
    }
    if let Some(trust) = &setting.trust {
        options = options.add_root_certificates(trust.clone()).require_tls(true);
    }
    let mut servers = Vec::new();
    for server in &setting.servers {
        let address = server.parse::<async_nats::ServerAddr>();
        servers.push(address.map_err(|e| OpenFault::Setting(format!("{server}: {e}")))?);
    }
    options.connect(servers).await.map_err(|e| match e.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => OpenFault::Refused,
        ConnectErrorKind::ServerParse => OpenFault::Setting(e.to_string()),
        _ => OpenFault::Unreachable(e.to_string()),
    })
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!("the broker is reached"),
        Event::Disconnected => tracing::warn!("the broker is gone; calls wait for it until their deadlines"),
        Event::SlowConsumer(_) => tracing::warn!("more messages than can be taken: some are dropped"),
        Event::ServerError(error) => tracing::warn!(%error, "the broker refused something"),
        Event::ClientError(error) => tracing::debug!(%error, "the broker is not reached yet"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::info!(%event, "the broker's connection"),
    }
}

fn standing(client: &Client) -> Standing {
    Standing {
        version: client.server_info().version,
        payload_len_max: client.max_payload(),
        age: if client.is_server_compatible(2, 10, 0) { Age::Supported } else { Age::Old },
        link: if client.connection_state() == State::Connected { Reach::Up } else { Reach::Down },
    }
}

fn read_answer(message: &Message) -> Answer {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(BusFault::Nobody);
    }
    let fault = message.headers.as_ref().and_then(|headers| headers.get(FAULT));
    match fault.map(async_nats::HeaderValue::as_str) {
        Some(TOO_LONG) => Err(BusFault::TooLong),
        Some(_) => Err(BusFault::Broken),
        None if message.payload.len() > MESSAGE_LEN_MAX => Err(BusFault::TooLong),
        None => Ok(message.payload.to_vec()),
    }
}

/// The headers of a call.
pub(super) fn call_headers(deadline: UnixTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(DEADLINE, deadline.ms().to_string());
    headers
}

/// The deadline that a call brings.
pub(super) fn deadline_of(message: &Message) -> Option<UnixTime> {
    let text = message.headers.as_ref()?.get(DEADLINE)?;
    text.as_str().parse().ok().map(UnixTime::from_ms)
}

/// An answer with its headers.
pub(super) fn answer_of(to: String, answer: Answer) -> Outgoing {
    let mut headers = HeaderMap::new();
    let octets = match answer {
        Ok(octets) if octets.len() <= MESSAGE_LEN_MAX => octets,
        Ok(_) | Err(BusFault::TooLong) => {
            headers.insert(FAULT, TOO_LONG);
            Vec::new()
        }
        Err(BusFault::Broken | BusFault::Late | BusFault::Nobody | BusFault::Off | BusFault::Taken) => {
            headers.insert(FAULT, BROKEN);
            Vec::new()
        }
    };
    Outgoing { to, reply_to: None, headers, octets }
}
