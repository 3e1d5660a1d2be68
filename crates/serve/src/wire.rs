//! One connection's socket with its two buffers and the deadline that runs while it waits.
//!
//! Buffers are lent by the worker and given back whenever they are empty, so that a connection
//! which waits holds none.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use stead_base::{Reason, Tick, Timeouts};
use stead_http1::RequestDecoder;
use stead_net::{Held, Pace, Progress, Socket, Token, Wait, step_towards};

use crate::scope::Scope;
use crate::snapshot::ScopeRef;
use crate::state::State;
use crate::transport::Transport;

/// Room made for one read.
const READ_BYTES: usize = 4 << 10;
/// Bytes read ahead of what is being answered.
const READ_AHEAD_MAX: usize = 16 << 10;
/// Bytes sent, or read in from disk, for one connection in one turn.
pub(crate) const TURN_BYTES: u64 = 256 << 10;

/// Socket, buffers, deadline.
pub(crate) struct Wire {
    pub(crate) state: Rc<State>,
    pub(crate) token: Token,
    /// Whose listener it came by.
    server: u16,
    pub(crate) transport: Transport,
    pub(crate) decoder: RequestDecoder,
    /// What was read; `start..` is not consumed yet.
    input: Vec<u8>,
    start: usize,
    /// What is to be written; `written..` is not sent yet.
    pub(crate) output: Vec<u8>,
    written: usize,
    /// The peer has ended its side.
    pub(crate) at_end: bool,
    /// Bytes of this connection so far.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    consumed: u64,
    /// The place in all that goes out where the body of the answer begins, moved on by its chunks'
    /// own bytes.
    body_from: u64,
    /// When `timeouts.request` is over.
    pub(crate) request_ends: Option<Tick>,
    /// What holds for the exchange under way; the server's while there is none.
    pub(crate) scope: ScopeRef,
    /// Whether a peer that ended its side is gone, as the handler of this exchange sees it.
    pub(crate) ends_with_peer: bool,
    /// Judges how fast the peer takes what is sent.
    writing: Watch,
    /// `bytes_out` when this turn began.
    turn_from: u64,
}

impl Wire {
    pub(crate) fn new(
        state: Rc<State>,
        token: Token,
        server: u16,
        transport: Transport,
        input: Vec<u8>,
        decoder: RequestDecoder,
    ) -> Self {
        let bytes_in = input.len() as u64;
        Self {
            state,
            token,
            server,
            transport,
            decoder,
            input,
            start: 0,
            output: Vec::new(),
            written: 0,
            at_end: false,
            bytes_in,
            bytes_out: 0,
            consumed: 0,
            body_from: u64::MAX,
            request_ends: None,
            scope: ScopeRef::SERVER,
            ends_with_peer: false,
            writing: Watch::new(Direction::Write),
            turn_from: 0,
        }
    }

    /// From here on what holds is found at `place`.
    pub(crate) fn enter(&mut self, place: ScopeRef, scope: &Scope) {
        self.scope = place;
        self.request_ends = scope.timeouts.request.map(|limit| self.state.worker.now() + limit);
        self.decoder.set_body_max(scope.limits.body.map(|size| size.0));
    }

