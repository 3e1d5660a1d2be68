//! A running Stead: everything bound, or all that stood in the way; then served until it drains.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use stead_config::{Color, Configuration, Drain};
use stead_core::{Phase, Process};
use stead_net::{Bind, Collect, Inherited, Listening, acquire};
use stead_serve::access_log::AccessLog;
use stead_serve::{Cutter, Fleet, FleetOptions, Listener, Messenger, Opening, Snapshot};
use stead_tls::Entry;

use crate::acme::{Ordered, Orders};
use crate::address::{Address, addresses};
use crate::admin::{self, AdminOptions, Control, LogLevels};
use crate::background::{Background, Task};
use crate::bind::{self, Bound, Claim, bind_all};
use crate::budgets::{MemoryLimit, Places, allot, descriptors_max, keep_within, worker_count};
use crate::certificates;
use crate::check::Checked;
use crate::compile::Compiled;
use crate::errors::StartError;
use crate::memory::{self, Memory};
use crate::runtime::{Leftovers, Runtime, RuntimeLock};
use crate::status::Board;

/// What a start needs beside the configuration.
#[derive(Debug)]
pub struct StartOptions {
    /// The configuration's path, as `status` shows it.
    pub path: PathBuf,
    /// Where the admin socket and the lock are; `None` for neither.
    pub runtime: Option<Runtime>,
    /// Where what outlives the process is kept, such as certificates that were issued.
    pub state: Option<PathBuf>,
    /// Gives the allocator's free memory back to the system.
    pub collect: Collect,
    /// Listening sockets that were passed to this process; each must be one that a server asks for.
    pub inherited: Inherited,
    /// Whether standard output is a terminal, for `format = "auto"`.
    pub is_terminal: bool,
    /// Who holds the levels of Stead's own log, for `stead log level`.
    pub log_levels: Option<Arc<dyn LogLevels>>,
}

/// Servers that run; ended by [`Started::drain`].
pub struct Started {
    fleet: Fleet,
    process: Arc<Process>,
    addresses: Vec<Address>,
    servers: Vec<String>,
    workers: usize,
    listening: Vec<Listening>,
    log: Option<Arc<AccessLog>>,
    drain: Drain,
    control: Option<Receiver<Control>>,
    places: Places,
    /// Ends after the workers.
    background: Background,
    /// Held as long as this runs.
    lock: Option<RuntimeLock>,
}

/// Binds every address of a checked configuration, then serves.
///
/// # Errors
/// All addresses that could not be bound at once, or the first other thing that failed.
pub fn start(checked: Checked, options: StartOptions) -> Result<Started, StartError> {
    let (Some(configuration), Some(compiled)) = (checked.configuration, checked.compiled) else {
        let text = checked.diagnostics.render(&checked.sources, Color::Never);
        return Err(StartError::Configuration(text.trim_end().to_owned()));
    };
    start_compiled(&configuration, compiled, Vec::new(), options)
}

/// Starts what was compiled; `claims` are those of servers that the configuration does not know.
pub(crate) fn start_compiled(
    configuration: &Configuration,
    compiled: Compiled,
    claims: Vec<Claim>,
    mut options: StartOptions,
) -> Result<Started, StartError> {
    let workers = worker_count(configuration.process.workers);
    let inherited = std::mem::take(&mut options.inherited);
    let of_code: Vec<Arc<Entry>> = certificates::of_code(&claims);
    let claims = bind::claims(configuration, &compiled.certificates).chain(claims);
    let bound = bind_all(claims, workers, inherited).map_err(StartError::Bind)?;
    let listening = Release(bound.iter().map(|b| b.acquired.listening.clone()).collect());
    let log = compiled.log.open(options.is_terminal);
    let log = log.map_err(|(doing, error)| StartError::System(doing, error))?;
    let Compiled { snapshot, process, log: _, mut certificates } = compiled;
    certificates.entries.extend(of_code);
    certificates.keep(options.state.as_deref());
    let mut tasks: Vec<Task> = certificates::watch(&certificates.entries).into_iter().collect();
    let private_descriptors = configuration.process.private_descriptors;
    let memory = Memory::find(configuration.process.memory);
    allot(&process, workers, bound.len(), private_descriptors);
    let places = keep_within(&process, memory.as_ref());
    tasks.extend(memory.map(|memory| memory::watch(memory, Arc::clone(&process))));
    let mut launch = Launch {
        addresses: addresses(&snapshot, &bound),
        listeners: bound.into_iter().map(listener).collect(),
        listening,
        snapshot,
        process,
        workers,
        log,
        tasks,
        certificates: certificates.entries,
        ordered: None,
        private_descriptors,
        places,
    };
    let admin = launch.open_admin(&options)?;
    if let Some(orders) = certificates.orders {
        launch.order(orders, &options)?;
    }
    launch.serve(admin, options, &configuration.process.drain)
}

