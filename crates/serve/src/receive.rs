//! The body of a request on its way to whoever reads it.
//!
//! The connection's task polls this while a handler runs and while its answer is written: the
//! socket is read only when the reader asks for more. What nobody reads is read away, up to a
//! limit, so that the connection can be kept.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use stead_base::{Error, Kind, Reason};
use stead_core::{BodyPipe, Frame};
use stead_http1::{Event, Framing, RequestHead, Step};
use stead_net::Wait;

use crate::wire::{Direction, Watch, Wire};

/// Bytes of an unread body that are read away to keep the connection.
const DISCARD_MAX: u64 = 64 << 10;

/// Receives one request's body.
pub(crate) struct Receiver {
    pipe: Option<Rc<BodyPipe>>,
    /// The body, trailers included, has been decoded to its end.
    is_complete: bool,
    /// The body broke off or broke a rule: what follows on the connection means nothing.
    is_broken: bool,
    /// The peer waits for `100 Continue`.
    owes_continue: bool,
    /// Holds trailers only; made with the first look at a body.
    scratch: Option<Box<RequestHead>>,
    watch: Watch,
    /// Bytes of body so far.
    pub(crate) bytes: u64,
    length: Option<u64>,
}

impl Receiver {
    /// For a request with this head; `expects` says that it asked for `100 Continue`.
    pub(crate) fn new(framing: Framing, expects: bool) -> Self {
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        Self {
            pipe: has_body.then(Rc::default),
            is_complete: !has_body,
            is_broken: false,
            owes_continue: expects && has_body,
            scratch: None,
            watch: Watch::new(Direction::Read),
            bytes: 0,
            length: match framing {
                Framing::Length(length) => Some(length),
                _ => None,
            },
        }
    }

    /// The pipe that the handler reads from.
    pub(crate) fn pipe(&self) -> Option<Rc<BodyPipe>> {
        self.pipe.clone()
    }

    /// Whether all of the body was received.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the peer will surely have to be cut off: nothing will read the rest of the body.
    pub(crate) fn must_close(&self) -> bool {
        let left = self.length.map_or(0, |length| length.saturating_sub(self.bytes));
        self.is_broken || !self.is_complete && (self.owes_continue || left > DISCARD_MAX)
    }

    /// After the handler: whoever still holds the body reads it while the answer is written, and
    /// the peer must be told to send it before the answer's head.
    pub(crate) fn expect_reader(&mut self, wire: &mut Wire) {
        let is_read = self.pipe.as_ref().is_some_and(|pipe| !pipe.is_abandoned());
        if is_read && std::mem::take(&mut self.owes_continue) {
            wire.output().extend_from_slice(stead_http1::encode::continue_line());
        }
    }

    /// Whether the peer keeps us waiting, under a deadline that must not be replaced.
    pub(crate) fn is_waiting(&self) -> bool {
        self.watch.waiting && !self.is_complete
    }

    /// Time does not count until we wait for the body again.
    pub(crate) fn settle(&mut self, wire: &Wire) {
        self.watch.settle(wire);
    }

    /// Moves the body on while others wait; ready when the reader has something new.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn poll(
        &mut self,
        wire: &mut Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Reason>> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| !self.is_complete) else {
            return wire.poll_broken(context).map(|()| Err(Reason::ClientClosed));
        };
        if pipe.is_abandoned() || pipe.poll_wanted(context).is_pending() {
            self.watch.settle(wire);
            return wire.poll_broken(context).map(|()| Err(Reason::ClientClosed));
        }
        let pipe = Rc::clone(pipe);
        if std::mem::take(&mut self.owes_continue) {
            wire.output().extend_from_slice(stead_http1::encode::continue_line());
        }
        if let Poll::Ready(Err(_)) = wire.poll_flush(context, false) {
            return Poll::Ready(Err(Reason::ClientClosed));
        }
        match self.poll_frame(wire, context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some(frame))) => {
                pipe.push(frame);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(None)) => {
                pipe.finish(Ok(()));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(reason)) => {
                self.is_complete = true;
                self.is_broken = true;
                pipe.finish(Err(Error::new(kind(reason), reason, "receive a request body")));
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The same for a task that waits for something else too: ends with the exchange, and is woken
    /// when that is over.
    pub(crate) fn poll_beside(
        &mut self,
        wire: &mut Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Reason>> {
        let polled = self.poll(wire, context);
        if polled.is_ready() {
            return polled;
        }
        if let Some(reason) = wire.is_over() {
            return Poll::Ready(Err(reason));
        }
        if !self.is_waiting() {
            wire.arm(context, Wait::Task, None);
        }
        Poll::Pending
    }

    /// The next piece of the body.
    fn poll_frame(
        &mut self,
        wire: &mut Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, Reason>> {
        loop {
            let (decoder, unread) = wire.decoder_and_unread();
            let scratch = self.scratch.get_or_insert_default();
            let Step { consumed, event } = match decoder.decode(unread, scratch) {
                Ok(step) => step,
                Err(reason) => return Poll::Ready(Err(reason)),
            };
            let frame = match event {
                Event::Data(range) => {
                    self.bytes += range.len() as u64;
                    Some(Some(Frame::Bytes(Bytes::copy_from_slice(&unread[range]))))
                }
                Event::Trailers => Some(Some(Frame::Trailers(scratch.trailers().clone()))),
                Event::End => {
                    self.is_complete = true;
                    Some(None)
                }
                Event::Pending | Event::Head => None,
            };
            wire.consume(consumed);
            if let Some(frame) = frame {
                return Poll::Ready(Ok(frame));
            }
            match wire.poll_fill(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Reason::BodyTruncated)),
                Poll::Ready(Ok(_)) => self.watch.settle(wire),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::ClientClosed)),
                Poll::Pending => return self.watch.poll(wire, context),
            }
        }
    }

    /// After the answer: reads away what nobody read. Whether the connection can be kept.
    ///
    /// # Errors
    /// The body stopped, trickled, broke a rule or exceeded its limit.
    pub(crate) async fn discard(&mut self, wire: &mut Wire) -> Result<bool, Reason> {
        if self.is_complete || self.must_close() {
            return Ok(!self.must_close());
        }
        let limit = self.bytes + DISCARD_MAX;
        while self.bytes <= limit {
            if poll_fn(|context| self.poll_frame(wire, context)).await?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::BodyIdleTimeout | Reason::BodyTooSlow | Reason::RequestTimeout => Kind::Timeout,
        Reason::ClientClosed | Reason::BodyTruncated => Kind::Closed,
        _ => Kind::Protocol,
    }
}
