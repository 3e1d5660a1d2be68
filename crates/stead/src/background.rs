//! What runs beside the workers: one thread with an event loop of its own, for work that no
//! request waits for, such as reading certificates again.
//!
//! A task that panics is reported and begins anew after a pause; the others notice nothing. Tasks
//! open only sockets of their own and share none with the workers; they end where they wait when
//! the process stops.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Work of the background, with its name in the log.
pub(crate) struct Task {
    name: &'static str,
    begin: Box<dyn FnMut() -> Work + Send>,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Task {
    /// Work that `begin` begins, and begins anew after a panic: what must not be lost is its own.
    pub(crate) fn new<F>(name: &'static str, mut begin: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, begin: Box::new(move || Box::pin(begin())) }
    }
}

/// The thread; it ends when this is dropped.
#[derive(Default)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Threads for what blocks in the background, such as files and the resolution of names: some more
/// than the orders that may all wait for a resolver at once. Made when they are needed.
const BLOCKING_THREADS: usize = 6;
/// Between a panic and the next begin: what panicked once may do so again and again.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// How long blocking work may hold the end of the process up.
const ENDS_WITHIN: Duration = Duration::from_millis(100);

impl Background {
    /// Starts the tasks; without any there is no thread.
    ///
    /// # Errors
    /// The event loop or the thread could not be made.
    pub(crate) fn start(tasks: Vec<Task>) -> io::Result<Self> {
        if tasks.is_empty() {
            return Ok(Self::default());
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("background".into());
        let thread = thread.spawn(move || run(runtime, tasks, stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Each task's panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

fn run(runtime: Runtime, tasks: Vec<Task>, stopped: oneshot::Receiver<()>) {
    for task in tasks {
        drop(runtime.spawn(guarded(task, AFTER_PANIC)));
    }
    // Nothing is ever sent: what is waited for is the sender's end.
    let _ = runtime.block_on(stopped);
    runtime.shutdown_timeout(ENDS_WITHIN);
}

async fn guarded(mut task: Task, pause: Duration) {
    while !ends_well(&mut task).await {
        tracing::error!("{} panicked and begins anew in {pause:?}", task.name);
        tokio::time::sleep(pause).await;
    }
}

/// Runs the work once; `false` where it panicked.
async fn ends_well(task: &mut Task) -> bool {
    let Ok(mut work) = catch_unwind(AssertUnwindSafe(|| (task.begin)())) else { return false };
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(true),
        Err(_) => Poll::Ready(false),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_panic_holds_no_other_task_up_and_a_drop_ends_all() {
        let (sender, arrived) = channel();
        let kept = sender.clone();
        let background = Background::start(vec![
            Task::new("the first", || async { panic!("on purpose") }),
            Task::new("the second", move || {
                let kept = kept.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    kept.send("on").expect("somebody listens");
                    std::future::pending::<()>().await;
                }
            }),
        ]);
        drop(sender);
        assert_eq!(arrived.recv(), Ok("on"));
        drop(background.expect("a thread"));
        assert!(arrived.recv().is_err(), "the second task's sender is gone");
    }

    #[tokio::test]
    async fn what_panics_begins_anew_after_a_pause_and_what_ends_does_not() {
        let (sender, begun) = channel();
        let began = std::time::Instant::now();
        let mut times = 0;
        let task = Task::new("a task", move || {
            times += 1;
            sender.send(began.elapsed()).expect("somebody listens");
            // Before its work begins, while it works, and not at all.
            assert!(times != 1, "on purpose");
            async move { assert!(times != 2, "on purpose") }
        });
        let pause = Duration::from_millis(20);
        guarded(task, pause).await;
        let begun: Vec<Duration> = begun.iter().collect();
        assert_eq!(begun.len(), 3);
        assert!(begun[1] >= pause && begun[2] >= 2 * pause, "{begun:?}");
    }

    #[test]
    fn without_tasks_there_is_no_thread() {
        assert!(Background::start(Vec::new()).expect("nothing to fail").thread.is_none());
    }
}
