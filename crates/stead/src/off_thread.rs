//! Waiting for what blocks, from async code on any runtime: a thread of its own does it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

/// Runs `work` on a new thread and gives its result; a panic is passed on.
///
/// # Cancel safety
/// Dropping the future does not stop the work.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waiting drops the result, which ends what it stands for.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    });
    match receiver.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => unreachable!("the thread sends also when it panics"),
    }
}
