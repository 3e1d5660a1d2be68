//! Takes new connections from one listening socket on one worker.
//!
//! A listener that fails for good ends alone; one that runs out of descriptors pauses, keeps its
//! queue and goes on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use stead_core::Peer;
use stead_sys::event::{self, Watched};
use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;

/// A listening socket on one worker's event loop.
pub struct Acceptor {
    listener: Watched,
}

/// A connection that may wait in the listener's queue.
pub struct Waiting<'a> {
    acceptor: &'a Acceptor,
    guard: AsyncFdReadyGuard<'a, OwnedFd>,
}

impl Waiting<'_> {
    /// Takes it; none where nobody waits, or where somebody else took it.
    ///
    /// # Errors
    /// As [`Acceptor::try_accept`].
    pub fn accept(mut self) -> io::Result<Option<Accepted>> {
        let accepted = self.acceptor.try_accept()?;
        if accepted.is_none() {
            self.guard.clear_ready();
        }
        Ok(accepted)
    }
}

/// One attempt to accept.
pub enum Accepted {
    /// A connection, non-blocking.
    Connection(OwnedFd, Peer),
    /// The process or the system has no descriptor left.
    NoDescriptor,
}

impl Acceptor {
    /// Watches a non-blocking, listening socket.
    pub fn new(listener: OwnedFd) -> io::Result<Self> {
        let listener = event::watch(listener, Interest::READABLE).map_err(|(_, error)| error)?;
        Ok(Self { listener })
    }

    /// Completes when a connection may wait: it stays in the listener's queue until it is taken.
    ///
    /// # Errors
    /// The event loop is gone.
    pub fn poll_waiting(&self, context: &mut Context<'_>) -> Poll<io::Result<Waiting<'_>>> {
        let guard = ready!(self.listener.poll_read_ready(context))?;
        Poll::Ready(Ok(Waiting { acceptor: self, guard }))
    }

    /// The next connection, if one waits already.
    ///
    /// # Errors
    /// The listener is broken for good. What concerns one connection alone is passed over.
    pub fn try_accept(&self) -> io::Result<Option<Accepted>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            match acceptfrom_with(&self.listener, flags) {
                Ok((descriptor, address)) => {
                    return Ok(Some(Accepted::Connection(descriptor, peer(address))));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return Ok(Some(Accepted::NoDescriptor));
                }
                Err(error) if concerns_one_connection(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Errors of the connection that was about to be accepted, as accept(2) lists them.
fn concerns_one_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::TIMEDOUT
    )
}

fn peer(address: Option<SocketAddrAny>) -> Peer {
    match address.and_then(|address| SocketAddr::try_from(address).ok()) {
        Some(address) => Peer::Tcp(SocketAddr::new(unmap(address.ip()), address.port())),
        None => Peer::Unix,
    }
}

fn unmap(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
