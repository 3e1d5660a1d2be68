//! The HTTP/2 shell: one connection as a task, from its preface to its end.
//!
//! `h2` speaks the protocol over [`carrier::Carrier`], which shows every byte to the guard first.
//! Each request is polled once where it was found; one that must wait becomes a task of its own.
//! When all that could run has run, what gathered in the output is sent in one write.
//!
//! INVARIANT: the task ends after its last stream, so that every exchange leaves its record before
//! the connection is forgotten; save where the peer does not take our last words in time: handlers
//! are then woken to learn that their streams are gone, and leave their records a moment later.
//! `http2/LIFECYCLE.md` draws the states. RFC 9113; SECURITY.md 20 to 30.

mod answer;
mod carrier;
mod fields;
mod receive;
mod session;
mod stream;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::server::{Builder, Handshake, SendResponse};
use h2::{Reason as Code, RecvStream};
use stead_base::{Reason, Tick};
use stead_core::Connection as Facts;
use stead_http2::{FRAME_BYTES_MAX, Guard, PREFACE, Untold, Violation};
use stead_net::{FOR_EVER, Token, Wait, step_towards};

use crate::guard::{Panicked, poll_guarded};
use crate::stalled::STALLED_LEAST;
use crate::state::State;
use crate::wire::{self, Direction, Watch, Wire};
use carrier::{Carrier, Piece};
use session::{Session, TURN_READ_BYTES, earlier};

pub(crate) use fields::Stamps;

/// Bytes that a peer may send on one stream, or on all of a connection together, before somebody
/// read them. SECURITY: what bodies may hold of our memory (SECURITY.md 29).
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// Bytes that the protocol may hold for one stream.
const STREAM_BUFFER_BYTES: usize = 64 << 10;
/// How long a peer may go on asking after it was told that the connection will close.
const GRACE: Duration = Duration::from_secs(1);
/// How much later than its begin an idle time may be counted from.
const IDLE_SLACK: Duration = Duration::from_secs(1);
/// How long, and of how many streams that we reset, frames on their way are no error of the peer's:
/// what a slow uplink still sends of a refused upload.
const RESETS_FOR: Duration = Duration::from_secs(10);
const RESETS_MAX: usize = 256;
/// Requests that are taken before the first of them runs.
const BATCH: usize = 16;
/// How long the last words of a connection may take to leave.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);

/// Whether these are the first bytes of a connection that speaks HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    No,
    /// So far.
    Perhaps,
    Yes,
}

impl Preface {
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(b'P') if bytes.starts_with(PREFACE) => Self::Yes,
            Some(b'P') if PREFACE.starts_with(bytes) => Self::Perhaps,
            _ => Self::No,
        }
    }
}

/// How a connection ended.
pub(crate) struct Ended {
    pub(crate) wire: Option<Wire>,
    /// Whether the peer is to be given time to read what was sent.
    pub(crate) lingers: bool,
    /// Why, where no exchange tells.
    pub(crate) why: Option<Reason>,
    pub(crate) requests: u32,
}

/// Serves a connection whose preface is there or on its way, to its end.
pub(crate) async fn serve(
    state: Rc<State>,
    token: Token,
    server: u16,
    facts: Facts,
    wire: Wire,
) -> Ended {
    let mut connection = Connection::new(state, token, server, facts, wire);
    let (lingers, why) = poll_fn(|context| connection.poll(context)).await;
    let Connection { session, protocol, .. } = connection;
    drop(protocol);
    let wire = session.wire.borrow_mut().take();
    Ended { wire, lingers, why, requests: session.requests.get() }
}

struct Connection {
    session: Rc<Session>,
    token: Token,
    protocol: Protocol,
    /// When the peer's preface must be there.
    preface_ends: Option<Tick>,
    /// Since when no stream is open.
    idle_since: Option<Tick>,
    /// When a connection that takes no more requests stops to be polite about it.
    grace_ends: Option<Tick>,
    /// When what is left to be said is dropped.
    close_by: Option<Tick>,
    why: Option<Reason>,
    writing: Watch,
    writing_due: Option<Tick>,
    alarm: Option<Alarm>,
    /// Bytes in and out that were counted.
    traffic: (u64, u64),
}

