//! A table of descriptors for one thread, on machines whose limit of descriptors cannot be raised:
//! the limit counts for each table.
//!
//! Threads that a thread starts after it parted share its table. Source: unshare(2) `CLONE_FILES`.
//!
//! INVARIANT: a number means the same thing in two tables only if it was open when they parted and
//! is what wakes an event loop. Everything else that owns a descriptor stays with the threads of
//! one table: dropped elsewhere it would close, and used elsewhere it would reach, whatever has its
//! number there.
//!
//! SECURITY: what wakes an event loop writes to a number of the caller's table. One made after the
//! tables parted would write into whatever has that number here, a client's socket perhaps. So the
//! lowest numbers of a table that parted are taken by something that refuses every byte, and what
//! other tables open later has low numbers.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{SocketAddrUnix, getpeername, getsockname, sockopt};
use rustix::thread::UnshareFlags;

/// Numbers that are taken beyond as many as are in use when tables part: room for what the other
/// threads of the process open later.
pub const SPARE_NUMBERS: usize = 64;

/// Gives the calling thread a table of its own, with `own` in it, the standard streams and what
/// wakes event loops; copies of anything else are closed. Gives the number below which all are
/// taken.
///
/// Every event loop of the process must have been made before, and whatever else this thread goes
/// on using must be in `own`. What it owns already and what it is given from here on must not leave
/// the threads that share its table.
///
/// # Errors
/// The kernel refuses, or `/proc` is not there. The thread must end then.
pub fn part(own: &[BorrowedFd<'_>]) -> io::Result<usize> {
    // SAFETY: which descriptors may cross from one table to another is the caller's part, told
    // above; this thread has none but `own` after the copies are closed.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES)? };
    let numbers = open_numbers()?;
    for number in &numbers {
        let is_own = own.iter().any(|known| known.as_raw_fd() == *number);
        if *number > STANDARD_MAX && !is_own && !wakes_a_loop(*number) {
            close(*number);
        }
    }
    // The kernel gives the lowest free number, so that what is opened later elsewhere lies below.
    take_numbers_below(numbers.len() + SPARE_NUMBERS)
}

/// Closes this table's copies of descriptors whose owners are in tables that parted from it.
///
/// `numbers` must have no owner among the threads of this table.
pub fn close_copies(numbers: &[RawFd]) {
    for number in numbers {
        close(*number);
    }
}

/// How many descriptors are open in this thread's table.
///
/// # Errors
/// `/proc` is not there.
pub fn open_count() -> io::Result<usize> {
    Ok(open_numbers()?.len())
}

const STANDARD_MAX: RawFd = 2;
const TABLE: &str = "/proc/thread-self/fd";

fn open_numbers() -> io::Result<Vec<RawFd>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(TABLE)? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// What other threads write to, or the kernel reads, to wake an event loop: event counters, epoll
/// sets, and the pairs of sockets by which signals arrive.
fn wakes_a_loop(number: RawFd) -> bool {
    let link = fs::read_link(format!("{TABLE}/{number}")).unwrap_or_default();
    if matches!(link.to_str(), Some("anon_inode:[eventfd]" | "anon_inode:[eventpoll]")) {
        return true;
    }
    // SAFETY: borrowed for the calls below; only this thread uses this table, so that nothing
    // closes it meanwhile, and a call on a number that is not open fails.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    is_pair(descriptor).unwrap_or(false)
}

/// Whether it is one of a pair of unix sockets without a name.
fn is_pair(descriptor: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let facts = rustix::fs::fstat(descriptor)?;
    if !FileType::from_raw_mode(facts.st_mode).is_socket() {
        return Ok(false);
    }
    let is_connected = !sockopt::socket_acceptconn(descriptor)? && getpeername(descriptor).is_ok();
    let name = getsockname(descriptor)?;
    let is_unnamed = |name: SocketAddrUnix| name.path_bytes().is_none_or(<[u8]>::is_empty);
    Ok(is_connected && SocketAddrUnix::try_from(name).is_ok_and(is_unnamed))
}

/// Takes every free number below `end`; gives `end`.
fn take_numbers_below(end: usize) -> io::Result<usize> {
    // A path descriptor can be neither read nor written.
    let refuses = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // Each number stays taken for as long as the table lives.
    let refuses = ManuallyDrop::new(refuses);
    loop {
        let copy = rustix::io::fcntl_dupfd_cloexec(refuses.as_fd(), 0)?;
        if copy.as_raw_fd() as usize >= end {
            return Ok(end);
        }
        let _ = copy.into_raw_fd();
    }
}

fn close(number: RawFd) {
    // SAFETY: the number has no owner in this table, as the callers say; one that is not open, as
    // that of the listing itself, is passed over.
    unsafe { libc::close(number) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::mpsc::channel;
    use std::thread;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::Errno;

    fn borrow(number: RawFd) -> BorrowedFd<'static> {
        // SAFETY: used for one call at a time, which fails where the number is not open.
        unsafe { BorrowedFd::borrow_raw(number) }
    }

    fn is_open(number: RawFd) -> bool {
        rustix::io::fcntl_getfd(borrow(number)).is_ok()
    }

    #[test]
    fn a_thread_that_parts_keeps_its_own_and_what_wakes_others() {
        let (mut ours, own) = UnixStream::pair().expect("a pair");
        let other = File::create("/dev/null").expect("a file").into_raw_fd();
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a listener");
        let bell = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
        let (listening, rings) = (listener.as_raw_fd(), bell.as_raw_fd());
        let number = own.as_raw_fd();
        let parted = thread::spawn(move || {
            let mut own = own;
            let used = part(&[own.as_fd()]).expect("parts");
            for number in [other, listening] {
                assert_eq!(rustix::io::write(borrow(number), b"x"), Err(Errno::BADF));
            }
            rustix::io::write(borrow(rings), &1_u64.to_ne_bytes()).expect("rings");
            // What shares the table shares it, and the lowest numbers are taken.
            let next = thread::spawn(|| File::open("/dev/null").expect("a file").as_raw_fd());
            assert_eq!(next.join().expect("no panic") as usize, used);
            own.write_all(b"hello").expect("still connected");
        });
        parted.join().expect("no panic");
        assert!(is_open(other) && is_open(listening) && is_open(number));
        let mut rung = [0; 8];
        rustix::io::read(&bell, &mut rung).expect("rung");
        assert_eq!(u64::from_ne_bytes(rung), 1);
        // The copy here keeps the pair connected, until it is closed.
        close_copies(&[number, other]);
        assert!(!is_open(number) && !is_open(other));
        let mut told = String::new();
        ours.read_to_string(&mut told).expect("an end");
        assert_eq!(told, "hello");
    }

    #[test]
    fn what_one_table_opens_later_is_nothing_to_write_to_in_another() {
        let (go, gone) = channel::<RawFd>();
        let (ready, is_ready) = channel();
        let parted = thread::spawn(move || {
            part(&[]).expect("parts");
            let mut copies = open_numbers().expect("a list");
            copies.retain(|number| wakes_a_loop(*number));
            ready.send(copies).expect("somebody waits");
            let late = gone.recv().expect("a number");
            let _sockets: Vec<_> = (0..64).map(|_| UnixStream::pair()).collect();
            rustix::io::write(borrow(late), &1_u64.to_ne_bytes())
        });
        // Pairs of other tests were copied, and their numbers may be free here by now.
        let copies = is_ready.recv().expect("parted");
        let made = std::iter::repeat_with(|| eventfd(0, EventfdFlags::NONBLOCK).expect("made"));
        let mut made: Vec<_> = made.take(copies.len() + 1).collect();
        let is_new = |bell: &OwnedFd| !copies.contains(&bell.as_raw_fd());
        let late = made.swap_remove(made.iter().position(is_new).expect("one more than copies"));
        go.send(late.as_raw_fd()).expect("it waits");
        assert_eq!(parted.join().expect("no panic"), Err(Errno::BADF));
    }
}
