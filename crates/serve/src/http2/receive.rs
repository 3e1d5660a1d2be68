//! The body of one request on its way to whoever reads it.
//!
//! What the peer may send is its window: it opens again only when a reader took what came. What
//! nobody reads stays with the protocol, whose windows bound it, and goes with the stream.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use stead_base::{Error, Kind, Reason, Tick, Timeouts};
use stead_core::{BodyPipe, Fields, Frame};

use super::session::Session;
use crate::wire::{Direction, Watch};

/// Receives one request's body.
pub(super) struct Receiver {
    pipe: Option<Rc<BodyPipe>>,
    stream: RecvStream,
    state: State,
    /// The peer waits for `100 Continue`.
    owes_continue: bool,
    watch: Watch,
    /// Bytes of body so far.
    pub(super) bytes: u64,
    bytes_max: Option<u64>,
    /// When to look at the peer's pace again.
    due: Option<Tick>,
    /// How often the window of the connection was shut at the last look.
    shut: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    /// The trailers were handed over.
    Last,
    End,
}

impl Receiver {
    pub(super) fn new(stream: RecvStream, has_body: bool, expects: bool) -> Self {
        Self {
            pipe: has_body.then(Rc::default),
            stream,
            state: if has_body { State::Data } else { State::End },
            owes_continue: expects && has_body,
            watch: Watch::new(Direction::Read),
            bytes: 0,
            bytes_max: None,
            due: None,
            shut: 0,
        }
    }

    /// From here on this limit holds.
    pub(super) fn set_bytes_max(&mut self, bytes_max: Option<u64>) {
        self.bytes_max = bytes_max;
    }

    /// The pipe that the handler reads from.
    pub(super) fn pipe(&self) -> Option<Rc<BodyPipe>> {
        self.pipe.clone()
    }

    /// Whether all of the body was received.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Whether the peer is still sending, or will.
    pub(super) fn keeps_coming(&self) -> bool {
        !self.is_complete() && !self.owes_continue && !self.stream.is_end_stream()
    }

    /// Whether the peer must be told to send the body, because somebody asks for it.
    pub(super) fn takes_continue(&mut self, context: &mut Context<'_>) -> bool {
        self.owes_continue
            && self.pipe.as_ref().is_some_and(|pipe| pipe.poll_wanted(context).is_ready())
            && std::mem::take(&mut self.owes_continue)
    }

    /// After the handler: whether somebody still reads the body of a peer that waits to be told.
    pub(super) fn expects_reader(&mut self) -> bool {
        let is_read = self.pipe.as_ref().is_some_and(|pipe| !pipe.is_abandoned());
        is_read && std::mem::take(&mut self.owes_continue)
    }

    /// When to look at the peer's pace again, while it keeps us waiting.
    pub(super) fn due(&self) -> Option<Tick> {
        self.due.filter(|_| self.watch.waiting)
    }

    /// Moves the body on; ready when the reader has something new, pending while it asks for
    /// nothing.
    pub(super) fn poll(
        &mut self,
        session: &Session,
        timeouts: &Timeouts,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(pipe) = self.pipe.clone().filter(|_| self.state != State::End) else {
            return Poll::Pending;
        };
        if pipe.is_abandoned() || pipe.poll_wanted(context).is_pending() {
            self.watch.settle_at(self.bytes, session.now());
            return Poll::Pending;
        }
        let next = match self.poll_frame(session, context) {
            Poll::Ready(next) => {
                self.watch.settle_at(self.bytes, session.now());
                next
            }
            Poll::Pending => match self.judge(session, timeouts) {
                Ok(()) => return Poll::Pending,
                Err(reason) => Err(reason),
            },
        };
        match next {
            Ok(Some(frame)) => pipe.push(frame),
            Ok(None) => {
                self.state = State::End;
                pipe.finish(Ok(()));
            }
            Err(reason) => {
                // A body beyond its limit is still on its way.
                match reason {
                    Reason::BodyTooLarge => self.pipe = None,
                    _ => self.state = State::End,
                }
                pipe.finish(Err(Error::new(kind(reason), reason, "receive a request body")));
            }
        }
        Poll::Ready(())
    }

    /// After the answer: what nobody read is read away from here on, up to so many bytes.
    pub(super) fn discard(&mut self, bytes_max: u64) {
        self.bytes_max = Some(self.bytes + bytes_max);
    }

    /// Reads it away, so that a client which is still sending need not be told to stop. Ready when
    /// there is no more to read.
    pub(super) fn poll_discard(
        &mut self,
        session: &Session,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while self.state != State::End {
            match ready!(self.poll_frame(session, context)) {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => self.state = State::End,
            }
        }
        Poll::Ready(())
    }

    fn poll_frame(
        &mut self,
        session: &Session,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, Reason>> {
        while self.state == State::Data {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Poll::Ready(self.take(bytes)),
                Some(Err(error)) => return Poll::Ready(Err(why(&error))),
                None => self.state = State::Trailers,
            }
        }
        if self.state == State::Trailers {
            let trailers = ready!(self.stream.poll_trailers(context));
            self.state = State::Last;
            if let Some(map) = trailers.map_err(|error| why(&error))? {
                let limits = session.server().scope.limits.head();
                let mut fields = Fields::new();
                stead_http1::http2_trailers(&map, &limits, &mut fields)?;
                if !fields.is_empty() {
                    return Poll::Ready(Ok(Some(Frame::Trailers(fields))));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// The reader waits for these: the peer may send as many again.
    fn take(&mut self, bytes: Bytes) -> Result<Option<Frame>, Reason> {
        self.bytes += bytes.len() as u64;
        // A stream that ended meanwhile needs no window.
        let _ = self.stream.flow_control().release_capacity(bytes.len());
        if self.bytes_max.is_some_and(|limit| self.bytes > limit) {
            return Err(Reason::BodyTooLarge);
        }
        Ok(Some(Frame::Bytes(bytes)))
    }

    fn judge(&mut self, session: &Session, timeouts: &Timeouts) -> Result<(), Reason> {
        let now = session.now();
        if !self.watch.waiting || self.due.is_some_and(|due| now >= due) {
            // What the peer may not send it is not late with.
            let (is_shut, shut) = session.is_kept_waiting();
            if std::mem::replace(&mut self.shut, shut) != shut || is_shut {
                self.watch.excuse();
            }
            let again = self.watch.judge(self.bytes, timeouts, now)?;
            self.due = again.map(|again| now + again);
        }
        Ok(())
    }
}

/// Why the body broke off: the peer's reset, or its breach of a rule, such as a `content-length`
/// that DATA does not keep.
fn why(error: &h2::Error) -> Reason {
    if error.is_library() && error.is_reset() {
        Reason::Http2Malformed
    } else if error.is_reset() || error.is_io() || error.is_go_away() {
        Reason::ClientClosed
    } else {
        Reason::BodyTruncated
    }
}

fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::BodyIdleTimeout | Reason::BodyTooSlow | Reason::RequestTimeout => Kind::Timeout,
        Reason::ClientClosed | Reason::BodyTruncated => Kind::Closed,
        _ => Kind::Protocol,
    }
}
