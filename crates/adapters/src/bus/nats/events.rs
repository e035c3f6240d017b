//! Events: entries of a log that others follow, kept by the broker until each follower has taken them.
//!
//! At least once, in order, and counted: an event has the number of its entry, so who follows takes each once and sees when
//! one is missing. The log itself is the truth; what the broker lost is read there. The broker can make up events: who acts
//! on one verifies it first, as with any message.

use super::NatsBus;
use super::connection::Connection;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, AckKind, Context, Message};
use futures_util::StreamExt;
use model::Fault;
use model::contract::MESSAGE_LEN_MAX;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// The log of which an event is an entry.
const LOG: &str = "Cradle-Log";
/// The number of that entry.
const NUMBER: &str = "Cradle-Number";

/// How long the broker keeps events, in seconds: a week, in which whoever follows must have come by.
const KEPT_S: u64 = 7 * 24 * 3600;
/// How much it keeps, in octets.
const KEPT_LEN_MAX: i64 = 1024 * 1024 * 1024;
/// How long the broker knows that an event came already, in seconds. Later repeats are noticed by their numbers.
const REPEATS_S: u64 = 120;
/// Longest wait for the broker to say that it keeps an event, in seconds.
const ACK_S: u64 = 10;
/// How long the broker waits for a follower before it offers the event again, in seconds.
const TAKING_S: u64 = 30;
/// Entries that are read, and events that are taken, at a time.
const PAGE: usize = 256;

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the log; one more than that of the entry before it.
    pub number: u64,
    /// What it says.
    pub octets: Vec<u8>,
}

/// A log whose entries are published.
pub trait Entries: Send + Sync {
    /// At most `limit` entries, in order, from this number on.
    ///
    /// # Errors
    /// [`Fault`] if they cannot be read now.
    fn read(&self, from: u64, limit: usize) -> Result<Vec<Event>, Fault>;
}

/// How far a log is published. Durable.
pub trait Cursor: Send + Sync {
    /// The number of the first entry that may not be published yet.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read now.
    fn next(&self) -> Result<u64, Fault>;
    /// Remembers that all before this number are published.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be written now.
    fn advance(&self, next: u64) -> Result<(), Fault>;
}

/// Somebody who follows logs.
pub trait Follower: Send + Sync {
    /// The number of the entry of this log that he wants next.
    ///
    /// # Errors
    /// [`Fault`] if he does not know now.
    fn next(&self, log: &str) -> Result<u64, Fault>;
    /// Takes it, and remembers in the same transaction that he did.
    ///
    /// # Errors
    /// [`Fault`] if he could not; he is offered it again.
    fn take(&self, log: &str, event: &Event) -> Result<(), Fault>;
}

/// Events went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFault {
    /// The broker did not do it, or did not say so in time.
    Broker(String),
    /// The log, the cursor or the follower could not.
    End(Fault),
    /// Entries are missing: they must be read from the log.
    Gap {
        /// Of which log.
        log: String,
        /// The number that should have come.
        wanted: u64,
        /// The number that came.
        found: u64,
    },
    /// An event that is longer than a message may be.
    TooLong(u64),
}

/// Whether the broker had an event already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New,
    /// It came before.
    Repeated,
}

fn broker(error: impl Display) -> EventFault {
    EventFault::Broker(error.to_string())
}

/// The events of a domain.
pub struct EventLog<'b> {
    bus: &'b NatsBus,
    stream: jetstream::stream::Stream,
    context: Context,
}

impl<'b> EventLog<'b> {
    /// Opens the events of the domain; makes the stream if there is none. Who may only follow needs one that is there.
    ///
    /// # Errors
    /// [`EventFault::Broker`]
    pub fn open(bus: &'b NatsBus) -> Result<Self, EventFault> {
        let connection = Arc::clone(&bus.connection);
        let opened = bus.engine.wait(async move { open(&connection).await });
        let (stream, context) = opened.ok_or_else(|| broker("the bus ended"))??;
        Ok(Self { bus, stream, context })
    }

    /// Publishes an entry, and waits until the broker says that it keeps it.
    ///
    /// # Errors
    /// [`EventFault::Broker`]: it may be kept, and should be published again. [`EventFault::TooLong`]
    pub fn publish(&self, log: &str, event: &Event) -> Result<Kept, EventFault> {
        if event.octets.len() > MESSAGE_LEN_MAX {
            return Err(EventFault::TooLong(event.number));
        }
        let mut headers = HeaderMap::new();
        headers.insert(LOG, log);
        headers.insert(NUMBER, event.number.to_string());
        let message = PublishMessage::build()
            .headers(headers)
            .message_id(format!("{log}/{}", event.number))
            .payload(event.octets.clone().into());
        let (context, to) = (self.context.clone(), self.bus.connection.site.events());
        let published = self.bus.engine.wait(async move {
            let published = async { context.send_publish(to, message).await.map_err(broker)?.await.map_err(broker) };
            let late = || broker("it did not say in time that it keeps the event");
            tokio::time::timeout(Duration::from_secs(ACK_S), published).await.map_err(|_| late())?
        });
        let ack = published.ok_or_else(|| broker("the bus ended"))??;
        Ok(if ack.duplicate { Kept::Repeated } else { Kept::New })
    }

