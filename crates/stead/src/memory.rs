//! The memory that the process may use, and how much of it is in use.
//!
//! Limits are found at start: what the configuration says, those of the control groups on the way
//! to ours, what is left of the machine, the limit of the address space. Use is sampled about once
//! a second, in the background, from files that stay open; the fullest counts. A control group's
//! use is all of it but the page cache, sockets included. Where only our own use can be told apart,
//! it is anonymous memory, and what the kernel holds for each connection at rest; what lies in
//! socket buffers shows in what is left of the machine.

mod group;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_config::MemoryBudget;
use stead_core::{Process, SCARCE, TIGHT};
use stead_sys::file;

use crate::background::Task;
use group::Group;

/// What the kernel holds for a connection at rest: socket, inode, file, directory entry and epoll
/// item (measured: 4.0 KB).
const KERNEL_BYTES: u64 = 4 << 10;
/// What a connection at rest costs altogether.
const PLACE_BYTES: u64 = KERNEL_BYTES + 512;
/// How often memory is sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The same while it is tight: what was given up shows sooner.
const SAMPLE_OFTEN: Duration = Duration::from_millis(250);

/// Every limit of memory that concerns this process.
pub(crate) struct Memory {
    own: Own,
    gauges: Vec<Gauge>,
}

/// What one limit is, and how full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) used: u64,
    pub(crate) max: u64,
    /// Whose limit it is.
    pub(crate) of: &'static str,
}

/// A limit, in bytes.
enum Gauge {
    Configured(u64),
    Group(Group, u64),
    Machine(Machine),
    AddressSpace(u64),
}

impl Memory {
    /// Finds the limits of this process; `None` where none is to be kept or nothing can be read.
    pub(crate) fn find(budget: MemoryBudget) -> Option<Self> {
        let address_space = rustix::process::getrlimit(rustix::process::Resource::As).current;
        Self::find_in(Path::new("/"), budget, address_space)
    }

    fn find_in(root: &Path, budget: MemoryBudget, address_space: Option<u64>) -> Option<Self> {
        let share = match budget {
            MemoryBudget::Off => return None,
            MemoryBudget::Share(share) => share,
            MemoryBudget::Auto | MemoryBudget::Size(_) => 100,
        };
        let of = |max: u64| max / 100 * u64::from(share);
        let own = Own(File::open(root.join("proc/self/status")).ok()?);
        let machine = Machine::find(root, share);
        let total = machine.as_ref().map_or(u64::MAX, |machine| machine.total);
        let mut gauges = Vec::new();
        if let MemoryBudget::Size(size) = budget {
            gauges.push(Gauge::Configured(size.0));
        }
        let groups = group::find(root).into_iter().filter(|(_, max)| *max < total);
        gauges.extend(groups.map(|(group, max)| Gauge::Group(group, of(max))));
        gauges.extend(machine.map(Gauge::Machine));
        gauges.extend(address_space.map(|max| Gauge::AddressSpace(of(max))));
        Some(Self { own, gauges })
    }

    /// The fullest of the limits, while `connections` are open.
    pub(crate) fn sample(&self, connections: usize) -> Option<Reading> {
        let readings = self.readings(connections);
        readings
            .max_by_key(|reading| u128::from(reading.used) * 1_000_000 / u128::from(reading.max))
    }

    /// The lowest of the limits.
    pub(crate) fn lowest(&self) -> Option<Reading> {
        self.readings(0).min_by_key(|reading| reading.max)
    }

    /// How many connections at rest fit, if nothing else grows.
    pub(crate) fn connections(&self) -> usize {
        let lowest = self.lowest().map_or(u64::MAX, |reading| reading.max);
        let connections = lowest / 100 * u64::from(SCARCE) / PLACE_BYTES;
        usize::try_from(connections).unwrap_or(usize::MAX).max(1)
    }

    fn readings(&self, connections: usize) -> impl Iterator<Item = Reading> {
        let own = self.own.read();
        let readings = self.gauges.iter().filter_map(move |gauge| {
            let own = own?;
            let used = own.anonymous + (connections as u64).saturating_mul(KERNEL_BYTES);
            Some(match gauge {
                Gauge::Configured(max) => Reading { used, max: *max, of: "process.memory" },
                Gauge::Group(group, max) => {
                    Reading { used: group.used(connections)?, max: *max, of: "control group" }
                }
                Gauge::Machine(machine) => machine.read(used)?,
                Gauge::AddressSpace(max) => {
                    Reading { used: own.addresses, max: *max, of: "address space" }
                }
            })
        });
        readings.filter(|reading| reading.max > 0)
    }
}

/// Tells `process` how full its memory is, as long as it runs.
pub(crate) fn watch(memory: Memory, process: Arc<Process>) -> Task {
    let memory = Arc::new(memory);
    Task::new("the watch over memory", move || {
        // What was sampled before a panic is nothing that anybody knows now.
        note(None, &process);
        watched(Arc::clone(&memory), Arc::clone(&process))
    })
}

async fn watched(memory: Arc<Memory>, process: Arc<Process>) {
    loop {
        note(memory.sample(process.connections.held()), &process);
        let is_tight = process.pressure.memory().percent() >= TIGHT;
        tokio::time::sleep(if is_tight { SAMPLE_OFTEN } else { SAMPLE_EVERY }).await;
    }
}

/// One that cannot be read is none: a level must not last for want of a sample.
fn note(reading: Option<Reading>, process: &Process) {
    let (used, max) = reading.map_or((0, 0), |reading| (reading.used, reading.max));
    process.pressure.note_memory(used, max);
    stead_serve::weigh(process);
}

/// `/proc/self/status`.
struct Own(File);

#[derive(Clone, Copy)]
struct OwnUse {
    /// Bytes that belong to no file.
    anonymous: u64,
    /// Bytes of addresses, used or not.
    addresses: u64,
}

impl Own {
    fn read(&self) -> Option<OwnUse> {
        let text = read(&self.0)?;
        let anonymous = kilobytes(&text, "RssAnon:")?;
        Some(OwnUse { anonymous, addresses: kilobytes(&text, "VmSize:")? })
    }
}

/// What is left of the machine, as `/proc/meminfo` tells.
struct Machine {
    meminfo: File,
    total: u64,
    share: u8,
}

impl Machine {
    fn find(root: &Path, share: u8) -> Option<Self> {
        let meminfo = File::open(root.join("proc/meminfo")).ok()?;
        let total = kilobytes(&read(&meminfo)?, "MemTotal:")?;
        Some(Self { meminfo, total, share })
    }

    /// What others use is not ours to have: our use is compared with all that we could have.
    fn read(&self, used: u64) -> Option<Reading> {
        let available = kilobytes(&read(&self.meminfo)?, "MemAvailable:")?;
        let max = self.total.min(used + available) / 100 * u64::from(self.share);
        Some(Reading { used, max, of: "machine" })
    }
}

/// A line such as `MemTotal:  123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.split_ascii_whitespace().next()?.parse().ok()?;
    number.checked_mul(1 << 10)
}

/// What a file of the kernel says now.
fn read(file: &File) -> Option<String> {
    let mut text = vec![0; 16 << 10];
    let count = file::read_at(file, &mut text, 0).ok()?;
    text.truncate(count);
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests;
