//! Contexts of one worker, lent and given back.
//!
//! Reached through a scratch place of the worker, so that a worker that has been quiet forgets
//! them; those that are lent meanwhile come back to a pool that nobody else holds, and go with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stead_core::Result;
use stead_http1::coding::Coding;

use super::encoder::{Encoder, Step};

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
    streams: Arc<Streams>,
    streams_max: usize,
    /// What is compressed at once: the content read from a file, and what comes of it.
    plain: RefCell<Vec<u8>>,
    coded: RefCell<Vec<u8>>,
}

/// Contexts kept at rest: a worker compresses one body at a time, and streams seldom end together.
const IDLE_MAX: usize = 6;
/// Streams at once, for each worker; see the module's documentation for what each holds.
const STREAMS_PER_WORKER: usize = 128;

/// Streams under way in the process. SECURITY: not counted by the pool, of which each `compress`
/// has one on each worker, and which a quiet worker forgets while streams that it lent to go on.
#[derive(Debug, Default)]
pub(super) struct Streams(AtomicUsize);

/// One of them, until it is dropped.
struct Place(Arc<Streams>);

impl Place {
    fn among(streams: &Arc<Streams>, max: usize) -> Option<Self> {
        let place = Self(Arc::clone(streams));
        (streams.0.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(levels: Levels, streams: &Arc<Streams>, workers: usize) -> Self {
        Self {
            levels,
            idle: RefCell::default(),
            streams: Arc::clone(streams),
            streams_max: workers * STREAMS_PER_WORKER,
            plain: RefCell::default(),
            coded: RefCell::default(),
        }
    }

    /// A context for a stream; none where too many are under way.
    pub(super) fn lend(self: &Rc<Self>, coding: Coding, length: Option<u64>) -> Option<Lent> {
        let place = Place::among(&self.streams, self.streams_max)?;
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
            None => Encoder::new(coding, self.levels)?,
        };
        encoder.begin(length)?;
        Ok(encoder)
    }

    fn reclaim(&self, encoder: Encoder) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
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
