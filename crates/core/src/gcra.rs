//! How often each of many clients may do something: one table of 24 bytes a client, exact over all
//! workers.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A, "virtual scheduling"): of each client only
//! the moment is kept at which its allowance is whole again. A request moves that moment on by one
//! interval; it conforms if the moment lies no further ahead than the burst takes. So within any
//! time `t` no more than `burst + t / interval` requests conform.
//!
//! A moment that has passed says nothing any more: its slot is free, without anyone sweeping. The
//! table is shards of buckets of eight slots, and a client has two buckets, of which it takes the
//! emptier one (Azar, Broder, Karlin, Upfal, "Balanced Allocations", 1994). A shard whose two
//! buckets are full grows by half, up to its limit; there, the client of these sixteen whose
//! allowance is nearest to whole is forgotten in favour of the new one. A shard shrinks when a walk
//! over it, one bucket every few requests, found most of it free.
//!
//! INVARIANT: a decision is one short lock on one shard. Clients are told apart by 128
//! bits of keyed hashes ([`Key`]).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_base::Frequency;
use stead_sys::clock;

use crate::key::{Key, KeyHasher, Secrets};

/// Allowances of many clients.
pub struct Allowances {
    /// Nanoseconds in which one request is earned, rounded up: never more than was allowed.
    interval: u64,
    /// Requests at once.
    burst: u64,
    shards: Box<[Mutex<Shard>]>,
    /// Buckets that a shard may have.
    buckets_max: usize,
    secrets: Secrets,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It conforms, after this wait, which is zero where it conforms at once.
    Conforms(Duration),
    /// It does not; asking again after this long will.
    Refused(Duration),
}

/// How much a client may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would conform now.
    pub remaining: u64,
    /// Until all of the burst would.
    pub whole_in: Duration,
}

/// One client.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: [u64; 2],
    /// When the allowance is whole again, in nanoseconds of the clock; in the past: free.
    whole_at: u64,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    /// The walk that looks whether the shard can shrink: where it is, and what it found.
    walked: usize,
    found: usize,
    /// Requests, to walk on every few of them.
    asked: u32,
}

/// More than workers, so that they seldom meet; few, so that an unused table is small.
const SHARDS: usize = 64;
/// Slots of a bucket: 192 bytes, three lines of the cache.
const BUCKET: usize = 8;
/// Of which two are always there, once there is a client.
const BUCKETS_MIN: usize = 2;
/// Slots for each client that is to be remembered: so many that two full buckets are rare.
const SLOTS_PER_CLIENT: f64 = 1.75;
/// The walk goes on by a bucket every so many requests.
const WALK_EVERY: u32 = 8;
/// A shard of which less than one slot in so many is taken shrinks.
const SHRINK_BELOW: usize = 8;
/// The longest time in which a burst may be earned, so that no sum of moments overflows: 73 years.
const WHOLE_MAX: u64 = u64::MAX >> 3;

impl Allowances {
    /// Allowances of `rate` with bursts of `burst` requests, at least 1, for `clients_max` clients
    /// at a time; `None` where the burst takes longer than 73 years to earn.
    pub fn new(rate: Frequency, burst: u32, clients_max: u32) -> Option<Self> {
        let per = u64::try_from(rate.per.as_nanos()).ok()?;
        let interval = per.div_ceil(u64::from(rate.count)).max(1);
        let burst = u64::from(burst.max(1));
        interval.checked_mul(burst).filter(|whole| *whole <= WHOLE_MAX)?;
        let slots_max = f64::from(clients_max) * SLOTS_PER_CLIENT;
        let buckets_max = (slots_max / (SHARDS * BUCKET) as f64).ceil() as usize;
        Some(Self {
            interval,
            burst,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            buckets_max: buckets_max.max(BUCKETS_MIN),
            secrets: Secrets::new(),
        })
    }

    /// The clock that allowances go by, in nanoseconds.
    pub fn now() -> u64 {
        u64::try_from(clock::precise().as_nanos()).unwrap_or(u64::MAX >> 1)
    }

    /// Begins a client's key.
    pub fn key(&self) -> KeyHasher {
        self.secrets.hasher()
    }

    /// One request of a client, which may be made to wait up to `delay`.
    pub fn take(&self, key: Key, now: u64, delay: Duration) -> Verdict {
        let delay = nanos(delay);
        let ahead_max = self.interval * (self.burst - 1);
        let mut shard = self.shard(key);
        shard.walk_on(now);
        let found = shard.find(key);
        let whole_at = found.map_or(now, |index| shard.slots[index].whole_at.max(now));
        let ahead = whole_at - now;
        if ahead > ahead_max.saturating_add(delay) {
            return Verdict::Refused(Duration::from_nanos(ahead - ahead_max - delay));
        }
        let whole_at = whole_at.saturating_add(self.interval);
        match found {
            Some(index) => shard.slots[index].whole_at = whole_at,
            None => shard.insert(Slot { key: key.0, whole_at }, now, self.buckets_max),
        }
        Verdict::Conforms(Duration::from_nanos(ahead.saturating_sub(ahead_max)))
    }