/// When this task is woken at the latest, and what for.
struct Alarm {
    at: Tick,
    wait: Wait,
    /// Since when the connection rested, where all of its idle time was armed.
    since: Option<Tick>,
}

impl Alarm {
    /// Whether it is that of a connection which rests since `at`, but for `slack`.
    fn covers(&self, at: Tick, slack: Duration) -> bool {
        self.since.is_some_and(|since| at - since <= slack)
    }
}

enum Protocol {
    Beginning(Handshake<Carrier, Piece>),
    Open(h2::server::Connection<Carrier, Piece>),
    Over,
}

impl Connection {
    fn new(state: Rc<State>, token: Token, server: u16, facts: Facts, wire: Wire) -> Self {
        let now = state.worker.now();
        let scope = &state.server(server).scope;
        let limits = scope.limits;
        let preface_ends = scope.timeouts.header.map(|limit| now + limit);
        let session = Rc::new(Session::new(state, server, facts, wire));
        // Twice our limit, so that what is a little above it is answered like everything else.
        let list_bytes = u32::try_from(limits.header_size.0.saturating_mul(2)).unwrap_or(u32::MAX);
        let protocol = Builder::new()
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_concurrent_streams(limits.http2_streams.into())
            .max_header_list_size(list_bytes)
            .max_send_buffer_size(STREAM_BUFFER_BYTES)
            // The guard counts them, and knows which are excused.
            .reset_stream_duration(RESETS_FOR)
            .max_concurrent_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(None)
            .handshake(Carrier(Rc::clone(&session)));
        Self {
            session,
            token,
            protocol: Protocol::Beginning(protocol),
            preface_ends,
            idle_since: None,
            grace_ends: None,
            close_by: None,
            why: None,
            writing: Watch::new(Direction::Write),
            writing_due: None,
            alarm: None,
            traffic: (0, 0),
        }
    }

