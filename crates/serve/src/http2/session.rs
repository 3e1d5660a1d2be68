//! What the task of an HTTP/2 connection and those of its streams share.
//!
//! Streams never touch the socket: they hand frames to the protocol, and the connection's task
//! sends what gathered once all of them ran. A stream that waits leaves its waker here, with the
//! moment at which it has waited long enough; the connection keeps one deadline for all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use stead_base::{Reason, Tick};
use stead_core::{Connection as Facts, Exchange, Level};
use stead_http2::{Guard, Untold, Violation};

use crate::snapshot::Server;
use crate::state::State;
use crate::wire::Wire;

/// One connection.
pub(super) struct Session {
    pub(super) state: Rc<State>,
    pub(super) server: u16,
    pub(super) facts: Facts,
    /// Taken when the protocol is over.
    pub(super) wire: RefCell<Option<Wire>>,
    guard: RefCell<Guard>,
    /// The line that the peer crossed.
    violation: Cell<Option<Violation>>,
    /// Streams whose exchange is not over, also where the peer has reset them.
    running: Cell<u32>,
    /// About what the heads of those hold, in bytes.
    heads: Cell<usize>,
    /// Bytes of their answers that were made whole.
    whole: Cell<usize>,
    /// Those of them that hold a file open.
    files: Cell<usize>,
    /// Requests so far.
    pub(super) requests: Cell<u32>,
    /// One of them was not refused for want of anything.
    pub(super) has_served: Cell<bool>,
    /// Bytes of bodies that the protocol holds for the peer.
    buffered: Cell<usize>,
    /// Bytes of bodies that have left the protocol.
    sent: Cell<u64>,
    /// Bytes that may still be read in this turn.
    pub(super) readable: Cell<usize>,
    /// Nothing more is there in this turn: the task is woken when more comes.
    pub(super) is_drained: Cell<bool>,
    /// Why the connection takes no more requests.
    pub(super) closes: Cell<Option<Reason>>,
    /// The record of an exchange says so.
    is_told: Cell<bool>,
    waits: RefCell<Waits>,
    owner: RefCell<Option<Waker>>,
    /// PERF: what the last stream left for the next.
    spare: Cell<Option<Box<Exchange>>>,
}

#[derive(Default)]
struct Waits {
    places: Vec<Option<Wait>>,
    /// The earliest deadline, or an earlier moment.
    due: Option<Tick>,
    /// Somebody waits until less is buffered, or did.
    for_room: bool,
    /// Who is woken first where several wait for room: each in his turn.
    first: usize,
}

struct Wait {
    waker: Waker,
    due: Option<Tick>,
    /// Waits until less is buffered, of its own and of all.
    for_room: Option<Held>,
}

/// Bytes of one stream that the protocol holds.
pub(super) type Held = Rc<Cell<usize>>;

/// Bytes of bodies that the protocol may hold for a peer that does not take them, by how near the
/// process is to its budgets. SECURITY: with the output buffer less than the 1 MiB of SECURITY.md
/// 28, and far less before all of them together are too much.
const fn buffered_max(level: Level) -> usize {
    match level {
        Level::Calm => 768 << 10,
        Level::Tight => 128 << 10,
        Level::Scarce | Level::Overloaded => 16 << 10,
    }
}

/// Bytes of whole answers that a connection may hold beside the first of them. SECURITY: they hold
/// our memory for as long as the peer's windows are shut, and no protocol bounds them. Many, since
/// a fast peer may ask for much at once.
const fn whole_bytes_max(level: Level) -> usize {
    match level {
        Level::Calm | Level::Tight => 64 << 20,
        Level::Scarce | Level::Overloaded => 16 << 20,
    }
}
/// A whole answer of so few bytes may always be held.
const SMALL_BYTES_MAX: usize = 16 << 10;
/// Answers of a connection that may hold files while fewer than half of the process's places are
/// free, and the part of the places where that is more. SECURITY: else a few peers that take
/// nothing hold all of them.
const FILES_LEAST: usize = 32;
const FILES_PART: usize = 32;
/// Bytes that the heads of one connection's requests may hold together. SECURITY: a few bytes of a
/// header table unfold to a head of many, held for as long as the peer leaves its window shut.
const HEADS_BYTES_MAX: usize = 512 << 10;
/// An exchange whose head was larger is not kept for the next stream.
const SPARE_BYTES_MAX: usize = 4 << 10;
/// Bytes read in one turn. SECURITY: a header block may unfold to many times its size; this bounds
/// how many can do so before their requests are looked at.
pub(super) const TURN_READ_BYTES: usize = 16 << 10;

