//! The `idle` group: user memory of an idle keep-alive connection after one request.
//!
//! Two fresh processes of each server, one with few and one with many connections, all opened as
//! fast as possible; after a wait the difference of their proportional set sizes (Pss, all
//! processes of the server) over the difference in connections is the cost of one. A slope cancels
//! what a server takes once; fresh processes keep memory reused from an earlier burst from
//! flattering it. Transparent huge pages are off for all servers: one of 2 MiB holds thousands of
//! connections, so that with them a slope tells where the last page ended. In the end every
//! connection must answer once more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::thread::disable_transparent_huge_pages;

use crate::answer::Expected;
use crate::crowd::Crowd;
use crate::http::FIXED;
use crate::procfs::{self, Memory};
use crate::record::{Limit, Record, Run, Verdict};
use crate::server::{Extra, Running, Scene, Server};
use crate::session::{Row, Session};
use crate::table;

#[derive(Args, Clone, Debug)]
pub struct IdleOptions {
    /// Connections of the first process
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..))]
    few: u32,
    /// Connections of the second process; it and the bench need a descriptor for each
    #[arg(long, default_value_t = 18_000, value_parser = clap::value_parser!(u32).range(1000..))]
    many: u32,
    /// Seconds between the last answer and the measurement, 1 to 60
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    wait: u64,
    /// Bytes of Stead's record; a slope below three quarters of it is invalid
    #[arg(long, default_value_t = 72)]
    record_bytes: u32,
}

impl Default for IdleOptions {
    fn default() -> IdleOptions {
        IdleOptions { few: 2_000, many: 18_000, wait: 10, record_bytes: 72 }
    }
}

/// One row: what is held, and beside whom.
struct Work {
    name: &'static str,
    title: &'static str,
    extra: Extra,
    limit: fn(&IdleOptions) -> Limit,
    peers: &'static [Server],
}

const CONNECTION: Work = Work {
    name: "keep-alive",
    title: "idle keep-alive connection after one request",
    extra: Extra::Nothing,
    limit: |options| Limit::Value {
        at_most: BYTES_MAX,
        valid_from: VALID_FROM * f64::from(options.record_bytes),
    },
    peers: &[
        Server::Nginx,
        Server::Haproxy,
        Server::Caddy,
        Server::Go,
        Server::Hyper,
        Server::Axum,
    ],
};

const AXUM_ROUTER: Work = Work {
    name: "axum",
    title: "the same of an axum router, by `stead::serve` and by `axum::serve`",
    extra: Extra::AxumRouter,
    limit: |_| Limit::Ratio { peer: Server::Axum.name().into(), at_most: 1.0 / 50.0 },
    peers: &[Server::Axum],
};

pub fn run(session: &Session, options: &IdleOptions) -> Result<()> {
    for (order, work) in [CONNECTION, AXUM_ROUTER].iter().enumerate() {
        let record = work.measure(session, options, order as u32)?;
        session.finish(&record)?;
        print_details(&record, options);
    }
    Ok(())
}

fn print_details(record: &Record, options: &IdleOptions) {
    for series in &record.series {
        let amount = |name| series.detail(name).map_or(f64::NAN, |spread| spread.median);
        println!(
            "  {:<10} {} bytes a connection at the peak; process {} KiB without connections, \
             {} KiB with {}; all open in {:.2} s",
            series.server,
            table::number(amount("peak_bytes")),
            table::number(amount("base_pss_bytes") / 1024.0),
            table::number(amount("pss_bytes") / 1024.0),
            options.many,
            amount("open_seconds"),
        );
    }
}

/// The check of continuous integration: Stead alone.
///
/// # Errors
/// The slope is over its budget, or below what is possible.
pub fn check_budget(session: &Session) -> Result<()> {
    let record = CONNECTION.measure(session, &IdleOptions::default(), 0)?;
    table::print(&record);
    ensure!(record.verdict() == Verdict::Met, "an idle connection: {}", record.verdict().word());
    Ok(())
}

