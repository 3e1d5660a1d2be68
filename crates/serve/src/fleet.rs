//! The workers of a process, started together and drained together.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use stead_core::{Counters, Process};
use stead_net::Collect;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::errand::{Errands, Messenger};
use crate::listener::{Listener, ListenerFacts};
use crate::parting::{self, Parting};
use crate::snapshot::Snapshot;
use crate::tunnel::TUNNELS_WITHIN;
use crate::worker::{self, Plan};

/// What a fleet is started with.
pub struct FleetOptions {
    /// What it serves.
    pub snapshot: Arc<Snapshot>,
    /// The process's shared facts.
    pub process: Arc<Process>,
    /// Event loops, at least one.
    pub workers: usize,
    /// Where exchanges are recorded.
    pub log: Option<Arc<AccessLog>>,
    /// Gives the allocator's free memory back; called by a worker that was busy and is quiet.
    pub collect: Collect,
    /// What it accepts on; each with one descriptor a worker.
    pub listeners: Vec<Listener>,
    /// Whether each worker has a descriptor table of its own. Then every event loop of the process
    /// but the workers' must have been made before, and nothing that a component keeps may own a
    /// descriptor.
    pub private_descriptors: bool,
}

/// Running workers.
pub struct Fleet {
    signals: Arc<Signals>,
    counters: Vec<Arc<Counters>>,
    errands: Arc<[Arc<Errands>]>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts every worker and waits until each accepts.
    ///
    /// # Errors
    /// A thread or an event loop could not be made.
    pub fn start(options: FleetOptions) -> io::Result<Self> {
        let signals = Arc::new(Signals::new(options.workers));
        let counters: Vec<Arc<Counters>> = (0..options.workers).map(|_| Arc::default()).collect();
        let errands: Arc<[Arc<Errands>]> = (0..options.workers).map(|_| Arc::default()).collect();
        let mut listeners: Vec<Vec<OwnedFd>> = (0..options.workers).map(|_| Vec::new()).collect();
        let mut facts = Vec::with_capacity(options.listeners.len());
        for Listener { server, descriptors, inherited, opening } in options.listeners {
            facts.push(ListenerFacts { server, inherited, opening });
            for (worker, descriptor) in listeners.iter_mut().zip(descriptors) {
                worker.push(descriptor);
            }
        }
        let facts: Arc<[ListenerFacts]> = facts.into();
        let parting = options.private_descriptors.then(|| Arc::new(Parting::new(options.workers)));
        let numbers = if parting.is_some() { parting::numbers(&listeners) } else { Vec::new() };
        let mut fleet = Self { signals, counters, errands, threads: Vec::new() };
        for (index, listeners) in listeners.into_iter().enumerate() {
            let plan = Plan {
                index,
                snapshot: Arc::clone(&options.snapshot),
                process: Arc::clone(&options.process),
                counters: Arc::clone(&fleet.counters[index]),
                log: options.log.clone(),
                signals: Arc::clone(&fleet.signals),
                errands: Arc::clone(&fleet.errands[index]),
                collect: options.collect,
                facts: Arc::clone(&facts),
                listeners: listeners.into(),
                was_ready: false.into(),
            };
            let of_worker = parting.clone();
            let name = std::thread::Builder::new().name(format!("worker-{index}"));
            match name.spawn(move || run(&plan, of_worker.as_deref())) {
                Ok(thread) => fleet.threads.push(thread),
                Err(error) => {
                    if let Some(parting) = &parting {
                        parting.fail(error.kind().into());
                    }
                    return fleet.fail(error);
                }
            }
        }
        let parted = parting.map_or(Ok(()), |parting| parting.lead(&numbers));
        let ready = parted.and_then(|()| fleet.signals.wait_until_ready(options.workers));
        if let Err(error) = ready {
            return fleet.fail(error);
        }
        Ok(fleet)
    }

    /// All or nothing: those that could start end again.
    fn fail(self, error: io::Error) -> io::Result<Self> {
        self.drain(Duration::ZERO);
        Err(error)
    }

    /// What each worker counts.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// What ends a drain before its time.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::clone(&self.signals))
    }

    /// What sends the workers errands.
    pub fn messenger(&self) -> Messenger {
        Messenger(Arc::clone(&self.errands))
    }

    /// Stops accepting, closes idle connections, save for a moment those that have not asked yet,
    /// and lets requests finish, for `limit` at most; then cuts what is left. Tunnels are cut a
    /// moment after the last request of the process ended.
    pub fn drain(self, limit: Duration) {
        self.signals.state.send_if_modified(|stage| {
            let is_first = *stage < Stage::Drain;
            *stage = if is_first { Stage::Drain } else { *stage };
            is_first
        });
        let signals = Arc::clone(&self.signals);
        let (done, finished) = std::sync::mpsc::channel::<()>();
        let timer = std::thread::spawn(move || {
            if finished.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                signals.state.send_replace(Stage::Cut);
            }
        });
        for thread in self.threads {
            // A worker's panic was reported when it happened.
            let _ = thread.join();
        }
        drop(done);
        let _ = timer.join();
    }
}

