//! Contexts of one worker, lent and given back.
//!
//! Reached through a scratch place of the worker, so that a worker that has been quiet forgets
//! them; those that are lent meanwhile come back to a pool that nobody else holds, and go with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stead_core::{Level, Process, Result};
use stead_http1::coding::Coding;

use super::encoder::{Encoder, Step};
use super::memory::Shelf;

/// How hard each coding tries.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    pub(super) zstd: u8,
    pub(super) br: u8,
    pub(super) gzip: u8,
}

/// Contexts at rest.
pub(super) struct Pool {
    levels: Levels,
    idle: RefCell<Vec<Encoder>>,
    shelf: Shelf,
    streams: Arc<Streams>,
    process: Arc<Process>,
    /// What is compressed at once: the content read from a file, and what comes of it.
    plain: RefCell<Vec<u8>>,
    coded: RefCell<Vec<u8>>,
}

/// Contexts kept at rest: a worker compresses one body at a time, and streams seldom end together.
const IDLE_MAX: usize = 6;
/// Bytes that those hold together; the first may hold more.
const IDLE_BYTES_MAX: usize = 8 << 20;
/// Streams at once, for each worker.
const STREAMS_PER_WORKER: usize = 128;
/// What contexts of streams may hold of the process's memory: one of so many parts.
const MEMORY_PARTS: u64 = 16;
/// The same for each worker, in bytes, at most and where nobody knows how much memory there is.
const WORKER_BYTES_MAX: u64 = 64 << 20;

/// Streams under way in the process, and the bytes that their contexts hold or will. SECURITY: not
/// counted by the pool, of which each `compress` has one on each worker, and which a quiet worker
/// forgets while streams that it lent to go on.
#[derive(Debug, Default)]
pub(super) struct Streams {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// One of them, until it is dropped.
struct Place {
    streams: Arc<Streams>,
    bytes: usize,
}

impl Place {
    /// One for a context that will hold so many bytes; the first always finds room.
    fn among(streams: &Arc<Streams>, bytes: usize, process: &Process) -> Option<Self> {
        let order = Ordering::Relaxed;
        let place = Self { streams: Arc::clone(streams), bytes };
        let is_in_number = streams.count.fetch_add(1, order) < streams_max(process);
        let others = streams.bytes.fetch_add(bytes, order);
        let fits = others == 0 || others + bytes <= bytes_max(process);
        (is_in_number && fits).then_some(place)
    }

    /// Counts what the context does hold.
    fn settle(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.streams.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.streams.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.count.fetch_sub(1, Ordering::Relaxed);
        self.streams.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn streams_max(process: &Process) -> usize {
    process.workers() * STREAMS_PER_WORKER
}

fn bytes_max(process: &Process) -> usize {
    let most = process.workers() as u64 * WORKER_BYTES_MAX;
    let bytes = match process.pressure.memory().max {
        0 => most,
        max => most.min(max / MEMORY_PARTS),
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Whether a stream may have a context of this coding, as near as the process is to its budgets.
fn is_affordable(coding: Coding, level: Level) -> bool {
    match level {
        Level::Calm => true,
        Level::Tight => coding == Coding::Gzip,
        Level::Scarce | Level::Overloaded => false,
    }
}

impl Pool {
    pub(super) fn new(levels: Levels, streams: &Arc<Streams>, process: &Arc<Process>) -> Self {
        Self {
            levels,
            idle: RefCell::default(),
            shelf: Shelf::default(),
            streams: Arc::clone(streams),
            process: Arc::clone(process),
            plain: RefCell::default(),
            coded: RefCell::default(),
        }
    }

    /// A context for a stream; none where too many are under way, or hold too much.
    pub(super) fn lend(self: &Rc<Self>, coding: Coding, length: Option<u64>) -> Option<Lent> {
        if !is_affordable(coding, self.process.level()) {
            return None;
        }
        let bytes = Encoder::expected_bytes(coding, self.levels, length);
        let place = Place::among(&self.streams, bytes, &self.process)?;
        let encoder = self.begin(coding, length).ok()?;
        Some(Lent { held: Some((encoder, place)), pool: Rc::clone(self) })
    }

    /// Compresses content that is at hand.
    pub(super) fn encode(&self, coding: Coding, plain: &[u8]) -> Option<std::cell::Ref<'_, [u8]>> {
        let mut encoder = self.begin(coding, Some(plain.len() as u64)).ok()?;
        let mut coded = self.coded.borrow_mut();
        coded.clear();
        let result = finish(&mut encoder, plain, &mut coded);
        drop(coded);
        self.reclaim(encoder);
        result.ok()?;
        Some(std::cell::Ref::map(self.coded.borrow(), Vec::as_slice))
    }

    /// The same for content of `length` bytes that `read` can fetch without waiting.
    pub(super) fn encode_from(
        &self,
        coding: Coding,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<std::cell::Ref<'_, [u8]>> {
        let mut plain = self.plain.borrow_mut();
        if plain.len() < length {
            plain.resize(length, 0);
        }
        let plain = plain.get_mut(..length)?;
        read(plain)?;
        self.encode(coding, plain)
    }

    fn begin(&self, coding: Coding, length: Option<u64>) -> Result<Encoder> {
        let mut idle = self.idle.borrow_mut();
        let rested = idle.iter().rposition(|encoder| encoder.coding() == coding);
        let mut encoder = match rested {
            Some(index) => idle.swap_remove(index),
            None => Encoder::new(coding, self.levels, &self.shelf)?,
        };
        encoder.begin(length)?;
        Ok(encoder)
    }

    fn reclaim(&self, mut encoder: Encoder) {
        encoder.rest();
        let mut idle = self.idle.borrow_mut();
        let bytes = idle.iter().map(Encoder::held_bytes).sum::<usize>() + encoder.held_bytes();
        if idle.is_empty() || (idle.len() < IDLE_MAX && bytes <= IDLE_BYTES_MAX) {
            idle.push(encoder);
        }
    }
}

fn finish(encoder: &mut Encoder, mut plain: &[u8], coded: &mut Vec<u8>) -> Result<()> {
    // With this much room zstd needs no buffers of its own.
    coded.reserve(zstd::zstd_safe::compress_bound(plain.len()));
    while !encoder.encode(&mut plain, Step::Finish, coded)? {
        coded.reserve(4 << 10);
    }
    Ok(())
}

/// A context, until it is dropped.
pub(super) struct Lent {
    held: Option<(Encoder, Place)>,
    pool: Rc<Pool>,
}

impl Lent {
    /// The context; none once it was given back.
    pub(super) fn encoder(&mut self) -> Option<&mut Encoder> {
        self.held.as_mut().map(|(encoder, _)| encoder)
    }

    /// Whether it was not given back.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Counts what it holds, now that it has compressed.
    pub(super) fn settle(&mut self) {
        if let Some((encoder, place)) = &mut self.held {
            place.settle(encoder.held_bytes());
        }
    }

    /// Gives it back early.
    pub(super) fn release(&mut self) {
        if let Some((encoder, _place)) = self.held.take() {
            self.pool.reclaim(encoder);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.release();
    }
}
