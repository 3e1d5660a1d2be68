//! The `latency` group: small answers while the same worker serves files that are on disk only.
//!
//! A paced client asks for 13 bytes while others fetch a gigabyte that no cache holds. A worker
//! that waits for the disk makes every small answer wait with it. That the disk was really read is
//! proven by the server's `read_bytes`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use crate::answer::Expected;
use crate::cold::ColdFiles;
use crate::http::FIXED;
use crate::pace::{Latencies, Pacer, quantile_ms};
use crate::procfs;
use crate::record::{Limit, Run};
use crate::server::{Running, Scene, Server};
use crate::session::{Row, Session};
use crate::table;

#[derive(Args, Clone, Debug)]
pub struct LatencyOptions {
    /// Cold bytes served, in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=16_384))]
    cold_mib: u64,
    /// Small requests per second, sent at fixed times
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..20_000))]
    rate: u32,
}

pub fn run(session: &Session, options: &LatencyOptions) -> Result<()> {
    let servers = session.servers(&[Server::Nginx, Server::NginxAio])?;
    let files = ColdFiles::create(&session.place.root(), options.cold_mib << 20, FILE_BYTES)?;
    let row = Row {
        group: "latency",
        name: "cold-files",
        order: 0,
        title: "p99 of 13-byte answers while the same worker serves cold files",
        unit: "ms",
        limit: Limit::Value { at_most: P99_MS_MAX, valid_from: 0.0 },
        method: [
            ("load".into(), format!("{} requests/s at fixed times", options.rate)),
            ("connections".into(), CONNECTIONS.to_string()),
            ("cold files".into(), format!("{} MiB in files of 4 MiB", options.cold_mib)),
        ]
        .into(),
    };
    let record =
        session.rounds(&row, &servers, |server| measure(session, server, &files, options.rate))?;
    session.finish(&record)?;
    for series in &record.series {
        let amount = |name| series.detail(name).map_or(f64::NAN, |spread| spread.median);
        println!(
            "  {:<10} p50 {:.2} ms, p99.9 {:.1} ms, max {:.1} ms; p99 without cold files {:.2} ms; \
             {} MiB from disk in {:.1} s; client late by {:.2} ms (p99)",
            series.server,
            amount("p50_ms"),
            amount("p999_ms"),
            amount("max_ms"),
            amount("quiet_p99_ms"),
            table::number(amount("disk_bytes") / f64::from(1 << 20)),
            amount("fetch_seconds"),
            amount("client_late_p99_ms"),
        );
    }
    Ok(())
}

fn measure(session: &Session, server: Server, files: &ColdFiles, rate: u32) -> Result<Run> {
    let scene = Scene::new(&session.place, server, false)?;
    let running = Running::start(server, &scene)?;
    let mut pacer = Pacer::open(scene.address, CONNECTIONS, rate, Expected::exactly(FIXED))?;
    files.make_cold()?;
    let quiet = pacer.run(QUIET_SPAN, || false).context("before the cold files")?;
    let family = procfs::family(running.pid())?;
    let read_before = procfs::disk_bytes_read(&family)?;
    let (busy, fetch_seconds) = while_fetching(&mut pacer, files, &scene)?;
    let disk_bytes = procfs::disk_bytes_read(&family)? - read_before;
    ensure!(
        disk_bytes as f64 >= files.total_bytes() as f64 * COLD_SHARE_MIN,
        "the server read {disk_bytes} bytes from the disk: the files were not cold"
    );
    let of = |share| quantile_ms(&busy.answers, share);
    Ok(Run::new(of(0.99))
        .with("p50_ms", of(0.5))
        .with("p999_ms", of(0.999))
        .with("max_ms", of(1.0))
        .with("answers", busy.answers.len() as f64)
        .with("quiet_p99_ms", quantile_ms(&quiet.answers, 0.99))
        .with("client_late_p99_ms", quantile_ms(&busy.lateness, 0.99))
        .with("disk_bytes", disk_bytes as f64)
        .with("fetch_seconds", fetch_seconds))
}

/// Latencies from the first cold request to the last cold byte, and how long that took.
fn while_fetching(pacer: &mut Pacer, files: &ColdFiles, scene: &Scene) -> Result<(Latencies, f64)> {
    let done = AtomicBool::new(false);
    scope(|scope| {
        let fetch = scope.spawn(|| {
            let start = Instant::now();
            let outcome = files.fetch_all(scene.address);
            done.store(true, Ordering::Relaxed);
            outcome.map(|()| start.elapsed().as_secs_f64())
        });
        let latencies = pacer.run(FETCH_MAX, || done.load(Ordering::Relaxed));
        let seconds = fetch.join().map_err(|_| anyhow!("the fetching thread panicked"))?;
        Ok((latencies.context("beside the cold files")?, seconds?))
    })
}

const P99_MS_MAX: f64 = 5.0;
const FILE_BYTES: u64 = 4 << 20;
const CONNECTIONS: usize = 32;
const QUIET_SPAN: Duration = Duration::from_secs(1);
const FETCH_MAX: Duration = Duration::from_mins(2);
/// Of the cold bytes, what must have come from the disk.
const COLD_SHARE_MIN: f64 = 0.95;