impl Session {
    pub(super) fn new(state: Rc<State>, server: u16, facts: Facts, wire: Wire) -> Self {
        let now = state.worker.now();
        Self {
            state,
            server,
            facts,
            wire: RefCell::new(Some(wire)),
            guard: RefCell::new(Guard::new(now)),
            violation: Cell::new(None),
            running: Cell::new(0),
            heads: Cell::new(0),
            whole: Cell::new(0),
            files: Cell::new(0),
            requests: Cell::new(0),
            has_served: Cell::new(false),
            buffered: Cell::new(0),
            sent: Cell::new(0),
            readable: Cell::new(0),
            is_drained: Cell::new(false),
            closes: Cell::new(None),
            is_told: Cell::new(false),
            waits: RefCell::default(),
            owner: RefCell::new(None),
            spare: Cell::new(None),
        }
    }

    /// An exchange for the next stream.
    pub(super) fn exchange(&self) -> Box<Exchange> {
        self.spare.take().unwrap_or_else(|| {
            let worker = Rc::clone(&self.state.worker);
            Box::new(Exchange::new(worker, self.facts.clone()))
        })
    }

    /// Takes the exchange of a stream back whose head held so many bytes.
    pub(super) fn reclaim(&self, mut exchange: Box<Exchange>, head: usize) {
        if head <= SPARE_BYTES_MAX {
            exchange.begin();
            self.spare.set(Some(exchange));
        }
    }

    /// Nothing is under way: what was kept for the next stream goes.
    pub(super) fn rest(&self) {
        self.spare.set(None);
    }

    pub(super) fn server(&self) -> &Server {
        self.state.server(self.server)
    }

    pub(super) fn now(&self) -> Tick {
        self.state.worker.now()
    }

    /// Asks the guard, or tells it something; a violation ends the connection.
    pub(super) fn guard(&self, ask: impl FnOnce(&mut Guard) -> Result<(), Violation>) -> bool {
        let asked = ask(&mut self.guard.borrow_mut());
        if let Err(violation) = asked
            && self.violation.replace(Some(violation)).is_none()
        {
            self.wake_owner();
        }
        asked.is_ok()
    }

    /// Tells the guard of work.
    pub(super) fn worked(&self, tell: impl FnOnce(&mut Guard)) {
        tell(&mut self.guard.borrow_mut());
    }

    /// What the protocol did without a word.
    pub(super) fn take_untold(&self) -> Untold {
        self.guard.borrow_mut().take_untold()
    }

    /// Whether the peer is inside a header block.
    pub(super) fn is_in_block(&self) -> bool {
        self.guard.borrow().is_in_block()
    }

    pub(super) fn guard_due(&self) -> Option<Tick> {
        self.guard.borrow().due()
    }

    /// A handler asks that the connection ends after its answer.
    pub(super) fn close(&self) {
        if self.closes.get().is_none() {
            self.closes.set(Some(Reason::Ok));
            self.wake_owner();
        }
    }

    /// Why the connection takes no more requests, for the first exchange that ends after that was
    /// decided; a handler's wish is its own exchange's affair.
    pub(super) fn take_closing(&self) -> Option<Reason> {
        let reason = self.closes.get().filter(|reason| *reason != Reason::Ok)?;
        (!self.is_told.replace(true)).then_some(reason)
    }

