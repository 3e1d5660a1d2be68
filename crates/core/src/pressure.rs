//! How near the process is to what it may hold of connections and of memory.
//!
//! The fuller of the two budgets is the pressure, in percent, and a [`Level`] says what gives way.
//! Weighed where a connection begins, once a second, and several times a second while it is tight;
//! a request that begins reads the level with one relaxed load.
//!
//! INVARIANT: levels go up at 75, 90 and 90 percent and down five percent below, so that a process
//! at an edge does not change its mind with every connection.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// What the fill of the budgets asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    Calm,
    /// Idle connections are kept for less time.
    Tight,
    /// The longest idle connections are closed, and those that rest between requests are not kept.
    Scarce,
    /// Nothing idle is left to close: of connections first requests are refused, where memory is
    /// short every new one.
    Overloaded,
}

impl Level {
    /// The word in logs and in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Tight => "tight",
            Self::Scarce => "scarce",
            Self::Overloaded => "overloaded",
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Calm,
            1 => Self::Tight,
            2 => Self::Scarce,
            _ => Self::Overloaded,
        }
    }

    /// The level that follows this one at `percent`; `is_dry` says that nothing idle is left.
    fn next(self, percent: u8, is_dry: bool) -> Self {
        match percent {
            SCARCE.. if is_dry || self == Self::Overloaded => Self::Overloaded,
            SCARCE.. => Self::Scarce,
            SCARCE_ENDS.. if self >= Self::Scarce => Self::Scarce,
            TIGHT.. => Self::Tight,
            TIGHT_ENDS.. if self >= Self::Tight => Self::Tight,
            _ => Self::Calm,
        }
    }
}

/// Percent from which idle connections are kept for less time.
pub const TIGHT: u8 = 75;
/// Percent from which the longest idle connections are closed.
pub const SCARCE: u8 = 90;
const TIGHT_ENDS: u8 = TIGHT - 5;
const SCARCE_ENDS: u8 = SCARCE - 5;

/// What fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarcity {
    /// Places for connections, mostly their descriptors.
    Connections,
    /// Memory.
    Memory,
}

impl Scarcity {
    /// The word in logs and in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }
}

/// How full the fuller budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// 0 to 100.
    pub percent: u8,
    /// Which of the two it is.
    pub of: Scarcity,
}

/// Memory as it was sampled last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that count as used.
    pub used: u64,
    /// Bytes that there are; 0 where nobody knows.
    pub max: u64,
    /// Which sample this is, from 1.
    pub sample: u64,
}

impl Memory {
    /// 0 to 100; 0 where nobody knows.
    pub fn percent(self) -> u8 {
        percent(self.used, self.max)
    }
}

/// The process's level, and what it follows from beside its connections.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Pressure {
    level: AtomicU8,
    memory_used: AtomicU64,
    memory_max: AtomicU64,
    memory_sample: AtomicU64,
    /// Workers with nothing idle left to close.
    dry: AtomicUsize,
    /// Who waits for the level to rise, by worker.
    waiting: Mutex<Vec<Option<Waker>>>,
}

impl Pressure {
    /// What gives way now.
    pub fn level(&self) -> Level {
        Level::of(self.level.load(Ordering::Relaxed))
    }

    /// Memory as it was sampled last.
    pub fn memory(&self) -> Memory {
        Memory {
            used: self.memory_used.load(Ordering::Relaxed),
            max: self.memory_max.load(Ordering::Relaxed),
            sample: self.memory_sample.load(Ordering::Relaxed),
        }
    }

