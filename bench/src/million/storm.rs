//! The row `storm`: a crowd that rests, and then all of it sends at once.
//!
//! Every connection must be answered. Its time runs from its own request to the moment at which
//! the load has read its answer, which it does only when all requests are sent: an upper bound. The
//! server's memory is looked at while it lasts, and again when it is quiet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::disable_transparent_huge_pages;

use super::shards::Order;
use super::{CrowdOptions, Crowded};
use crate::procfs;
use crate::record::{Limit, Run};
use crate::server::Server;
use crate::session::{Row, Session};

/// # Errors
/// A connection was lost or gave a wrong answer.
pub fn run(session: &Session, options: &CrowdOptions) -> Result<()> {
    let count = options.connections;
    let servers = session.servers(&[Server::Nginx])?;
    let row = Row {
        group: "million",
        name: "storm",
        order: 1,
        title: "the longest wait when a crowd that rested sends at once",
        unit: "seconds",
        limit: Limit::Value { at_most: SECONDS_MAX, valid_from: 0.0 },
        method: [
            ("connections".into(), format!("{count}, all at once")),
            ("command".into(), format!("`cargo xtask bench storm --connections {count}`")),
            ("idle timeouts".into(), "off".into()),
        ]
        .into(),
    };
    disable_transparent_huge_pages(true)?;
    let record = session.rounds(&row, &servers, |server| storm(session, server, count));
    disable_transparent_huge_pages(false)?;
    session.finish(&record?)
}

fn storm(session: &Session, server: Server, count: u32) -> Result<Run> {
    let mut crowd = Crowded::start(session, server, count)?;
    crowd.open_until(count)?;
    crowd.rest(REST)?;
    let quiet = crowd.user_bytes()?;
    let order = Order::Storm(Arc::new(Barrier::new(crowd.shards.len())));
    let began = Instant::now();
    let (done, peak) = {
        let family = crowd.family.clone();
        with_peak(&family, || crowd.all(&order))
    };
    let (done, lasted) = (done.context("the storm")?, began.elapsed());
    ensure!(done.answers == u64::from(count), "{} of {count} were answered", done.answers);
    crowd.rest(REST)?;
    let run = Run::new(done.worst.as_secs_f64())
        .with("answered", done.answers as f64)
        .with("lasted_seconds", lasted.as_secs_f64())
        .with("workers", f64::from(crowd.scene.workers))
        .with("pss_bytes", quiet as f64)
        .with("peak_pss_bytes", peak as f64)
        .with("after_pss_bytes", crowd.user_bytes()? as f64);
    crowd.end()?;
    Ok(run)
}

/// Runs `work` while another thread looks at the family's memory, as often as it can.
fn with_peak<T>(family: &[u32], work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(procfs::memory(family).map_or(0, |memory| memory.pss));
                sleep(SAMPLE_EVERY);
            }
            peak
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        (outcome, sampler.join().unwrap_or(0))
    })
}

const SECONDS_MAX: f64 = 3.0;
const REST: Duration = Duration::from_secs(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
