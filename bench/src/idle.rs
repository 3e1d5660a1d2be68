//! The `idle` group: user memory of an idle connection after one request, in the clear and over
//! TLS, by HTTP/1.1 and HTTP/2.
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
use crate::channel::{Handshake, Secure};
use crate::crowd::{Crowd, Protocol, Visit};
use crate::http::FIXED;
use crate::procfs::{self, Memory};
use crate::record::{Limit, Record, Run, Verdict};
use crate::server::{Extra, Running, Scene, Server, library_versions};
use crate::session::{Row, Session, is_wanted};
use crate::table;

#[derive(Args, Clone, Debug)]
pub struct IdleOptions {
    /// Connections of the first process
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..))]
    few: u32,
    /// Connections of the second process; it and the bench need a descriptor for each
    #[arg(long, default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(1000..))]
    many: u32,
    /// Seconds between the last answer and the measurement, 1 to 60
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    wait: u64,
    /// Bytes of Stead's record; a slope below three quarters of it is invalid
    #[arg(long, default_value_t = 72)]
    record_bytes: u32,
    /// Rows to run, separated by commas: keep-alive, axum, tls, http2, clear-http2 [default: all]
    #[arg(long = "idle-rows", value_delimiter = ',')]
    rows: Option<Vec<String>>,
    /// Hold so many connections at once, with more descriptors than a process may have: takes root,
    /// and 9 KB of memory for each
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    connections: Option<u32>,
    /// With --connections, at most 16,000: the row of TLS, with so many in its second process
    #[arg(long, requires = "connections")]
    tls: bool,
}

impl IdleOptions {
    /// How many connections to hold at once, where the rows are not what is asked for.
    pub fn crowd(&self) -> Option<u32> {
        self.connections.filter(|_| !self.tls)
    }

    /// How long connections rest in a crowd: a million of them settle longer.
    pub fn crowd_rest(&self) -> Duration {
        Duration::from_secs(self.wait.max(CROWD_REST))
    }
}

impl Default for IdleOptions {
    fn default() -> IdleOptions {
        IdleOptions {
            few: 2_000,
            many: 16_000,
            wait: 10,
            record_bytes: 72,
            rows: None,
            connections: None,
            tls: false,
        }
    }
}

/// One row: what is held, and beside whom.
struct Work {
    name: &'static str,
    title: &'static str,
    extra: Extra,
    protocol: Protocol,
    limit: fn(&IdleOptions) -> Limit,
    peers: &'static [Server],
}

const CONNECTION: Work = Work {
    name: "keep-alive",
    title: "idle keep-alive connection after one request",
    extra: Extra::Nothing,
    protocol: Protocol::Http1,
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
    protocol: Protocol::Http1,
    limit: |_| Limit::Ratio { peer: Server::Axum.name().into(), at_most: 1.0 / 50.0 },
    peers: &[Server::Axum],
};

const TLS: Work = Work {
    name: "tls",
    title: "idle TLS 1.3 connection after one request of HTTP/1.1",
    extra: Extra::Tls,
    protocol: Protocol::Http1,
    limit: |_| Limit::Value { at_most: TLS_BYTES_MAX, valid_from: TLS_BYTES_MIN },
    peers: &[Server::Nginx, Server::Hyper],
};

const HTTP2: Work = Work {
    name: "http2",
    title: "idle HTTP/2 connection over TLS 1.3 after one request",
    extra: Extra::TlsHttp2,
    protocol: Protocol::Http2,
    limit: |_| Limit::Nothing,
    peers: &[Server::Nginx, Server::Hyper],
};

const CLEAR_HTTP2: Work = Work {
    name: "clear-http2",
    title: "idle HTTP/2 connection in the clear after one request",
    extra: Extra::ClearHttp2,
    protocol: Protocol::Http2,
    limit: |_| Limit::Nothing,
    peers: &[Server::Nginx, Server::Hyper],
};

pub fn run(session: &Session, options: &IdleOptions) -> Result<()> {
    if let (Some(many), true) = (options.connections, options.tls) {
        let options = IdleOptions {
            few: many / FEW_SHARE,
            many,
            rows: Some(vec![TLS.name.into()]),
            connections: None,
            tls: false,
            ..options.clone()
        };
        return run(session, &options);
    }
    let works = [CONNECTION, AXUM_ROUTER, TLS, HTTP2, CLEAR_HTTP2];
    for (order, work) in works.iter().enumerate() {
        if is_wanted(options.rows.as_deref(), work.name) {
            let record = work.measure(session, options, order as u32)?;
            session.finish(&record)?;
            print_details(&record, work.counts(options).1);
        }
    }
    Ok(())
}

