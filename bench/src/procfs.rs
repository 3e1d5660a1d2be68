//! What the bench reads from `/proc`: CPU time, memory and disk reads of a server and all its
//! children, and how busy each core is.
//!
//! CPU time is the first field of `/proc/PID/task/TID/schedstat` (nanoseconds on a core) summed
//! over the threads of the whole process family. Threads that end take their figure with them, so
//! the tick counters of `/proc/PID/stat`, which keep it, are read beside it and win where they
//! show clearly more.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// Reads a file of `/proc` or `/sys`, at most [`FILE_BYTES_MAX`].
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .with_context(|| format!("read {}", path.display()))?;
    Ok(text)
}

/// A process and all its descendants, at one moment.
pub fn family(pid: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // A process may end while we look: that is no error.
        if let Some(parent) = stat_field(child, STAT_PARENT) {
            parents.push((child, parent as u32));
        }
    }
    let mut members = vec![pid];
    let mut next = 0;
    while next < members.len() {
        let parent = members[next];
        members.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    Ok(members)
}

/// CPU time of a process family up to one moment.
pub struct CpuMark {
    family: Vec<u32>,
    threads: BTreeMap<(u32, u32), u64>,
    ticks: Ticks,
}

/// CPU time that a process family used between two moments.
#[derive(Clone, Copy, Debug)]
pub struct CpuSpent {
    /// All threads together, in nanoseconds.
    pub total_ns: u64,
    /// Share spent in user space, 0 to 1; exact to about 20 ms of CPU time.
    pub user_share: f64,
}

impl CpuMark {
    pub fn now(pid: u32) -> Result<CpuMark> {
        let family = family(pid)?;
        Ok(CpuMark { threads: thread_times(&family), ticks: ticks(&family), family })
    }

    /// CPU time since this mark, of the processes alive now.
    pub fn spent(&self) -> Result<CpuSpent> {
        let family = family(self.family[0])?;
        let by_thread: u64 = thread_times(&family)
            .iter()
            .map(|(id, ns)| ns.saturating_sub(self.threads.get(id).copied().unwrap_or(0)))
            .sum();
        let now = ticks(&family);
        let user = now.user.saturating_sub(self.ticks.user);
        let kernel = now.kernel.saturating_sub(self.ticks.kernel);
        let by_tick = (user + kernel) * NS_PER_TICK;
        let ended_threads = by_tick > by_thread + by_thread / 50 + 3 * NS_PER_TICK;
        Ok(CpuSpent {
            total_ns: if ended_threads { by_tick } else { by_thread },
            user_share: user as f64 / (user + kernel).max(1) as f64,
        })
    }
}

/// Memory of a process family, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Proportional set size without pages of files: shared pages are divided among those who share
    /// them. Which pages of a program's own file are mapped is chance, and costs nothing.
    pub pss: u64,
    /// Sum of the highest resident sizes so far (`VmHWM`).
    pub resident_peak: u64,
    /// Part of it in transparent huge pages.
    pub huge: u64,
}

pub fn memory(family: &[u32]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in family {
        let rollup = read(format!("/proc/{pid}/smaps_rollup"))?;
        let kind = |label| {
            kilobytes(&rollup, label).with_context(|| format!("no {label} in smaps_rollup"))
        };
        sum.pss += kind("Pss:")? - kind("Pss_File:")?;
        sum.huge += kilobytes(&rollup, "AnonHugePages:").unwrap_or(0);
        let status = read(format!("/proc/{pid}/status"))?;
        sum.resident_peak += kilobytes(&status, "VmHWM:").context("no VmHWM in status")?;
    }
    Ok(sum)
}

