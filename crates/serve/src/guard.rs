//! Panics stay where they happen: round one exchange, and round the loop of one listener.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future panicked; it must not be polled again.
pub(crate) struct Panicked;

/// Polls what may panic.
pub(crate) fn poll_guarded<F: Future + ?Sized>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Result<Poll<F::Output>, Panicked> {
    catch_unwind(AssertUnwindSafe(|| future.poll(context))).map_err(|_| Panicked)
}
