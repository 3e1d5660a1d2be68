//! The measured span of a load: the server's CPU time over the answers it gave.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::loader::Totals;
use crate::machine::{LOAD_CORE, SERVER_CORE};
use crate::procfs::{CoreTicks, CpuMark};
use crate::record::Run;
use crate::session::{FOREIGN_PERCENT, STEAL_PERCENT};

/// Runs `load` and returns the server's CPU time per answer, in µs, with the usual details.
///
/// What the server still does for these answers within `settle` counts.
pub fn measure(
    server: u32,
    settle: Duration,
    load: impl FnOnce() -> Result<Totals>,
) -> Result<(Run, Totals)> {
    sleep(SETTLE);
    let mark = CpuMark::now(server)?;
    let (server_core, load_core) = (CoreTicks::now(SERVER_CORE)?, CoreTicks::now(LOAD_CORE)?);
    let totals = load()?;
    let server_use = server_core.until(&CoreTicks::now(SERVER_CORE)?);
    let load_use = load_core.until(&CoreTicks::now(LOAD_CORE)?);
    sleep(settle);
    let spent = mark.spent()?;
    let micros = spent.total_ns as f64 / 1000.0 / totals.answers as f64;
    let own_percent = 100.0 * spent.total_ns as f64 / server_use.span_ns;
    let run = Run::new(micros)
        .with("user_micros", micros * spent.user_share)
        .with("answers", totals.answers as f64)
        .with("requests_per_second", totals.answers as f64 / totals.elapsed.as_secs_f64())
        .with("load_core_percent", load_use.busy)
        .with("server_core_percent", server_use.busy)
        .with(FOREIGN_PERCENT, (server_use.busy - own_percent).max(0.0))
        .with(STEAL_PERCENT, server_use.steal);
    Ok((run, totals))
}

/// Before and after a load, so that what is in flight ends.
pub const SETTLE: Duration = Duration::from_millis(50);
