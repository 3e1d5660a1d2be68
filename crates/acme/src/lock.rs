//! A lock that processes share: one orders, the others wait and then read what it stored.
//!
//! flock(2) on a file that is never removed: it ends with its holder, so that a process which was
//! killed leaves none behind, and no second file can take the place of a locked one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock ends with its descriptor")] File);

impl Lock {
    /// Takes the lock at `path`, unless somebody holds it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let first = Lock::take(&path).expect("opens").expect("free");
        assert!(Lock::take(&path).expect("opens").is_none());
        drop(first);
        assert!(Lock::take(&path).expect("opens").is_some());
    }

    #[test]
    fn another_process_keeps_us_out_until_it_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        // flock(1) is of util-linux, which every Debian has.
        let mut holder = Command::new("flock")
            .arg("--no-fork")
            .arg(&path)
            .args(["sh", "-c", "echo held; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("flock runs");
        let mut said = [0; 5];
        io::Read::read_exact(holder.stdout.as_mut().expect("piped"), &mut said).expect("says");
        assert!(Lock::take(&path).expect("opens").is_none(), "held by another process");
        holder.kill().expect("kills");
        holder.wait().expect("ends");
        let free = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            Lock::take(&path).expect("opens")
        });
        assert!(free.is_some(), "a lock of a dead process is no lock");
    }

    #[test]
    fn security_a_lock_that_is_a_symlink_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).expect("links");
        assert!(Lock::take(&path).is_err());
    }
}
