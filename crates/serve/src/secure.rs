//! TLS over a socket: ciphertext in buffers that the worker lends.
//!
//! One read takes what is there, and all complete records in it are opened at once. What is written
//! is sealed into one buffer and sent by one call, together with what the session owes the peer,
//! such as tickets. While the connection waits nothing is lent; while it rests the session is all
//! that it has.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use stead_core::{TlsFacts, Worker};
use stead_net::Socket;
use stead_tls::{Outgoing, SEAL_BYTES_MAX, Session};

use crate::wire::TURN_BYTES;

/// A session with its buffers.
pub(crate) struct Secure {
    session: Box<Session>,
    facts: Rc<TlsFacts>,
    /// Ciphertext that came; of a complete record only while it is opened.
    received: Vec<u8>,
    /// Ciphertext to be sent.
    out: Outgoing,
    /// Bytes of plaintext that are sealed in `out`, and that nobody was told are written.
    sealed: usize,
    received_bytes: u64,
    sent_bytes: u64,
    is_truncated: bool,
    /// The end is announced after what is sealed next.
    end_follows: bool,
    is_ended: bool,
}

/// Room made for one read, and where reads come in whole.
const READ_BYTES: usize = 4 << 10;
const READ_BYTES_MAX: usize = 32 << 10;
/// Header, plaintext and what encryption may add (RFC 8446 §5.2, RFC 5246 §6.2.3).
const RECORD_BYTES_MAX: usize = 5 + (16 << 10) + 2048;

impl Secure {
    /// A session whose handshake is done. `received` is what came after it, `out` what it owes.
    pub(crate) fn new(
        session: Box<Session>,
        facts: Rc<TlsFacts>,
        received: Vec<u8>,
        out: Outgoing,
    ) -> Self {
        Self {
            session,
            facts,
            received,
            out,
            sealed: 0,
            received_bytes: 0,
            sent_bytes: 0,
            is_truncated: false,
            end_follows: false,
            is_ended: false,
        }
    }

    /// A connection that wakes.
    pub(crate) fn resume(mut session: Box<Session>) -> Self {
        // INVARIANT: who rests has left its facts; made anew they lack the name that was asked for.
        let facts = session.kept().unwrap_or_else(|| session.take_facts());
        Self::new(session, Rc::new(facts), Vec::new(), Outgoing::default())
    }

    /// What a connection keeps while it rests: the session, with the facts in it. `None` where
    /// something is in the buffers, which would be lost.
    ///
    /// PERF: the facts are copied where somebody else still holds them.
    pub(crate) fn into_rest(self) -> Option<Box<Session>> {
        if self.has_partial() {
            return None;
        }
        let mut session = self.session;
        session.keep(Rc::unwrap_or_clone(self.facts));
        Some(session)
    }

    pub(crate) fn facts(&self) -> &Rc<TlsFacts> {
        &self.facts
    }

    /// Whether something is under way: a part of a record, or what the peer does not take.
    pub(crate) fn has_partial(&self) -> bool {
        !(self.received.is_empty() && self.out.is_empty())
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    pub(crate) fn release_buffers(&mut self, worker: &Worker) {
        if self.received.is_empty() {
            worker.reclaim_buffer(std::mem::take(&mut self.received));
        }
        if self.out.is_empty() {
            worker.reclaim_buffer(self.out.take());
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        worker: &Worker,
        plain: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let turn_from = self.received_bytes;
        loop {
            if self.session.is_ended() {
                return Poll::Ready(Ok(0));
            }
            if self.received_bytes - turn_from > TURN_BYTES {
                // Records without plaintext must not keep the others waiting.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.make_room(worker);
            let before = self.received.len();
            match socket.poll_read(context, &mut self.received) {
                Poll::Ready(Ok(0)) => {
                    self.is_truncated = true;
                    return Poll::Ready(Ok(0));
                }
                Poll::Ready(Ok(count)) => self.received_bytes += count as u64,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // What the session owes must not wait for an answer that may never be.
                    if self.sealed == 0 && !self.out.is_empty() {
                        let _ = self.poll_flush(socket, context, false);
                    }
                    self.release_buffers(worker);
                    return Poll::Pending;
                }
            }
            debug_assert!(self.received.len() > before);
            let before = plain.len();
            match self.session.receive(&mut self.received, plain, &mut self.out) {
                Ok(used) if used == self.received.len() => self.received.clear(),
                Ok(used) => drop(self.received.drain(..used)),
                Err(broken) => {
                    let _ = self.poll_flush(socket, context, false);
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        broken.to_string(),
                    )));
                }
            }
            if plain.len() > before {
                return Poll::Ready(Ok(plain.len() - before));
            }
        }
    }

    /// Room for the rest of a record; for more where the last read took all that it could.
    fn make_room(&mut self, worker: &Worker) {
        if self.received.capacity() == 0 {
            self.received = worker.buffer();
        }
        let (length, room) = (self.received.len(), self.received.capacity() - self.received.len());
        let wanted = match self.received.get(3..5) {
            Some(header) => {
                let record = 5 + usize::from(header[0]) * 256 + usize::from(header[1]);
                record.min(RECORD_BYTES_MAX).saturating_sub(length).max(READ_BYTES)
            }
            None if self.received_bytes > READ_BYTES_MAX as u64 => READ_BYTES_MAX,
            None => READ_BYTES,
        };
        if room < wanted {
            self.received.reserve(wanted);
        }
    }

    /// Writes a beginning of `pieces`: what is said to be written is with the socket.
    pub(crate) fn poll_write(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        worker: &Worker,
        pieces: [&[u8]; 2],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        if self.sealed == 0 {
            self.out.lend(|| worker.buffer());
            for piece in pieces {
                let part = &piece[..piece.len().min(SEAL_BYTES_MAX - self.sealed)];
                if !part.is_empty() {
                    let sealed = self.session.seal(part, &mut self.received, &mut self.out);
                    sealed.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                    self.sealed += part.len();
                }
            }
            if self.end_follows && self.sealed == pieces[0].len() + pieces[1].len() {
                self.announce_end();
            }
        }
        ready!(self.poll_flush(socket, context, more))?;
        let count = std::mem::take(&mut self.sealed);
        Poll::Ready(Ok(count.min(pieces[0].len() + pieces[1].len())))
    }

    /// Sends what is sealed.
    fn poll_flush(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
        more: bool,
    ) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let count = ready!(socket.poll_write(context, self.out.unsent(), more))?;
            self.out.sent(count);
            self.sent_bytes += count as u64;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn end_follows(&mut self) {
        self.end_follows = true;
    }

    fn announce_end(&mut self) {
        if !std::mem::replace(&mut self.is_ended, true) {
            self.session.close(&mut self.received, &mut self.out);
        }
    }

    /// Announces the end now, unless it was; nothing is waited for.
    pub(crate) fn end(&mut self, socket: &mut Socket, worker: &Worker) {
        // Whoever went without a word hears none.
        if self.is_ended || self.is_truncated {
            return;
        }
        self.out.lend(|| worker.buffer());
        self.announce_end();
        let mut context = Context::from_waker(Waker::noop());
        let _ = self.poll_flush(socket, &mut context, false);
    }
}
