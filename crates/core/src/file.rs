//! Files held open while they are served, each with the facts that it was opened with.
//!
//! Answers under way hold files beside those that caches keep, for as long as their clients take to
//! read. So every file that is opened for a request goes through [`OpenFiles`] of its worker: the
//! same file is held once, and each takes a place of [`Process::files`].
//!
//! INVARIANT: a place is taken before a file is held and given back after its descriptor is closed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stead_base::Tick;
use stead_sys::file::{self, FileFacts};

use crate::Process;
use crate::process::FilePlace;

/// An open regular file.
pub struct OpenFile {
    descriptor: OwnedFd,
    facts: FileFacts,
    /// Milliseconds of the tick until which the file counts as resident in memory.
    resident_until: AtomicU64,
    /// Declared last, so that it is given back when the descriptor is closed.
    #[expect(dead_code, reason = "held for what dropping it gives back")]
    place: Option<Place>,
}

/// How long a file that was found in the page cache is taken to be there: hot files pay no check.
const RESIDENT_FOR: Duration = Duration::from_secs(1);

impl OpenFile {
    /// Holds `descriptor`, whose facts were read when it was opened. Beside every budget: for files
    /// that no request makes more of.
    pub fn new(descriptor: OwnedFd, facts: FileFacts) -> Self {
        Self { descriptor, facts, resident_until: AtomicU64::new(0), place: None }
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

/// The files that one worker holds open, for its caches and its answers. Not those of the process:
/// where each worker has a descriptor table of its own, another's number is another file.
#[derive(Debug)]
pub struct OpenFiles {
    process: Arc<Process>,
    /// Each as long as anything holds it. Locked where a file is opened and where it is closed.
    held: Mutex<HashMap<FileFacts, Weak<OpenFile>>>,
}

impl OpenFiles {
    /// None yet.
    pub fn new(process: Arc<Process>) -> Self {
        Self { process, held: Mutex::default() }
    }

    /// Holds `descriptor`, or what is held already of the same file in the same state, in place of
    /// which it is closed. None where the process may hold no more files.
    pub fn hold(self: &Arc<Self>, descriptor: OwnedFd, facts: FileFacts) -> Option<Arc<OpenFile>> {
        let mut held = self.lock();
        if let Some(file) = held.get(&facts).and_then(Weak::upgrade) {
            return Some(file);
        }
        if self.process.worker_is_full_of_files(held.len()) {
            return None;
        }
        let place = self.process.take_file()?;
        let place = Some(Place { files: Arc::clone(self), facts, place });
        let resident_until = AtomicU64::new(0);
        let file = Arc::new(OpenFile { descriptor, facts, resident_until, place });
        held.insert(facts, Arc::downgrade(&file));
        Some(file)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileFacts, Weak<OpenFile>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file takes of its worker's and the process's budget.
struct Place {
    files: Arc<OpenFiles>,
    facts: FileFacts,
    place: FilePlace,
}

/// An empty table keeps room for this many.
const ROOM_KEPT: usize = 64;

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.files.lock();
        // The same file may have been opened anew since the last holder of this one was gone.
        if held.get(&self.facts).is_some_and(|file| file.strong_count() == 0) {
            held.remove(&self.facts);
        }
        if held.is_empty() {
            held.shrink_to(ROOM_KEPT);
        }
        drop(held);
        self.files.process.release_file(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn open(path: &str) -> (OwnedFd, FileFacts) {
        let descriptor = OwnedFd::from(File::open(path).expect("a file"));
        let facts = file::facts(descriptor.as_fd()).expect("facts");
        (descriptor, facts)
    }

    fn of_limit(limit: usize) -> Arc<OpenFiles> {
        let process = Arc::new(Process::default());
        process.files.set_limit(limit);
        Arc::new(OpenFiles::new(process))
    }

    const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/file.rs");
    const THERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs");

    #[test]
    fn a_file_is_held_once_and_its_place_is_given_back_with_it() {
        let files = of_limit(1);
        let (descriptor, facts) = open(HERE);
        let first = files.hold(descriptor, facts).expect("a place");
        let (descriptor, facts) = open(HERE);
        let second = files.hold(descriptor, facts).expect("the same place");
        assert!(Arc::ptr_eq(&first, &second));
        let (descriptor, facts) = open(THERE);
        assert!(files.hold(descriptor, facts).is_none());
        drop(first);
        assert_eq!((files.process.files.held(), files.lock().len()), (1, 1));
        drop(second);
        assert_eq!((files.process.files.held(), files.lock().len()), (0, 0));
        let (descriptor, facts) = open(THERE);
        assert!(files.hold(descriptor, facts).is_some());
    }

    #[test]
    fn another_state_of_a_file_takes_a_place_of_its_own() {
        let files = of_limit(2);
        let (descriptor, facts) = open(HERE);
        let before = files.hold(descriptor, facts).expect("a place");
        let (descriptor, mut facts) = open(HERE);
        facts.modified += 1;
        let after = files.hold(descriptor, facts).expect("a place");
        assert!(!Arc::ptr_eq(&before, &after));
        assert_eq!(files.process.files.held(), 2);
    }

    #[test]
    fn a_worker_with_its_own_table_has_a_limit_of_its_own() {
        let files = of_limit(10);
        files.process.set_worker_files(1);
        let (descriptor, facts) = open(HERE);
        let held = files.hold(descriptor, facts);
        let (descriptor, facts) = open(THERE);
        assert!(held.is_some() && files.hold(descriptor, facts).is_none());
    }
}
