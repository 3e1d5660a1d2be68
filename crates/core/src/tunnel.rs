//! What follows a protocol switch: bytes both ways, no longer HTTP.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Takes over a connection after `101 Switching Protocols` was sent.
pub trait Tunnel {
    /// Runs until the tunnel ends. `io` first yields what the peer sent after its request.
    fn run<'a>(
        self: Box<Self>,
        io: &'a mut dyn TunnelIo,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;
}

/// The peer's end of a tunnel.
pub trait TunnelIo {
    /// Reads into `buffer`; zero bytes at the end.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    /// Writes a beginning of `bytes`; how much, at least one byte. Where it is pending it must be
    /// called again with these bytes first: over TLS they are sealed already.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Says that no more bytes will be written.
    fn shutdown(&mut self) -> io::Result<()>;
}
