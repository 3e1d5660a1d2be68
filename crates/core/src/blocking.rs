//! Work that may sleep, moved off the worker: opening a cold file, reading one in.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Error, Result};

/// A piece of work for the blocking pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// Where such work runs: a small pool of threads, supplied by the worker.
pub trait Blocking {
    /// Runs `job` on another thread, soon.
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
    /// Dropping this leaves the work running and forgets its result.
    pub fn start(pool: &dyn Blocking, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared { result: None, waker: None, dropped: false }));
        let sender = Sender(Arc::clone(&shared));
        pool.run(Box::new(move || {
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
            return Poll::Ready(Err(Error::internal("work on the blocking pool panicked")));
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