    /// Tells of another sample of memory, in bytes; [`crate::Process::weigh`] then draws the
    /// conclusion.
    pub fn note_memory(&self, used: u64, max: u64) {
        self.memory_used.store(used, Ordering::Relaxed);
        self.memory_max.store(max, Ordering::Relaxed);
        self.memory_sample.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker has nothing idle left to close. It says so once, until it takes it back.
    pub fn runs_dry(&self) {
        self.dry.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker takes that back.
    pub fn is_dry_no_longer(&self) {
        self.dry.fetch_sub(1, Ordering::Relaxed);
    }

    /// Completes for a worker when the level is not [`Level::Calm`].
    pub fn tightens(&self, worker: usize) -> impl Future<Output = ()> {
        std::future::poll_fn(move |context| {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that a rise either is seen here or finds the waker.
            if self.level() > Level::Calm {
                return Poll::Ready(());
            }
            if waiting.len() <= worker {
                waiting.resize(worker + 1, None);
            }
            waiting[worker] = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// Completes for a worker when another one is in need of what it may give up.
    pub fn is_urged(&self, worker: usize) -> impl Future<Output = ()> {
        let mut waits = false;
        std::future::poll_fn(move |context| {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() <= worker {
                waiting.resize(worker + 1, None);
            }
            if std::mem::replace(&mut waits, true) && waiting[worker].is_none() {
                return Poll::Ready(());
            }
            waiting[worker] = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// Has every worker give up at once what the level asks for.
    pub fn urge(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    /// Moves to the level of `percent`; says from which to which if that is another.
    pub(crate) fn weigh(&self, percent: u8, workers: usize) -> Option<(Level, Level)> {
        let is_dry = self.dry.load(Ordering::Relaxed) >= workers;
        let before = self.level.load(Ordering::Relaxed);
        let after = Level::of(before).next(percent, is_dry) as u8;
        if after == before {
            return None;
        }
        // One of those who weigh at once tells of the change.
        let order = Ordering::Relaxed;
        self.level.compare_exchange(before, after, order, order).ok()?;
        if Level::of(before) == Level::Calm {
            self.urge();
        }
        Some((Level::of(before), Level::of(after)))
    }
}

/// `used` of `max`, 0 to 100; 0 where there is no limit.
pub(crate) fn percent(used: u64, max: u64) -> u8 {
    if max == 0 {
        return 0;
    }
    let percent = used.checked_mul(100).map_or_else(|| used / (max / 100).max(1), |all| all / max);
    u8::try_from(percent).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Wake};

    #[test]
    fn security_36_levels_go_up_at_their_edges_and_down_below_them() {
        use Level::{Calm, Overloaded, Scarce, Tight};
        let check = |from: Level, percent: u8, is_dry: bool, to: Level| {
            assert_eq!(from.next(percent, is_dry), to, "{from:?} at {percent} %, dry: {is_dry}");
        };
        for dry in [false, true] {
            check(Calm, 74, dry, Calm);
            check(Calm, 75, dry, Tight);
            check(Tight, 70, dry, Tight);
            check(Tight, 69, dry, Calm);
            check(Tight, 89, dry, Tight);
            check(Scarce, 85, dry, Scarce);
            check(Scarce, 84, dry, Tight);
            check(Overloaded, 90, dry, Overloaded);
            check(Overloaded, 89, dry, Scarce);
            check(Overloaded, 0, dry, Calm);
        }
        check(Calm, 90, false, Scarce);
        check(Calm, 100, true, Overloaded);
        check(Scarce, 100, false, Scarce);
    }

    #[test]
    fn a_fill_is_between_0_and_100() {
        assert_eq!(percent(5, 0), 0);
        assert_eq!(percent(0, 7), 0);
        assert_eq!(percent(89, 100), 89);
        assert_eq!(percent(u64::MAX, 1), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_worker_is_over_when_all_are_dry_and_woken_once_it_tightens() {
        let pressure = Pressure::default();
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        let mut waits = pin!(pressure.tightens(3));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(pressure.weigh(74, 2), None);
        assert!(!flag.0.load(Ordering::Relaxed));
        assert_eq!(pressure.weigh(95, 2), Some((Level::Calm, Level::Scarce)));
        assert!(flag.0.load(Ordering::Relaxed));
        assert!(waits.as_mut().poll(&mut context).is_ready());
        let mut waits = pin!(pressure.is_urged(0));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        flag.0.store(false, Ordering::Relaxed);
        pressure.urge();
        assert!(flag.0.load(Ordering::Relaxed) && waits.as_mut().poll(&mut context).is_ready());
        pressure.runs_dry();
        assert_eq!(pressure.weigh(95, 2), None);
        pressure.runs_dry();
        assert_eq!(pressure.weigh(95, 2), Some((Level::Scarce, Level::Overloaded)));
        pressure.is_dry_no_longer();
        assert_eq!(pressure.weigh(91, 2), None);
        assert_eq!(pressure.weigh(80, 2), Some((Level::Overloaded, Level::Tight)));
    }
}
