//! The `http` group: CPU time of the server per request, for small and large answers, with a log,
//! with a connection for each request, and pipelined.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::answer::Expected;
use crate::loader::{Loader, Plan, Reuse, Totals, check_once};
use crate::procfs;
use crate::record::{Limit, Record, Run};
use crate::server::{Extra, Running, Scene, Server};
use crate::session::{Row, Session, is_wanted};
use crate::{span, wrk};

#[derive(Args, Clone, Debug)]
pub struct HttpOptions {
    /// Rows to run, separated by commas: fixed, middleware, axum, static-1k, static-100k,
    /// static-10m, log, connection, pipelined [default: all]
    #[arg(long, value_delimiter = ',')]
    rows: Option<Vec<String>>,
    /// Seconds of load in each run, 1 to 60 [default: 4, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
    /// Connections held open by the load generator, 1 to 1000
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// What loads fixed and static answers; the other rows always use our own generator
    #[arg(long, value_enum, default_value_t = Generator::Wrk)]
    generator: Generator,
    /// KiB that our own generator reads at once, 1 to 1024
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    read_kib: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Generator {
    /// The generator that the limits were found with
    Wrk,
    /// Our own, which compares every answer
    Own,
}

pub fn run(session: &Session, options: &HttpOptions) -> Result<()> {
    let known: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
    for name in options.rows.iter().flatten() {
        ensure!(known.contains(&name.as_str()), "no row `{name}`; there are {}", known.join(", "));
    }
    make_files(&session.place.root())?;
    for (order, work) in WORKS.iter().enumerate() {
        if is_wanted(options.rows.as_deref(), work.name) {
            let record = work.record(session, options, order as u32)?;
            session.finish(&record)?;
        }
    }
    Ok(())
}

/// One row of the group.
struct Work {
    name: &'static str,
    title: &'static str,
    path: &'static str,
    shape: Shape,
    extra: Extra,
    /// Stead's CPU time per request over that of the first peer.
    at_most: f64,
    peers: &'static [Server],
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Shape {
    KeepAlive,
    /// Both sides write a JSON access log to a file.
    Log,
    ConnectionEach,
    Pipelined,
}

use Server::{Axum, Caddy, Go, Haproxy, Hyper, Nginx, SteadPlain};

const WORKS: &[Work] = &[
    Work {
        name: "fixed",
        title: "fixed 13-byte answer",
        path: "/",
        shape: Shape::KeepAlive,
        extra: Extra::Nothing,
        at_most: 0.95,
        peers: &[Nginx, Haproxy, Caddy, Go, Hyper, Axum],
    },
    Work {
        name: "middleware",
        title: "fixed answer behind five middleware that have nothing to do",
        path: "/",
        shape: Shape::KeepAlive,
        extra: Extra::IdleMiddleware,
        at_most: 1.03,
        peers: &[SteadPlain],
    },
    Work {
        name: "axum",
        title: "axum router answering 13 bytes, by `stead::serve` and by `axum::serve`",
        path: "/",
        shape: Shape::KeepAlive,
        extra: Extra::AxumRouter,
        at_most: 1.0,
        peers: &[Axum],
    },
    Work {
        name: "static-1k",
        title: "static file, 1 KB",
        path: "/1k.txt",
        shape: Shape::KeepAlive,
        extra: Extra::Nothing,
        at_most: 0.85,
        peers: &[Nginx, Caddy, Go],
    },
    Work {
        name: "static-100k",
        title: "static file, 100 KB",
        path: "/100k.txt",
        shape: Shape::KeepAlive,
        extra: Extra::Nothing,
        at_most: 0.65,
        peers: &[Nginx, Caddy, Go],
    },
    Work {
        name: "static-10m",
        title: "static file, 10 MB",
        path: "/10m.txt",
        shape: Shape::KeepAlive,
        extra: Extra::Nothing,
        at_most: 0.35,
        peers: &[Nginx, Caddy, Go],
    },
    Work {
        name: "log",
        title: "fixed answer, JSON access log to a file",
        path: "/",
        shape: Shape::Log,
        extra: Extra::Nothing,
        at_most: 0.90,
        peers: &[Nginx],
    },
    Work {
        name: "connection",
        title: "fixed answer, a new connection for each request",
        path: "/",
        shape: Shape::ConnectionEach,
        extra: Extra::Nothing,
        at_most: 1.0,
        peers: &[Nginx, Haproxy, Caddy, Go, Hyper, Axum],
    },
    Work {
        name: "pipelined",
        title: "fixed answer, pipelined 16 deep",
        path: "/",
        shape: Shape::Pipelined,
        extra: Extra::Nothing,
        at_most: 0.33,
        peers: &[Nginx, Haproxy, Caddy, Go, Hyper, Axum],
    },
];

impl Work {
    fn record(&self, session: &Session, options: &HttpOptions, order: u32) -> Result<Record> {
        let servers = session.servers(self.peers)?;
        let beside = self.peers.first().map_or("", |peer| peer.name());
        let seconds = options.seconds.unwrap_or(if session.options.quick { 1 } else { 4 });
        let row = Row {
            group: "http",
            name: self.name,
            order,
            title: self.title,
            unit: "µs CPU per request",
            limit: Limit::Ratio { peer: beside.into(), at_most: self.at_most },
            method: [
                ("load".into(), format!("{seconds} s after a warm-up, fresh process per run")),
                ("connections".into(), options.connections.to_string()),
                ("generator".into(), self.generator(options).describe(options.read_kib)),
            ]
            .into(),
        };
        let span = Duration::from_secs(seconds);
        session.rounds(&row, &servers, |server| self.measure(session, server, options, span))
    }

