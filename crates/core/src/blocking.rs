//! Work that may sleep, moved off the worker: opening a cold file, reading one in.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use stead_base::Kind;

use crate::{Error, Reason, Result};

/// A piece of work for the blocking pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// Where such work runs: a small pool of threads, supplied by the worker.
pub trait Blocking {
    /// Runs `job` on another thread, soon; drops it where too many wait already.
    fn run(&self, job: Job);
}

/// The result of a job, when it is done.
pub struct Pending<T>(Arc<Mutex<Shared<T>>>);

struct Shared<T> {
    result: Option<T>,
    waker: Option<Waker>,
    dropped: bool,
}

impl<T: Send + 'static> Pending<T> {
    /// Runs `work` on `pool`.
    ///
    /// # Cancel safety
    /// Dropping this skips work that has not begun and forgets the result of work that has.
    pub fn start(pool: &dyn Blocking, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared { result: None, waker: None, dropped: false }));
        let sender = Sender(Arc::clone(&shared));
        pool.run(Box::new(move || {
            if Arc::strong_count(&sender.0) == 1 {
                // Whoever waited is gone: nobody wants the result.
                return;
            }
            let result = work();
            lock(&sender.0).result = Some(result);
        }));
        Self(shared)
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut shared = lock(&self.0);
        if let Some(result) = shared.result.take() {
            return Poll::Ready(Ok(result));
        }
        if shared.dropped {
            let context = "the blocking pool refused the work, or the work panicked";
            return Poll::Ready(Err(Error::new(Kind::System, Reason::Overloaded, context)));
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Wakes the waiter however the job ends, also by a panic.
struct Sender<T>(Arc<Mutex<Shared<T>>>);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.dropped = true;
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> std::sync::MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
