//! A file held open while it is served, with the facts that it was opened with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stead_base::Tick;
use stead_sys::file::{self, FileFacts};

/// An open regular file.
pub struct OpenFile {
    descriptor: OwnedFd,
    facts: FileFacts,
    /// Milliseconds of the tick until which the file counts as resident in memory.
    resident_until: AtomicU64,
}

/// How long a file that was found in the page cache is taken to be there: hot files pay no check.
const RESIDENT_FOR: Duration = Duration::from_secs(1);

impl OpenFile {
    /// Holds `descriptor`, whose facts were read when it was opened.
    pub fn new(descriptor: OwnedFd, facts: FileFacts) -> Self {
        Self { descriptor, facts, resident_until: AtomicU64::new(0) }
    }

    /// Size, times and identity when it was opened.
    pub fn facts(&self) -> &FileFacts {
        &self.facts
    }

    /// Whether size and modification time are still those of the opening.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        let now = file::facts(self.descriptor.as_fd())?;
        Ok(now.size == self.facts.size && now.modified == self.facts.modified)
    }

    /// Whether the file was found resident less than a second ago.
    pub fn is_resident(&self, now: Tick) -> bool {
        now.as_millis() < self.resident_until.load(Ordering::Relaxed)
    }

    /// Remembers that all of the file was found resident.
    pub fn set_resident(&self, now: Tick) {
        self.resident_until.store((now + RESIDENT_FOR).as_millis(), Ordering::Relaxed);
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
