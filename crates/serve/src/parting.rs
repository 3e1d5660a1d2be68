//! Workers whose descriptor tables are their own, for `private_descriptors`.
//!
//! Once in the life of a process, in this order: every worker makes its event loop in the table
//! that all share; when all have, each parts from it and keeps its own listeners; when all have,
//! the table that is left gives up what went with them. Only then does anybody serve.
//!
//! INVARIANT: from then on no type that owns a descriptor goes from one worker to another thread,
//! save threads that the worker started itself: its blocking pool, whose threads begin when they
//! are first needed and share its table. An event loop is made once and outlives its worker's
//! panics, since the number by which other threads wake it means nothing in a newer one.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use stead_sys::table;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::worker::{self, Plan};

/// Leads the workers of a fleet and the thread that started them through the parting.
pub(crate) struct Parting {
    /// Threads that take part.
    threads: usize,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// Arrivals at all steps together.
    arrived: usize,
    failed: Option<io::Error>,
}

/// Steps at which each thread waits for all others.
const MADE: usize = 1;
const PARTED: usize = 2;

impl Parting {
    /// For so many workers and the thread that starts them.
    pub(crate) fn new(workers: usize) -> Self {
        Self { threads: workers + 1, progress: Mutex::default(), changed: Condvar::new() }
    }

    /// A worker's part: gives the event loop on which it runs from here on, or nothing where the
    /// parting failed anywhere.
    pub(crate) fn follow(&self, listeners: &RefCell<Vec<OwnedFd>>) -> Option<EventLoop> {
        let _part = Part(self);
        let event_loop = EventLoop::new().map_err(|error| self.fail(error)).ok();
        if !self.arrive(MADE) {
            return None;
        }
        let listeners = listeners.borrow();
        let own: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
        if let Err(error) = table::part(&own) {
            self.fail(error);
        }
        event_loop.filter(|_| self.arrive(PARTED))
    }

    /// The part of the thread that started the workers; `listeners` are numbers of sockets that
    /// went to them.
    ///
    /// # Errors
    /// What failed first, on any thread.
    pub(crate) fn lead(&self, listeners: &[RawFd]) -> io::Result<()> {
        if self.arrive(MADE) && self.arrive(PARTED) {
            table::close_copies(listeners);
            return Ok(());
        }
        Err(self.progress().failed.take().unwrap_or_else(|| io::ErrorKind::Other.into()))
    }

    /// The parting does not take place: nobody waits for it any longer.
    pub(crate) fn fail(&self, error: io::Error) {
        self.progress().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits until every thread has come to `step`; whether all is well.
    fn arrive(&self, step: usize) -> bool {
        let mut progress = self.progress();
        progress.arrived += 1;
        self.changed.notify_all();
        while progress.failed.is_none() && progress.arrived < step * self.threads {
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        progress.failed.is_none()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's part in the parting: whoever panics in it keeps nobody waiting.
struct Part<'a>(&'a Parting);

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(io::Error::other("a worker panicked"));
        }
    }
}

/// The numbers of sockets that are about to go to workers.
pub(crate) fn numbers(listeners: &[Vec<OwnedFd>]) -> Vec<RawFd> {
    listeners.iter().flatten().map(AsRawFd::as_raw_fd).collect()
}

/// The event loop of a worker that has a table of its own.
pub(crate) struct EventLoop(Runtime);

impl EventLoop {
    fn new() -> io::Result<Self> {
        let event_loop = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self(event_loop))
    }

    /// Runs a worker until it has drained or panics. Its tasks end with it, the event loop stays.
    pub(crate) fn run(&self, plan: &Plan) -> io::Result<()> {
        let _inside = self.0.enter();
        let tasks = LocalSet::new();
        tasks.block_on(&self.0, worker::serve(plan))
    }

    /// Ends the event loop without waiting for what still blocks.
    pub(crate) fn end(self) {
        self.0.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_worker_that_panics_keeps_nobody_waiting() {
        let parting = Parting::new(1);
        std::thread::scope(|threads| {
            let worker = threads.spawn(|| {
                let listeners = RefCell::default();
                let _lent = listeners.borrow_mut();
                let part = AssertUnwindSafe(|| parting.follow(&listeners).is_some());
                catch_unwind(part).is_err()
            });
            let error = parting.lead(&[]).expect_err("no parting");
            assert_eq!(error.to_string(), "a worker panicked");
            assert!(worker.join().expect("caught"));
        });
    }
}