    fn measure(
        &self,
        session: &Session,
        server: Server,
        options: &HttpOptions,
        span: Duration,
    ) -> Result<Run> {
        let scene = Scene::new(&session.place, server, self.shape == Shape::Log)?;
        let scene = Scene { extra: self.extra, ..scene };
        let body = self.body(&scene.root)?;
        let mut running = Running::start(server, &scene)?;
        check_once(scene.address, self.path, &body, None)?;
        let mut load = self.generator(options).open(Plan {
            address: scene.address,
            path: self.path.to_owned(),
            expected: if body.len() <= COMPARED_BYTES_MAX {
                Expected::exactly(&body)
            } else {
                Expected::of_length(body.len() as u64)
            },
            connections: options.connections.into(),
            reuse: self.reuse(),
            read_bytes: usize::from(options.read_kib) * 1024,
            secure: None,
        })?;
        let warm = load.run(WARM_UP.min(span), self.answers_max())?;
        let (run, totals) = self.load(&mut load, running.pid(), span)?;
        drop(load);
        running.end();
        if let Some(log) = &scene.access_log {
            let answers = 1 + warm.answers + totals.answers;
            check_log(log, answers)?;
        }
        Ok(run)
    }

    /// The measured span: the server's CPU time over the answers it gave.
    fn load(&self, load: &mut Load, pid: u32, length: Duration) -> Result<(Run, Totals)> {
        let opened = procfs::passive_opens()?;
        // What the server still does for these requests, the flush of its log for one, counts.
        let settle = if self.shape == Shape::Log { LOG_SETTLE } else { span::SETTLE };
        let (run, totals) = span::measure(pid, settle, || load.run(length, self.answers_max()))?;
        let accepted = procfs::passive_opens()? - opened;
        if self.shape == Shape::ConnectionEach {
            ensure!(
                totals.connections == totals.answers && accepted >= totals.answers,
                "{} answers over {accepted} connections: not one each",
                totals.answers
            );
        }
        Ok((run.with("connections_accepted", accepted as f64), totals))
    }

    fn reuse(&self) -> Reuse {
        match self.shape {
            Shape::KeepAlive | Shape::Log => Reuse::KeepAlive { depth: 1 },
            Shape::Pipelined => Reuse::KeepAlive { depth: PIPELINE_DEPTH },
            Shape::ConnectionEach => Reuse::Never,
        }
    }

    fn generator(&self, options: &HttpOptions) -> Generator {
        if self.shape == Shape::KeepAlive { options.generator } else { Generator::Own }
    }

    fn answers_max(&self) -> u64 {
        if self.shape == Shape::ConnectionEach { CONNECTIONS_MAX } else { ANSWERS_MAX }
    }

    fn body(&self, root: &Path) -> Result<Vec<u8>> {
        if self.path == "/" {
            return Ok(FIXED.to_vec());
        }
        let file = FILES.iter().find(|(name, _)| self.path.ends_with(name));
        let (name, bytes) = file.context("the row's file is not made")?;
        let body = content(*bytes);
        ensure!(root.join(name).metadata()?.len() == body.len() as u64, "{name} has changed");
        Ok(body)
    }
}

/// A generator with its connections.
enum Load {
    Own(Box<Loader>),
    Wrk(Plan),
}

impl Generator {
    fn open(self, plan: Plan) -> Result<Load> {
        Ok(match self {
            Generator::Own => Load::Own(Box::new(Loader::open(plan)?)),
            Generator::Wrk => Load::Wrk(plan),
        })
    }

    fn describe(self, read_kib: u16) -> String {
        match self {
            Generator::Own => format!("our own, reads {read_kib} KiB at once"),
            Generator::Wrk => "wrk, one thread".to_owned(),
        }
    }
}

impl Load {
    fn run(&mut self, span: Duration, answers_max: u64) -> Result<Totals> {
        match self {
            Load::Own(loader) => loader.run(span, answers_max),
            Load::Wrk(plan) => wrk::run(plan, span),
        }
    }
}

/// Writes the static files; their content is the same on every machine.
fn make_files(root: &Path) -> Result<()> {
    for (name, bytes) in FILES {
        fs::write(root.join(name), content(*bytes)).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

/// Text that does not repeat (xorshift64, Marsaglia 2003).
pub fn content(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letters = b"abcdefghijklmnopqrstuvwxyz012345";
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            letters[(state >> 59) as usize]
        })
        .collect()
}

/// The log must hold a line of JSON for every answer: a server that drops lines saves their work.
fn check_log(log: &Path, answers: u64) -> Result<()> {
    let mut lines = 0;
    let mut last = String::new();
    for line in BufReader::new(File::open(log)?).lines() {
        last = line?;
        lines += 1;
    }
    let record: serde_json::Value =
        serde_json::from_str(&last).with_context(|| format!("a log line is no JSON: {last}"))?;
    ensure!(record["status"] == 200, "the log's last line has no status 200: {last}");
    ensure!(lines == answers, "{lines} lines in the log for {answers} answers");
    Ok(())
}

pub const FIXED: &[u8] = b"Hello, World!";
const FILES: &[(&str, usize)] =
    &[("1k.txt", 1_000), ("100k.txt", 100_000), ("10m.txt", 10_000_000)];
/// Bodies up to this size are compared byte by byte under load; larger ones before it, and under
/// load by length, because comparing would make the client's core the subject.
const COMPARED_BYTES_MAX: usize = 1_000;
const PIPELINE_DEPTH: u64 = 16;
const WARM_UP: Duration = Duration::from_millis(500);
/// nginx flushes its log each second, Stead its own in less.
const LOG_SETTLE: Duration = Duration::from_millis(1_300);
const ANSWERS_MAX: u64 = 50_000_000;
const CONNECTIONS_MAX: u64 = 1_000_000;
