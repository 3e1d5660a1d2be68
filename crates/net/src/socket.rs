//! A connection's descriptor: read, write, sendfile, without a task or timer of its own.
//!
//! The event loop learns of the descriptor only when an operation had to wait: a connection that
//! is accepted, answered and closed at once never enters it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use stead_sys::event::{self, Watched};
use tokio::io::Interest;

/// A connected stream socket, TCP or unix.
pub struct Socket {
    state: State,
    /// The last read took less than it could: the next one would find nothing.
    drained: bool,
    /// Whether it is known how much the peer takes at once.
    is_judged: bool,
}

enum State {
    Plain(OwnedFd),
    Watched(Watched),
    /// Between two states only.
    Moved,
}

impl Socket {
    /// Takes a non-blocking, connected socket.
    pub fn new(descriptor: OwnedFd) -> Self {
        Self { state: State::Plain(descriptor), drained: false, is_judged: false }
    }

    /// Takes the descriptor out of the event loop.
    pub fn into_descriptor(self) -> Option<OwnedFd> {
        match self.state {
            State::Plain(descriptor) => Some(descriptor),
            State::Watched(watched) => Some(watched.into_inner()),
            State::Moved => None,
        }
    }

    /// Reads into the spare capacity of `buffer`, which must not be zero; 0 at the end of input.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let room = buffer.capacity() - buffer.len();
        loop {
            let State::Watched(watched) = &self.state else {
                if !self.drained {
                    // A peer that always has more must not keep the others waiting.
                    let turn = ready!(tokio::task::coop::poll_proceed(context));
                    match self.try_read(buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        result => {
                            turn.made_progress();
                            return Poll::Ready(result);
                        }
                    }
                }
                self.watch()?;
                continue;
            };
            let mut guard = ready!(watched.poll_read_ready(context))?;
            match recv(watched, spare_capacity(buffer), RecvFlags::empty()) {
                Ok((_, count)) => {
                    if count > 0 && count < room {
                        // PERF: a short read emptied the socket; the next wait needs no read first.
                        guard.clear_ready_matching(tokio::io::Ready::READABLE);
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => guard.clear_ready_matching(tokio::io::Ready::READABLE),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Copies what is there into the spare capacity of `buffer`, which must not be zero, and leaves
    /// it to be read; 0 at the end of input. It waits only where nothing is left unread.
    pub fn poll_peek(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let guard = match &self.state {
                State::Watched(watched) => Some(ready!(watched.poll_read_ready(context))?),
                _ => None,
            };
            match (recv(&*self, spare_capacity(buffer), RecvFlags::PEEK), guard) {
                (Ok((_, count)), _) => return Poll::Ready(Ok(count)),
                (Err(Errno::INTR), _) => {}
                (Err(Errno::AGAIN), Some(mut guard)) => {
                    guard.clear_ready_matching(tokio::io::Ready::READABLE);
                }
                (Err(Errno::AGAIN), None) => self.watch()?,
                (Err(error), _) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Reads away bytes that are there: `poll_peek` showed them.
    ///
    /// # Errors
    /// They are not.
    pub fn discard(&mut self, mut count: usize) -> io::Result<()> {
        let mut nowhere = [0; 512];
        while count > 0 {
            let part = count.min(nowhere.len());
            match recv(&*self, &mut nowhere[..part], RecvFlags::empty()) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, read)) => count -= read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is.
    pub fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        loop {
            match recv(&*self, spare_capacity(buffer), RecvFlags::empty()) {
                Ok((_, count)) => {
                    self.drained = count > 0 && count < room;
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes a beginning of `bytes`. `more` says that further bytes follow at once, so that the
    /// kernel may put them into one packet.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        self.judge(bytes.len());
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        self.poll_send(context, |socket| send(socket, bytes, flags))
    }

    /// Writes a beginning of `slices` in one call.
    pub fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.judge(slices.iter().map(|slice| slice.len()).sum());
        self.poll_send(context, |socket| {
            let mut control = rustix::net::SendAncillaryBuffer::default();
            rustix::net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL)
        })
    }

    /// Sends up to `count` bytes of `file` from `offset`; 0 where the file has ended.
    pub fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.judge(count);
        self.poll_send(context, |socket| {
            let mut offset = offset;
            rustix::fs::sendfile(socket, file, Some(&mut offset), count)
        })
    }

    /// Before the first large send: where the peer takes next to nothing, little is given to the
    /// kernel ahead.
    ///
    /// SECURITY: segments are no larger than half of the peer's window, and each takes more than a
    /// kilobyte of the kernel and some µs of ours. Of a send buffer that was sized for large ones,
    /// a reader that offers 500 bytes made four megabytes of memory and ten milliseconds.
    fn judge(&mut self, count: usize) {
        if count <= SMALL_BYTES || std::mem::replace(&mut self.is_judged, true) {
            return;
        }
        let window = stead_sys::socket::send_window(&*self);
        if window.is_ok_and(|window| window < NARROW_BYTES) {
            // One that refuses keeps what it has.
            let _ = stead_sys::socket::keep_unsent_below(&*self, NARROW_BYTES);
        }
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            // PERF: a send buffer is seldom full, so the call goes first and the wait second.
            match call(self.as_fd()) {
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                result => return Poll::Ready(result.map_err(Into::into)),
            }
            match &self.state {
                State::Watched(watched) => {
                    let mut guard = ready!(watched.poll_write_ready(context))?;
                    match call(watched.as_fd()) {
                        Err(Errno::AGAIN) => {
                            guard.clear_ready_matching(tokio::io::Ready::WRITABLE);
                        }
                        Err(Errno::INTR) => {}
                        result => return Poll::Ready(result.map_err(Into::into)),
                    }
                }
                _ => self.watch()?,
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn shutdown_write(&self) -> io::Result<()> {
        Ok(shutdown(self, Shutdown::Write)?)
    }

    /// From now on closing means a reset: the kernel throws away what it holds for the peer, who
    /// cannot take the end for a proper one.
    pub fn reset_on_close(&self) {
        // A socket that refuses is closed the plain way.
        let _ = sockopt::set_socket_linger(self, Some(Duration::ZERO));
    }

    /// Bytes that the peer has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        stead_sys::socket::unacknowledged(self).unwrap_or(0)
    }

    fn watch(&mut self) -> io::Result<()> {
        if let State::Plain(descriptor) = std::mem::replace(&mut self.state, State::Moved) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            match event::watch(descriptor, interest) {
                Ok(watched) => self.state = State::Watched(watched),
                Err((descriptor, error)) => {
                    self.state = State::Plain(descriptor);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// What is sent without a look at the peer's window.
const SMALL_BYTES: usize = 16 << 10;
/// A window below this is narrow: clients begin with four times as much.
const NARROW_BYTES: u32 = 16 << 10;

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.state {
            State::Plain(descriptor) => descriptor.as_fd(),
            State::Watched(watched) => watched.get_ref().as_fd(),
            // INVARIANT: `watch` leaves this state again before it returns.
            State::Moved => unreachable!("no call sees a socket between two states"),
        }
    }
}
