//! The `million` group: more connections than anybody counts, on one machine.
//!
//! `idle --connections N` holds N of them after one request each and proves them alive; `storm` has
//! them all send at once; `beside` asks what they cost busy neighbours. Server and load lie in a
//! network namespace of their own ([`namespace`]); the load has a thread and a descriptor table for
//! every ten thousand connections ([`shards`]), and Stead as many workers as its limit of
//! descriptors asks for, each with a table of its own (`private_descriptors`). nginx, whose
//! workers are processes, is measured with fewer connections: its cost for one is what compares.
//! Idle timeouts are off while connections are held. Everything is on loopback, so that the
//! kernel holds both ends of every connection.

pub mod beside;
mod kernel;
pub mod namespace;
pub mod ramp;
mod shards;
pub mod storm;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::thread::disable_transparent_huge_pages;

use crate::answer::Expected;
use crate::http::FIXED;
use crate::million::kernel::Kernel;
use crate::million::ramp::Sample;
use crate::million::shards::{Done, Order, Shards};
use crate::procfs::{self, CpuMark};
use crate::record::{Limit, Record, Run};
use crate::server::{Extra, Running, Scene, Server};
use crate::session::{Row, Session};

#[derive(Args, Clone, Debug)]
pub struct CrowdOptions {
    /// Connections
    #[arg(long, default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    connections: u32,
}

/// A server that holds a crowd, or is about to.
struct Crowded {
    running: Running,
    scene: Scene,
    shards: Shards,
    family: Vec<u32>,
    /// The machine before the first connection.
    before: Kernel,
    start: Instant,
    ramp: Vec<Sample>,
}

impl Crowded {
    /// Starts a server for so many connections.
    fn start(session: &Session, server: Server, count: u32) -> Result<Crowded> {
        let workers = count.div_ceil(PER_WORKER);
        let scene =
            Scene { extra: Extra::Crowd, workers, ..Scene::new(&session.place, server, false)? };
        let running = Running::start(server, &scene)?;
        sleep(START_SETTLE);
        let shards = Shards::start(scene.address, count as usize, &Expected::exactly(FIXED))?;
        let family = procfs::family(running.pid())?;
        let (before, start) = (Kernel::now()?, Instant::now());
        Ok(Crowded { running, scene, shards, family, before, start, ramp: Vec::new() })
    }

    /// User memory now, of all processes and threads of the server.
    fn user_bytes(&self) -> Result<u64> {
        Ok(procfs::memory(&self.family)?.pss)
    }

