//! Closing so that the answer arrives.
//!
//! A plain close with unread input makes the kernel send a reset, which can destroy an answer that
//! the peer has not read yet. So: end our side, read away what comes, then close.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use stead_net::Wait;

use crate::wire::Wire;

const LINGER_FOR: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 256 << 10;

/// Ends our side and discards input until its end, 256 KiB or 2 s.
pub(crate) async fn linger(mut wire: Wire) {
    wire.request_ends = None;
    wire.consume(wire.unread().len());
    if wire.shutdown_write().is_err() {
        return;
    }
    let (limit, mut armed) = (wire.bytes_in + LINGER_BYTES_MAX, false);
    poll_fn(|context| {
        if !armed {
            armed = true;
            wire.arm(context, Wait::Task, Some(LINGER_FOR));
        }
        while !wire.is_expired() && wire.bytes_in < limit {
            match wire.poll_fill(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => wire.consume(wire.unread().len()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    wire.release_buffers();
}
