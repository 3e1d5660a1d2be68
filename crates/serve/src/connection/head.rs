//! The wait for a request's head, between two exchanges.
//!
//! What gathered in the output is sent before anything is waited for. A connection that is quiet
//! for [`QUIET_FOR`] goes to rest; a head that has begun must be whole within `timeouts.header`.
//! At a drain, what has arrived already is still served, and a first request waited for a moment.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use stead_base::{Reason, Tick};
use stead_http1::{Event, Step};
use stead_net::Wait;
use stead_sys::clock;

use super::Connection;
use crate::http2::Preface;
use crate::stalled::Stall;
use crate::wire::Wire;

/// What the wait for a head came to.
pub(super) enum Next {
    Head,
    Quiet,
    Close(Option<Reason>),
    /// The peer does not take what it asked for.
    Cut(Reason),
    Refuse(Reason),
    /// The preface of HTTP/2.
    Http2,
}

/// How long a connection stays a task after its last answer. Shorter and busy connections pay for
/// parking; longer and a burst of new ones holds more memory.
pub(super) const QUIET_FOR: Duration = Duration::from_millis(300);

impl Connection {
    /// Reads until a request's head is complete.
    pub(super) async fn next_head(&mut self, wire: &mut Wire) -> Next {
        self.exchange.begin();
        self.head_began = None;
        wire.begin();
        wire.ends_with_peer = false;
        let mut header_ends = None;
        loop {
            match self.preface(wire) {
                Preface::Yes => return Next::Http2,
                // What it is shows when there is more of it.
                Preface::Perhaps => {}
                Preface::No => match self.decode(wire) {
                    Ok(true) => return Next::Head,
                    Ok(false) => {}
                    Err(reason) => return Next::Refuse(reason),
                },
            }
            if let Err(reason) = wire.flush(false).await {
                return Next::Cut(reason);
            }
            wire.release_output();
            // A part of a record is a part of a request.
            let is_still = wire.unread().is_empty() && !wire.transport.has_partial();
            let between = wire.decoder.is_idle() && is_still;
            let filled = if between && self.is_drained() {
                Self::fill_at_once(wire).await
            } else if between {
                self.fill_quiet(wire).await
            } else {
                if self.head_began.is_none() && self.state.log.is_some() {
                    self.head_began = Some(clock::precise());
                }
                self.fill_head(wire, &mut header_ends).await
            };
            match filled {
                Filled::Bytes => {}
                // Also behind a part of a record: nobody asked.
                Filled::End if !wire.decoder.head_started() => return Next::Close(None),
                Filled::End => return Next::Close(Some(Reason::ClientClosedInHead)),
                // Only an empty line, as some clients send after a body: nobody asked.
                Filled::Stalled if !wire.decoder.head_started() => {
                    return Next::Close(Some(Reason::BeginStalled));
                }
                Filled::Expired if !between && !wire.decoder.head_started() => {
                    return Next::Close(Some(Reason::HeaderTimeout));
                }
                Filled::Stalled => return Next::Refuse(Reason::BeginStalled),
                Filled::Expired if !between => return Next::Refuse(Reason::HeaderTimeout),
                Filled::Expired if self.is_drained() => {
                    return Next::Close(Some(Reason::Drained));
                }
                Filled::Expired if self.idle_limit() <= Some(QUIET_FOR) => {
                    return Next::Close(Some(Reason::IdleTimeout));
                }
                Filled::Expired if wire.transport.has_partial() => {}
                Filled::Expired => return Next::Quiet,
            }
        }
    }

    /// Whether HTTP/2 begins here.
    fn preface(&mut self, wire: &Wire) -> Preface {
        if self.http2 != Preface::Perhaps {
            return self.http2;
        }
        if wire.unread().is_empty() {
            return Preface::No;
        }
        self.http2 = Preface::of(wire.unread());
        self.http2
    }

    /// Shows the decoder what was read; whether a head is whole.
    fn decode(&mut self, wire: &mut Wire) -> Result<bool, Reason> {
        let (decoder, unread) = wire.decoder_and_unread();
        let Step { consumed, event } = decoder.decode(unread, self.exchange.head_mut())?;
        wire.consume(consumed);
        let is_head = matches!(event, Event::Head);
        if is_head {
            wire.decoder.finish_empty();
        }
        Ok(is_head)
    }

    /// Whether a drain waits for no request here; for a first one it does, for a moment.
    fn is_drained(&self) -> bool {
        let state = &self.state;
        let is_drained = state.drains(self.server) && self.requests_so_far() > 0;
        is_drained || state.drains_new(self.server)
    }

    fn idle_limit(&self) -> Option<Duration> {
        // `None` is no limit, which is longer than any.
        self.state.server(self.server).scope.timeouts.idle.or(Some(Duration::MAX))
    }

    /// Waits a moment for the next request.
    async fn fill_quiet(&self, wire: &mut Wire) -> Filled {
        let idle = self.idle_limit();
        if self.requests > 0 && idle > Some(QUIET_FOR) && self.state.park.is_crowded() {
            // What has come meanwhile wakes it again; a task that has read nothing yet reads.
            return Filled::Expired;
        }
        let limit = idle.map_or(QUIET_FOR, |idle| idle.min(QUIET_FOR));
        let mut armed = false;
        poll_fn(|context| match wire.poll_fill(context) {
            Poll::Ready(result) => Poll::Ready(result.into()),
            Poll::Pending if !armed => {
                armed = true;
                wire.arm(context, Wait::Quiet, Some(limit));
                Poll::Pending
            }
            Poll::Pending if wire.is_expired() || self.is_drained() => Poll::Ready(Filled::Expired),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Takes what has arrived already: at a drain that much came in time.
    async fn fill_at_once(wire: &mut Wire) -> Filled {
        poll_fn(|context| match wire.poll_fill(context) {
            Poll::Ready(result) => Poll::Ready(result.into()),
            Poll::Pending => Poll::Ready(Filled::Expired),
        })
        .await
    }

    /// Waits for more of a head that has begun; `ends` is when all of it must be there.
    async fn fill_head(&self, wire: &mut Wire, ends: &mut Option<Tick>) -> Filled {
        let limit = wire.timeouts().header;
        if let Some(limit) = limit {
            ends.get_or_insert(self.state.worker.now() + limit);
        }
        let mut stall = None;
        poll_fn(|context| match (wire.poll_fill(context), *ends) {
            (Poll::Ready(result), _) => Poll::Ready(result.into()),
            (Poll::Pending, Some(end)) if self.state.worker.now() >= end => {
                Poll::Ready(Filled::Expired)
            }
            (Poll::Pending, Some(end))
                if limit.is_some_and(|limit| self.state.gives_up_begun(limit, end)) =>
            {
                Poll::Ready(Filled::Stalled)
            }
            (Poll::Pending, Some(end)) => {
                Stall::note(&mut stall, &self.state, context.waker());
                wire.arm_until(context, end);
                Poll::Pending
            }
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }
}

/// What a wait for input came to.
enum Filled {
    Bytes,
    End,
    Expired,
    /// It takes too long while memory is short.
    Stalled,
}

impl From<std::io::Result<usize>> for Filled {
    fn from(result: std::io::Result<usize>) -> Self {
        match result {
            Ok(0) | Err(_) => Self::End,
            Ok(_) => Self::Bytes,
        }
    }
}
