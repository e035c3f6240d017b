//! The answering side: takes what arrives for a module, as much at a time as it can work on.

use super::connection::{Connection, FENCE_S, answer_of, deadline_of};
use crate::bus::CALLS_MAX;
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use model::contract::{MESSAGE_LEN_MAX, Subject};
use model::{Module, UnixTime};
use ports::bus::{BusFault, Handler};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// Most leases that a module takes at a time: they do not wait behind calls, or a busy module would turn itself off.
pub(super) const LEASES_MAX: usize = 2;
/// Most calls that wait for their turn: those of four busy processes. What comes beyond is dropped, and late for its caller.
const QUEUE_MAX: usize = 4 * super::CALLING_MAX;
/// Most octets of calls that wait for their turn.
const QUEUE_LEN_MAX: usize = 64 * MESSAGE_LEN_MAX;
/// Longest that an answer waits for a connection, whatever deadline the call brought.
const ANSWER_MS_MAX: u64 = 60_000;
/// Longest wait for what the broker sent before it knew that nobody listens any more.
const DRAIN_S: u64 = 2;

type Begun = mpsc::SyncSender<Result<(), BusFault>>;

/// What a module does on the bus.
pub(super) struct Serving {
    work: Arc<Work>,
    calls: Lane,
    leases: Lane,
    tasks: JoinSet<()>,
}

struct Work {
    connection: Arc<Connection>,
    module: Module,
    handler: Arc<dyn Handler>,
}

/// Those who wait for the same turn.
#[derive(Clone)]
struct Lane {
    turns: Arc<Semaphore>,
    queue: Arc<Queue>,
}

impl Lane {
    fn new(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), queue: Arc::default() }
    }
}

#[derive(Default)]
struct Queue {
    messages: AtomicUsize,
    octets: AtomicUsize,
}

impl Queue {
    /// A place, if there is one. Only the thread of the bus asks.
    fn enter(self: &Arc<Self>, len: usize) -> Option<Place> {
        let is_full = self.messages.load(Ordering::Relaxed) >= QUEUE_MAX
            || self.octets.load(Ordering::Relaxed) + len > QUEUE_LEN_MAX;
        if is_full {
            return None;
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(len, Ordering::Relaxed);
        Some(Place { queue: Arc::clone(self), len })
    }
}

struct Place {
    queue: Arc<Queue>,
    len: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.messages.fetch_sub(1, Ordering::Relaxed);
        self.queue.octets.fetch_sub(self.len, Ordering::Relaxed);
    }
}

impl Serving {
    pub(super) fn new(connection: Arc<Connection>, module: Module, handler: Arc<dyn Handler>) -> Self {
        let work = Arc::new(Work { connection, module, handler });
        Self { work, calls: Lane::new(CALLS_MAX), leases: Lane::new(LEASES_MAX), tasks: JoinSet::new() }
    }

