//! What the whole process shares: the phase it is in.

use std::sync::atomic::{AtomicU8, Ordering};

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

    /// Moves on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}
