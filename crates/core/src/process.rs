//! What the whole process shares: the phase it is in, how many workers it has.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::pressure::{Fill, Level, Pressure, Scarcity, percent};
use crate::{Challenges, Shared};

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
    /// Descriptors of all files that are served: those of caches, and those of answers under way.
    pub files: Budget,
    /// Files that one worker may hold, plus one; 0 is no limit of its own.
    worker_files: AtomicUsize,
    /// What authorities are shown before they issue certificates.
    pub challenges: Challenges,
    /// What components have in common.
    pub shared: Shared,
    /// How near the process is to its budgets.
    pub pressure: Pressure,
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

    /// How many are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether not one more may be taken.
    pub fn is_full(&self) -> bool {
        self.limit().is_some_and(|limit| self.held() >= limit)
    }

    /// How full it is, 0 to 100; 0 without a limit.
    pub fn percent(&self) -> u8 {
        self.limit().map_or(0, |limit| percent(self.held() as u64, limit as u64))
    }

    /// How many are held beyond what keeps it below `mark` percent.
    pub fn excess(&self, mark: u8) -> usize {
        let Some(limit) = self.limit() else { return 0 };
        let allowed = (limit as u128 * u128::from(mark)).div_ceil(100).saturating_sub(1);
        self.held().saturating_sub(allowed as usize)
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

    /// Whether a worker that holds `count` files has no descriptor for one more, where each worker
    /// has a descriptor table of its own.
    pub(crate) fn is_full_of_files(&self, count: usize) -> bool {
        let limit = self.worker_files.load(Ordering::Relaxed);
        limit != 0 && count + 1 >= limit
    }

    /// Says how many files one worker may hold, before the first of them starts.
    pub fn set_worker_files(&self, limit: usize) {
        self.worker_files.store(limit.saturating_add(1), Ordering::Relaxed);
    }

    /// What gives way now, for want of connections or memory.
    pub fn level(&self) -> Level {
        self.pressure.level()
    }

    /// How full the fuller budget is.
    pub fn fill(&self) -> Fill {
        let (connections, memory) = (self.connections.percent(), self.pressure.memory().percent());
        if memory > connections {
            Fill { percent: memory, of: Scarcity::Memory }
        } else {
            Fill { percent: connections, of: Scarcity::Connections }
        }
    }

    /// Moves to the level that the budgets ask for; says from which to which if that is another.
    pub fn weigh(&self) -> Option<(Level, Level)> {
        self.pressure.weigh(self.fill().percent, self.workers())
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

    #[test]
    fn an_excess_is_what_must_go_to_be_below_a_mark() {
        for (limit, held) in [(50, 45), (50, 44), (50, 50), (7, 7), (1, 1), (19_900, 19_000)] {
            let budget = Budget::default();
            budget.set_limit(limit);
            assert!(budget.take(held));
            let excess = budget.excess(90);
            budget.release(excess);
            assert!(budget.percent() < 90, "{held} of {limit}");
            assert!(excess == 0 || budget.take(1) && budget.percent() >= 90, "{held} of {limit}");
        }
    }

    #[test]
    fn the_fuller_budget_is_the_pressure() {
        let process = Process::default();
        assert_eq!(process.fill().percent, 0);
        process.connections.set_limit(10);
        assert!(process.connections.take(8));
        assert_eq!(process.fill(), Fill { percent: 80, of: Scarcity::Connections });
        process.pressure.note_memory(95, 100);
        assert_eq!(process.fill(), Fill { percent: 95, of: Scarcity::Memory });
        assert_eq!(process.weigh(), Some((Level::Calm, Level::Scarce)));
        process.pressure.note_memory(10, 100);
        assert_eq!(process.weigh(), Some((Level::Scarce, Level::Tight)));
        process.connections.release(8);
        assert_eq!(process.weigh(), Some((Level::Tight, Level::Calm)));
    }
}