fn print_details(record: &Record, many: u32) {
    for series in &record.series {
        let amount = |name| series.detail(name).map_or(f64::NAN, |spread| spread.median);
        println!(
            "  {:<10} {} bytes a connection at the peak; process {} KiB without connections, \
             {} KiB with {}; all open in {:.2} s",
            series.server,
            table::number(amount("peak_bytes")),
            table::number(amount("base_pss_bytes") / 1024.0),
            table::number(amount("pss_bytes") / 1024.0),
            many,
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
    let verdict = record.verdict(&record.limit);
    ensure!(verdict == Verdict::Met, "an idle connection: {}", verdict.word());
    Ok(())
}

impl Work {
    fn measure(&self, session: &Session, options: &IdleOptions, order: u32) -> Result<Record> {
        let (few, many) = self.counts(options);
        ensure!(many > few, "--many must be more than --few");
        let needed = u64::from(many) + DESCRIPTORS_SPARE;
        ensure!(
            session.descriptors >= needed,
            "{many} connections need {needed} descriptors, the limit is {}: raise it or lower \
             --many",
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
                ("connections".into(), format!("{few} and {many}")),
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
            let less = self.hold(session, server, few, options.wait)?;
            let more = self.hold(session, server, many, options.wait)?;
            let slope = |of: fn(&Held) -> u64| {
                (of(&more) as f64 - of(&less) as f64) / f64::from(many - few)
            };
            Ok(Run::new(slope(|held| held.quiet.pss))
                .with("peak_bytes", slope(|held| held.peak_pss))
                .with("base_pss_bytes", more.base.pss as f64)
                .with("pss_few_bytes", less.quiet.pss as f64)
                .with("pss_bytes", more.quiet.pss as f64)
                .with("resident_peak_bytes", more.quiet.resident_peak as f64)
                .with("open_seconds", more.open_seconds))
        });
        disable_transparent_huge_pages(false)?;
        let mut record = record?;
        if !self.is_plain() {
            record.versions.extend(library_versions());
        }
        Ok(record)
    }

    /// Connections of the first and the second process: half as many where each costs kilobytes in
    /// the client too.
    fn counts(&self, options: &IdleOptions) -> (u32, u32) {
        let share = if self.is_plain() { 1 } else { 2 };
        (options.few / share, options.many / share)
    }

    fn is_plain(&self) -> bool {
        !self.extra.is_secure() && self.protocol == Protocol::Http1
    }

    fn visit(&self, scene: &Scene) -> Result<Visit> {
        let offered = if self.protocol == Protocol::Http2 { "h2" } else { "http/1.1" };
        let secure = || Secure::new(&scene.certificate, offered, Handshake::Full);
        Ok(Visit {
            address: scene.address,
            path: "/".into(),
            expected: Expected::exactly(FIXED),
            secure: self.extra.is_secure().then(secure).transpose()?,
            protocol: self.protocol,
        })
    }

    fn hold(&self, session: &Session, server: Server, count: u32, wait: u64) -> Result<Held> {
        let scene = Scene { extra: self.extra, ..Scene::new(&session.place, server, false)? };
        let running = Running::start(server, &scene)?;
        sleep(START_SETTLE);
        let family = procfs::family(running.pid())?;
        let base = procfs::memory(&family)?;
        let start = Instant::now();
        let visit = self.visit(&scene)?;
        let (crowd, peak_pss) = with_peak(&family, || Crowd::open(visit, count as usize))?;
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
pub fn with_peak<T>(family: &[u32], work: impl FnOnce() -> T) -> Result<(T, u64)> {
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

/// The first process of a row holds so much less than the second.
const FEW_SHARE: u32 = 9;
const CROWD_REST: u64 = 30;
const BYTES_MAX: f64 = 128.0;
const TLS_BYTES_MAX: f64 = 4096.0;
/// Two directions of keys alone are more than this: 32 bytes of secret each, with their counters.
const TLS_BYTES_MIN: f64 = 128.0;
/// Less than this share of a record is no measurement. Not all of it: the process with few
/// connections holds some 100 KiB of pages that are partly free, in which the other one keeps
/// records, so that the slope may lie a little below what a record takes.
const VALID_FROM: f64 = 0.75;
const START_SETTLE: Duration = Duration::from_millis(500);
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
const DESCRIPTORS_SPARE: u64 = 200;
