//! Clocks. The coarse ones cost a few nanoseconds and step about every 4 ms.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stead_base::Tick;

/// The coarse monotonic clock.
pub fn now() -> Tick {
    Tick::from_millis(u64::try_from(read(ClockId::MonotonicCoarse).as_millis()).unwrap_or(u64::MAX))
}

/// The exact monotonic clock, for durations that people read.
pub fn precise() -> Duration {
    read(ClockId::Monotonic)
}

/// Time since 1970, coarse.
pub fn wall() -> Duration {
    read(ClockId::RealtimeCoarse)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
