//! Whether a peer takes or sends bytes fast enough.
//!
//! Only time in which we wait for the peer counts. A rate is the mean over the last ten such
//! seconds, judged from the tenth on; before that only `idle` can end the wait.

use std::time::Duration;

use stead_base::{Rate, Tick};

/// One direction of one connection while it waits for its peer.
#[derive(Debug)]
pub struct Progress {
    idle_max: Option<Duration>,
    rate_min: Option<Rate>,
    moved_at: Tick,
    checked_at: Tick,
    /// Bytes of each of the last ten seconds waited, oldest first once full.
    window: [u64; WINDOW],
    filled: usize,
    waited: Duration,
    pending: u64,
}

const WINDOW: usize = 10;

/// How often a wait is looked at.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What a look at a wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Go on waiting.
    Fine,
    /// Nothing moved for too long.
    Idle,
    /// Too slow on the mean.
    Slow,
}

impl Progress {
    /// Starts to watch; `None` turns a limit off.
    pub fn new(idle_max: Option<Duration>, rate_min: Option<Rate>, now: Tick) -> Self {
        Self {
            idle_max,
            rate_min,
            moved_at: now,
            checked_at: now,
            window: [0; WINDOW],
            filled: 0,
            waited: Duration::ZERO,
            pending: 0,
        }
    }

    /// For how long nothing had moved at the last look, waits alone.
    pub fn stood_still(&self) -> Duration {
        self.checked_at - self.moved_at
    }

    /// A wait begins: the time since the last one does not count.
    pub fn resume(&mut self, now: Tick) {
        self.moved_at = self.moved_at + (now - self.checked_at);
        self.checked_at = now;
    }

    /// `bytes` moved since the last look, `now` being in or at the end of a wait.
    pub fn observe(&mut self, bytes: u64, now: Tick) -> Pace {
        self.pending += bytes;
        if bytes > 0 {
            self.moved_at = now;
        }
        self.waited += now - self.checked_at;
        self.checked_at = now;
        while self.waited >= CHECK_EVERY {
            self.waited -= CHECK_EVERY;
            let bytes = std::mem::take(&mut self.pending);
            self.push(bytes);
        }
        if self.idle_max.is_some_and(|limit| now - self.moved_at >= limit) {
            return Pace::Idle;
        }
        let mean = self.window.iter().sum::<u64>() / WINDOW as u64;
        match self.rate_min {
            Some(rate) if self.filled == WINDOW && mean < rate.0 => Pace::Slow,
            _ => Pace::Fine,
        }
    }

    /// When to look again at the latest; `None` where no limit is set.
    pub fn check_after(&self) -> Option<Duration> {
        match (self.idle_max, self.rate_min) {
            (None, None) => None,
            (Some(limit), _) => Some(limit.min(CHECK_EVERY)),
            (None, Some(_)) => Some(CHECK_EVERY),
        }
    }

    fn push(&mut self, bytes: u64) {
        if self.filled == WINDOW {
            self.window.rotate_left(1);
            self.window[WINDOW - 1] = bytes;
        } else {
            self.window[self.filled] = bytes;
            self.filled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes_per_second: u64, seconds: u64) -> Pace {
        let mut progress =
            Progress::new(Some(Duration::from_secs(30)), Some(Rate(240)), Tick::from_millis(0));
        let mut pace = Pace::Fine;
        for second in 1..=seconds {
            pace = progress.observe(bytes_per_second, Tick::from_millis(second * 1000));
        }
        pace
    }

    #[test]
    fn a_rate_is_judged_from_the_tenth_second() {
        assert_eq!(run(100, 9), Pace::Fine);
        assert_eq!(run(100, 10), Pace::Slow);
        assert_eq!(run(240, 60), Pace::Fine);
    }

    #[test]
    fn silence_ends_at_the_idle_limit() {
        let mut progress = Progress::new(Some(Duration::from_secs(3)), None, Tick::default());
        assert_eq!(progress.observe(0, Tick::from_millis(2_999)), Pace::Fine);
        assert_eq!(progress.observe(0, Tick::from_millis(3_000)), Pace::Idle);
    }

    #[test]
    fn time_outside_a_wait_does_not_count() {
        let mut progress = Progress::new(Some(Duration::from_secs(3)), None, Tick::default());
        assert_eq!(progress.observe(1, Tick::from_millis(1_000)), Pace::Fine);
        progress.resume(Tick::from_millis(60_000));
        assert_eq!(progress.observe(0, Tick::from_millis(61_000)), Pace::Fine);
        assert_eq!(progress.observe(0, Tick::from_millis(63_000)), Pace::Idle);
    }
}
