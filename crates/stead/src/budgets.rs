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
    let of_worker = NUMBERS_PER_WORKER + NUMBERS_PER_LISTENER * (listeners + 1);
    let (taken, tables) = if private_descriptors {
        (open + table::SPARE_NUMBERS + workers * NUMBERS_PER_WORKER + of_worker, workers)
    } else {
        (open + workers * of_worker, 1)
    };
    let share = Descriptors::share(descriptors_max().saturating_sub(taken as u64));
    let files = share.open_files + share.answers;
    if private_descriptors {
        process.set_worker_connections(share.connections);
        process.set_worker_files(files);
    }
    process.connections.set_limit(share.connections.saturating_mul(tables));
    process.open_files.set_limit(share.open_files.saturating_mul(tables));
    process.files.set_limit(files.saturating_mul(tables));
}

/// Descriptors that the process opens after its listeners: the lock, the admin socket, the event
/// loops of the background and of whoever waits for signals.
const NUMBERS_TO_COME: usize = 10;
/// Descriptors of a worker's event loop, and its socket of the admin listener.
const NUMBERS_PER_WORKER: usize = 6;
/// What a worker holds for a listener beside its socket: the one that it watches, and a spare one.
const NUMBERS_PER_LISTENER: usize = 2;

/// What the places for connections follow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// `descriptors` or `memory`.
    pub(crate) limited_by: &'static str,
    /// Whose limit of memory is the lowest, if memory is looked at.
    pub(crate) memory_of: Option<&'static str>,
}

/// Allows no more connections than fit into memory while they rest.
pub(crate) fn keep_within(process: &Process, memory: Option<&Memory>) -> Places {
    let lowest = memory.and_then(Memory::lowest);
    let by_memory = memory.map_or(usize::MAX, Memory::connections);
    let is_memory = process.connections.limit().is_none_or(|limit| by_memory < limit);
    if is_memory {
        process.connections.set_limit(by_memory);
    }
    let limited_by = if is_memory { "memory" } else { "descriptors" };
    Places { limited_by, memory_of: lowest.map(|lowest| lowest.of) }
}

/// What the descriptors of this process are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptors {
    connections: usize,
    /// Files that caches keep open.
    open_files: usize,
    /// Files of answers under way that no cache keeps.
    answers: usize,
}

impl Descriptors {
    /// Of those that are free, most are for connections; some for files, and some are held back for
    /// files being opened, the access log and connections to the admin socket.
    ///
    /// Answers share a file while any of them is under way, and have what caches leave besides: so
    /// a sixteenth is for different large files sent at once, not for visitors. A process with
    /// few descriptors gives four for it and keeps nearly all of its connections; one with many
    /// may serve a large collection.
    fn share(free: u64) -> Self {
        let all = usize::try_from(free).unwrap_or(usize::MAX);
        let open_files = (all / 16).clamp(4, 4096);
        let answers = (all / 16).clamp(4, 65_536);
        let rest = (all / 8).clamp(8, 128);
        let connections = all.saturating_sub(open_files + answers + rest).max(1);
        Self { connections, open_files, answers }
    }
}

/// How many descriptors this process may hold.
pub(crate) fn descriptors_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}
