//! The machine a run was made on, and binding to its cores.
//!
//! The server runs on core [`SERVER_CORE`], everything of the bench itself on [`LOAD_CORE`], so
//! that neither takes time from the other (the kernel's network work is done by whoever sends).

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::procfs;

/// What stands beside every figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub hypervisor: bool,
}

impl Machine {
    pub fn describe() -> Result<Machine> {
        let cpuinfo = procfs::read("/proc/cpuinfo")?;
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let meminfo = procfs::read("/proc/meminfo")?;
        let memory_kib = procfs::number_after(&meminfo, "MemTotal:").context("no MemTotal")?;
        Ok(Machine {
            cpu: field("model name").or_else(|| field("CPU part")).unwrap_or_default(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: memory_kib as f64 / f64::from(1 << 20),
            kernel: procfs::read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            hypervisor: field("flags").is_some_and(|flags| flags.contains("hypervisor")),
        })
    }
}

/// Binds this thread, and those it starts, to the core of the load generator.
pub fn bind_to_load_core() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE);
    sched_setaffinity(None, &cores)
        .context("bind to core 1: the bench needs two cores, one for the server, one for the load")
}

/// Raises the limit of open descriptors to the hard one and returns it.
pub fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raise the limit of open descriptors")?;
    Ok(limit.maximum.unwrap_or(DESCRIPTORS_WHEN_UNLIMITED))
}

/// Today, as `2026-01-31`, in UTC.
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;
const DESCRIPTORS_WHEN_UNLIMITED: u64 = 1 << 20;
