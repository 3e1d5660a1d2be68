//! What two ends share: a lock that a panic elsewhere does not spoil, and the wakers beside it.
//!
//! INVARIANT: a waker is woken with the lock released; the woken task may run at once on another
//! thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Releases the lock, then wakes.
pub(crate) fn wake<T>(waker: Option<Waker>, shared: MutexGuard<'_, T>) {
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Keeps whom to wake.
pub(crate) fn remember(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}
