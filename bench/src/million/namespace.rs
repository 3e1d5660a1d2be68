//! A network namespace of its own for a crowd, server and clients in it.
//!
//! The kernel finds a connection by a hash table that all namespaces share; two million ends in the
//! usual 262,144 chains would slow every packet down, for every server. A namespace may have a
//! table of its own (`net.ipv4.tcp_child_ehash_entries`, read when it is made). So the bench starts
//! itself again inside one, with the loopback device up and the queues of listeners long.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Set inside the namespace.
const INSIDE: &str = "STEAD_BENCH_NAMESPACE";
const CHILD_TABLE: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";
/// Four million chains for two million ends: 32 MiB.
const CHAINS: &str = "4194304";
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/ip_local_port_range", "1024 65535"),
    ("net/core/somaxconn", "65535"),
    ("net/ipv4/tcp_max_syn_backlog", "65535"),
];

/// Runs `work` in such a namespace: here, if this process is in one, else in another process with
/// the same arguments.
///
/// # Errors
/// The namespace cannot be made: that takes root. What `work` says.
pub fn within(work: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        for (name, value) in SETTINGS {
            write(Path::new("/proc/sys").join(name).as_path(), value)?;
        }
        return work();
    }
    let before = crate::procfs::read(CHILD_TABLE)?;
    write(Path::new(CHILD_TABLE), CHAINS)?;
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("run unshare (Debian package util-linux)");
    write(Path::new(CHILD_TABLE), before.trim())?;
    ensure!(status?.success(), "the bench failed in its network namespace");
    Ok(())
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("write {}: it takes root", path.display()))
}