    /// What was read and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..]
    }

    /// The decoder and what it is to look at.
    pub(crate) fn decoder_and_unread(&mut self) -> (&mut RequestDecoder, &[u8]) {
        (&mut self.decoder, &self.input[self.start..])
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        self.consumed += count as u64;
        if self.start >= self.input.len() {
            self.input.clear();
            self.start = 0;
        }
    }

    /// Bytes of this connection that were taken from the input and put into the output so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.consumed, self.bytes_out + (self.output.len() - self.written) as u64)
    }

    /// A new exchange: nothing of an answer yet, and what the server says holds until it is known
    /// who answers.
    pub(crate) fn begin(&mut self) {
        self.scope = ScopeRef::SERVER;
        self.request_ends = None;
        self.body_from = u64::MAX;
    }

    /// What is put into the output from here on is the answer's body.
    pub(crate) fn body_begins(&mut self) {
        self.body_from = self.traffic().1;
    }

    /// So many bytes of the output belong to chunks, not to the body.
    pub(crate) fn frame_body(&mut self, count: usize) {
        self.body_from += count as u64;
    }

    /// Bytes of the answer's body that were handed to the socket.
    pub(crate) fn body_sent(&self) -> u64 {
        self.bytes_out.saturating_sub(self.body_from)
    }

    /// Reads more input; 0 at its end.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.at_end {
            return Poll::Ready(Ok(0));
        }
        self.make_room();
        match self.transport.poll_read(context, &self.state.worker, &mut self.input) {
            Poll::Pending => {
                if self.input.is_empty() {
                    self.state.worker.reclaim_buffer(std::mem::take(&mut self.input));
                }
                Poll::Pending
            }
            Poll::Ready(Ok(count)) => {
                self.at_end = count == 0;
                self.bytes_in += count as u64;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn make_room(&mut self) {
        if self.input.capacity() == 0 {
            self.input = self.state.worker.buffer();
        }
        if self.start > 0 && self.input.capacity() - self.input.len() < READ_BYTES {
            self.input.drain(..self.start);
            self.start = 0;
        }
        if self.input.capacity() - self.input.len() < READ_BYTES / 2 {
            self.input.reserve(READ_BYTES.max(self.input.len()));
        }
    }

    /// Completes when the connection broke; reads ahead a little meanwhile. A peer that only ended
    /// its own side still gets its answer, unless the handler has it otherwise.
    pub(crate) fn poll_broken(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.at_end && self.unread().len() < READ_AHEAD_MAX {
            match self.poll_fill(context) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if self.at_end && self.ends_with_peer && self.unread().is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Sends what is in the output buffer.
    pub(crate) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        more: bool,
    ) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let bytes = &self.output[self.written..];
            let worker = &self.state.worker;
            let count = ready!(self.transport.poll_write(context, worker, bytes, more))?;
            self.written += count;
            self.bytes_out += count as u64;
        }
        self.output.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends the output buffer, under the limits for slow peers. `more` says that further bytes
    /// follow at once.
    pub(crate) async fn flush(&mut self, more: bool) -> Result<(), Reason> {
        poll_fn(|context| match self.poll_flush(context, more) {
            Poll::Pending => self.poll_slow(context),
            Poll::Ready(result) => Poll::Ready(result.map_err(|_| Reason::ClientClosed)),
        })
        .await?;
        self.settle();
        Ok(())
    }

    /// Sends the output buffer, then `bytes`, which are not copied into it.
    pub(crate) async fn flush_with(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let mut sent = 0;
        while sent < bytes.len() {
            let count = poll_fn(|context| {
                let slices = [&self.output[self.written..], &bytes[sent..]];
                let worker = &self.state.worker;
                match self.transport.poll_write_vectored(context, worker, slices) {
                    Poll::Pending => self.poll_slow(context),
                    Poll::Ready(result) => Poll::Ready(result.map_err(|_| Reason::ClientClosed)),
                }
            });
            let count = count.await?;
            self.bytes_out += count as u64;
            let from_output = count.min(self.output.len() - self.written);
            self.written += from_output;
            sent += count - from_output;
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
            }
            self.end_turn().await;
        }
        self.settle();
        Ok(())
    }

    /// Ends our side.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        self.transport.shutdown_write(&self.state.worker)
    }

    /// The peer takes nothing more for now: waits, unless it is too slow.
    pub(crate) fn poll_slow<T>(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Reason>> {
        let mut watch = std::mem::replace(&mut self.writing, Watch::new(Direction::Write));
        let polled = watch.poll(self, context);
        self.writing = watch;
        polled
    }

    /// The peer took what was sent: time does not count until it keeps us waiting again.
    pub(crate) fn settle(&mut self) {
        if self.writing.waiting {
            let mut watch = std::mem::replace(&mut self.writing, Watch::new(Direction::Write));
            watch.settle(self);
            self.writing = watch;
        }
    }

    /// Lets the others run once this connection has sent its share.
    pub(crate) async fn end_turn(&mut self) {
        if self.bytes_out - self.turn_from >= TURN_BYTES {
            self.turn_from = self.bytes_out;
            tokio::task::yield_now().await;
        }
    }

    /// Gives an empty output buffer back.
    pub(crate) fn release_output(&mut self) {
        if self.output.is_empty() {
            self.state.worker.reclaim_buffer(std::mem::take(&mut self.output));
            self.transport.release_buffers(&self.state.worker);
        }
    }

    /// The output buffer with storage.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        if self.output.capacity() == 0 {
            self.output = self.state.worker.buffer();
        }
        &mut self.output
    }

    /// Lets `limit`, or the end of `timeouts.request` if that is sooner, wake this task.
    pub(crate) fn arm(&self, context: &Context<'_>, wait: Wait, limit: Option<Duration>) {
        let left = self.request_ends.map(|end| step_towards(end - self.state.worker.now()));
        let limit = match (limit, left) {
            (Some(limit), Some(left)) => limit.min(left),
            (Some(limit), None) | (None, Some(limit)) => limit,
            (None, None) => return,
        };
        self.state.park.arm(self.token, wait, limit, context.waker());
    }

    /// Wakes this task at `end` at the latest, perhaps sooner: it looks at the clock then.
    pub(crate) fn arm_until(&self, context: &Context<'_>, end: Tick) {
        self.arm(context, Wait::Task, Some(step_towards(end - self.state.worker.now())));
    }

    /// Whether the deadline armed last is over.
    pub(crate) fn is_expired(&self) -> bool {
        self.state.park.is_expired(self.token)
    }

    /// Why the exchange must not wait on: `timeouts.request` is over, or the drain.
    pub(crate) fn is_over(&self) -> Option<Reason> {
        if self.state.cut.get() {
            return Some(Reason::Drained);
        }
        let ends = self.request_ends?;
        (self.state.worker.now() >= ends).then_some(Reason::RequestTimeout)
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.state.server(self.server).scope(self.scope).timeouts
    }

    /// What stays of a connection that goes to rest; `None` where it must not.
    pub(crate) fn into_rest(self) -> Option<(Socket, Option<Held>)> {
        self.transport.into_rest()
    }

    /// The input as it is, for whoever reads what comes before the first request.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        self.input.drain(..self.start);
        self.start = 0;
        std::mem::take(&mut self.input)
    }

    /// Puts an input in place of the one that was taken.
    pub(crate) fn put_input(&mut self, input: Vec<u8>) {
        self.bytes_in = input.len() as u64;
        self.input = input;
    }

    /// Whether this connection, which has not asked for anything yet, must end.
    pub(crate) fn drains_new(&self) -> bool {
        self.state.drains_new(self.server)
    }

    /// Gives both buffers back to the worker.
    pub(crate) fn release_buffers(&mut self) {
        self.state.worker.reclaim_buffer(std::mem::take(&mut self.input));
        self.state.worker.reclaim_buffer(std::mem::take(&mut self.output));
        self.transport.release_buffers(&self.state.worker);
        self.start = 0;
        self.written = 0;
    }
}

