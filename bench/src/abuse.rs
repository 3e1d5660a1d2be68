//! The `abuse` group: what honest clients notice of slowhttptest's attackers, and what these cost.
//!
//! A paced client asks for 13 bytes on its own connections, first alone, then while thousands of
//! attackers open theirs and dawdle in one of four ways. Its latency counts from the time a request
//! was due; an error of its connections fails the run. The server's descriptors show that the
//! attackers really were there, its Pss what they made it hold.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use crate::answer::Expected;
use crate::http::{FIXED, content};
use crate::pace::{Latencies, Pacer, quantile_ms};
use crate::procfs;
use crate::record::{Limit, Record, Run, Series};
use crate::server::{Running, Scene, Server};
use crate::session::{Row, Session};

#[derive(Args, Clone, Debug)]
pub struct AbuseOptions {
    /// Modes to run, separated by commas: headers, body, range, read [default: all]
    #[arg(long, value_delimiter = ',')]
    modes: Option<Vec<String>>,
    /// Attackers, each a connection
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..15_000))]
    attackers: u32,
    /// Seconds that an attack lasts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=120))]
    attack_seconds: u32,
}

/// One of slowhttptest's modes.
struct Mode {
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
    /// Attackers that must be there at once, as a share of all: where every one is answered or
    /// refused at once, none remains.
    held_min: f64,
}

const MODES: &[Mode] = &[
    Mode {
        name: "headers",
        title: "attackers send a header's lines one by one",
        arguments: &["-H", "-i", "5", "-x", "24"],
        path: "/",
        held_min: 0.9,
    },
    Mode {
        name: "body",
        title: "attackers send a body in drops",
        arguments: &["-B", "-i", "5", "-x", "10", "-s", "8192"],
        path: "/",
        held_min: 0.0,
    },
    Mode {
        name: "range",
        title: "attackers ask for a thousand ranges",
        arguments: &["-R", "-a", "10", "-b", "3000"],
        path: "/abuse.txt",
        held_min: 0.0,
    },
    Mode {
        name: "read",
        title: "attackers read an answer in drops",
        arguments: &["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"],
        path: "/abuse.txt",
        held_min: 0.9,
    },
];

pub fn run(session: &Session, options: &AbuseOptions) -> Result<()> {
    fs::write(session.place.root().join("abuse.txt"), content(FILE_BYTES))?;
    let servers = session.servers(&[Server::Nginx])?;
    for (order, mode) in MODES.iter().enumerate() {
        if options.modes.as_ref().is_none_or(|modes| modes.iter().any(|it| it == mode.name)) {
            let order = 2 * order as u32;
            let record = mode.record(session, &servers, options, order)?;
            session.finish(&record)?;
            session.finish(&mode.memory(session, options, &record, order + 1))?;
        }
    }
    Ok(())
}

impl Mode {
    fn record(
        &self,
        session: &Session,
        servers: &[Server],
        options: &AbuseOptions,
        order: u32,
    ) -> Result<Record> {
        let title = format!("p99 of honest clients while {}", self.title);
        let row = Row {
            group: "abuse",
            name: self.name,
            order,
            title: &title,
            unit: "of what is allowed",
            limit: Limit::Value { at_most: 1.0, valid_from: 0.0 },
            method: [
                ("allowed".into(), "twice the quiet p99, or 2 ms more than it".into()),
                ("honest".into(), format!("{RATE} requests/s on {HONEST} connections")),
                ("attack".into(), self.describe(options)),
            ]
            .into(),
        };
        let mut record =
            session.rounds(&row, servers, |server| self.measure(session, server, options))?;
        record.versions.insert("slowhttptest".into(), version());
        Ok(record)
    }

    /// The row of memory that the same runs give.
    fn memory(
        &self,
        session: &Session,
        options: &AbuseOptions,
        latency: &Record,
        order: u32,
    ) -> Record {
        let title = format!("memory while {}", self.title);
        let mut record = session.record(&Row {
            group: "abuse",
            name: &format!("{}-memory", self.name),
            order,
            title: &title,
            unit: "bytes per attacker",
            limit: Limit::Value { at_most: BYTES_MAX, valid_from: 0.0 },
            method: [("attack".into(), self.describe(options))].into(),
        });
        record.versions.clone_from(&latency.versions);
        record.series = latency.series.iter().map(bytes_per_attacker).collect();
        record
    }

    fn describe(&self, options: &AbuseOptions) -> String {
        let arguments = self.arguments.join(" ");
        let AbuseOptions { attackers, attack_seconds, .. } = options;
        format!(
            "slowhttptest {arguments} -c {attackers} -r {ATTACKERS_PER_SECOND} -l {attack_seconds}"
        )
    }

