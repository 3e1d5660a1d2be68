//! Where connections rest, and where every deadline of a worker runs out.
//!
//! A parked connection is one [`Record`](crate::record::Record): no task, no buffer, no parser, no
//! timer. Its descriptor is watched by the park's own epoll set, one-shot; the first byte takes the
//! connection out and the worker makes a task of it. Deadlines of parked and of active connections
//! are lists in order of expiry, one for each length of time, so that arming and disarming are
//! O(1).
//!
//! INVARIANT: a record is parked exactly while it holds its descriptor. What else a connection
//! needs again, such as its TLS session, the record keeps unseen.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};
use stead_base::Tick;
use stead_core::{Peer, Worker};
use stead_sys::clock;
use stead_sys::event::{self, Watched};
use tokio::io::Interest;
use tokio::time::Instant;

use crate::record::{Held, Kept, Record, Slab, Token, Wait};

mod lists;
mod room;

use lists::List;
pub use lists::{FOR_EVER, step_towards};

/// What the worker does with connections that leave the park.
pub trait Wake {
    /// The first byte is there: make a task of the connection, from what it held while it rested.
    fn wake(&self, token: Token, descriptor: OwnedFd, held: Option<Held>);

    /// The park closes the connection by itself; what is `left` of it is given up.
    fn closed(&self, why: Closed, listener: u16, peer: Peer, left: Left);
}

/// What is left of a connection that the park closes.
pub struct Left {
    /// Closed when this is dropped.
    pub descriptor: Option<OwnedFd>,
    /// What it held while it rested.
    pub held: Option<Held>,
}

/// Why the park closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed.
    Peer,
    /// The deadline of this wait was over.
    Deadline(Wait),
    /// It was as old as it may become.
    Age,
    /// The worker drains.
    Drain,
    /// It rested while the process ran short, and made room.
    Pressure,
}

/// Gives the allocator's free memory back to the system.
pub type Collect = fn();

/// Wake-ups taken in one turn, so that a burst does not starve what is already active. Fewer than
/// the 61 tasks that the event loop runs in one, or those of a burst would all be made before the
/// first of them runs.
const WAKES_PER_TURN: usize = 48;
/// Active connections beyond which a moment's quiet is too long to wait. Above what most workers
/// have of busy clients, who would pay for each request's parking.
// PERF: 100,000 connections on 8 workers that send at once (`bench storm`, on a machine with other
// work): 277 MB at the peak and 4.9 to 6.3 s without this, 256 wake-ups a turn; 50 MB and 2.5 to
// 3.3 s with both.
const ACTIVE_MANY: usize = 1024;
/// Deadlines that may run out in one turn.
const EXPIRIES_PER_TURN: usize = 256;
/// Deadlines are looked at no more often than this.
const DEADLINE_STEP: Duration = Duration::from_millis(100);
/// A worker that was busy and then quiet for this long gives memory back.
const TRIM_AFTER: Duration = Duration::from_secs(1);

/// One worker's connections.
pub struct Park {
    epoll: Watched,
    worker: Rc<Worker>,
    inner: RefCell<Inner>,
    /// When the driver looks at deadlines next.
    check_at: Cell<Option<Tick>>,
    driver: RefCell<Option<Waker>>,
    /// Connections became active or closed since memory was given back, last at this tick.
    busy_at: Cell<Option<Tick>>,
    collect: Collect,
}

struct Inner {
    slab: Slab,
    lists: Vec<List>,
    parked: usize,
    /// Active connections that were told to end and make room.
    leaving: usize,
    /// The most connections active at once since memory was given back.
    active_peak: usize,
}