/// Sockets that a process family has open.
pub fn sockets(family: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in family {
        let folder = format!("/proc/{pid}/fd");
        for entry in fs::read_dir(&folder).with_context(|| format!("read {folder}"))?.flatten() {
            // One that was closed meanwhile is none.
            let kind = fs::read_link(entry.path()).unwrap_or_default();
            sum += u64::from(kind.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        }
    }
    Ok(sum)
}

/// Bytes that a process family made the disk read so far (`read_bytes` of `/proc/PID/io`).
pub fn disk_bytes_read(family: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in family {
        let text = read(format!("/proc/{pid}/io"))?;
        sum += number_after(&text, "read_bytes:").context("no read_bytes in io")?;
    }
    Ok(sum)
}

/// Ticks of one core so far.
#[derive(Clone, Copy, Debug)]
pub struct CoreTicks {
    total: u64,
    idle: u64,
    steal: u64,
}

/// How one core spent a span of time, in percent.
#[derive(Clone, Copy, Debug)]
pub struct CoreUse {
    pub busy: f64,
    /// Taken by the hypervisor.
    pub steal: f64,
    /// Length of the span in nanoseconds of this core.
    pub span_ns: f64,
}

impl CoreTicks {
    pub fn now(core: usize) -> Result<CoreTicks> {
        let text = read("/proc/stat")?;
        let name = format!("cpu{core}");
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&name))
            .with_context(|| format!("no {name} in /proc/stat"))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        // Fields: user nice system idle iowait irq softirq steal (proc(5)).
        anyhow::ensure!(ticks.len() == 8, "unexpected line in /proc/stat: {line}");
        Ok(CoreTicks { total: ticks.iter().sum(), idle: ticks[3] + ticks[4], steal: ticks[7] })
    }

    pub fn until(&self, later: &CoreTicks) -> CoreUse {
        let total = later.total.saturating_sub(self.total).max(1) as f64;
        let idle = later.idle.saturating_sub(self.idle) as f64;
        let steal = later.steal.saturating_sub(self.steal) as f64;
        CoreUse {
            busy: 100.0 * (1.0 - idle / total),
            steal: 100.0 * steal / total,
            span_ns: total * NS_PER_TICK as f64,
        }
    }
}

/// Connections that listeners of this network namespace accepted so far (`Tcp: PassiveOpens`).
pub fn passive_opens() -> Result<u64> {
    let text = read("/proc/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = lines.next().zip(lines.next()).context("no Tcp in /proc/net/snmp")?;
    let place = names.split_whitespace().position(|name| name == "PassiveOpens");
    place
        .and_then(|place| values.split_whitespace().nth(place)?.parse().ok())
        .context("no PassiveOpens in /proc/net/snmp")
}

/// Value of the line that begins with `label`.
pub fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kilobytes(text: &str, label: &str) -> Option<u64> {
    Some(number_after(text, label)? * 1024)
}

fn thread_times(family: &[u32]) -> BTreeMap<(u32, u32), u64> {
    let mut times = BTreeMap::new();
    for &pid in family {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let id = thread.file_name().to_str().and_then(|name| name.parse().ok());
            let ns = read(thread.path().join("schedstat"))
                .ok()
                .and_then(|text| text.split_whitespace().next()?.parse().ok());
            if let (Some(id), Some(ns)) = (id, ns) {
                times.insert((pid, id), ns);
            }
        }
    }
    times
}

#[derive(Clone, Copy)]
struct Ticks {
    user: u64,
    kernel: u64,
}

fn ticks(family: &[u32]) -> Ticks {
    let sum = |field| family.iter().filter_map(|&pid| stat_field(pid, field)).sum();
    Ticks { user: sum(STAT_USER), kernel: sum(STAT_KERNEL) }
}

/// One numeric field of `/proc/PID/stat`, numbered as in proc(5); the name in field 2 may hold
/// spaces, so counting starts behind its closing bracket.
fn stat_field(pid: u32, number: usize) -> Option<u64> {
    let text = read(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(number - 3)?.parse().ok()
}

const FILE_BYTES_MAX: u64 = 1 << 20;
const STAT_PARENT: usize = 4;
const STAT_USER: usize = 14;
const STAT_KERNEL: usize = 15;
/// `USER_HZ` is 100 on every Linux that Stead runs on.
const NS_PER_TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cpu_time_grows_with_work() {
        let mark = CpuMark::now(std::process::id()).unwrap();
        let start = std::time::Instant::now();
        let mut sum = 0_u64;
        while start.elapsed().as_millis() < 100 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        // The span is wall time of a shared machine: only the order of size is sure.
        let spent = mark.spent().unwrap();
        assert!(spent.total_ns > 10_000_000, "{spent:?} after {sum} rounds");
    }

    #[test]
    fn family_holds_children() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let members = family(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(members.contains(&child.id()));
    }

    #[test]
    fn core_use_is_a_percentage() {
        let earlier = CoreTicks { total: 100, idle: 50, steal: 0 };
        let later = CoreTicks { total: 200, idle: 60, steal: 5 };
        let spent = earlier.until(&later);
        assert!((spent.busy - 90.0).abs() < 1e-9 && (spent.steal - 5.0).abs() < 1e-9);
    }

    #[test]
    fn memory_of_this_process_is_read() {
        let memory = memory(&[std::process::id()]).unwrap();
        assert!(memory.pss > 100_000 && memory.resident_peak >= memory.pss / 2);
        assert!(passive_opens().is_ok());
    }
}