    /// Publishes what the log has beyond the cursor, in order; says how many entries. One at a time for each log.
    ///
    /// # Errors
    /// [`EventFault`]; the cursor stands behind what is kept, or before it.
    pub fn publish_new(&self, log: &str, entries: &dyn Entries, cursor: &dyn Cursor) -> Result<u64, EventFault> {
        let first = cursor.next().map_err(EventFault::End)?;
        let mut next = first;
        loop {
            let page = entries.read(next, PAGE).map_err(EventFault::End)?;
            if page.is_empty() {
                return Ok(next - first);
            }
            let before = next;
            let published = page.iter().try_for_each(|event| {
                if event.number != next {
                    return Err(EventFault::Gap { log: log.to_owned(), wanted: next, found: event.number });
                }
                self.publish(log, event)?;
                next += 1;
                Ok(())
            });
            // Also if the page ended early: what is kept need not be published again.
            if next > before {
                cursor.advance(next).map_err(EventFault::End)?;
            }
            published?;
        }
    }

    /// Lets a follower take what has come for him under his name, at most a page, and waits so long for each event; says how
    /// many he took.
    ///
    /// # Errors
    /// [`EventFault`]; the event is offered again, and those behind it wait.
    pub fn follow(&self, name: &str, follower: &dyn Follower, patience: Duration) -> Result<usize, EventFault> {
        let consumer = self.consumer(name)?;
        let mut taken = 0;
        for _ in 0..PAGE {
            let Some(message) = self.offered(&consumer, patience)? else { break };
            let (ack, result) = match took(&message, follower) {
                Ok(n) => (AckKind::Ack, Ok(n)),
                Err(fault) => (AckKind::Nak(None), Err(fault)),
            };
            let acked = self.bus.engine.wait(async move { message.double_ack_with(ack).await.map_err(broker) });
            taken += result?;
            // If it is not known to be taken it comes again, and is known by its number.
            acked.ok_or_else(|| broker("the bus ended"))??;
        }
        Ok(taken)
    }

    fn consumer(&self, name: &str) -> Result<PullConsumer, EventFault> {
        let (stream, name) = (self.stream.clone(), name.to_owned());
        let made = self.bus.engine.wait(async move {
            let config = pull::Config {
                durable_name: Some(name.clone()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: Duration::from_secs(TAKING_S),
                // In order: the next one is offered when this one is taken.
                max_ack_pending: 1,
                ..pull::Config::default()
            };
            stream.get_or_create_consumer(&name, config).await.map_err(broker)
        });
        made.ok_or_else(|| broker("the bus ended"))?
    }

    fn offered(&self, consumer: &PullConsumer, patience: Duration) -> Result<Option<Message>, EventFault> {
        let consumer = consumer.clone();
        let offered = self.bus.engine.wait(async move {
            let mut batch = consumer.fetch().max_messages(1).expires(patience).messages().await.map_err(broker)?;
            batch.next().await.transpose().map_err(broker)
        });
        offered.ok_or_else(|| broker("the bus ended"))?
    }
}

async fn open(connection: &Connection) -> Result<(jetstream::stream::Stream, Context), EventFault> {
    let site = &connection.site;
    let context = jetstream::new(connection.client.clone());
    let config = Config {
        name: site.stream(),
        subjects: vec![site.all_events()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: Duration::from_secs(KEPT_S),
        max_bytes: KEPT_LEN_MAX,
        duplicate_window: Duration::from_secs(REPEATS_S),
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    };
    let stream = context.get_or_create_stream(config).await.map_err(broker)?;
    Ok((stream, context))
}

/// Lets a follower take an event; says whether it was new to him.
fn took(message: &Message, follower: &dyn Follower) -> Result<usize, EventFault> {
    let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string);
    let number = header(NUMBER).and_then(|number| number.parse().ok());
    let (Some(log), Some(number)) = (header(LOG), number) else {
        tracing::warn!(subject = %message.subject, "what came is no event: it is left out");
        return Ok(0);
    };
    let wanted = follower.next(&log).map_err(EventFault::End)?;
    if number < wanted {
        return Ok(0);
    }
    if number > wanted {
        return Err(EventFault::Gap { log, wanted, found: number });
    }
    let event = Event { number, octets: message.payload.to_vec() };
    follower.take(&log, &event).map_err(EventFault::End)?;
    Ok(1)
}
