//! One worker: a thread with an event loop, its listeners, its park.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use stead_core::{Blocking, Counters, Job, Process, Worker};
use stead_net::{Acceptor, Collect, Park};
use tokio::runtime::{Builder, LocalOptions};

use crate::accept::{accept, accept_waiting};
use crate::access_log::{AccessLog, WorkerLog};
use crate::errand::Errands;
use crate::events;
use crate::fleet::{Signals, Source};
use crate::guard::{Panicked, poll_guarded};
use crate::snapshot::Snapshot;
use crate::state::State;

/// Threads of one worker's blocking pool.
const BLOCKING_THREADS: usize = 4;
/// How long exchanges that are cut may take to leave their record.
const CUT_WITHIN: Duration = Duration::from_millis(250);

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
    /// Each listener; gone once the worker drains.
    pub(crate) listeners: RefCell<Vec<(OwnedFd, Source)>>,
    /// Whether it has accepted before.
    pub(crate) was_ready: Cell<bool>,
}

/// Runs a worker until it has drained.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .build_local(LocalOptions::default())?;
    let result = runtime.block_on(serve(plan));
    // What is left over is cut: the drain is over.
    runtime.shutdown_background();
    result
}

async fn serve(plan: &Plan) -> io::Result<()> {
    let worker = Rc::new(Worker::new(
        plan.index,
        Arc::clone(&plan.process),
        Arc::clone(&plan.counters),
        Box::new(BlockingPool::default()),
    ));
    let park = Park::new(Rc::clone(&worker), plan.collect)?;
    let state = Rc::new_cyclic(|this| State {
        log: plan.log.as_ref().map(|log| WorkerLog::new(Rc::clone(&worker), log)),
        routers: plan.snapshot.servers.iter().map(|server| server.router.clone()).collect(),
        names: plan.snapshot.servers.iter().map(|server| Rc::from(&*server.name)).collect(),
        worker,
        park,
        snapshot: Arc::clone(&plan.snapshot),
        draining: Cell::new(false),
        cut: Cell::new(false),
        open_public: Cell::new(0),
        this: this.clone(),
    });
    let mut accepting = Vec::new();
    for (listener, source) in &*plan.listeners.borrow() {
        let acceptor = Rc::new(Acceptor::new(listener.try_clone()?)?);
        let listening = listen(Rc::clone(&state), Rc::clone(&acceptor), source.server);
        accepting.push((tokio::task::spawn_local(listening), acceptor, *source));
    }
    if !plan.was_ready.replace(true) {
        plan.signals.worker_is_ready();
    }
    let errands = Arc::clone(&plan.errands);
    let host = Rc::clone(&state);
    let running = tokio::task::spawn_local(async move { errands.serve(host).await });
    let logging = tokio::task::spawn_local(flush_log(Rc::clone(&state)));
    tokio::select! {
        result = state.park.drive(&*state) => result?,
        () = plan.signals.drain() => {}
    }
    state.draining.set(true);
    let is_private = |(_, _, source): &(_, _, Source)| state.server(source.server).private;
    let (private, public): (Vec<_>, Vec<_>) = accepting.into_iter().partition(is_private);
    for (task, acceptor, source) in public {
        task.abort();
        if !source.inherited {
            accept_waiting(&state, &acceptor, source.server);
        }
    }
    // From here on the kernel refuses new connections, but for sockets that others hold too.
    plan.listeners.borrow_mut().clear();
    state.park.drain(&*state);
    tokio::select! {
        result = state.park.drive(&*state) => result?,
        () = until_empty(&state) => {}
        () = plan.signals.cut() => cut(&state).await,
    }
    for (task, _, _) in private {
        task.abort();
    }
    logging.abort();
    running.abort();
    if let Some(log) = &state.log {
        log.flush();
    }
    Ok(())
}

async fn listen(state: Rc<State>, acceptor: Rc<Acceptor>, server: u16) {
    let name = &state.server(server).name;
    events::listens(name, state.worker.index);
    loop {
        let mut accepting = pin!(accept(Rc::clone(&state), Rc::clone(&acceptor), server));
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

async fn until_empty(state: &State) {
    while state.open_public.get() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
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

/// The runtime's own pool of blocking threads, with a bounded queue.
#[derive(Default)]
struct BlockingPool {
    waiting: Arc<AtomicUsize>,
}

/// Jobs that may wait for one worker's pool.
const BLOCKING_QUEUE_MAX: usize = 1024;

impl Blocking for BlockingPool {
    fn run(&self, job: Job) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= BLOCKING_QUEUE_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let waiting = Arc::clone(&self.waiting);
        drop(tokio::task::spawn_blocking(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            job();
        }));
    }
}