    /// Runs the connection; at its end whether to linger, and why it ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(bool, Option<Reason>)> {
        self.session.introduce(context);
        self.session.readable.set(TURN_READ_BYTES);
        self.session.is_drained.set(false);
        self.drain();
        self.drive(context);
        if let Some(violation) = self.session.violation() {
            self.cut_off(violation);
            self.drive(context);
        }
        self.tell();
        let is_flushed = self.flush(context);
        self.count_traffic();
        if matches!(self.protocol, Protocol::Over) {
            if self.session.running() == 0 && is_flushed {
                return Poll::Ready((true, self.why));
            }
            // What still waits learns that nobody will read its answer.
            self.session.wake_all();
        }
        let now = self.session.now();
        self.session.wake(now);
        if let Some(reason) = self.expire(now) {
            self.close(reason);
            context.waker().wake_by_ref();
        }
        if self.close_by.is_some_and(|end| now >= end) {
            if let Some(wire) = &mut *self.session.wire.borrow_mut() {
                wire.transport.reset_on_close();
            }
            self.protocol = Protocol::Over;
            self.session.wake_all();
            return Poll::Ready((false, self.why));
        }
        self.arm(context, now);
        Poll::Pending
    }

    /// Lets the protocol read, and requests run.
    fn drive(&mut self, context: &mut Context<'_>) {
        // PERF: many heads are decoded, then they run, then many answers are encoded.
        let mut batch = Vec::new();
        // Streams that never wait use the same storage, one after the other.
        let mut storage = None;
        loop {
            match &mut self.protocol {
                Protocol::Beginning(handshake) => match Pin::new(handshake).poll(context) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(open)) => {
                        self.protocol = Protocol::Open(open);
                        self.preface_ends = None;
                    }
                    Poll::Ready(Err(error)) => return self.ended(Some(&error)),
                },
                Protocol::Open(open) => {
                    let end = loop {
                        match open.poll_accept(context) {
                            Poll::Pending => break None,
                            Poll::Ready(Some(Ok(accepted))) => batch.push(accepted),
                            Poll::Ready(Some(Err(error))) => break Some(Some(error)),
                            Poll::Ready(None) => break Some(None),
                        }
                        if batch.len() >= BATCH {
                            break None;
                        }
                    };
                    let is_empty = batch.is_empty();
                    for (request, respond) in batch.drain(..) {
                        if let Some(stream) = self.accept(request, respond) {
                            storage = run(&self.session.state, stream, storage, context);
                        }
                    }
                    match end {
                        Some(error) => return self.ended(error.as_ref()),
                        None if is_empty => return,
                        None => {}
                    }
                }
                Protocol::Over => return,
            }
        }
    }

    /// The protocol has said its last word.
    fn ended(&mut self, error: Option<&h2::Error>) {
        // Who leaves after our goodbye does what he was told to.
        let told = self.session.closes.get().filter(|told| *told != Reason::Ok);
        let left = || told.unwrap_or(Reason::ClientClosed);
        let why = error.map_or(told, |error| match error.reason() {
            Some(_) if error.is_remote() => Some(left()),
            // The protocol counts CONTINUATION frames too, and is content with fewer.
            Some(Code::ENHANCE_YOUR_CALM) if self.session.is_in_block() => {
                Some(Reason::Http2HeaderBlock)
            }
            Some(Code::ENHANCE_YOUR_CALM) => Some(Reason::Http2Flood),
            Some(Code::NO_ERROR) | None => Some(left()),
            Some(_) => Some(Reason::Http2Protocol),
        });
        if let Some(why) = why.filter(|why| *why != Reason::ClientClosed && self.why.is_none()) {
            self.session.count_end(why);
        }
        self.over(why);
    }

    fn over(&mut self, why: Option<Reason>) {
        self.why = self.why.or(why);
        self.protocol = Protocol::Over;
        self.close_by.get_or_insert(self.session.now() + LAST_WORDS_WITHIN);
    }

    /// A request: what carries it, unless it is refused.
    fn accept(
        &mut self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Piece>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let session = &self.session;
        self.idle_since = None;
        let limits = &session.server().scope.limits;
        let is_late = self.grace_ends.is_some_and(|end| session.now() >= end);
        let head = stream::held_bytes(&request);
        // SECURITY: handlers of streams that were reset may still run (SECURITY.md 26), and heads
        // are held for as long as their answers take (SECURITY.md 23). A handler is dropped soon
        // after its reset; what it gave away goes on and is not counted here: a job that one of
        // the few blocking threads has begun (those that wait are skipped), and tasks that a
        // service spawned.
        let is_full = session.running() >= u32::from(limits.http2_streams);
        if is_late || is_full || !session.has_room_for_head(head) {
            session.worked(Guard::refused);
            respond.send_reset(Code::REFUSED_STREAM);
            session.state.outcome(session.server, Reason::Http2Refused);
            return None;
        }
        let requests = session.requests.get().saturating_add(1);
        session.requests.set(requests);
        if limits.keepalive_requests.is_some_and(|limit| requests >= limit) {
            session.closes.set(Some(Reason::KeepaliveRequests));
        }
        Some(stream::serve(Rc::clone(session), request, respond, head))
    }

    /// Counts and logs what the protocol did to requests that it never showed.
    fn tell(&self) {
        let Untold { heads, refusals } = self.session.take_untold();
        for _ in 0..refusals {
            self.session.state.outcome(self.session.server, Reason::Http2Refused);
        }
        for _ in 0..heads {
            stream::record_unseen(&self.session, Reason::HeaderTooLarge);
        }
    }

    /// Ends the connection of a peer that crossed a line: it is told so, and nothing more is read.
    fn cut_off(&mut self, violation: Violation) {
        if self.why.is_some() {
            return;
        }
        let reason = violation.reason();
        self.session.state.outcome(self.session.server, reason);
        self.why = Some(reason);
        self.close_by = Some(self.session.now() + LAST_WORDS_WITHIN);
        self.go_away(violation.code());
    }

    /// The last GOAWAY: no stream goes on.
    fn go_away(&mut self, code: u32) {
        match &mut self.protocol {
            Protocol::Open(open) => open.abrupt_shutdown(Code::from(code)),
            Protocol::Beginning(_) => {
                // The protocol speaks only once it has begun; no stream was in it.
                if let Some(wire) = &mut *self.session.wire.borrow_mut() {
                    if wire.traffic().1 == 0 && wire.output.is_empty() {
                        // SETTINGS come first (RFC 9113 §3.4).
                        wire.output().extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
                    }
                    wire.output().extend_from_slice(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    wire.output().extend_from_slice(&code.to_be_bytes());
                }
                self.protocol = Protocol::Over;
            }
            Protocol::Over => {}
        }
    }

    /// Ends the connection for a reason that is no fault: its streams are over, or must be.
    fn close(&mut self, reason: Reason) {
        if self.why.is_none() {
            self.session.count_end(reason);
            self.why = Some(reason);
        }
        self.close_by.get_or_insert(self.session.now() + LAST_WORDS_WITHIN);
        self.go_away(Code::NO_ERROR.into());
    }

    /// Begins to close where no more requests are taken: GOAWAY in two steps (RFC 9113 §6.8).
    fn drain(&mut self) {
        let session = &self.session;
        if session.state.cut.get() {
            session.wake_all();
            return self.close(Reason::Drained);
        }
        if self.grace_ends.is_some() {
            return;
        }
        let drains = match self.protocol {
            Protocol::Beginning(_) => session.state.drains_new(session.server),
            _ => session.state.drains(session.server),
        };
        let drains = drains.then_some(Reason::Drained);
        let Some(reason) = session.closes.get().or(drains) else { return };
        session.closes.set(Some(reason));
        self.grace_ends = Some(session.now() + GRACE);
        match &mut self.protocol {
            Protocol::Open(open) => open.graceful_shutdown(),
            // What has not begun is told once.
            _ => self.close(reason),
        }
    }

    /// What time has brought to an end.
    fn expire(&mut self, now: Tick) -> Option<Reason> {
        let is_over = |end: Option<Tick>| end.is_some_and(|end| now >= end);
        if self.why.is_some() || matches!(self.protocol, Protocol::Over) {
            return None;
        }
        let is_idle = self.session.running() == 0;
        if !is_idle {
            self.idle_since = None;
        }
        if self.alarm.as_ref().is_some_and(|alarm| alarm.wait == Wait::IdleTask) {
            let park = &self.session.state.park;
            if !is_idle {
                park.stays(self.token);
            } else if park.makes_room(self.token) {
                return Some(Reason::IdlePressure);
            }
        }
        if is_over(self.session.guard_due()) {
            self.session.guard(|guard| guard.tick(now));
            return None;
        }
        if is_over(self.preface_ends) {
            return Some(Reason::HeaderTimeout);
        }
        if is_idle && is_over(self.grace_ends) {
            return self.session.closes.get();
        }
        if is_over(self.age_ends()) && self.session.closes.get().is_none() {
            self.session.closes.set(Some(Reason::ConnectionAge));
            self.session.wake_owner();
        }
        if is_idle && self.preface_ends.is_none() {
            self.idle_since.get_or_insert(now);
        }
        is_over(self.idle_ends()).then_some(Reason::IdleTimeout)
    }

    fn idle_ends(&self) -> Option<Tick> {
        Some(self.idle_since? + self.session.server().scope.timeouts.idle?)
    }

    fn age_ends(&self) -> Option<Tick> {
        self.session.server().scope.timeouts.connection_age_max?;
        self.session.state.park.age_ends(self.token)
    }

    /// What is due next, if anything is.
    fn due(&self, now: Tick) -> Option<Tick> {
        let age = self.age_ends().filter(|_| self.session.closes.get().is_none());
        let ends = [
            self.session.guard_due(),
            self.preface_ends,
            self.idle_ends(),
            age,
            self.grace_ends.filter(|end| now < *end),
            self.close_by,
            self.writing_due.filter(|_| self.writing.waiting),
            // Who has ended waits no more.
            self.session.due().filter(|_| self.session.running() > 0),
        ];
        ends.into_iter().fold(None, earlier)
    }

    /// Has this task woken when something is due. One that rests, and waits for the next request
    /// only, is armed once and for all of its idle time: the park keeps those who rest in the
    /// order in which they were armed.
    fn arm(&mut self, context: &Context<'_>, now: Tick) {
        let due = self.due(now);
        let rests = self.idle_since.is_some() && self.why.is_none();
        let wait = if rests { Wait::IdleTask } else { Wait::Task };
        let idle = self.session.server().scope.timeouts.idle.unwrap_or(FOR_EVER);
        let slack = IDLE_SLACK.min(idle / 16);
        let since = self.idle_since.filter(|_| rests && due == self.idle_ends());
        let is_known = |alarm: &Alarm| since.is_some_and(|at| alarm.covers(at, slack));
        let is_armed = |alarm: &Alarm| {
            let is_in_time = due.is_none_or(|due| alarm.at <= due);
            alarm.wait == wait && now < alarm.at && (is_in_time || is_known(alarm))
        };
        let begins = since.is_some_and(|at| now - at <= slack);
        if self.alarm.as_ref().is_some_and(|alarm| is_armed(alarm) && (!begins || is_known(alarm)))
        {
            return;
        }
        let limit = match due {
            _ if begins => idle,
            Some(due) => step_towards(due - now),
            None => FOR_EVER,
        };
        self.alarm = Some(Alarm { at: now + limit, wait, since: since.filter(|_| begins) });
        self.session.state.park.arm(self.token, wait, limit, context.waker());
    }

    /// Sends what gathered; whether nothing is left.
    fn flush(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.session.now();
        let mut borrowed = self.session.wire.borrow_mut();
        let Some(wire) = borrowed.as_mut() else { return true };
        let moved = |wire: &Wire| wire::moved(Direction::Write, wire);
        let flushed = wire.poll_flush(context, false);
        let failed = match flushed {
            Poll::Ready(Ok(())) => {
                if self.writing.waiting {
                    self.writing.settle_at(moved(wire), now);
                }
                if self.session.running() == 0 {
                    wire.release_output();
                    self.session.rest();
                }
                return true;
            }
            Poll::Ready(Err(_)) => Reason::ClientClosed,
            Poll::Pending => {
                let lacks_memory = self.session.state.lacks_memory();
                let is_due = lacks_memory || self.writing_due.is_none_or(|due| now >= due);
                if self.writing.waiting && !is_due {
                    return false;
                }
                let timeouts = &self.session.server().scope.timeouts;
                match self.writing.judge(moved(wire), timeouts, now) {
                    Ok(_) if lacks_memory && self.writing.stood_still() >= STALLED_LEAST => {
                        Reason::Http2Stalled
                    }
                    Ok(again) => {
                        self.writing_due = again.map(|again| now + again);
                        return false;
                    }
                    Err(reason) => reason,
                }
            }
        };
        // Nothing that is left can be said.
        wire.transport.reset_on_close();
        drop(borrowed);
        if failed != Reason::ClientClosed && self.why.is_none() {
            self.session.state.outcome(self.session.server, failed);
        }
        self.over(Some(failed));
        self.close_by = Some(now);
        self.session.wake_all();
        false
    }

    fn count_traffic(&mut self) {
        let Some(counters) = self.session.state.counters(self.session.server) else { return };
        if let Some(wire) = &*self.session.wire.borrow() {
            let (bytes_in, bytes_out) = wire.traffic();
            counters.bytes_in.add(bytes_in - self.traffic.0);
            counters.bytes_out.add(bytes_out - self.traffic.1);
            self.traffic = (bytes_in, bytes_out);
        }
    }
}

