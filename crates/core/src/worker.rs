//! What a worker lends to the exchanges that it carries.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stead_base::Tick;
use stead_sys::clock;

use crate::exchange::Storage;
use crate::{Blocking, Counters, Fields, Local, OpenFiles, Pace, Pending, Process};

/// One worker: a thread with an event loop. Never shared between threads.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// The process it belongs to.
    pub process: Arc<Process>,
    /// The files that it holds open.
    pub files: Arc<OpenFiles>,
    /// Component state of this worker.
    pub local: Local,
    /// Turns of what computes for long.
    pub pace: Pace,
    blocking: Box<dyn Blocking>,
    buffers: RefCell<Vec<Vec<u8>>>,
    fields: RefCell<Vec<Fields>>,
    storage: RefCell<Vec<Storage>>,
    date: RefCell<Date>,
    numbers: Cell<u64>,
    random: Cell<u64>,
}

/// Buffers that a worker keeps at hand; more are freed. Few, so that a quiet worker holds little.
const BUFFERS_MAX: usize = 64;
/// Buffers that grew past this are freed, not kept: 64 KiB of output and one more frame of HTTP/2.
pub const BUFFER_BYTES_MAX: usize = 80 << 10;

struct Date {
    second: u64,
    text: [u8; 29],
}

impl Worker {
    /// A worker that sends blocking work to `blocking`.
    pub fn new(
        index: usize,
        process: Arc<Process>,
        counters: Arc<Counters>,
        blocking: Box<dyn Blocking>,
    ) -> Self {
        Self {
            index,
            files: Arc::new(OpenFiles::new(Arc::clone(&process))),
            counters,
            process,
            local: Local::default(),
            pace: Pace::default(),
            blocking,
            buffers: RefCell::default(),
            fields: RefCell::default(),
            storage: RefCell::default(),
            date: RefCell::new(Date { second: u64::MAX, text: [0; 29] }),
            numbers: Cell::new(0),
            random: Cell::new(RandomState::new().hash_one(index)),
        }
    }

    /// The coarse monotonic clock, in steps of about 4 ms.
    pub fn now(&self) -> Tick {
        clock::now()
    }

    /// The wall clock in whole seconds since 1970, in steps of about 4 ms.
    pub fn wall_seconds(&self) -> u64 {
        clock::wall().as_secs()
    }

    /// The current date as an IMF-fixdate (RFC 9110 §5.6.7), made once a second.
    pub fn date(&self) -> [u8; 29] {
        let second = self.wall_seconds();
        let mut date = self.date.borrow_mut();
        if date.second != second {
            let now = UNIX_EPOCH + std::time::Duration::from_secs(second);
            date.text = imf_fixdate(now);
            date.second = second;
        }
        date.text
    }

    /// An empty buffer, from the pool where it has one.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn reclaim_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() > 0
            && buffer.capacity() <= BUFFER_BYTES_MAX
            && buffers.len() < BUFFERS_MAX
        {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Empty fields, from the pool where it has some.
    pub fn fields(&self) -> Fields {
        self.fields.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes fields back.
    pub fn reclaim_fields(&self, mut fields: Fields) {
        let mut pool = self.fields.borrow_mut();
        if pool.len() < BUFFERS_MAX {
            fields.clear();
            pool.push(fields);
        }
    }

    /// Storage for an exchange, from the pool where it has some.
    pub(crate) fn storage(&self) -> Storage {
        self.storage.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes storage back.
    pub(crate) fn reclaim_storage(&self, mut storage: Storage) {
        let mut pool = self.storage.borrow_mut();
        if pool.len() < BUFFERS_MAX {
            storage.clear();
            pool.push(storage);
        }
    }

    /// Frees what the pools hold: called when the worker has been quiet.
    pub fn trim(&self) {
        self.local.trim();
        *self.buffers.borrow_mut() = Vec::new();
        *self.fields.borrow_mut() = Vec::new();
        *self.storage.borrow_mut() = Vec::new();
    }

    /// Runs `work` on the blocking pool.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pending<T> {
        Pending::start(&*self.blocking, work)
    }

    /// A pseudo-random number, `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): for sampling, jitter
    /// and names, not for secrets.
    pub fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut number = self.random.get();
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    /// A number that no two calls on this worker share.
    pub fn next_number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }
}

fn imf_fixdate(time: SystemTime) -> [u8; 29] {
    let mut text = [b' '; 29];
    let written = httpdate::fmt_http_date(time);
    if written.len() == text.len() {
        text.copy_from_slice(written.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_29_bytes() {
        assert_eq!(&imf_fixdate(UNIX_EPOCH), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