impl Park {
    /// An empty park on the current event loop.
    pub fn new(worker: Rc<Worker>, collect: Collect) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll: event::watch(epoll, Interest::READABLE).map_err(|(_, error)| error)?,
            worker,
            inner: RefCell::new(Inner {
                slab: Slab::new(),
                lists: Vec::new(),
                parked: 0,
                leaving: 0,
                active_peak: 0,
            }),
            check_at: Cell::new(None),
            driver: RefCell::new(None),
            busy_at: Cell::new(None),
            collect,
        })
    }

    /// Connections open, parked and active.
    pub fn len(&self) -> usize {
        self.inner.borrow().slab.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new connection, active; kept for `age` at most, 10 % more or less.
    pub fn admit(&self, peer: Peer, listener: u16, age: Option<Duration>) -> Token {
        let mut inner = self.inner.borrow_mut();
        let token = inner.slab.insert(peer, listener);
        inner.note_active();
        if let Some(age) = age {
            let end = clock::now() + spread(age, token, self.worker.index);
            inner.slab[token.index].set_age_ends(end);
        }
        token
    }

    /// When a connection is kept no longer.
    pub fn age_ends(&self, token: Token) -> Option<Tick> {
        self.inner.borrow_mut().slab.find(token).and_then(|record| record.age_ends())
    }

    /// The other end, the listener and the requests so far of an open connection.
    pub fn facts(&self, token: Token) -> Option<(Peer, u16, u32)> {
        let mut inner = self.inner.borrow_mut();
        inner.slab.find(token).map(|record| (record.peer(), record.listener, record.requests))
    }

    /// Names the other end of an open connection anew, where a proxy said who it is.
    pub fn set_peer(&self, token: Token, peer: Peer) {
        if let Some(record) = self.inner.borrow_mut().slab.find(token) {
            record.set_peer(peer);
        }
    }

    /// A proxy said that the other end speaks TLS with it.
    pub fn set_proxied_tls(&self, token: Token) {
        if let Some(record) = self.inner.borrow_mut().slab.find(token) {
            record.set_proxied_tls();
        }
    }

    /// Whether a proxy said that the other end speaks TLS with it.
    pub fn is_proxied_tls(&self, token: Token) -> bool {
        self.inner.borrow_mut().slab.find(token).is_some_and(|record| record.is_proxied_tls())
    }

    /// Tells `each` of the listener and peer of open connections, `count` records from the one
    /// numbered `from` on; where to go on, while there are more. For whoever walks over all of them
    /// in turns that keep nobody waiting.
    pub fn survey(&self, from: u32, count: u32, mut each: impl FnMut(u16, Peer)) -> Option<u32> {
        let inner = self.inner.borrow();
        inner.slab.survey(from, count, |record| each(record.listener, record.peer()))
    }

    /// Adds to an open connection's requests.
    pub fn count_requests(&self, token: Token, requests: u32) {
        if let Some(record) = self.inner.borrow_mut().slab.find(token) {
            record.requests = record.requests.saturating_add(requests);
        }
    }

    /// Whether so many connections are active that one which is quiet for a moment should rest at
    /// once: a burst then costs what it answers, not what it just answered.
    pub fn is_crowded(&self) -> bool {
        let inner = self.inner.borrow();
        inner.slab.len() - inner.parked > ACTIVE_MANY
    }

    /// Parks an active connection until its first byte or until `limit` is over; it is woken with
    /// what it `held`.
    ///
    /// # Errors
    /// The descriptor could not be watched; the connection is closed.
    pub fn rest(
        &self,
        token: Token,
        descriptor: OwnedFd,
        wait: Wait,
        limit: Option<Duration>,
        held: Option<Held>,
    ) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        inner.unlink(token.index);
        let Some(record) = inner.slab.find(token) else { return Ok(()) };
        let event = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        let event_token = EventData::new_u64(token.to_u64());
        let watched = if record.is_watched() {
            epoll::modify(&self.epoll, &descriptor, event_token, event)
        } else {
            epoll::add(&self.epoll, &descriptor, event_token, event)
        };
        if let Err(error) = watched {
            inner.slab.remove(token);
            return Err(error.into());
        }
        record.set_watched(true);
        record.descriptor = Some(descriptor);
        record.kept = Kept::Held(held.map(Box::new));
        record.wait = wait;
        let age = record.age_ends().map(|end| end - clock::now());
        let age = age.filter(|age| limit.is_none_or(|limit| *age < limit));
        record.set_ages(age.is_some());
        // Also what rests for ever is in a list: who rests longest is found there.
        let limit = age.map(step_towards).or(limit).unwrap_or(FOR_EVER);
        self.link(&mut inner, token.index, limit);
        inner.parked += 1;
        self.worker.counters.connections_parked.add(1);
        // What its task held is free only now.
        self.touch();
        Ok(())
    }

    /// Wakes an active connection's task once `limit` is over; replaces an earlier deadline.
    pub fn arm(&self, token: Token, wait: Wait, limit: Duration, waker: &Waker) {
        let mut inner = self.inner.borrow_mut();
        inner.unlink(token.index);
        let Some(record) = inner.slab.find(token) else { return };
        if !record.kept.waker().is_some_and(|known| known.will_wake(waker)) {
            record.kept = Kept::Waker(waker.clone());
        }
        record.wait = wait;
        record.set_expired(false);
        self.link(&mut inner, token.index, limit);
    }

    /// Says whom to wake for an active connection, before it has a deadline.
    pub fn introduce(&self, token: Token, waker: &Waker) {
        if let Some(record) = self.inner.borrow_mut().slab.find(token) {
            record.kept = Kept::Waker(waker.clone());
        }
    }

    /// Whether the deadline that was armed last is over.
    pub fn is_expired(&self, token: Token) -> bool {
        self.inner.borrow_mut().slab.find(token).is_some_and(|record| record.is_expired())
    }

    /// Forgets a connection, unless that was done before; its task closes the descriptor.
    pub fn remove(&self, token: Token) {
        let mut inner = self.inner.borrow_mut();
        let Some(makes_room) = inner.slab.find(token).map(|record| record.makes_room()) else {
            return;
        };
        inner.unlink(token.index);
        if makes_room {
            inner.leaving -= 1;
        }
        inner.slab.remove(token);
        self.touch();
    }

    /// Closes every parked connection that has sent nothing, and wakes every other one, so that a
    /// request which came in time is answered, and active ones see the drain.
    pub fn drain(&self, wake: &impl Wake) {
        self.end_all(wake, |_| true);
    }

    /// The same, save for parked connections that have not asked for anything yet.
    pub fn drain_but_new(&self, wake: &impl Wake) {
        self.end_all(wake, |record| record.requests > 0 || record.wait == Wait::Kept);
    }

    fn end_all(&self, wake: &impl Wake, ends: impl Fn(&Record) -> bool) {
        let tokens = self.inner.borrow().slab.tokens();
        for token in tokens {
            let mut inner = self.inner.borrow_mut();
            let Some(record) = inner.slab.find(token) else { continue };
            if record.descriptor.is_some() && !ends(record) {
                continue;
            }
            let Some(descriptor) = record.descriptor.take() else {
                if let Some(waker) = record.kept.waker().cloned() {
                    waker.wake();
                }
                continue;
            };
            let held = record.kept.take();
            if has_input(&descriptor) {
                self.unpark(&mut inner, token);
                drop(inner);
                wake.wake(token, descriptor, held);
                continue;
            }
            let (listener, peer) = (record.listener, record.peer());
            self.close_parked(&mut inner, token);
            drop(inner);
            wake.closed(Closed::Drain, listener, peer, Left { descriptor: Some(descriptor), held });
        }
    }

    /// Forgets every connection, parked or active; `each` is told of its listener and peer.
    pub fn clear(&self, mut each: impl FnMut(u16, Peer)) {
        let mut inner = self.inner.borrow_mut();
        for token in inner.slab.tokens() {
            inner.unlink(token.index);
            let Some(record) = inner.slab.find(token) else { continue };
            each(record.listener, record.peer());
            if record.descriptor.is_some() {
                inner.parked -= 1;
                self.worker.counters.connections_parked.subtract(1);
            }
            inner.slab.remove(token);
        }
    }

    /// Runs the park for ever: wakes connections, ends waits, gives memory back.
    pub async fn drive(&self, wake: &impl Wake) -> io::Result<()> {
        let mut events = Vec::with_capacity(WAKES_PER_TURN);
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let ready = poll_fn(|context| {
                self.driver.replace(Some(context.waker().clone()));
                if let Poll::Ready(guard) = self.epoll.poll_read_ready(context) {
                    return Poll::Ready(guard.map(Some));
                }
                self.poll_timer(context, timer.as_mut()).map(|()| Ok(None))
            });
            match ready.await? {
                Some(mut guard) => {
                    let taken = self.take_events(&mut events, wake)?;
                    if taken < WAKES_PER_TURN {
                        guard.clear_ready();
                    }
                    drop(guard);
                    if taken == WAKES_PER_TURN {
                        tokio::task::yield_now().await;
                    }
                }
                None => tokio::task::yield_now().await,
            }
            // Also in a flood of wake-ups, or nobody's time would ever run out.
            if self.check_at.get().is_some_and(|check_at| clock::now() >= check_at) {
                self.look_at_deadlines(wake);
            }
        }
    }

    fn poll_timer(
        &self,
        context: &mut Context<'_>,
        mut timer: Pin<&mut tokio::time::Sleep>,
    ) -> Poll<()> {
        let Some(check_at) = self.check_at.get() else { return Poll::Pending };
        let left = check_at - clock::now();
        if left.is_zero() {
            return Poll::Ready(());
        }
        timer.as_mut().reset(Instant::now() + left);
        timer.poll(context)
    }

    fn take_events(&self, events: &mut Vec<Event>, wake: &impl Wake) -> io::Result<usize> {
        events.clear();
        epoll::wait(
            &self.epoll,
            spare_capacity(events),
            Some(&rustix::event::Timespec::default()),
        )?;
        for event in events.iter() {
            let (data, flags) = (event.data, event.flags);
            let token = Token::from_u64(data.u64());
            let mut inner = self.inner.borrow_mut();
            let Some(record) = inner.slab.find(token) else { continue };
            let Some(descriptor) = record.descriptor.take() else { continue };
            let (listener, peer) = (record.listener, record.peer());
            let (closed, held) = (flags.intersects(HANG_UP), record.kept.take());
            if closed && !has_input(&descriptor) {
                self.close_parked(&mut inner, token);
                drop(inner);
                let left = Left { descriptor: Some(descriptor), held };
                wake.closed(Closed::Peer, listener, peer, left);
                continue;
            }
            self.unpark(&mut inner, token);
            drop(inner);
            wake.wake(token, descriptor, held);
        }
        self.touch();
        Ok(events.len())
    }

    fn look_at_deadlines(&self, wake: &impl Wake) {
        let now = clock::now();
        // What is armed meanwhile says when to look.
        self.check_at.set(None);
        let (mut earliest, mut expired) = (None, 0);
        let lists = self.inner.borrow().lists.len();
        for list in 0..lists {
            while let Some(deadline) = self.next_deadline(list) {
                if deadline > now || expired == EXPIRIES_PER_TURN {
                    earliest = Some(earlier(earliest, deadline));
                    break;
                }
                expired += 1;
                self.expire_first(list, now, wake);
            }
        }
        let trim_at = self.trim_when_quiet(&mut self.inner.borrow_mut(), now);
        let next = [earliest, trim_at, self.check_at.get()].into_iter().flatten().min();
        // A full turn goes on at once, else no sooner than a step from now.
        let step = if expired == EXPIRIES_PER_TURN { Duration::ZERO } else { DEADLINE_STEP };
        self.check_at.set(next.map(|tick| tick.max(now + step)));
    }

    /// When the first deadline of a list runs out, if any does.
    fn next_deadline(&self, list: usize) -> Option<Tick> {
        let inner = self.inner.borrow();
        let (_, deadline) = inner.first(list).filter(|_| inner.lists[list].length != FOR_EVER)?;
        Some(deadline)
    }

    /// The first deadline of a list has run out: wakes the task or closes what rests.
    fn expire_first(&self, list: usize, now: Tick, wake: &impl Wake) {
        let mut inner = self.inner.borrow_mut();
        let Some((token, _)) = inner.first(list) else { return };
        inner.unlink(token.index);
        let record = &mut inner.slab[token.index];
        if record.descriptor.is_none() {
            record.set_expired(true);
            let waker = record.kept.waker().cloned();
            drop(inner);
            return waker.into_iter().for_each(Waker::wake);
        }
        if let Some(end) = record.age_ends().filter(|end| record.ages() && *end > now) {
            return self.link(&mut inner, token.index, step_towards(end - now));
        }
        let (listener, peer) = (record.listener, record.peer());
        let closed = if record.ages() { Closed::Age } else { Closed::Deadline(record.wait) };
        let left = Left { descriptor: record.descriptor.take(), held: record.kept.take() };
        self.close_parked(&mut inner, token);
        drop(inner);
        wake.closed(closed, listener, peer, left);
    }

    /// Gives memory back after a burst; says when to look again while there is some to give.
    fn trim_when_quiet(&self, inner: &mut Inner, now: Tick) -> Option<Tick> {
        let busy_at = self.busy_at.get()?;
        let active = inner.slab.len() - inner.parked;
        let is_quiet = now >= busy_at + TRIM_AFTER;
        // A trickle of requests keeps a worker from being quiet, not a burst's memory from it.
        let has_ebbed = inner.active_peak > 4 * active + 256;
        if !is_quiet && !has_ebbed {
            return Some(busy_at + TRIM_AFTER);
        }
        inner.active_peak = active;
        inner.slab.shrink();
        self.give_back();
        self.busy_at.set(Some(busy_at).filter(|_| !is_quiet));
        self.busy_at.get().map(|busy_at| busy_at + TRIM_AFTER)
    }

    /// Gives the memory that nobody uses back to the system.
    pub fn give_back(&self) {
        self.worker.trim();
        (self.collect)();
    }

    fn touch(&self) {
        let now = clock::now();
        self.busy_at.set(Some(now));
        self.check_by(now + TRIM_AFTER);
    }

    fn unpark(&self, inner: &mut Inner, token: Token) {
        inner.unlink(token.index);
        inner.parked -= 1;
        inner.note_active();
        self.worker.counters.connections_parked.subtract(1);
    }

    fn close_parked(&self, inner: &mut Inner, token: Token) {
        self.unpark(inner, token);
        inner.slab.remove(token);
        self.touch();
    }

    fn link(&self, inner: &mut Inner, index: u32, limit: Duration) {
        let deadline = inner.link(index, limit, clock::now());
        if limit != FOR_EVER {
            self.check_by(deadline);
        }
    }

    /// Makes sure that the driver looks at deadlines at `tick` or soon after.
    fn check_by(&self, tick: Tick) {
        if self.check_at.get().is_none_or(|check_at| tick + DEADLINE_STEP < check_at) {
            self.check_at.set(Some(tick));
            if let Some(driver) = self.driver.borrow().as_ref() {
                driver.wake_by_ref();
            }
        }
    }
}