impl Started {
    /// Where it listens.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The servers' names, by position.
    pub(crate) fn servers(&self) -> &[String] {
        &self.servers
    }

    /// What reaches the workers from outside.
    pub(crate) fn messenger(&self) -> Messenger {
        self.fleet.messenger()
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// How many connections it holds at most.
    pub fn connections_max(&self) -> usize {
        self.process.connections.limit().unwrap_or(usize::MAX)
    }

    /// What the most connections follow from: `descriptors` or `memory`.
    pub fn connections_limited_by(&self) -> &'static str {
        self.places.limited_by
    }

    /// The memory that it keeps within, where that is looked at.
    pub fn memory_limit(&self) -> Option<MemoryLimit> {
        self.places.memory
    }

    /// How long listeners accept on once readiness fails, as the configuration says.
    pub fn drain_before(&self) -> Duration {
        self.drain.before
    }

    /// What arrives on the admin socket; once.
    pub fn take_control(&mut self) -> Option<Receiver<Control>> {
        self.control.take()
    }

    /// Opens the access log again under its name.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// What an end that is not waited for would leave behind.
    pub fn leftovers(&self) -> Leftovers {
        Leftovers::new(self.listening.clone(), self.lock.as_ref())
    }

    /// What ends a drain before its time.
    pub fn cutter(&self) -> Cutter {
        self.fleet.cutter()
    }

    /// Readiness fails from here on, for whoever tells of a drain before it begins.
    pub fn fail_readiness(&self) {
        self.process.enter(Phase::Drain);
    }

    /// Ends as the configuration says: readiness fails at once, listeners close after
    /// `process.drain.before`, and requests have `process.drain.request` to finish.
    pub fn stop(self) {
        self.process.enter(Phase::Drain);
        let (ends, cutter) = (Instant::now() + self.drain.before, self.cutter());
        while Instant::now() < ends && !cutter.is_cut() {
            std::thread::sleep(LOOK_EVERY.min(ends.saturating_duration_since(Instant::now())));
        }
        let limit = self.drain.request;
        self.drain(limit);
    }

    /// Stops accepting at once, lets requests finish for `limit` at most, and ends.
    pub fn drain(self, limit: Duration) {
        self.process.enter(Phase::Drain);
        self.fleet.drain(limit);
        drop(self.background);
        self.listening.iter().for_each(Listening::release);
    }
}

/// How often somebody who waits to drain looks whether there is time for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Everything that is had before anything serves. Dropped, it leaves nothing bound.
struct Launch {
    snapshot: Snapshot,
    process: Arc<Process>,
    workers: usize,
    addresses: Vec<Address>,
    listeners: Vec<Listener>,
    listening: Release,
    log: Option<Arc<AccessLog>>,
    /// What runs beside the workers.
    tasks: Vec<Task>,
    certificates: Vec<Arc<Entry>>,
    /// What an authority issues.
    ordered: Option<Ordered>,
    private_descriptors: bool,
    places: Places,
}

/// What the admin socket and whoever runs Stead have in common.
struct Admin {
    /// What `status` shows; empty until the workers run.
    board: Arc<OnceLock<Board>>,
    control: Receiver<Control>,
    lock: Option<RuntimeLock>,
}

/// Releases unix paths of a start that failed.
struct Release(Vec<Listening>);

impl Release {
    /// The start did not fail.
    fn keep(mut self) -> Vec<Listening> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.0.iter().for_each(Listening::release);
    }
}

