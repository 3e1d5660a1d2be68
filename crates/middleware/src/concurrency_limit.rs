//! Lets only so many requests be under way at once; more wait in order, or get 503.
//!
//! # What
//! At most `requests` are between here and the end of their answers, all workers together. Of those
//! that come meanwhile, `queue` wait for their turn, in order, each up to `wait`; the others, and
//! those whose wait is over, are answered 503 (`concurrency_limited`) with `Retry-After`.
//!
//! # Why
//! What takes much memory or a slow neighbour's time is done a few at a time, and the rest hears so
//! at once rather than all becoming slow.
//!
//! # Example
//! ```toml
//! concurrency_limit = { requests = 100, queue = 50, wait = "5s" }
//! ```
//! Without `queue` nobody waits: `concurrency_limit = 100`. For each client by itself:
//! `key = "{client_ip}"`.
//!
//! # Placeholders
//! `key` takes those of `rate_limit`, `{ header = "…" }` too.
//!
//! # Limits
//! A request holds its place until its answer is sent, cut, or its handler panicked. The place of
//! one that its client gave up is free at once. What is remembered of keys is only of those with
//! requests under way.
//!
//! # RFC
//! RFC 9110 §15.6.4 (503), §10.2.3 (`Retry-After`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_config::{Config, Diagnostics, Settings, module_docs};
use stead_core::{
    BuildContext, Exchange, Flow, Key, Middleware, MiddlewareKind, Reason, Response, Result,
    Secrets, name,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::keys::{KeyConfig, KeyOf};

/// The kind `concurrency_limit`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("concurrency_limit", build)
    .summary("let only so many requests be under way at once")
    .docs(module_docs!("concurrency_limit.rs"))
    .example(r#"concurrency_limit = { requests = 100, queue = 50, wait = "5s" }"#)
    .settings::<ConcurrencyLimitConfig>();

/// Settings of `concurrency_limit`. All apply at start.
#[derive(Config)]
#[config(shorthand = "requests")]
struct ConcurrencyLimitConfig {
    /// Requests under way at once, all workers together.
    #[config(range = 1..=1_000_000)]
    requests: u32,
    /// What counts by itself: a text with placeholders, or `{ header = "…" }`; without it all
    /// requests count together.
    key: Option<KeyConfig>,
    /// Requests that wait for their turn; of each key.
    #[config(default = 0, range = 0..=1_000_000)]
    queue: u32,
    /// How long each of them waits at most.
    #[config(default = "5s", range = "1ms"..="10m")]
    wait: Duration,
}

struct ConcurrencyLimit {
    requests: usize,
    queue: usize,
    wait: Duration,
    lanes: Lanes,
}

/// The places of those who count together.
struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One lane for all, or one for each key that has requests under way.
enum Lanes {
    One(Arc<Lane>),
    ByKey { key: KeyOf, secrets: Secrets, shards: Arc<[Shard]> },
}

type Shard = Mutex<HashMap<Key, Arc<Lane>>>;

/// More than workers, so that they seldom meet.
const SHARDS: usize = 32;
/// When a place is free nobody knows; soon, for who is refused came beside many others.
const RETRY_AFTER: &[u8] = b"1";

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: ConcurrencyLimitConfig = settings.decode()?;
    let requests = config.requests as usize;
    let lanes = match &config.key {
        None => Lanes::One(Arc::new(Lane::new(requests))),
        Some(key) => Lanes::ByKey {
            key: key.compile(context)?,
            secrets: Secrets::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        },
    };
    let queue = config.queue as usize;
    Ok(Box::new(ConcurrencyLimit { requests, queue, wait: config.wait, lanes }))
}

impl Lane {
    fn new(requests: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(requests)), waiting: AtomicUsize::new(0) }
    }
}

/// A place, or the wish for one; dropped, whatever ended the exchange, it is free again.
struct Held {
    /// Before the lane: the place is free before the lane is looked at.
    place: Option<OwnedSemaphorePermit>,
    lane: Arc<Lane>,
    is_waiting: bool,
    of_key: Option<(Key, Arc<[Shard]>)>,
}

impl Held {
    fn new(lane: Arc<Lane>, of_key: Option<(Key, Arc<[Shard]>)>) -> Self {
        Self { place: None, lane, is_waiting: false, of_key }
    }

    /// Joins the queue; false where it is full.
    fn queue_up(&mut self, queue: usize) -> bool {
        self.is_waiting = true;
        self.lane.waiting.fetch_add(1, Ordering::Relaxed) < queue
    }

    fn leave_queue(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.lane.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.place = None;
        self.leave_queue();
        let Some((key, shards)) = &self.of_key else { return };
        let mut lanes = lock(shards, *key);
        // Nobody else is in this lane, and under the lock nobody can enter: the table has it, and
        // this.
        if Arc::strong_count(&self.lane) == 2 {
            lanes.remove(key);
        }
    }
}

fn lock(shards: &[Shard], key: Key) -> MutexGuard<'_, HashMap<Key, Arc<Lane>>> {
    shards[key.shard(shards.len())].lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConcurrencyLimit {
    fn enter(&self, exchange: &Exchange) -> Held {
        match &self.lanes {
            Lanes::One(lane) => Held::new(Arc::clone(lane), None),
            Lanes::ByKey { key, secrets, shards } => {
                let key = key.key(exchange, secrets.hasher());
                let mut lanes = lock(shards, key);
                let lane = lanes.entry(key).or_insert_with(|| Arc::new(Lane::new(self.requests)));
                let lane = Arc::clone(lane);
                Held::new(lane, Some((key, Arc::clone(shards))))
            }
        }
    }

    /// Waits for a place, in the order in which requests came.
    async fn wait(&self, exchange: &mut Exchange, mut held: Held) -> Result<Option<Response>> {
        let places = Arc::clone(&held.lane.places);
        let Ok(Ok(place)) = tokio::time::timeout(self.wait, places.acquire_owned()).await else {
            return Ok(Some(refuse(exchange)));
        };
        held.leave_queue();
        held.place = Some(place);
        exchange.slots().put(held);
        Ok(None)
    }
}

fn refuse(exchange: &Exchange) -> Response {
    let mut response = exchange.refuse(Reason::ConcurrencyLimited);
    response.fields.set(name::RETRY_AFTER, RETRY_AFTER);
    response
}

impl Middleware for ConcurrencyLimit {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let mut held = self.enter(exchange);
        // Where somebody waits, a free place is handed to the first of them: this does not push in.
        if let Ok(place) = Arc::clone(&held.lane.places).try_acquire_owned() {
            held.place = Some(place);
            exchange.slots().put(held);
            return Flow::Continue;
        }
        if !held.queue_up(self.queue) {
            return Flow::Respond(refuse(exchange));
        }
        Flow::Wait(Box::pin(self.wait(exchange, held)))
    }
}

#[cfg(test)]
mod tests;
