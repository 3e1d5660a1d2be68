//! The connection's end of a tunnel, after a protocol switch.

use std::io;
use std::task::{Context, Poll, ready};

use stead_core::TunnelIo;

use crate::wire::Wire;

/// Bytes both ways; first those that came after the request.
pub(crate) struct TunnelEnd<'a>(pub(crate) &'a mut Wire);

impl TunnelIo for TunnelEnd<'_> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.unread().is_empty() && ready!(self.0.poll_fill(context))? == 0 {
            return Poll::Ready(Ok(0));
        }
        let count = buffer.len().min(self.0.unread().len());
        buffer[..count].copy_from_slice(&self.0.unread()[..count]);
        self.0.consume(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.0.socket.poll_write(context, bytes, false))?;
        self.0.bytes_out += count as u64;
        Poll::Ready(Ok(count))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.socket.shutdown_write()
    }
}