    /// Counts why the connection ends, save where an exchange was counted with that.
    pub(super) fn count_end(&self, reason: Reason) {
        let is_counted = match self.closes.get() {
            Some(closes) if closes == reason => self.is_told.replace(true),
            _ => false,
        };
        if reason != Reason::Ok && !is_counted {
            self.state.outcome(self.server, reason);
        }
    }

    /// The line that the peer crossed.
    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation.get()
    }

    /// Streams whose exchange is not over.
    pub(super) fn running(&self) -> u32 {
        self.running.get()
    }

    /// Whether one more head may be held; one always may.
    pub(super) fn has_room_for_head(&self, bytes: usize) -> bool {
        self.running.get() == 0 || self.heads.get() + bytes <= HEADS_BYTES_MAX
    }

    /// A stream begins whose head holds so many bytes; it runs until the permit is dropped.
    pub(super) fn permit(self: &Rc<Self>, head: usize) -> Permit {
        self.heads.set(self.heads.get() + head);
        self.set_running(self.running.get() + 1);
        if let Some(counters) = self.state.counters(self.server) {
            counters.requests_active.add(1);
        }
        Permit { session: Rc::clone(self), head, whole: 0, file: false }
    }

    fn set_running(&self, streams: u32) {
        self.running.set(streams);
        self.worked(|guard| guard.runs(streams));
    }

    fn files_max(&self) -> usize {
        let files = &self.state.worker.process.files;
        let limit = files.limit().filter(|_| files.reaches(50));
        limit.map_or(usize::MAX, |limit| (limit / FILES_PART).max(FILES_LEAST))
    }

    /// Bytes that the protocol may hold of one stream: the more streams, the fewer.
    pub(super) fn step(&self) -> usize {
        (self.buffered_max() / (self.running.get().max(1) as usize)).clamp(4 << 10, 64 << 10)
    }

    fn buffered_max(&self) -> usize {
        buffered_max(self.state.worker.process.level())
    }

    pub(super) fn has_room(&self) -> bool {
        self.buffered.get() < self.buffered_max()
    }

    /// Whether a stream of which so much is held may hand over more.
    pub(super) fn has_room_for(&self, held: &Held) -> bool {
        self.has_room() && held.get() <= self.step() / 2
    }

    /// Whether the window of the whole connection is shut.
    pub(super) fn is_shut(&self) -> bool {
        self.guard.borrow().is_shut()
    }

    /// Whether nothing may come because others do not read what came, and how often that was so.
    pub(super) fn is_kept_waiting(&self) -> (bool, u32) {
        self.guard.borrow().is_kept_waiting()
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Bytes of bodies that have left the protocol.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn buffer(&self, bytes: usize) {
        self.buffered.set(self.buffered.get() + bytes);
    }

    pub(super) fn unbuffer(&self, bytes: usize) {
        self.buffered.set(self.buffered.get().saturating_sub(bytes));
    }

    /// The connection's task is at work: it is woken where streams need it.
    pub(super) fn introduce(&self, context: &Context<'_>) {
        let mut owner = self.owner.borrow_mut();
        if !owner.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *owner = Some(context.waker().clone());
        }
    }

    pub(super) fn wake_owner(&self) {
        if let Some(owner) = &*self.owner.borrow() {
            owner.wake_by_ref();
        }
    }

    /// When a stream has waited long enough, at the earliest.
    pub(super) fn due(&self) -> Option<Tick> {
        self.waits.borrow().due
    }

    /// Wakes the streams that have waited long enough, and those that find room now.
    pub(super) fn wake(&self, now: Tick) {
        let has_room = self.has_room();
        let mut waits = self.waits.borrow_mut();
        let Waits { places, due, for_room, first } = &mut *waits;
        let is_due = due.is_some_and(|due| now >= due);
        let finds_room = *for_room && has_room;
        if !(is_due || finds_room) {
            return;
        }
        *due = None;
        *for_room = false;
        let count = places.len().max(1);
        *first = if finds_room { (*first + 1) % count } else { *first % count };
        let (later, sooner) = places.split_at_mut(*first);
        for wait in sooner.iter_mut().chain(later).flatten() {
            let is_over = wait.due.is_some_and(|due| now >= due);
            let finds_room = wait.for_room.as_ref().is_some_and(|held| self.has_room_for(held));
            if is_over || finds_room {
                wait.due = None;
                wait.for_room = None;
                wait.waker.wake_by_ref();
            }
            *due = earlier(*due, wait.due);
            *for_room |= wait.for_room.is_some();
        }
    }

    /// Wakes every stream that waits.
    pub(super) fn wake_all(&self) {
        for wait in self.waits.borrow().places.iter().flatten() {
            wait.waker.wake_by_ref();
        }
    }
}