/// Which way the bytes go that we wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Judges the pace of a peer while we wait for it. Costs nothing until the first wait.
pub(crate) struct Watch {
    direction: Direction,
    progress: Option<Box<Progress>>,
    /// Bytes moved at the last look.
    seen: u64,
    pub(crate) waiting: bool,
}

impl Watch {
    pub(crate) fn new(direction: Direction) -> Self {
        Self { direction, progress: None, seen: 0, waiting: false }
    }

    /// Called whenever the peer kept us waiting.
    pub(crate) fn poll<T>(
        &mut self,
        wire: &Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, Reason>> {
        if let Some(reason) = wire.is_over() {
            return Poll::Ready(Err(reason));
        }
        if self.waiting && !wire.is_expired() {
            return Poll::Pending;
        }
        // Also where a wait begins: a peer that moves a little at a time never lets one expire.
        let now = wire.state.worker.now();
        match self.judge(moved(self.direction, wire), wire.timeouts(), now) {
            Ok(again) => wire.arm(context, Wait::Task, again),
            Err(reason) => return Poll::Ready(Err(reason)),
        }
        Poll::Pending
    }

    /// Looks at a wait, `moved` being the bytes of this direction so far: when to look again.
    ///
    /// # Errors
    /// The peer is too slow.
    pub(crate) fn judge(
        &mut self,
        moved: u64,
        timeouts: &Timeouts,
        now: Tick,
    ) -> Result<Option<Duration>, Reason> {
        let progress = self.progress.get_or_insert_with(|| {
            let (idle, rate) = match self.direction {
                Direction::Read => (timeouts.body_idle, timeouts.body_rate),
                Direction::Write => (timeouts.write_idle, timeouts.write_rate),
            };
            Box::new(Progress::new(idle, rate, now))
        });
        if !std::mem::replace(&mut self.waiting, true) {
            progress.resume(now);
            self.seen = moved;
        }
        let pace = progress.observe(moved.saturating_sub(self.seen), now);
        self.seen = moved;
        match (pace, self.direction) {
            (Pace::Fine, _) => Ok(progress.check_after()),
            (Pace::Idle, Direction::Read) => Err(Reason::BodyIdleTimeout),
            (Pace::Slow, Direction::Read) => Err(Reason::BodyTooSlow),
            (Pace::Idle, Direction::Write) => Err(Reason::WriteIdleTimeout),
            (Pace::Slow, Direction::Write) => Err(Reason::WriteTooSlow),
        }
    }

    /// For how long nothing had moved at the last look.
    pub(crate) fn stood_still(&self) -> Duration {
        self.progress.as_ref().map_or(Duration::ZERO, |progress| progress.stood_still())
    }

    /// The wait is over; what follows does not count until the next one.
    pub(crate) fn settle(&mut self, wire: &Wire) {
        if self.waiting {
            self.settle_at(moved(self.direction, wire), wire.state.worker.now());
        }
    }

    /// The time since the last look does not count: it was no fault of the peer's.
    pub(crate) fn excuse(&mut self) {
        self.waiting = false;
    }

    /// [`Watch::settle`] for whoever counts bytes by himself.
    pub(crate) fn settle_at(&mut self, moved: u64, now: Tick) {
        if let Some(progress) = &mut self.progress
            && std::mem::replace(&mut self.waiting, false)
        {
            progress.observe(moved.saturating_sub(self.seen), now);
            self.seen = moved;
        }
    }
}

/// Bytes that the peer sent, or that it acknowledged.
pub(crate) fn moved(direction: Direction, wire: &Wire) -> u64 {
    match direction {
        Direction::Read => wire.transport.received(wire.bytes_in),
        Direction::Write => wire.transport.acknowledged(wire.bytes_out),
    }
}
