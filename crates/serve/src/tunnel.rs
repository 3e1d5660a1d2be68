//! The connection's end of a tunnel, after a protocol switch, and what a drain makes of tunnels.
//!
//! Nobody can say when a tunnel is done: it lasts until one of its ends leaves. So a drain waits
//! for exchanges, and once there are none in the whole process, tunnels have a moment more to say
//! goodbye ([`TUNNELS_WITHIN`]). Then they are cut, and each leaves its record.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use stead_base::Reason;
use stead_core::{Tunnel, TunnelIo};

use crate::state::State;
use crate::wire::Wire;

/// How long tunnels may go on once a drain has nothing else to wait for: enough to send a close
/// frame, too short for anybody to notice that a program ends later for it.
pub(crate) const TUNNELS_WITHIN: Duration = Duration::from_millis(500);

/// Runs a tunnel to its end.
///
/// # Errors
/// Why it ended before that.
pub(crate) async fn run(wire: &mut Wire, tunnel: Box<dyn Tunnel>) -> Result<(), Reason> {
    let counted = Counted::new(&wire.state);
    let mut end = TunnelEnd(wire);
    let mut running = tunnel.run(&mut end);
    poll_fn(|context| {
        if counted.0.cut.get() || counted.0.tunnels_cut.get() {
            return Poll::Ready(Err(Reason::Drained));
        }
        running.as_mut().poll(context).map(|ended| ended.map_err(|_| Reason::ClientClosed))
    })
    .await
}

/// A tunnel that counts as one until this is dropped.
struct Counted(Rc<State>);

impl Counted {
    fn new(state: &Rc<State>) -> Self {
        state.tunnels.set(state.tunnels.get() + 1);
        Self(Rc::clone(state))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tunnels.set(self.0.tunnels.get() - 1);
    }
}

/// Bytes both ways; first those that came after the request.
struct TunnelEnd<'a>(&'a mut Wire);

impl TunnelIo for TunnelEnd<'_> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.unread().is_empty() && ready!(self.0.poll_fill(context))? == 0 {
            if self.0.transport.is_truncated() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            return Poll::Ready(Ok(0));
        }
        let count = buffer.len().min(self.0.unread().len());
        buffer[..count].copy_from_slice(&self.0.unread()[..count]);
        self.0.consume(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let worker = &self.0.state.worker;
        let count = ready!(self.0.transport.poll_write(context, worker, bytes, false))?;
        self.0.bytes_out += count as u64;
        Poll::Ready(Ok(count))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }
}