impl Launch {
    /// Takes the runtime directory, if there is one, and adds the admin server.
    fn open_admin(&mut self, options: &StartOptions) -> Result<Admin, StartError> {
        let board = Arc::default();
        let (sender, control) = channel();
        let Some(runtime) = &options.runtime else {
            return Ok(Admin { board, control, lock: None });
        };
        let lock = runtime.take(&options.path).map_err(StartError::Runtime)?;
        let admin = AdminOptions {
            board: Arc::clone(&board),
            control: sender,
            log: self.log.as_ref().map(Arc::downgrade).unwrap_or_default(),
            log_levels: options.log_levels.clone(),
        };
        let (listener, listening) = add_admin(runtime, &mut self.snapshot, admin, self.workers)?;
        self.listening.0.push(listening);
        self.listeners.push(listener);
        Ok(Admin { board, control, lock: Some(lock) })
    }

    /// Shows the certificates that were issued to an earlier process, and orders what is missing
    /// once the workers run.
    fn order(&mut self, orders: Orders, options: &StartOptions) -> Result<(), StartError> {
        let (ordered, task) = orders.start(options.state.as_deref(), &self.process)?;
        self.ordered = Some(ordered);
        self.tasks.push(task);
        Ok(())
    }

    /// Starts the workers, and tells the admin socket what runs.
    fn serve(
        self,
        admin: Admin,
        options: StartOptions,
        drain: &Drain,
    ) -> Result<Started, StartError> {
        let Self {
            snapshot,
            process,
            workers,
            private_descriptors,
            listeners,
            listening,
            addresses,
            log,
            tasks,
            certificates,
            ordered,
            places,
        } = self;
        let snapshot = Arc::new(snapshot);
        let public = snapshot.servers.iter().filter(|server| !server.private);
        let servers = public.map(|server| server.name.clone()).collect();
        let background = Background::start(tasks)
            .map_err(|error| StartError::System("start the background".into(), error))?;
        let fleet = Fleet::start(FleetOptions {
            snapshot: Arc::clone(&snapshot),
            process: Arc::clone(&process),
            workers,
            log: log.clone(),
            collect: options.collect,
            listeners,
            private_descriptors,
        });
        let fleet = fleet.map_err(|error| StartError::System("start the workers".into(), error))?;
        process.enter(Phase::Ready);
        // INVARIANT: set once, here.
        let _ = admin.board.set(Board {
            configuration: options.path,
            process: Arc::clone(&process),
            snapshot,
            messenger: fleet.messenger(),
            counters: fleet.counters().to_vec(),
            records_lost: log.as_ref().map(|log| Arc::clone(log.lost())),
            addresses: addresses.clone(),
            descriptors_max: descriptors_max(),
            places,
            drain: drain.before + drain.request,
            started: stead_sys::clock::now(),
            certificates,
            ordered,
        });
        Ok(Started {
            fleet,
            process,
            addresses,
            servers,
            workers,
            listening: listening.keep(),
            log,
            drain: drain.clone(),
            control: Some(admin.control),
            places,
            background,
            lock: admin.lock,
        })
    }
}

fn listener(bound: Bound) -> Listener {
    Listener {
        server: bound.server as u16,
        descriptors: bound.acquired.descriptors,
        inherited: bound.acquired.inherited,
        opening: bound.opening,
    }
}

fn add_admin(
    runtime: &Runtime,
    snapshot: &mut Snapshot,
    options: AdminOptions,
    workers: usize,
) -> Result<(Listener, Listening), StartError> {
    let path = runtime.socket();
    let system = |doing: String| move |error| StartError::System(doing, error);
    let acquired = acquire(&Bind::Unix(path.clone()), workers)
        .map_err(|error| StartError::System("the admin socket".into(), error.source))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(system(path.display().to_string()))?;
    let server = admin::server(options)
        .ok_or_else(|| system("the admin server".into())(io::ErrorKind::Other.into()))?;
    let index = snapshot.servers.len() as u16;
    snapshot.servers.push(server);
    let listener = Listener {
        server: index,
        descriptors: acquired.descriptors,
        inherited: false,
        opening: Opening { http2: false, ..Opening::default() },
    };
    Ok((listener, acquired.listening))
}
