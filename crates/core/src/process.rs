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
    /// Those that are set apart for files: each file beyond takes the place of a connection.
    pub files_apart: Budget,
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

/// Whose descriptor a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilePlace {
    /// One that is set apart for files.
    Apart,
    /// One that a connection could have.
    Lent,
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

    /// Whether it is so many percent full. PERF: asked for every connection that begins, so it
    /// multiplies, and divides by nothing but a constant.
    pub fn reaches(&self, mark: u8) -> bool {
        let limit = self.limit().map(|limit| limit.saturating_mul(mark.into()));
        limit.is_some_and(|limit| limit > 0 && self.held().saturating_mul(100) >= limit)
    }

    /// How many are held beyond what keeps it below `mark` percent. PERF: as [`Self::reaches`].
    pub fn excess(&self, mark: u8) -> usize {
        let Some(limit) = self.limit() else { return 0 };
        let allowed = limit.saturating_mul(mark.into()).div_ceil(100).saturating_sub(1);
        self.held().saturating_sub(allowed)
    }

    /// Lends a free place to something else, which lowers the limit until [`Self::take_back`]; one
    /// place is never lent.
    pub(crate) fn lend(&self) -> bool {
        let relaxed = Ordering::Relaxed;
        let lent = self.limit.fetch_update(relaxed, relaxed, |limit| match limit {
            0 => Some(0),
            limit => (limit > 2 && self.held() + 1 < limit).then_some(limit - 1),
        });
        lent.is_ok()
    }

    /// Takes back a place that was lent.
    pub(crate) fn take_back(&self) {
        if self.limit().is_some() {
            self.limit.fetch_add(1, Ordering::Relaxed);
        }
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
    pub fn worker_is_full(&self, count: usize) -> bool {
        let limit = self.worker_connections.load(Ordering::Relaxed);
        limit != 0 && count + 1 >= limit
    }

    /// Says how many connections one worker may hold, before the first of them starts.
    pub fn set_worker_connections(&self, limit: usize) {
        self.worker_connections.store(limit.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether a worker that holds `count` files has no descriptor for one more, where each worker
    /// has a descriptor table of its own.
    pub(crate) fn worker_is_full_of_files(&self, count: usize) -> bool {
        let limit = self.worker_files.load(Ordering::Relaxed);
        limit != 0 && count + 1 >= limit
    }

    /// Takes a place for a file: one set apart for files, or a free one of the connections. Given
    /// back by [`Self::release_file`].
    pub(crate) fn take_file(&self) -> Option<FilePlace> {
        if !self.files.take(1) {
            return None;
        }
        if self.files_apart.take(1) {
            return Some(FilePlace::Apart);
        }
        if self.connections.lend() {
            return Some(FilePlace::Lent);
        }
        self.files.release(1);
        None
    }

    /// Gives back the place of a file that is closed.
    pub(crate) fn release_file(&self, place: FilePlace) {
        match place {
            FilePlace::Apart => self.files_apart.release(1),
            FilePlace::Lent => self.connections.take_back(),
        }
        self.files.release(1);
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
        assert!(!process.worker_is_full(usize::MAX - 1));
        process.set_worker_connections(2);
        assert!(!process.worker_is_full(1) && process.worker_is_full(2));
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
            assert_eq!(budget.reaches(90), budget.percent() >= 90, "{held} of {limit}");
        }
    }

    #[test]
    fn a_budget_reaches_what_its_percent_say() {
        let budget = Budget::default();
        assert!(!budget.reaches(0) && budget.excess(90) == 0);
        for limit in [1, 7, 99, 100, 101, 1 << 50] {
            budget.set_limit(limit);
            for held in [0, limit / 2, limit / 4 * 3, limit - limit / 10, limit] {
                budget.held.store(held, Ordering::Relaxed);
                let reaches = held as u128 * 100 / limit as u128 >= 75;
                assert_eq!(budget.reaches(75), reaches, "{held} of {limit}");
            }
        }
    }

    /// Files that took places of their own for ever left a sixth of the descriptors unused.
    #[test]
    fn files_take_places_of_connections_where_those_are_free() {
        let process = Process::default();
        process.connections.set_limit(4);
        process.files.set_limit(4);
        process.files_apart.set_limit(1);
        let first = process.take_file().expect("the one set apart");
        assert_eq!((first, process.connections.limit()), (FilePlace::Apart, Some(4)));
        assert!(process.connections.take(1));
        let lent = [(); 2].map(|()| process.take_file().expect("a free one"));
        assert_eq!((lent, process.connections.limit()), ([FilePlace::Lent; 2], Some(2)));
        // Of two one is held: the pressure is that of connections and files together.
        assert_eq!(process.fill().percent, 50);
        assert!(process.connections.take(1) && !process.connections.take(1));
        assert!(process.take_file().is_none());
        assert_eq!((process.files.held(), process.fill().percent), (3, 100));
        for place in lent {
            process.release_file(place);
        }
        process.release_file(first);
        assert_eq!((process.connections.limit(), process.files.held()), (Some(4), 0));
        // The last place is nobody's but a connection's.
        process.connections.release(2);
        let all = [(); 4].map(|()| process.take_file());
        assert_eq!((all[3], process.connections.limit()), (Some(FilePlace::Lent), Some(1)));
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