/// Ends a drain before its time: what is left is cut, and leaves its record.
#[derive(Clone)]
pub struct Cutter(Arc<Signals>);

impl Cutter {
    /// Cuts what is left.
    pub fn cut(&self) {
        self.0.state.send_replace(Stage::Cut);
    }

    /// Whether there is no time left.
    pub fn is_cut(&self) -> bool {
        *self.0.state.borrow() == Stage::Cut
    }
}

const RESTART_AFTER: Duration = Duration::from_millis(50);

/// A worker that panicked or failed starts again with its listeners; its connections are lost, no
/// new one is. One that never got ready stops the start instead.
fn run(plan: &Plan, parting: Option<&Parting>) {
    match parting {
        None => run_again(plan, || worker::run(plan)),
        Some(parting) => {
            if let Some(event_loop) = parting.follow(&plan.listeners) {
                run_again(plan, || event_loop.run(plan));
                event_loop.end();
            }
        }
    }
    plan.errands.close();
}

fn run_again(plan: &Plan, run_once: impl Fn() -> io::Result<()>) {
    loop {
        match catch_unwind(AssertUnwindSafe(&run_once)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) if !plan.was_ready.get() => return plan.signals.worker_failed(&error),
            Ok(Err(error)) => {
                tracing::error!("worker {} failed and starts again: {error}", plan.index);
            }
            Err(_) if !plan.was_ready.get() => {
                return plan.signals.worker_failed(&io::Error::other("a worker panicked"));
            }
            Err(_) => {
                tracing::error!("worker {} panicked and starts again", plan.index);
                plan.counters.panics.add(1);
            }
        }
        let active = plan.counters.requests_active.value();
        plan.counters.requests_active.subtract(active);
        // One that fails at every start must not burn a core.
        std::thread::sleep(RESTART_AFTER);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Run,
    Drain,
    Cut,
}

/// What workers and the thread that leads them tell each other.
pub(crate) struct Signals {
    state: watch::Sender<Stage>,
    /// The workers that a drain left nothing but tunnels, if that.
    only_tunnels: watch::Sender<Vec<bool>>,
    ready: AtomicUsize,
    failed: Mutex<Option<String>>,
    changed: Condvar,
}

impl Signals {
    fn new(workers: usize) -> Self {
        Self {
            state: watch::Sender::new(Stage::Run),
            only_tunnels: watch::Sender::new(vec![false; workers]),
            ready: AtomicUsize::new(0),
            failed: Mutex::new(None),
            changed: Condvar::new(),
        }
    }

    /// Completes when the drain begins.
    pub(crate) async fn drain(&self) {
        self.reach(Stage::Drain).await;
    }

    /// Completes when the drain is over.
    pub(crate) async fn cut(&self) {
        self.reach(Stage::Cut).await;
    }

    /// A worker that drains has nothing left but tunnels, and will have nothing else.
    pub(crate) fn has_only_tunnels(&self, worker: usize) {
        self.only_tunnels.send_modify(|workers| {
            if let Some(known) = workers.get_mut(worker) {
                *known = true;
            }
        });
    }

    /// Completes when no worker has anything else, and tunnels had their time.
    pub(crate) async fn tunnels_are_over(&self) {
        let everywhere = |workers: &Vec<bool>| workers.iter().all(|only| *only);
        // The sender lives as long as this does.
        let _ = self.only_tunnels.subscribe().wait_for(everywhere).await;
        tokio::time::sleep(TUNNELS_WITHIN).await;
    }

    async fn reach(&self, stage: Stage) {
        // The sender lives as long as this does.
        let _ = self.state.subscribe().wait_for(|now| *now >= stage).await;
    }

    pub(crate) fn worker_is_ready(&self) {
        self.ready.fetch_add(1, Ordering::Relaxed);
        drop(self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn worker_failed(&self, error: &io::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| error.to_string());
        self.changed.notify_all();
    }

    fn wait_until_ready(&self, workers: usize) -> io::Result<()> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(error) = failed.as_ref() {
                return Err(io::Error::other(error.clone()));
            }
            if self.ready.load(Ordering::Relaxed) >= workers {
                return Ok(());
            }
            failed = self.changed.wait(failed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
