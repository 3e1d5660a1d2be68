//! One worker: a thread with an event loop, its listeners, its park.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use stead_core::{Blocking, Counters, Job, Process, Worker};
use stead_net::{Acceptor, Collect, Park};
use tokio::runtime::{Builder, LocalOptions};

use crate::accept::{accept, accept_waiting};
use crate::access_log::{AccessLog, WorkerLog};
use crate::errand::Errands;
use crate::events;
use crate::fleet::Signals;
use crate::guard::{Panicked, poll_guarded};
use crate::http2::Stamps;
use crate::listener::ListenerFacts;
use crate::relief::{Relief, keep_relieving};
use crate::snapshot::Snapshot;
use crate::state::State;

/// Threads of one worker's blocking pool: enough to keep a disk busy.
const BLOCKING_THREADS: usize = 4;
/// How long exchanges that are cut may take to leave their record.
const CUT_WITHIN: Duration = Duration::from_millis(250);

/// How long a drain waits for the first request of a client that had just connected: closed without
/// a word it would take us for broken, where a connection that has served is simply opened again.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_millis(500);
/// How often a drain looks what is left.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a worker is made from; used again where it panicked.
pub(crate) struct Plan {
    pub(crate) index: usize,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) process: Arc<Process>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Option<Arc<AccessLog>>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) errands: Arc<Errands>,
    pub(crate) collect: Collect,
    /// What is known of each listener, by position.
    pub(crate) facts: Arc<[ListenerFacts]>,
    /// This worker's socket of each; gone once the worker drains.
    pub(crate) listeners: RefCell<Vec<OwnedFd>>,
    /// Whether it has accepted before.
    pub(crate) was_ready: Cell<bool>,
}

/// Runs a worker until it has drained.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(LocalOptions::default())?;
    let result = runtime.block_on(serve(plan));
    // What is left over is cut: the drain is over.
    runtime.shutdown_background();
    result
}

/// The same on an event loop that is there already.
pub(crate) async fn serve(plan: &Plan) -> io::Result<()> {
    let state = state(plan)?;
    let mut accepting = Vec::new();
    for (listener, socket) in (0_u16..).zip(&*plan.listeners.borrow()) {
        let acceptor = Rc::new(Acceptor::new(socket.try_clone()?)?);
        let listening = listen(Rc::clone(&state), Rc::clone(&acceptor), listener);
        accepting.push((tokio::task::spawn_local(listening), acceptor, listener));
    }
    if !plan.was_ready.replace(true) {
        plan.signals.worker_is_ready();
    }
    let errands = Arc::clone(&plan.errands);
    let host = Rc::clone(&state);
    let running = tokio::task::spawn_local(async move { errands.serve(host).await });
    let logging = tokio::task::spawn_local(flush_log(Rc::clone(&state)));
    let relieving = tokio::task::spawn_local(keep_relieving(Rc::clone(&state)));
    let pacing = tokio::task::spawn_local(keep_pace(Rc::clone(&state)));
    tokio::select! {
        result = state.park.drive(&*state) => result?,
        () = plan.signals.drain() => {}
    }
    state.draining.set(true);
    let is_private = |(_, _, listener): &(_, _, u16)| state.owner(*listener).private;
    let (private, public): (Vec<_>, Vec<_>) = accepting.into_iter().partition(is_private);
    for (task, acceptor, listener) in public {
        task.abort();
        if !state.listener(listener).inherited {
            accept_waiting(&state, &acceptor, listener);
        }
    }
    // From here on the kernel refuses new connections, but for sockets that others hold too.
    plan.listeners.borrow_mut().clear();
    tokio::select! {
        result = state.park.drive(&*state) => result?,
        () = until_done(&state, plan) => {}
        () = plan.signals.cut() => cut(&state).await,
    }
    for (task, _, _) in private {
        task.abort();
    }
    logging.abort();
    relieving.abort();
    pacing.abort();
    running.abort();
    if let Some(log) = &state.log {
        log.flush();
    }
    Ok(())
}

/// What the connections of this worker share.
fn state(plan: &Plan) -> io::Result<Rc<State>> {
    let worker = Rc::new(Worker::new(
        plan.index,
        Arc::clone(&plan.process),
        Arc::clone(&plan.counters),
        Box::new(BlockingPool::default()),
    ));
    let park = Park::new(Rc::clone(&worker), plan.collect)?;
    Ok(Rc::new_cyclic(|this| State {
        log: plan.log.as_ref().map(|log| WorkerLog::new(Rc::clone(&worker), log)),
        routers: plan.snapshot.servers.iter().map(|server| server.router.clone()).collect(),
        names: plan.snapshot.servers.iter().map(|server| Rc::from(&*server.name)).collect(),
        worker,
        park,
        snapshot: Arc::clone(&plan.snapshot),
        listeners: Arc::clone(&plan.facts),
        draining: Cell::new(false),
        cut: Cell::new(false),
        open_public: Cell::new(0),
        tunnels: Cell::new(0),
        first_requests_over: Cell::new(false),
        tunnels_cut: Cell::new(false),
        relief: Relief::default(),
        stamps: Stamps::default(),
        this: this.clone(),
    }))
}