    /// Opens connections until there are `count`; gives the seconds that it took.
    fn open_until(&mut self, count: u32) -> Result<f64> {
        let Crowded { shards, family, before, start, ramp, .. } = self;
        let began = Instant::now();
        shards.open_until(count as usize, |shards| {
            ramp.push(Sample::now(*start, shards.opened(), family, before)?);
            ensure!(start.elapsed() < LASTS_MAX, "it takes longer than {LASTS_MAX:?}");
            Ok(())
        })?;
        self.look()?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Lets the connections rest.
    fn rest(&mut self, time: Duration) -> Result<()> {
        let ends = Instant::now() + time;
        while Instant::now() < ends {
            sleep(Duration::from_secs(1).min(ends.saturating_duration_since(Instant::now())));
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let opened = self.shards.opened();
        self.ramp.push(Sample::now(self.start, opened, &self.family, &self.before)?);
        Ok(())
    }

    fn all(&mut self, order: &Order) -> Result<Done> {
        let (before, start) = (self.before, self.start);
        self.shards.all(order, |_| {
            before.ensure_room()?;
            ensure!(start.elapsed() < LASTS_MAX, "it takes longer than {LASTS_MAX:?}");
            Ok(())
        })
    }

    /// Closes every connection with a reset: no end may be left waiting.
    fn end(self) -> Result<()> {
        drop(self.shards);
        sleep(START_SETTLE);
        let left = Kernel::now()?;
        ensure!(left.waiting < WAITING_MAX, "{} connections are in TIME_WAIT", left.waiting);
        Ok(())
    }
}

/// Holds `count` connections and proves them alive; `wait` is how long they rest.
///
/// # Errors
/// A connection was lost or gave a wrong answer; the machine has too little memory.
pub fn hold(session: &Session, count: u32, wait: Duration) -> Result<()> {
    let servers = session.servers(&[Server::Nginx])?;
    let row = row(count, wait);
    disable_transparent_huge_pages(true)?;
    let mut ramp = Vec::new();
    let rounds = if count > MANY { 1 } else { session.runs() };
    let record = session.some_rounds(session.runs_or(rounds), &row, &servers, |server| {
        let count = if server == Server::Nginx { count.min(MANY) } else { count };
        let (run, samples) = hold_once(session, server, count, wait)?;
        if server == Server::Stead {
            ramp = samples;
        }
        Ok(run)
    });
    disable_transparent_huge_pages(false)?;
    let record = Record { ramp, ..record? };
    session.finish(&record)?;
    print_details(&record);
    Ok(())
}

fn hold_once(
    session: &Session,
    server: Server,
    count: u32,
    wait: Duration,
) -> Result<(Run, Vec<Sample>)> {
    let mut crowd = Crowded::start(session, server, count)?;
    let empty = crowd.user_bytes()?;
    let few = count / 10;
    let first = crowd.open_until(few)?;
    crowd.rest(FEW_REST)?;
    let with_few = crowd.user_bytes()?;
    let open_seconds = first + crowd.open_until(count)?;
    let mark = CpuMark::now(crowd.running.pid())?;
    crowd.rest(wait)?;
    let idle_cpu = mark.spent()?.total_ns as f64 / 1e7 / wait.as_secs_f64();
    let (held, quiet, kernel) = (crowd.shards.opened(), crowd.user_bytes()?, Kernel::now()?);
    ensure!(kernel.sockets >= 2 * held, "{} sockets for {held} connections", kernel.sockets);
    let asked = crowd.all(&Order::AskSome(SAMPLE_ONE_IN)).context("the sample")?;
    let began = Instant::now();
    let swept = crowd.all(&Order::AskAll).context("the sweep")?;
    let sweep_seconds = began.elapsed().as_secs_f64();
    ensure!(swept.answers == held, "{} of {held} connections answer", swept.answers);
    crowd.look()?;
    let per_connection = |bytes: u64| bytes as f64 / held as f64;
    let slope = (quiet as f64 - with_few as f64) / f64::from(count - few);
    let run = Run::new(per_connection(quiet))
        .with("held", held as f64)
        .with("answered", swept.answers as f64)
        .with("sampled", asked.answers as f64)
        .with("workers", f64::from(crowd.scene.workers))
        .with("slope_bytes", slope)
        .with("pss_bytes", quiet as f64)
        .with("base_pss_bytes", empty as f64)
        .with("kernel_bytes", kernel.socket_bytes.saturating_sub(crowd.before.socket_bytes) as f64)
        .with("available_bytes", kernel.available as f64)
        .with("open_seconds", open_seconds)
        .with("sweep_seconds", sweep_seconds)
        .with("idle_cpu_percent", idle_cpu);
    let ramp = std::mem::take(&mut crowd.ramp);
    crowd.end()?;
    Ok((run, ramp))
}

fn row(count: u32, wait: Duration) -> Row<'static> {
    Row {
        group: "million",
        name: "hold",
        order: 0,
        title: "user memory of an idle connection after one request, of a crowd, process included",
        unit: "bytes per connection",
        limit: Limit::Value { at_most: BYTES_MAX, valid_from: BYTES_MIN },
        method: [
            ("connections".into(), format!("{count}, nginx {}", count.min(MANY))),
            ("command".into(), format!("`cargo xtask bench idle --connections {count}`")),
            ("rest".into(), format!("{} s after the last answer", wait.as_secs())),
            ("idle timeouts".into(), "off".into()),
        ]
        .into(),
    }
}

fn print_details(record: &Record) {
    for series in &record.series {
        let amount = |name| series.detail(name).map_or(f64::NAN, |spread| spread.median);
        println!(
            "  {:<6} {} held by {} workers, {} answered the sweep; user memory {:.1} MB \
             (empty {:.1} MB, slope {:.1} bytes); kernel {:.2} GB for both ends; open in {:.1} s, \
             swept in {:.1} s, {:.2} % of a core at rest",
            series.server,
            amount("held"),
            amount("workers"),
            amount("answered"),
            amount("pss_bytes") / 1e6,
            amount("base_pss_bytes") / 1e6,
            amount("slope_bytes"),
            amount("kernel_bytes") / 1e9,
            amount("open_seconds"),
            amount("sweep_seconds"),
            amount("idle_cpu_percent"),
        );
    }
}

/// Connections that one worker is to hold. Each table of 20,000 descriptors has some for other
/// things; connections spread by chance, by a hundredth or two; and from three quarters of its
/// places on Stead keeps idle connections for less time.
const PER_WORKER: u32 = 13_000;
/// 160 MB for a million, the process included.
const BYTES_MAX: f64 = 160.0;
/// A record has more.
const BYTES_MIN: f64 = 60.0;
/// As many as nginx gets, and more than are worth several rounds.
const MANY: u32 = 100_000;
const SAMPLE_ONE_IN: u64 = 100;
const START_SETTLE: Duration = Duration::from_secs(1);
const FEW_REST: Duration = Duration::from_secs(5);
/// Ends of connections that may linger: those of checks and of busy connections.
const WAITING_MAX: u64 = 1_000;
/// Whatever happens, a crowd goes home.
const LASTS_MAX: Duration = Duration::from_mins(20);
