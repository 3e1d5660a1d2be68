//! What the whole process shares: the phase it is in, how many workers it has.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::Shared;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not all listeners accept yet.
    Starting,
    /// All listeners accept.
    Ready,
    /// Letting work finish.
    Drain,
}

/// Process-wide facts that handlers may ask for. Written seldom, so that sharing its cache line
/// costs nothing.
#[derive(Debug, Default)]
pub struct Process {
    phase: AtomicU8,
    workers: AtomicUsize,
    /// Descriptors of client connections.
    pub connections: Budget,
    /// Connections that one worker may hold, plus one; 0 is no limit of its own.
    worker_connections: AtomicUsize,
    /// Descriptors of files that caches keep open.
    pub open_files: Budget,
    /// What components have in common.
    pub shared: Shared,
}

/// A number of things that the process may hold at once, all workers together. Touched where one
/// begins or ends, never per request. Without a limit until one is set.
#[derive(Debug, Default)]
pub struct Budget {
    held: AtomicUsize,
    /// The limit, plus one; 0 is none.
    limit: AtomicUsize,
}

impl Budget {
    /// Sets the limit, before the first worker starts.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit.saturating_add(1), Ordering::Relaxed);
    }

    /// The limit, where one is set.
    pub fn limit(&self) -> Option<usize> {
        self.limit.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Takes `count`, unless that would be too many. What was taken is given back by
    /// [`Self::release`].
    pub fn take(&self, count: usize) -> bool {
        let held = self.held.fetch_add(count, Ordering::Relaxed) + count;
        let limit = self.limit.load(Ordering::Relaxed);
        if limit != 0 && held >= limit {
            self.release(count);
            return false;
        }
        true
    }

    /// Gives back `count` of what was taken.
    pub fn release(&self, count: usize) {
        self.held.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Process {
    /// Where the process is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Drain,
        }
    }

    /// How many workers there are, at least 1: limits are totals of the process, and a cache of one
    /// worker holds its share.
    pub fn workers(&self) -> usize {
        self.workers.load(Ordering::Relaxed).max(1)
    }

    /// Says how many workers there are, before the first of them starts.
    pub fn set_workers(&self, count: usize) {
        self.workers.store(count, Ordering::Relaxed);
    }

    /// Whether a worker that holds `count` connections has no descriptor for one more, where each
    /// worker has a descriptor table of its own.
    pub fn is_full(&self, count: usize) -> bool {
        let limit = self.worker_connections.load(Ordering::Relaxed);
        limit != 0 && count + 1 >= limit
    }

    /// Says how many connections one worker may hold, before the first of them starts.
    pub fn set_worker_connections(&self, limit: usize) {
        self.worker_connections.store(limit.saturating_add(1), Ordering::Relaxed);
    }

    /// Moves on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_never_gives_more_than_its_limit() {
        let budget = Budget::default();
        assert!(budget.take(1_000));
        budget.release(1_000);
        budget.set_limit(2);
        assert!(budget.take(1) && budget.take(1) && !budget.take(1));
        budget.release(1);
        assert!(!budget.take(2) && budget.take(1));
        assert_eq!((budget.limit(), Budget::default().limit()), (Some(2), None));
    }

    #[test]
    fn a_worker_is_full_at_its_own_limit_and_never_without_one() {
        let process = Process::default();
        assert!(!process.is_full(usize::MAX - 1));
        process.set_worker_connections(2);
        assert!(!process.is_full(1) && process.is_full(2));
    }
}