async fn listen(state: Rc<State>, acceptor: Rc<Acceptor>, listener: u16) {
    let name = &state.owner(listener).name;
    events::listens(name, state.worker.index);
    loop {
        let mut accepting = pin!(accept(Rc::clone(&state), Rc::clone(&acceptor), listener));
        let ended = poll_fn(|context| match poll_guarded(accepting.as_mut(), context) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        });
        match ended.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                return events::listener_failed(name, &error);
            }
            Err(Panicked) => {
                tracing::error!("accepting for server {name} panicked and goes on");
                state.worker.counters.panics.add(1);
            }
        }
    }
}

async fn flush_log(state: Rc<State>) {
    if let Some(log) = &state.log {
        log.keep_flushing().await;
    }
}

/// Gives what computes for long its next turn after each look at the sockets.
async fn keep_pace(state: Rc<State>) {
    let pace = &state.worker.pace;
    loop {
        pace.used().await;
        // Goes on after all that is ready has run, and the event loop has looked for more.
        tokio::task::yield_now().await;
        pace.renew();
    }
}

/// Ends the exchanges that still wait for their peer or their handler, so that each leaves its
/// record; what does not end within a moment is dropped.
async fn cut(state: &State) {
    state.cut.set(true);
    state.park.drain(state);
    tokio::select! {
        () = until_empty(state) => {}
        () = tokio::time::sleep(CUT_WITHIN) => {}
    }
}

/// Waits for every exchange, and for tunnels as long as they get: they may carry what exchanges on
/// other workers still say.
async fn until_done(state: &State, plan: &Plan) {
    state.park.drain_but_new(state);
    let ends = Instant::now() + FIRST_REQUEST_WITHIN;
    while !state.has_only_tunnels() {
        tokio::time::sleep(LOOK_EVERY).await;
        if Instant::now() >= ends && !state.first_requests_over.replace(true) {
            state.park.drain(state);
        }
    }
    plan.signals.has_only_tunnels(plan.index);
    if state.open_public.get() > 0 {
        tokio::select! {
            () = until_empty(state) => {}
            () = plan.signals.tunnels_are_over() => {
                state.tunnels_cut.set(true);
                state.park.drain(state);
            }
        }
    }
    until_empty(state).await;
}

async fn until_empty(state: &State) {
    while state.open_public.get() > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Tasks that just closed their connection still write their record.
    poll_fn({
        let mut turns = 0;
        move |context| {
            turns += 1;
            context.waker().wake_by_ref();
            if turns > 2 { Poll::Ready(()) } else { Poll::Pending }
        }
    })
    .await;
}

/// Some of the runtime's blocking threads, with a bounded queue: what services of a program hand to
/// the same runtime has threads of its own, and neither keeps the other waiting.
#[derive(Default)]
struct BlockingPool(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Threads that take from it.
    threads: usize,
}

/// Jobs that may wait for one worker's pool.
const BLOCKING_QUEUE_MAX: usize = 1024;

impl Blocking for BlockingPool {
    fn run(&self, job: Job) {
        let mut queue = lock(&self.0);
        if queue.waiting.len() >= BLOCKING_QUEUE_MAX {
            // Whoever waits for it is woken by its drop.
            drop(queue);
            return drop(job);
        }
        queue.waiting.push_back(job);
        if queue.threads < BLOCKING_THREADS {
            queue.threads += 1;
            drop(queue);
            let queue = Arc::clone(&self.0);
            drop(tokio::task::spawn_blocking(move || work(&queue)));
        }
    }
}

/// Does jobs until none waits.
fn work(queue: &Mutex<Queue>) {
    loop {
        let mut held = lock(queue);
        let Some(job) = held.waiting.pop_front() else {
            held.threads -= 1;
            return;
        };
        drop(held);
        // Its waiter learns of a panic; the jobs behind it must not wait for another to come.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_core::Pending;

    #[test]
    fn jobs_that_panic_keep_no_other_waiting_and_few_threads_do_all() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let pool = BlockingPool::default();
            let (running, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
            let jobs: Vec<Pending<()>> = (0..40)
                .map(|n| {
                    let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                    Pending::start(&pool, move || {
                        *running.lock().unwrap() += 1;
                        let now = *running.lock().unwrap();
                        let mut most = most.lock().unwrap();
                        *most = now.max(*most);
                        drop(most);
                        std::thread::sleep(Duration::from_millis(2));
                        *running.lock().unwrap() -= 1;
                        assert!(n % 2 == 0, "on purpose");
                    })
                })
                .collect();
            for (n, job) in jobs.into_iter().enumerate() {
                assert_eq!(job.await.is_ok(), n % 2 == 0, "{n}");
            }
            assert!((2..=BLOCKING_THREADS).contains(&*most.lock().unwrap()));
        });
    }
}