    fn measure(&self, session: &Session, server: Server, options: &AbuseOptions) -> Result<Run> {
        let scene = Scene::new(&session.place, server, false)?;
        let running = Running::start(server, &scene)?;
        let family = procfs::family(running.pid())?;
        let mut pacer = Pacer::open(scene.address, HONEST, RATE, Expected::exactly(FIXED))?;
        let quiet = pacer.run(QUIET_SPAN, || false).context("before the attack")?;
        let base = procfs::memory(&family)?.pss;
        let attack = Attack::begin(self, &scene, options)?;
        let (latencies, seen) = beside(&mut pacer, &family, attack)?;
        let held = seen.descriptors.saturating_sub(HONEST as u64) as f64;
        ensure!(
            held >= self.held_min * f64::from(options.attackers),
            "the server held {held} attackers at once: there was no attack"
        );
        let of = |share| quantile_ms(&latencies.answers, share);
        let quiet_ms = quantile_ms(&quiet.answers, 0.99);
        let allowed_ms = (2.0 * quiet_ms).max(quiet_ms + 2.0);
        Ok(Run::new(of(0.99) / allowed_ms)
            .with("p99_ms", of(0.99))
            .with("p999_ms", of(0.999))
            .with("max_ms", of(1.0))
            .with("quiet_p99_ms", quiet_ms)
            .with("client_late_p99_ms", quantile_ms(&latencies.lateness, 0.99))
            .with("answers", latencies.answers.len() as f64)
            .with("held", held)
            .with("attack_seconds", seen.seconds)
            .with("base_pss_bytes", base as f64)
            .with("peak_pss_bytes", seen.pss as f64)
            .with(
                BYTES_PER_ATTACKER,
                seen.pss.saturating_sub(base) as f64 / f64::from(options.attackers),
            ))
    }
}

fn bytes_per_attacker(series: &Series) -> Series {
    let value = |run: &Run| {
        let detail = |name| run.details.get(name).copied().unwrap_or(f64::NAN);
        Run::new(detail(BYTES_PER_ATTACKER))
            .with("held", detail("held"))
            .with("base_pss_bytes", detail("base_pss_bytes"))
            .with("peak_pss_bytes", detail("peak_pss_bytes"))
    };
    Series { server: series.server.clone(), runs: series.runs.iter().map(value).collect() }
}

/// slowhttptest at work; it ends with this.
struct Attack(Child);

impl Attack {
    fn begin(mode: &Mode, scene: &Scene, options: &AbuseOptions) -> Result<Attack> {
        // Whoever is honest shares the core with the attackers and goes first.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nice", "-n", "10", "slowhttptest"])
            .args(mode.arguments)
            .args(["-c", &options.attackers.to_string()])
            .args(["-r", &ATTACKERS_PER_SECOND.to_string()])
            .args(["-l", &options.attack_seconds.to_string(), "-v", "0"])
            .arg("-u")
            .arg(format!("http://{}{}", scene.address, mode.path))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run setpriv, nice and slowhttptest (Debian package slowhttptest)")?;
        Ok(Attack(child))
    }

    fn is_over(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most that was seen of the server during an attack.
struct Seen {
    pss: u64,
    descriptors: u64,
    seconds: f64,
}

/// Latencies of the honest while the attack lasts, and what it made the server hold.
fn beside(pacer: &mut Pacer, family: &[u32], mut attack: Attack) -> Result<(Latencies, Seen)> {
    let done = AtomicBool::new(false);
    let (pss, descriptors) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let latencies = scope(|scope| {
        let watch = scope.spawn(|| -> Result<()> {
            while !attack.is_over() {
                pss.fetch_max(procfs::memory(family)?.pss, Ordering::Relaxed);
                descriptors.fetch_max(procfs::sockets(family)?, Ordering::Relaxed);
                sleep(WATCH_EVERY);
            }
            done.store(true, Ordering::Relaxed);
            Ok(())
        });
        let latencies =
            pacer.run(ATTACK_MAX, || done.load(Ordering::Relaxed) || watch.is_finished());
        watch.join().map_err(|_| anyhow!("the watching thread panicked"))??;
        latencies.context("an honest client beside the attack")
    })?;
    let seen = Seen {
        pss: pss.into_inner(),
        descriptors: descriptors.into_inner(),
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok((latencies, seen))
}

fn version() -> String {
    let output = Command::new("slowhttptest").arg("-h").output();
    let text = output.map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.contains("version"));
    line.unwrap_or("unknown").trim().to_owned()
}

const BYTES_PER_ATTACKER: &str = "bytes_per_attacker";
/// A pooled buffer and a task for each attacker, and some slack: 160 MiB for all of them.
const BYTES_MAX: f64 = 32.0 * 1024.0;
const HONEST: usize = 64;
/// Requests of the honest per second, all together.
const RATE: u32 = 2_000;
const ATTACKERS_PER_SECOND: u32 = 1_000;
/// What slow readers ask for: more than the kernel takes from the server for a window that small.
const FILE_BYTES: usize = 4_000_000;
const QUIET_SPAN: Duration = Duration::from_secs(5);
const ATTACK_MAX: Duration = Duration::from_mins(3);
const WATCH_EVERY: Duration = Duration::from_millis(200);
