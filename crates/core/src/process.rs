//! What the whole process shares: the phase it is in, how many workers it has.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

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

    /// Moves on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}
