//! `stead run`: starts, says where it listens, and serves until a signal.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead::StartError;
use stead::command::{self, Checked, Control, Inherited, Runtime, StartOptions, Started};
use stead_config::Module;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::check::{counted, print, summary};
use crate::locate::locate;
use crate::output::tell;
use crate::server_log::ServerLog;
use crate::{ConfigArgs, WRONG_USE};

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let path = locate(args)?;
    serve(command::check(&path), &path, &path.display().to_string())
}

/// Starts what was checked and serves until told to stop. `title` names it in the banner.
pub(crate) fn serve(checked: Checked, path: &Path, title: &str) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(error) => {
            tell(format_args!("error: {error}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    print(&checked);
    let Some(configuration) = checked.configuration.as_ref().filter(|_| checked.is_ok()) else {
        tell(summary(&checked, path));
        return Ok(ExitCode::from(WRONG_USE));
    };
    let log_levels = ServerLog::start(configuration.log.level);
    let warns = configuration.log.level.of(Module::Process) >= stead_config::Level::Warn;
    if warns && rustix::process::geteuid().is_root() {
        tell(
            "warning: running as root: every handler has root's rights; start it as another user, \
             which CAP_NET_BIND_SERVICE lets bind ports below 1024",
        );
    }
    raise_descriptor_limit();
    let routes: Vec<usize> =
        configuration.servers.iter().map(|(_, server)| server.route_count()).collect();
    // Before the workers start: with `private_descriptors` they know only event loops that were
    // there first.
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = Runtime::of(&checked, path);
    let socket = place.socket();
    let state = command::state_directory(&checked, path);
    let options = StartOptions {
        path: path.to_owned(),
        runtime: Some(place),
        state,
        inherited,
        collect: stead_sys::memory::collect_mimalloc,
        is_terminal: std::io::stdout().is_terminal(),
        log_levels: Some(log_levels),
    };
    let stead = match command::start(checked, options) {
        Ok(stead) => stead,
        Err(error) => return Ok(report(&error)),
    };
    banner(&stead, title, &routes);
    let took = began.elapsed().as_millis();
    tell(format_args!("ready in {took} ms, admin socket {}", socket.display()));
    // What the reading and checking of the configuration took on this thread goes back.
    stead_sys::memory::collect_mimalloc();
    event_loop.block_on(until_stopped(stead))
}

fn report(error: &StartError) -> ExitCode {
    for line in error.to_string().lines() {
        tell(format_args!("error: {line}"));
    }
    tell("nothing started");
    ExitCode::FAILURE
}

fn banner(stead: &Started, title: &str, routes: &[usize]) {
    let connections = grouped(stead.connections_max());
    let workers = counted(stead.workers(), "worker");
    let version = env!("CARGO_PKG_VERSION");
    let why = stead.connections_limited_by();
    let mut line =
        format!("stead {version}   {title}   {workers}   {connections} connections ({why})");
    if let Some(memory) = stead.memory_limit() {
        let mebibytes = grouped(usize::try_from(memory.bytes >> 20).unwrap_or(usize::MAX));
        line.extend(["   ", &mebibytes, " MiB of memory (", memory.of, ")"]);
    }
    tell(line);
    let width = stead.addresses().iter().map(|address| address.name.len()).max().unwrap_or(0);
    for (index, count) in routes.iter().enumerate() {
        let of_server = stead.addresses().iter().filter(|address| address.server == index);
        let urls: Vec<&str> = of_server.clone().map(|address| address.url.as_str()).collect();
        let name = of_server.clone().next().map_or("", |address| &address.name);
        let (urls, routes) = (urls.join("   "), counted(*count, "route"));
        tell(format_args!("{name:width$}   {urls}   {routes}"));
    }
}

pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As many connections as the system allows: the soft limit goes up to the hard one.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // A refusal leaves the soft limit, which the banner shows.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
}

async fn until_stopped(mut stead: Started) -> anyhow::Result<ExitCode> {
    let listen = |kind: SignalKind| signal(kind).context("cannot listen for signals");
    let mut stop = [
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
        listen(SignalKind::quit())?,
    ];
    let mut reopen = listen(SignalKind::user_defined1())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut upgrade = listen(SignalKind::user_defined2())?;
    let mut control = forward(stead.take_control());
    loop {
        tokio::select! {
            () = any(&mut stop) => break,
            _ = reopen.recv() => stead.reopen_log(),
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP: {}", crate::stop::NO_RELOAD);
            }
            _ = upgrade.recv() => {
                tracing::warn!("SIGUSR2: this version cannot upgrade; restart it for a new binary");
            }
            Some(asked) = control.recv() => match asked {
                Control::Stop => break,
                Control::StopNow => {
                    tokio::task::spawn_blocking(move || stead.drain(Duration::ZERO)).await?;
                    return Ok(ExitCode::SUCCESS);
                }
            },
        }
    }
    // First, so that what is told is so already.
    stead.fail_readiness();
    match stead.drain_before() {
        Duration::ZERO => tell("draining; once more to end at once"),
        before => tell(format_args!(
            "draining: not ready, still accepting for {}; once more to end at once",
            stead_base::format_duration(before)
        )),
    }
    let (cutter, leftovers) = (stead.cutter(), stead.leftovers());
    let began = Instant::now();
    let mut draining = tokio::task::spawn_blocking(move || stead.stop());
    tokio::select! {
        result = &mut draining => {
            result.context("the drain failed")?;
            tracing::info!("drained in {} ms", began.elapsed().as_millis());
            return Ok(ExitCode::SUCCESS);
        }
        () = any(&mut stop) => {}
        Some(Control::StopNow) = control.recv() => {}
    }
    // What is cut leaves its record; a worker that hangs is not waited for.
    cutter.cut();
    tracing::info!("the drain was cut short after {} ms", began.elapsed().as_millis());
    let _ = tokio::time::timeout(CUT_WITHIN, draining).await;
    leftovers.remove();
    std::process::exit(1)
}

/// How long the end may take that was asked for at once.
const CUT_WITHIN: Duration = Duration::from_secs(1);

async fn any(signals: &mut [Signal; 3]) {
    let [one, two, three] = signals;
    tokio::select! { _ = one.recv() => {}, _ = two.recv() => {}, _ = three.recv() => {} }
}

/// What arrives on the admin socket, for the event loop that waits for signals.
fn forward(
    control: Option<std::sync::mpsc::Receiver<Control>>,
) -> mpsc::UnboundedReceiver<Control> {
    // At most a few messages: each is one request on the admin socket.
    let (sender, receiver) = mpsc::unbounded_channel();
    if let Some(control) = control {
        std::thread::spawn(move || control.iter().try_for_each(|asked| sender.send(asked)));
    }
    receiver
}
