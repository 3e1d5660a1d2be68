//! Work that blocks (disks that sync, keys that are made), beside the event loop.
//!
//! INVARIANT: once [`crate::Authority::run`] runs, everything that touches the disk or takes more
//! than a moment of a processor goes through here: others share the loop, and some of them must be
//! on time. A removed challenge and the end of a lock do not: neither is synced.

use std::panic::resume_unwind;

/// Runs `work` on a thread that may block; a panic goes on here.
///
/// # Cancel safety
/// Dropped, the work is done all the same, and its result is dropped.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn the_loop_goes_on_meanwhile() {
        let (sender, waited_for) = channel();
        let work = aside(move || waited_for.recv());
        let other = async move { sender.send(7) };
        let (result, sent) = tokio::join!(work, other);
        assert_eq!((result, sent), (Ok(7), Ok(())));
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let work = tokio::spawn(aside(|| panic!("on purpose")));
        assert!(work.await.expect_err("a panic").is_panic());
    }
}