const HANG_UP: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

impl Inner {
    fn note_active(&mut self) {
        self.active_peak = self.active_peak.max(self.slab.len() - self.parked);
    }
}

/// Whether anything can be read before the end of input.
fn has_input(descriptor: &OwnedFd) -> bool {
    let mut byte = [0_u8; 1];
    matches!(recv(descriptor, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, 1..)))
}

/// 90 % to 110 % of an age. Connections that came at once lie side by side in the slab, and the
/// golden ratio spreads neighbours evenly (Knuth, The Art of Computer Programming, vol. 3, §6.4).
fn spread(age: Duration, token: Token, worker: usize) -> Duration {
    const GOLDEN: u32 = 0x9e37_79b9;
    let seed = token.index ^ token.generation.rotate_left(16) ^ (worker as u32).rotate_left(24);
    let fraction = f64::from(seed.wrapping_mul(GOLDEN)) / f64::from(u32::MAX);
    age.mul_f64(0.9 + 0.2 * fraction)
}

fn earlier(one: Option<Tick>, other: Tick) -> Tick {
    one.map_or(other, |tick| tick.min(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet of clients that connected at once does not come back at once.
    #[test]
    fn ages_spread_evenly_over_a_fifth() {
        let (age, least, most) = (1_000.0, 900.0, 1_100.0);
        let mut tenths = [0; 10];
        for index in 0..10_000 {
            let own = spread(Duration::from_secs_f64(age), Token { index, generation: 1 }, 3);
            let own = own.as_secs_f64();
            assert!((least..=most).contains(&own), "{own} s");
            tenths[((own - least) / 20.000_1) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (900..=1_100).contains(count)), "{tenths:?}");
    }
}