/// Says that a stream's exchange is not over, and what it holds.
pub(super) struct Permit {
    session: Rc<Session>,
    /// Bytes of its head, and of its answer where that is whole.
    head: usize,
    whole: usize,
    /// Its answer holds a file.
    file: bool,
}

impl Permit {
    /// Its answer holds a file now; `false` where others hold too many.
    pub(super) fn holds_file(&mut self) -> bool {
        let session = &self.session;
        let count = session.files.get();
        self.file = count < session.files_max();
        session.files.set(count + usize::from(self.file));
        self.file
    }

    /// It holds so many bytes of a whole answer now; `false` where that is too much beside what
    /// others hold.
    pub(super) fn holds(&mut self, bytes: usize) -> bool {
        let others = self.session.whole.get();
        let is_small = bytes <= SMALL_BYTES_MAX;
        let most = whole_bytes_max(self.session.state.worker.process.level());
        let may_hold = is_small || others == 0 || others.saturating_add(bytes) <= most;
        if may_hold && !is_small {
            self.session.whole.set(others + bytes);
            self.whole = bytes;
        }
        may_hold
    }

    /// So many bytes of it are with the protocol now.
    pub(super) fn handed_over(&mut self, bytes: usize) {
        let bytes = bytes.min(self.whole);
        self.whole -= bytes;
        self.session.whole.set(self.session.whole.get().saturating_sub(bytes));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.handed_over(self.whole);
        let session = &self.session;
        session.files.set(session.files.get().saturating_sub(usize::from(self.file)));
        session.heads.set(session.heads.get().saturating_sub(self.head));
        session.set_running(session.running.get().saturating_sub(1));
        if let Some(counters) = session.state.counters(session.server) {
            counters.requests_active.subtract(1);
        }
        if session.running.get() == 0 {
            session.wake_owner();
        }
    }
}

/// A stream's place among those that wait.
#[derive(Default)]
pub(super) struct Place(Option<usize>);

impl Place {
    /// Has the task woken at `due` at the latest, and when there is room if it waits for that.
    pub(super) fn wait<T>(
        &mut self,
        session: &Session,
        context: &Context<'_>,
        due: Option<Tick>,
        for_room: Option<Held>,
    ) -> Poll<T> {
        let mut waits = session.waits.borrow_mut();
        let waker = context.waker().clone();
        let waits_for_room = for_room.is_some();
        let wait = Some(Wait { waker, due, for_room });
        let index = self.0.or_else(|| waits.places.iter().position(Option::is_none));
        match index.and_then(|index| waits.places.get_mut(index)) {
            Some(place) => *place = wait,
            None => waits.places.push(wait),
        }
        self.0 = Some(index.unwrap_or(waits.places.len() - 1));
        waits.for_room |= waits_for_room;
        let is_sooner = due.is_some_and(|due| waits.due.is_none_or(|known| due < known));
        if is_sooner {
            waits.due = due;
            drop(waits);
            session.wake_owner();
        }
        Poll::Pending
    }

    /// The stream waits no more.
    pub(super) fn leave(&mut self, session: &Session) {
        if let Some(index) = self.0.take()
            && let Some(place) = session.waits.borrow_mut().places.get_mut(index)
        {
            *place = None;
        }
    }
}

/// The earlier of two moments that may never come.
pub(super) fn earlier(one: Option<Tick>, other: Option<Tick>) -> Option<Tick> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
