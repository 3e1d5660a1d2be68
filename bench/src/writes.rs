//! How often a server writes: calls of the system that send, counted by `perf stat`.
//!
//! Counting costs the server time, so it is done in a run of its own, beside no other figure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::loader::Totals;
use crate::procfs;

/// Writes of a server per answer while `load` runs; none where the system refuses to count.
pub fn per_answer(
    server: u32,
    work: &Path,
    load: impl FnOnce() -> Result<Totals>,
) -> Result<Option<f64>> {
    let counts = work.join("writes.txt");
    let members: Vec<String> = procfs::family(server)?.iter().map(u32::to_string).collect();
    let events: Vec<String> =
        CALLS.iter().map(|call| format!("syscalls:sys_enter_{call}")).collect();
    let mut perf = Command::new("perf")
        .args(["stat", "--field-separator", ",", "--event", &events.join(",")])
        .args(["--pid", &members.join(",")])
        .arg("--output")
        .arg(&counts)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("run perf (Debian package linux-perf)")?;
    sleep(START);
    let totals = load();
    if let Some(pid) = Pid::from_raw(perf.id() as i32) {
        // It writes its counts when it is interrupted; where it was refused it is gone already.
        let _ = kill_process(pid, Signal::INT);
    }
    perf.wait()?;
    let totals = totals?;
    ensure!(totals.answers > 0, "no answer while writes are counted");
    let text = procfs::read(&counts).unwrap_or_default();
    Ok(sum(&text).map(|writes| writes as f64 / totals.answers as f64))
}

/// Sum of the counts in perf's lines `189721,,syscalls:sys_enter_writev,…`.
fn sum(text: &str) -> Option<u64> {
    let count = |line: &str| line.split(',').next()?.parse::<u64>().ok();
    text.lines().filter_map(count).reduce(|sum, count| sum + count)
}

/// Every call that a server may send with.
const CALLS: &[&str] = &["write", "writev", "sendto", "sendmsg", "sendfile64"];
const START: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed() {
        let text = "# started\n\n12,,syscalls:sys_enter_write,5,100.00,,\n\
                    30,,syscalls:sys_enter_writev,5,100.00,,\n";
        assert_eq!(sum(text), Some(42));
        assert_eq!(sum("<not counted>,,syscalls:sys_enter_write,0,0.00,,\n"), None);
    }
}
