//! The socket as the protocol sees it.
//!
//! Reading: every byte is shown to the guard before the protocol gets it; after a violation nothing
//! more is read. Writing gathers in the connection's output buffer, which its task sends once a
//! turn: many answers leave in few writes. Only where that buffer is full is the socket written to
//! from here, and the protocol waits with it. The guard sees what is written, too.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use stead_core::BUFFER_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::{Held, Session};
use crate::answer::OUTPUT_MAX;

/// One connection's bytes.
pub(super) struct Carrier(pub(super) Rc<Session>);

impl AsyncRead for Carrier {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let session = &self.0;
        let mut wire = session.wire.borrow_mut();
        let Some(wire) = wire.as_mut().filter(|_| session.violation().is_none()) else {
            return Poll::Pending;
        };
        if wire.unread().is_empty() {
            if session.readable.get() == 0 {
                // The others' turn; and whoever was asked for something so far is looked at.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // PERF: the protocol looks again after each request; the socket need not.
            if session.is_drained.get() {
                return Poll::Pending;
            }
            let filled = wire.poll_fill(context);
            session.is_drained.set(filled.is_pending());
            if ready!(filled)? == 0 {
                return Poll::Ready(Ok(()));
            }
            let left = session.readable.get().saturating_sub(wire.unread().len());
            session.readable.set(left);
        }
        let count = wire.unread().len().min(buffer.remaining());
        let bytes = &wire.unread()[..count];
        let now = session.now();
        if !session.guard(|guard| guard.read(bytes, now)) {
            return Poll::Pending;
        }
        buffer.put_slice(bytes);
        wire.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.wire.borrow_mut();
        let Some(wire) = wire.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if wire.output.len() >= OUTPUT_MAX {
            ready!(wire.poll_flush(context, false))?;
        }
        let output = wire.output();
        // PERF: doubled, but not past what the worker keeps: else each turn grew another one, at
        // 1,200 instructions for an answer of 1 KB.
        let (before, after) = (output.len(), output.len() + bytes.len());
        if output.capacity() < after {
            let capacity = (2 * output.capacity()).min(BUFFER_BYTES_MAX).max(after);
            output.reserve_exact(capacity - before);
        }
        output.extend_from_slice(bytes);
        // What is wrong with it shows when the connection's task looks.
        self.0.guard(|guard| guard.wrote(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends, once every stream has had its turn.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A piece of a body on its way out: counted until it has left the protocol, and its buffer goes
/// back to the worker.
pub(super) struct Piece {
    bytes: Source,
    at: usize,
    session: Rc<Session>,
    /// What the protocol holds of this piece's stream, where the stream may hand over much.
    held: Option<Held>,
}

enum Source {
    Buffer(Vec<u8>),
    Bytes(bytes::Bytes),
}

impl Piece {
    /// A buffer of the worker's.
    pub(super) fn buffer(session: &Rc<Session>, buffer: Vec<u8>, held: Option<&Held>) -> Self {
        Self::new(session, Source::Buffer(buffer), held)
    }

    /// Shared bytes.
    pub(super) fn bytes(session: &Rc<Session>, bytes: bytes::Bytes, held: Option<&Held>) -> Self {
        Self::new(session, Source::Bytes(bytes), held)
    }

    fn new(session: &Rc<Session>, bytes: Source, held: Option<&Held>) -> Self {
        let held = held.map(Rc::clone);
        let piece = Self { bytes, at: 0, session: Rc::clone(session), held };
        session.buffer(piece.remaining());
        if let Some(held) = &piece.held {
            held.set(held.get() + piece.remaining());
        }
        piece
    }

    /// So many bytes are with the protocol no more.
    fn leave(&self, count: usize) {
        self.session.unbuffer(count);
        if let Some(held) = &self.held {
            held.set(held.get().saturating_sub(count));
        }
    }

    fn all(&self) -> &[u8] {
        match &self.bytes {
            Source::Buffer(buffer) => buffer,
            Source::Bytes(bytes) => bytes,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.all().len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.all()[self.at..]
    }

    fn advance(&mut self, count: usize) {
        // INVARIANT: of `Buf`: `count` is at most what remains.
        let count = count.min(self.remaining());
        self.at += count;
        self.leave(count);
        self.session.sent(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let unsent = self.remaining();
        if unsent > 0 {
            self.leave(unsent);
            self.session.worked(|guard| guard.unsent(unsent));
        }
        if let Source::Buffer(buffer) = &mut self.bytes {
            self.session.state.worker.reclaim_buffer(std::mem::take(buffer));
        }
    }
}
