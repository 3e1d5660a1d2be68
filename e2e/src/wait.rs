//! Waiting for something that another process does.
//!
//! Limits are generous: a test that passes never waits for one, and a machine may be busy.

use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer; `None` when `limit` is over.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if began.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(STEP);
    }
}
