//! What carries a connection's bytes: its socket, alone or with a TLS session on top.
//!
//! Whatever is above must not know which. Counts of what the peer sent and acknowledged are those
//! of the socket's bytes, because pace is judged by them.

use std::any::Any;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use stead_core::Worker;
use stead_net::{Held, Socket};
use stead_tls::Session;

use crate::secure::Secure;

/// A socket, with a session where the connection is encrypted.
pub(crate) struct Transport {
    pub(crate) socket: Socket,
    secure: Option<Box<Secure>>,
    /// An end that looks orderly would be a lie.
    resets: bool,
}

impl Transport {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, secure: None, resets: false }
    }

    /// A connection that rested, with what it held.
    pub(crate) fn resume(socket: Socket, held: Option<Held>) -> Self {
        let session = held.and_then(|held| (held as Box<dyn Any>).downcast::<Session>().ok());
        let secure = session.map(|session| Box::new(Secure::resume(session)));
        Self { socket, secure, resets: false }
    }

    /// From here on everything is encrypted.
    pub(crate) fn encrypt(&mut self, secure: Secure) {
        self.secure = Some(Box::new(secure));
    }

    pub(crate) fn secure(&self) -> Option<&Secure> {
        self.secure.as_deref()
    }

    /// Whether files must be read to be sent.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// Whether a part of a record came, and not its end, or one is still to be sent.
    pub(crate) fn has_partial(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.has_partial())
    }

    /// Whether the peer's end came without being announced: something may be missing.
    pub(crate) fn is_truncated(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| secure.is_truncated())
    }

    /// The socket, and what a connection that rests must keep; `None` where it must not rest.
    pub(crate) fn into_rest(self) -> Option<(Socket, Option<Held>)> {
        let held = match self.secure {
            Some(secure) => Some(secure.into_rest()? as Held),
            None => None,
        };
        Some((self.socket, held))
    }

    /// Gives back what the worker lent, where it is empty.
    pub(crate) fn release_buffers(&mut self, worker: &Worker) {
        if let Some(secure) = &mut self.secure {
            secure.release_buffers(worker);
        }
    }

    /// Reads; 0 at the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        match &mut self.secure {
            None => self.socket.poll_read(context, buffer),
            Some(secure) => secure.poll_read(&mut self.socket, context, worker, buffer),
        }
    }

    /// Writes a beginning of `bytes`. Where it has to wait, it must be called again with these
    /// bytes first.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        bytes: &[u8],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        match &mut self.secure {
            None => self.socket.poll_write(context, bytes, more),
            Some(secure) => {
                secure.poll_write(&mut self.socket, context, worker, [bytes, &[]], more)
            }
        }
    }

    /// Writes a beginning of `slices`, likewise.
    pub(crate) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        slices: [&[u8]; 2],
    ) -> Poll<io::Result<usize>> {
        match &mut self.secure {
            None => {
                let slices = slices.map(IoSlice::new);
                self.socket.poll_write_vectored(context, &slices)
            }
            Some(secure) => secure.poll_write(&mut self.socket, context, worker, slices, false),
        }
    }

    /// Sends a part of a file. Only where nothing is encrypted.
    pub(crate) fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!self.is_secure(), "files are read where they are encrypted");
        self.socket.poll_send_file(context, file, offset, count)
    }

    /// What is written next is the last: the end is announced with it.
    pub(crate) fn end_follows(&mut self) {
        if let Some(secure) = self.secure.as_mut().filter(|_| !self.resets) {
            secure.end_follows();
        }
    }

    /// Announces that nothing more will be sent, as far as that goes without waiting.
    pub(crate) fn end(&mut self, worker: &Worker) {
        if let Some(secure) = self.secure.as_mut().filter(|_| !self.resets) {
            secure.end(&mut self.socket, worker);
        }
    }

    /// Ends our side.
    pub(crate) fn shutdown_write(&mut self, worker: &Worker) -> io::Result<()> {
        self.end(worker);
        self.socket.shutdown_write()
    }

    /// From now on closing means a reset.
    pub(crate) fn reset_on_close(&mut self) {
        self.resets = true;
        self.socket.reset_on_close();
    }

    /// Bytes of the socket that the peer acknowledged; `sent` of them were sent where nothing is
    /// encrypted.
    pub(crate) fn acknowledged(&self, sent: u64) -> u64 {
        let sent = self.secure.as_ref().map_or(sent, |secure| secure.sent_bytes());
        sent.saturating_sub(self.socket.unacknowledged())
    }

    /// Bytes of the socket that came; `received` where nothing is encrypted.
    pub(crate) fn received(&self, received: u64) -> u64 {
        self.secure.as_ref().map_or(received, |secure| secure.received_bytes())
    }
}
