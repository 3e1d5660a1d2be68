//! What connections cost outside of the server: kernel memory, and how much the machine has left.

use anyhow::{Context, Result, ensure};

use crate::procfs;

/// The kernel's side at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kernel {
    /// Bytes of the slabs that hold sockets and what belongs to them, of the whole machine.
    pub(super) socket_bytes: u64,
    /// Bytes that programs could still take (`MemAvailable`).
    pub(super) available: u64,
    /// TCP sockets of this network namespace in use, and those in `TIME_WAIT`.
    pub(super) sockets: u64,
    pub(super) waiting: u64,
}

impl Kernel {
    pub(super) fn now() -> Result<Kernel> {
        let memory = procfs::read("/proc/meminfo")?;
        let available = procfs::number_after(&memory, "MemAvailable:").context("MemAvailable")?;
        let sockets = procfs::read("/proc/net/sockstat")?;
        let tcp =
            sockets.lines().find_map(|line| line.strip_prefix("TCP: ")).context("sockstat")?;
        let words: Vec<&str> = tcp.split_whitespace().collect();
        let after = |name: &str| {
            let place = words.iter().position(|word| *word == name)?;
            words.get(place + 1)?.parse().ok()
        };
        Ok(Kernel {
            socket_bytes: socket_slabs(&procfs::read("/proc/slabinfo")?),
            available: available * 1024,
            sockets: after("inuse").context("no inuse in sockstat")?,
            waiting: after("tw").context("no tw in sockstat")?,
        })
    }

    /// # Errors
    /// The machine would soon have to kill something.
    pub(super) fn ensure_room(&self) -> Result<()> {
        let left = self.available >> 20;
        ensure!(self.available > AVAILABLE_MIN, "only {left} MiB of memory are left: stopped");
        Ok(())
    }
}

/// Pages of these slabs: what a TCP socket that an epoll set watches consists of.
const SLABS: &[&str] = &[
    "TCP",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
];
const PAGE_BYTES: u64 = 4096;
/// Below this the bench gives up before the kernel kills something.
const AVAILABLE_MIN: u64 = 2 << 30;

/// Lines are `name active total size per_slab pages : tunables … : slabdata active slabs shared`
/// (slabinfo(5)).
fn socket_slabs(table: &str) -> u64 {
    let pages = |line: &str| -> Option<u64> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !SLABS.contains(words.first()?) {
            return None;
        }
        let slabs: u64 = words.get(14)?.parse().ok()?;
        Some(words.get(5)?.parse::<u64>().ok()? * slabs)
    };
    table.lines().filter_map(pages).sum::<u64>() * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_count_by_their_pages() {
        let table = "slabinfo - version: 2.1\n\
            # name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n\
            TCP 10 26 2368 13 8 : tunables 0 0 0 : slabdata 2 2 0\n\
            filp 5 42 192 21 1 : tunables 0 0 0 : slabdata 2 2 0\n\
            kmalloc-8 1 512 8 512 1 : tunables 0 0 0 : slabdata 1 1 0\n";
        assert_eq!(socket_slabs(table), (2 * 8 + 2) * 4096);
    }
}