impl Work {
    fn measure(&self, session: &Session, options: &IdleOptions, order: u32) -> Result<Record> {
        ensure!(options.many > options.few, "--many must be more than --few");
        let needed = u64::from(options.many) + DESCRIPTORS_SPARE;
        ensure!(
            session.descriptors >= needed,
            "{} connections need {needed} descriptors, the limit is {}: raise it or lower --many",
            options.many,
            session.descriptors
        );
        let servers = session.servers(self.peers)?;
        let row = Row {
            group: "idle",
            name: self.name,
            order,
            title: self.title,
            unit: "bytes per connection",
            limit: (self.limit)(options),
            method: [
                ("connections".into(), format!("{} and {}", options.few, options.many)),
                ("wait".into(), format!("{} s after the last answer", options.wait)),
                (
                    "memory".into(),
                    "slope of Pss without files, two processes, no huge pages".into(),
                ),
            ]
            .into(),
        };
        // Servers inherit it.
        disable_transparent_huge_pages(true)?;
        let record = session.rounds(&row, &servers, |server| {
            let few = self.hold(session, server, options.few, options.wait)?;
            let many = self.hold(session, server, options.many, options.wait)?;
            let slope = |of: fn(&Held) -> u64| {
                (of(&many) as f64 - of(&few) as f64) / f64::from(options.many - options.few)
            };
            Ok(Run::new(slope(|held| held.quiet.pss))
                .with("peak_bytes", slope(|held| held.peak_pss))
                .with("base_pss_bytes", many.base.pss as f64)
                .with("pss_few_bytes", few.quiet.pss as f64)
                .with("pss_bytes", many.quiet.pss as f64)
                .with("resident_peak_bytes", many.quiet.resident_peak as f64)
                .with("open_seconds", many.open_seconds))
        });
        disable_transparent_huge_pages(false)?;
        record
    }

    fn hold(&self, session: &Session, server: Server, count: u32, wait: u64) -> Result<Held> {
        let scene = Scene { extra: self.extra, ..Scene::new(&session.place, server, false)? };
        let running = Running::start(server, &scene)?;
        sleep(START_SETTLE);
        let family = procfs::family(running.pid())?;
        let base = procfs::memory(&family)?;
        let start = Instant::now();
        let (crowd, peak_pss) = with_peak(&family, || {
            Crowd::open(scene.address, count as usize, Expected::exactly(FIXED))
        })?;
        let open_seconds = start.elapsed().as_secs_f64();
        let mut crowd = crowd.with_context(|| format!("open {count} connections"))?;
        sleep(Duration::from_secs(wait));
        crowd.ensure_quiet().context("before the measurement")?;
        let quiet = procfs::memory(&procfs::family(running.pid())?)?;
        ensure!(quiet.huge == 0, "the server has {} bytes in huge pages", quiet.huge);
        let alive = crowd.ask_all().context("after the measurement")?;
        ensure!(alive == count as usize, "{alive} of {count} connections answer");
        Ok(Held { base, quiet, peak_pss, open_seconds })
    }
}

/// What holding some connections took.
struct Held {
    base: Memory,
    quiet: Memory,
    /// Highest Pss seen while connections were opened.
    peak_pss: u64,
    open_seconds: f64,
}

/// Runs `work` while another thread looks at the family's Pss.
fn with_peak<T>(family: &[u32], work: impl FnOnce() -> T) -> Result<(T, u64)> {
    let done = AtomicBool::new(false);
    scope(|scope| {
        let sampler = scope.spawn(|| -> Result<u64> {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(procfs::memory(family)?.pss);
                sleep(SAMPLE_EVERY);
            }
            Ok(peak.max(procfs::memory(family)?.pss))
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        let peak = sampler.join().map_err(|_| anyhow::anyhow!("the sampler panicked"))??;
        Ok((outcome, peak))
    })
}

const BYTES_MAX: f64 = 128.0;
/// Less than this share of a record is no measurement. Not all of it: the process with few
/// connections holds some 100 KiB of pages that are partly free, in which the other one keeps
/// records, so that the slope may lie a little below what a record takes.
const VALID_FROM: f64 = 0.75;
const START_SETTLE: Duration = Duration::from_millis(500);
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
const DESCRIPTORS_SPARE: u64 = 200;
