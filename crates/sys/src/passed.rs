//! What whoever started this process passed on: descriptors at agreed numbers, and the variables of
//! the environment that announce them.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

/// Takes variables out of this process's environment, and so out of its children's. Says whether it
/// did: while another thread runs they stay, since that one may be reading the environment.
pub fn remove_variables(names: &[&str]) -> bool {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if alone {
        for name in names {
            // SAFETY: this is the only thread, so that nobody reads the environment meanwhile.
            unsafe { std::env::remove_var(name) };
        }
    }
    alone
}

/// Takes over `count` descriptors from `first` on, which were open when the process started and
/// which nothing else in it knows; children do not inherit them. At most once in a process.
///
/// # Errors
/// One of them is not open, or they were taken before; then none is taken over.
pub fn take(first: usize, count: usize) -> io::Result<Vec<OwnedFd>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("they were taken before"));
    }
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let first = RawFd::try_from(first).map_err(invalid)?;
    let end = first.saturating_add(RawFd::try_from(count).map_err(invalid)?);
    for number in first..end {
        // SAFETY: borrowed for one call, which fails where the descriptor is not open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl_setfd(descriptor, FdFlags::CLOEXEC).map_err(|error| {
            io::Error::new(error.kind(), format!("descriptor {number}: {error}"))
        })?;
    }
    // SAFETY: each is open, as was just seen, and has no other owner: it was passed for us to own,
    // and `TAKEN` lets this happen once.
    Ok((first..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}

/// A descriptor has one owner: what was taken is not taken again.
static TAKEN: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_is_not_taken_and_nothing_is_taken_twice() {
        assert!(take(3, 0).expect("nothing is asked for").is_empty());
        let error = take(1_000_000, 1).expect_err("not open");
        assert!(error.to_string().contains("descriptor 1000000"), "{error}");
        assert!(take(1_000_000, 1).expect_err("a second time").to_string().contains("before"));
    }

    #[test]
    fn the_environment_stays_while_others_may_read_it() {
        // The test harness has threads of its own.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        assert!(!remove_variables(&["PATH"]));
        drop(stop);
        let _ = other.join();
        assert!(std::env::var_os("PATH").is_some());
    }
}