    /// Answers until it is stopped; then answers what came, and ends.
    pub(super) async fn run(mut self, begun: Begun, mut stopped: oneshot::Receiver<()>) {
        let (mut calls, mut leases) = match self.subscribe().await {
            Ok(subscribed) => subscribed,
            Err(fault) => {
                let _nobody_waits = begun.send(Err(fault));
                return;
            }
        };
        let _nobody_waits = begun.send(Ok(()));
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(message) = leases.next() => self.take_lease(message),
                Some(message) = calls.next() => self.take_call(message),
            }
        }
        // What the broker sent already still comes; without a connection it does not.
        let drained = tokio::time::timeout(Duration::from_secs(DRAIN_S), async {
            let _gone = (leases.drain().await, calls.drain().await);
            while let Some(message) = leases.next().await {
                self.take_lease(message);
            }
            while let Some(message) = calls.next().await {
                self.take_call(message);
            }
        });
        let _answered_what_came = drained.await;
        drop((leases, calls));
        while self.tasks.join_next().await.is_some() {}
        let flushed = tokio::time::timeout(Duration::from_secs(DRAIN_S), self.work.connection.client.flush());
        let _whoever_waits_is_late = flushed.await;
    }

    async fn subscribe(&self) -> Result<(Subscriber, Subscriber), BusFault> {
        let Work { connection, module, .. } = self.work.as_ref();
        let (client, site) = (&connection.client, &connection.site);
        let subscribed = tokio::time::timeout(Duration::from_secs(FENCE_S), async {
            // One process of the module answers a call; a lease is for each.
            let calls = client.queue_subscribe(site.calls_to(*module), module.name().to_owned()).await;
            let leases = client.subscribe(site.leases_to(*module)).await;
            Some((calls.ok()?, leases.ok()?))
        });
        let subscribed = subscribed.await.map_err(|_| BusFault::Late)?.ok_or(BusFault::Late)?;
        // Who calls after this finds somebody.
        connection.fence().await?;
        Ok(subscribed)
    }

    fn take_lease(&mut self, message: Message) {
        let lane = self.leases.clone();
        self.take(lane, Subject::ModeLease, message);
    }

    fn take_call(&mut self, message: Message) {
        let Work { connection, module, .. } = self.work.as_ref();
        match connection.site.subject_of(*module, &message.subject) {
            // A supervisor's own leases come twice, and count once: as leases.
            None | Some(Subject::ModeLease) => {}
            Some(subject) => {
                let lane = self.calls.clone();
                self.take(lane, subject, message);
            }
        }
    }

    fn take(&mut self, lane: Lane, subject: Subject, message: Message) {
        while self.tasks.try_join_next().is_some() {}
        // Nobody who waits for an answer is without an address.
        let Some(reply_to) = message.reply.as_ref().map(ToString::to_string) else { return };
        let Some(place) = lane.queue.enter(message.payload.len()) else {
            tracing::warn!(module = %self.work.module, "too many calls wait: one is dropped");
            return;
        };
        let work = Arc::clone(&self.work);
        self.tasks.spawn(async move {
            let Ok(_turn) = lane.turns.acquire_owned().await else { return };
            drop(place);
            work.answer(subject, message, reply_to).await;
        });
    }
}

impl Work {
    async fn answer(self: Arc<Self>, subject: Subject, message: Message, reply_to: String) {
        let (now, deadline) = (self.connection.clock.now(), deadline_of(&message));
        // At its deadline the caller is gone.
        if deadline.is_some_and(|deadline| deadline <= now) {
            return;
        }
        let latest = now.plus_ms(ANSWER_MS_MAX);
        let deadline = deadline.map_or(latest, |deadline: UnixTime| deadline.min(latest));
        let answer = if message.payload.len() > MESSAGE_LEN_MAX {
            Err(BusFault::TooLong)
        } else {
            let handler = Arc::clone(&self.handler);
            // A panic in one request does not take the others with it: it ends its own task.
            let handled = tokio::task::spawn_blocking(move || handler.handle(subject, &message.payload));
            handled.await.map_err(|_| BusFault::Broken)
        };
        // If it cannot be sent until then, nobody waits for it.
        let _late = self.connection.publish(answer_of(reply_to, answer), deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_no_more() {
        let queue = Arc::new(Queue::default());
        let mut places: Vec<_> = (0..QUEUE_MAX).map(|_| queue.enter(1).unwrap()).collect();
        assert!(queue.enter(1).is_none());
        places.pop();
        assert!(queue.enter(1).is_some());
    }
    #[test]
    fn so_many_octets_wait_and_no_more() {
        let queue = Arc::new(Queue::default());
        let place = queue.enter(QUEUE_LEN_MAX - 1).unwrap();
        assert!(queue.enter(2).is_none());
        assert!(queue.enter(1).is_some());
        drop(place);
        assert!(queue.enter(QUEUE_LEN_MAX).is_some());
    }
}