    /// How long until a client's next request would conform; `None` where it does now. Changes
    /// nothing.
    pub fn wait(&self, key: Key, now: u64) -> Option<Duration> {
        let shard = self.shard(key);
        let whole_at = shard.find(key).map_or(now, |index| shard.slots[index].whole_at);
        let ahead_max = self.interval * (self.burst - 1);
        let wait = whole_at.saturating_sub(now).saturating_sub(ahead_max);
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// How much a client may still do; changes nothing.
    pub fn standing(&self, key: Key, now: u64) -> Standing {
        let shard = self.shard(key);
        let whole_at = shard.find(key).map_or(now, |index| shard.slots[index].whole_at.max(now));
        let (ahead, whole) = (whole_at - now, self.interval * self.burst);
        let remaining = whole.saturating_sub(ahead) / self.interval;
        Standing { remaining, whole_in: Duration::from_nanos(ahead) }
    }

    /// Requests at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// How long it takes to earn a burst.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.interval * self.burst)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        self.shards[key.shard(self.shards.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that the table holds.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let held = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            size_of::<Mutex<Shard>>() + shard.slots.capacity() * size_of::<Slot>()
        };
        self.shards.iter().map(held).sum()
    }
}

impl Shard {
    fn find(&self, key: Key) -> Option<usize> {
        let buckets = self.slots.len() / BUCKET;
        let [first, second] = places(key.0, buckets)?;
        let of = |start: usize| (start..start + BUCKET).find(|i| self.slots[*i].key == key.0);
        of(first).or_else(|| of(second))
    }

    /// Keeps a client that is not there.
    fn insert(&mut self, slot: Slot, now: u64, buckets_max: usize) {
        if let Some(free) = self.free_slot(slot.key, now) {
            self.slots[free] = slot;
            return;
        }
        let buckets = self.slots.len() / BUCKET;
        if buckets < buckets_max {
            let more = (buckets + buckets / 2).clamp(BUCKETS_MIN, buckets_max);
            self.rebuild(more.max(buckets + 1), now);
        }
        self.put(slot, now);
    }

    /// Keeps a client in any case: where both of its buckets are full, in place of the one whose
    /// allowance is nearest to whole.
    fn put(&mut self, slot: Slot, now: u64) {
        let place = self.free_slot(slot.key, now).or_else(|| {
            let starts = places(slot.key, self.slots.len() / BUCKET)?;
            let both = starts.into_iter().flat_map(|start| start..start + BUCKET);
            both.min_by_key(|index| self.slots[*index].whole_at)
        });
        if let Some(index) = place {
            self.slots[index] = slot;
        }
    }

    /// A free slot in the emptier one of a client's two buckets.
    fn free_slot(&self, key: [u64; 2], now: u64) -> Option<usize> {
        let starts = places(key, self.slots.len() / BUCKET)?;
        let free = |start: usize| {
            let taken = self.slots[start..start + BUCKET].iter();
            let mut frees = taken.enumerate().filter(|(_, slot)| slot.whole_at <= now);
            let first = frees.next().map(|(index, _)| start + index);
            (frees.count(), first)
        };
        let [(first_free, first), (second_free, second)] = starts.map(free);
        match (first, second) {
            (Some(_), Some(_)) if second_free > first_free => second,
            (first, second) => first.or(second),
        }
    }

    /// Looks at one more bucket, every few requests; after the last one, shrinks if most is free.
    fn walk_on(&mut self, now: u64) {
        self.asked = self.asked.wrapping_add(1);
        if !self.asked.is_multiple_of(WALK_EVERY) || self.slots.len() <= BUCKETS_MIN * BUCKET {
            return;
        }
        let bucket = self.slots.iter().skip(self.walked).take(BUCKET);
        self.found += bucket.filter(|slot| slot.whole_at > now).count();
        self.walked += BUCKET;
        if self.walked >= self.slots.len() {
            if self.found * SHRINK_BELOW < self.slots.len() {
                self.rebuild((self.found * 2 / BUCKET).max(BUCKETS_MIN), now);
            }
            (self.walked, self.found) = (0, 0);
        }
    }

    fn rebuild(&mut self, buckets: usize, now: u64) {
        let slots = vec![Slot::default(); buckets * BUCKET];
        let old = std::mem::replace(&mut self.slots, slots);
        (self.walked, self.found) = (0, 0);
        for slot in old.into_iter().filter(|slot| slot.whole_at > now) {
            self.put(slot, now);
        }
    }
}

/// Where a client's two buckets begin.
fn places(key: [u64; 2], buckets: usize) -> Option<[usize; 2]> {
    // The high bits decide: the low ones of the first word chose the shard.
    let place = |word: u64| ((u128::from(word) * buckets as u128) >> 64) as usize;
    let (first, second) = (place(key[0]), place(key[1]));
    if buckets < BUCKETS_MIN {
        return None;
    }
    let second = if second == first { (second + 1) % buckets } else { second };
    Some([first * BUCKET, second * BUCKET])
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