/// A future, and afterwards the memory for another one.
type Storage<F> = Pin<Box<Option<F>>>;

/// Runs a stream until it waits, and then as a task, which takes the storage with it.
fn run<F: Future<Output = ()> + 'static>(
    state: &Rc<State>,
    stream: F,
    storage: Option<Storage<F>>,
    context: &mut Context<'_>,
) -> Option<Storage<F>> {
    let mut storage = match storage {
        Some(mut storage) => {
            storage.set(Some(stream));
            storage
        }
        None => Box::pin(Some(stream)),
    };
    if go_on(state, &mut storage, context).is_ready() {
        return Some(storage);
    }
    let state = Rc::clone(state);
    tokio::task::spawn_local(poll_fn(move |context| go_on(&state, &mut storage, context)));
    None
}

fn go_on<F: Future<Output = ()>>(
    state: &State,
    storage: &mut Storage<F>,
    context: &mut Context<'_>,
) -> Poll<()> {
    let Some(stream) = storage.as_mut().as_pin_mut() else {
        debug_assert!(false, "storage without a stream is not polled");
        return Poll::Ready(());
    };
    let polled = poll_guarded(stream, context).unwrap_or_else(|Panicked| {
        state.worker.counters.panics.add(1);
        Poll::Ready(())
    });
    if polled.is_ready() {
        storage.set(None);
    }
    polled
}
