//! A lock that processes share: flock(2) on a file of its own. It ends with its holder, so that a
//! process which was killed leaves none behind.
//!
//! INVARIANT: what is locked is the file that lies at the path, never one that was removed or
//! renamed meanwhile, and never what a symbolic link names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Held until it is dropped. Its file stays; only its holder may remove it.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock at `path`, unless somebody holds it.
    ///
    /// # Errors
    /// The file cannot be made or locked; `NotFound` where its directory is not there.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..TRIES {
            let Some(file) = open(path)? else { continue };
            if !try_lock(&file)? {
                return Ok(None);
            }
            if lies_at(&file, path) {
                return Ok(Some(Self(file)));
            }
        }
        Err(io::Error::other("others remove it again and again"))
    }

    /// Leaves a text in its file, in place of the one before.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all(text)
    }
}

/// How often a lock is taken that others remove as they end.
const TRIES: usize = 16;

/// Opens or makes the file; `None` where it went meanwhile.
fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    // First as a new one: that follows no link.
    match options.create_new(true).open(path) {
        Ok(file) => return Ok(Some(file)),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    let opened = match fs::symlink_metadata(path) {
        // SECURITY: behind a link there may be anybody's file.
        Ok(facts) if !facts.is_file() => return Err(io::Error::other("it is no regular file")),
        Ok(_) => options.create_new(false).open(path),
        Err(error) => Err(error),
    };
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Locks a file, unless somebody else does.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an open file is what lies at `path` itself.
pub(crate) fn lies_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(found)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (held.dev(), held.ino()) == (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn one_holds_it_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.lock");
        let first = Lock::take(&path).expect("opens").expect("free");
        assert!(Lock::take(&path).expect("opens").is_none());
        drop(first);
        assert!(Lock::take(&path).expect("opens").is_some());
    }

    #[test]
    fn one_that_was_removed_locks_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.lock");
        let first = Lock::take(&path).expect("opens").expect("free");
        fs::remove_file(&path).expect("removes");
        assert!(!lies_at(&first.0, &path));
        let second = Lock::take(&path).expect("opens").expect("another file");
        assert!(!lies_at(&first.0, &path) && lies_at(&second.0, &path));
    }

    #[test]
    fn its_text_takes_the_place_of_the_one_before() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.lock");
        for text in ["a longer one", "short"] {
            let mut lock = Lock::take(&path).expect("opens").expect("free");
            lock.write(text.as_bytes()).expect("writes");
            assert_eq!(crate::read_regular(&path, 99).expect("reads"), text.as_bytes());
        }
    }

    #[test]
    fn security_a_link_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, other) = (directory.path().join("a.lock"), directory.path().join("other"));
        std::os::unix::fs::symlink(&other, &link).expect("links");
        Lock::take(&link).expect_err("a link");
        assert!(!other.exists(), "nothing was made behind it");
        fs::write(&other, "precious").expect("writes");
        Lock::take(&link).expect_err("a link");
        assert_eq!(crate::read_regular(&other, 99).expect("reads"), b"precious");
    }

    #[test]
    fn another_process_keeps_us_out_until_it_is_killed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.lock");
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
}
