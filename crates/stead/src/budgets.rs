//! What the process may hold at once, read from the machine when it starts: workers for its cores,
//! connections and open files for its descriptors, fewer connections where memory is the tighter.

use stead_config::Workers;
use stead_core::Process;
use stead_sys::table;

use crate::memory::Memory;

/// One worker for each core that we may use, as far as affinity and cgroups tell.
pub(crate) fn worker_count(workers: Workers) -> usize {
    match workers {
        Workers::Count(count) => usize::from(count),
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// What the process may hold, by the number of its workers and listeners and of its descriptors.
pub(crate) fn allot(
    process: &Process,
    workers: usize,
    listeners: usize,
    private_descriptors: bool,
) {
    process.set_workers(workers);
    // Where `/proc` is not there, what is open already is few; and no table is private, which the
    // start says.
    let open = table::open_count().unwrap_or(0) + NUMBERS_TO_COME;
    let of_worker = NUMBERS_PER_WORKER + FILES_OPENED + NUMBERS_PER_LISTENER * (listeners + 1);
    let (taken, tables) = if private_descriptors {
        (open + table::SPARE_NUMBERS + workers * NUMBERS_PER_WORKER + of_worker, workers)
    } else {
        (open + workers * of_worker, 1)
    };
    let free = descriptors_max().saturating_sub(taken as u64);
    let mut share = Descriptors::share(free);
    if private_descriptors {
        share = share.without_lending();
        process.set_worker_connections(share.connections);
        process.set_worker_files(share.files);
    }
    let Descriptors { connections, open_files, files, files_apart } = share;
    process.connections.set_limit(connections.saturating_mul(tables));
    process.open_files.set_limit(open_files.saturating_mul(tables));
    process.files.set_limit(files.saturating_mul(tables));
    process.files_apart.set_limit(files_apart.saturating_mul(tables));
}

/// Descriptors that the process opens after its listeners: the lock, the admin socket, the event
/// loops of the background and of whoever waits for signals.
const NUMBERS_TO_COME: usize = 10;
/// Descriptors of a worker's event loop, and its socket of the admin listener.
const NUMBERS_PER_WORKER: usize = 6;
/// Files that a worker opens at once: one in each thread of its blocking pool.
const FILES_OPENED: usize = 4;
/// What a worker holds for a listener beside its socket: the one that it watches, and a spare one.
const NUMBERS_PER_LISTENER: usize = 2;

/// What the places for connections follow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// `descriptors` or `memory`.
    pub(crate) limited_by: &'static str,
    /// The lowest limit of memory, if memory is looked at.
    pub(crate) memory: Option<MemoryLimit>,
}

/// The memory that the process keeps within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes, as it was at the start.
    pub bytes: u64,
    /// Whose limit it is: `process.memory`, `control group`, `machine` or `address space`.
    pub of: &'static str,
}

/// Allows no more connections than fit into memory while they rest.
pub(crate) fn keep_within(process: &Process, memory: Option<&Memory>) -> Places {
    let lowest = memory.and_then(Memory::lowest);
    let lowest = lowest.map(|lowest| MemoryLimit { bytes: lowest.max, of: lowest.of });
    let by_memory = memory.map_or(usize::MAX, Memory::connections);
    let by_descriptors = process.connections.limit().unwrap_or(usize::MAX);
    let is_memory = by_memory < by_descriptors;
    if is_memory {
        process.connections.set_limit(by_memory);
        // What connections leave is there for files.
        let files_apart = process.files_apart.limit().unwrap_or(0);
        process.files_apart.set_limit(files_apart.saturating_add(by_descriptors - by_memory));
    }
    let limited_by = if is_memory { "memory" } else { "descriptors" };
    Places { limited_by, memory: lowest }
}

/// What the descriptors of this process are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptors {
    connections: usize,
    /// Files that caches keep open.
    open_files: usize,
    /// All files that are served: those of caches, and those of answers under way.
    files: usize,
    /// Those of them that take no connection's place.
    files_apart: usize,
}

impl Descriptors {
    /// Of those that are free, all are for connections but a few that are held back: for the access
    /// log, connections to the admin socket, whatever else opens one, and files that are served.
    ///
    /// Most servers hold few files, for answers share a file while any of them is under way: so no
    /// more than a sixty-fourth is set apart for them, and beyond that a file takes the place of a
    /// connection, while there is a free one. An eighth at most, half of it for caches: many
    /// different large files sent at once must not keep everybody else out.
    fn share(free: u64) -> Self {
        let all = usize::try_from(free).unwrap_or(usize::MAX);
        let open_files = (all / 16).clamp(4, 4096);
        let answers = (all / 16).clamp(4, 65_536);
        let files_apart = (all / 64).clamp(4, 1024);
        let rest = (all / 16).clamp(8, 128);
        let connections = all.saturating_sub(files_apart + rest).max(1);
        Self { connections, open_files, files: open_files + answers, files_apart }
    }

    /// The same where a file cannot take a connection's place: what one worker closes is nothing
    /// that another could open.
    fn without_lending(self) -> Self {
        let lent = self.files - self.files_apart;
        let connections = self.connections.saturating_sub(lent).max(1);
        Self { connections, files_apart: self.files, ..self }
    }
}

/// How many descriptors this process may hold.
pub(crate) fn descriptors_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_descriptors_are_for_connections() {
        let check = |free: u64, connections: usize, files: usize, files_apart: usize| {
            let share = Descriptors::share(free);
            let found = (share.connections, share.files, share.files_apart);
            assert_eq!(found, (connections, files, files_apart), "of {free}");
            let apart = share.without_lending();
            assert_eq!(apart.files_apart, files);
            let all = connections + files_apart;
            assert!(apart.connections + files == all || all < files, "of {free}");
        };
        check(80, 68, 10, 4);
        check(980, 904, 122, 15);
        check(4_050, 3_859, 506, 63);
        check(19_960, 19_521, 2_494, 311);
        check(1_048_500, 1_047_348, 69_627, 1_024);
        // Too few to live with: it starts, and says how few.
        check(0, 1, 8, 4);
    }
}
