//! Writing a file as a whole: whoever reads it, also after a crash, finds the one before or the new
//! one, never a part.
//!
//! Written beside its place, as `NAME.new`, synced, renamed, and the directory synced. Its writer
//! holds a lock on it meanwhile, so that what a killed one left behind can be told from what is
//! being written: the next writer removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lock::{lies_at, try_lock};

/// Puts `content` in place of what is at `path`; `mode` is the file's, less what the umask takes.
///
/// # Errors
/// It could not be written, or another process writes it all the time; what was there before is
/// untouched. Only where syncing its directory fails the new file is in place all the same.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = begin(&new, mode, TRIES)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| fs::rename(&new, path));
    if placed.is_err() {
        // What is left of it is of no use to anybody.
        let _ = fs::remove_file(&new);
    }
    placed?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes the new file, locked. SECURITY: always a file of our own making, never one that lay there.
fn begin(new: &Path, mode: u32, tries: u32) -> io::Result<File> {
    for _ in 0..tries {
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(new) {
            Ok(file) => {
                // Before it was locked, another writer may have taken it for left behind.
                if try_lock(&file)? && lies_at(&file, new) {
                    return Ok(file);
                }
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => remove_left(new)?,
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "others write it all the time"))
}

/// Writing a file takes far less than all of them together.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// Removes what lies where the new file belongs, unless somebody writes it just now.
fn remove_left(new: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(new) {
        Ok(facts) if facts.is_file() => {
            // For writing, which some file systems ask of who locks.
            OpenOptions::new().write(true).open(new).and_then(|left| {
                let is_left = try_lock(&left)? && lies_at(&left, new);
                if is_left { fs::remove_file(new) } else { Ok(()) }
            })
        }
        Ok(_) => Err(io::Error::other(format!("{} is no regular file", new.display()))),
        Err(error) => Err(error),
    };
    match removed {
        // Its writer was done meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn text(path: &Path) -> String {
        String::from_utf8(crate::read_regular(path, 1 << 20).expect("reads")).expect("text")
    }

    #[test]
    fn the_new_content_takes_the_place_of_the_old_with_its_mode() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key.pem");
        for content in ["first", "second"] {
            replace(&path, content.as_bytes(), 0o600).expect("writes");
            assert_eq!(text(&path), content);
        }
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 1);
    }

    /// A killed writer's file once stayed for ever, and kept the next one of its process id out.
    #[test]
    fn what_a_killed_writer_left_is_in_nobodys_way() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.pem");
        fs::write(directory.path().join("a.pem.new"), "half of a").expect("writes");
        replace(&path, b"all of it", 0o600).expect("writes");
        assert_eq!(text(&path), "all of it");
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 1);
    }

    #[test]
    fn writers_come_one_after_the_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        let texts = ["a", "b", "c", "d"].map(|letter| letter.repeat(100_000));
        std::thread::scope(|scope| {
            for own in &texts {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..5 {
                        replace(path, own.as_bytes(), 0o600).expect("writes");
                        let found = text(path);
                        let first = &found[..1];
                        assert!(found == first.repeat(100_000), "a part of one");
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 1);
    }

    #[test]
    fn what_is_written_by_another_stays_and_so_does_the_old() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, new) = (directory.path().join("a"), directory.path().join("a.new"));
        fs::write(&path, "old").expect("writes");
        let writer = File::create(&new).expect("makes");
        writer.lock().expect("locks");
        let error = begin(&new, 0o600, 2).expect_err("busy");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(new.exists());
        assert_eq!(text(&path), "old");
    }

    #[test]
    fn security_what_lies_in_the_way_is_never_written_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("a"), directory.path().join("other"));
        fs::write(&other, "precious").expect("writes");
        std::os::unix::fs::symlink(&other, directory.path().join("a.new")).expect("links");
        let error = replace(&path, b"new", 0o600).expect_err("a link").to_string();
        assert!(error.ends_with("a.new is no regular file"), "{error}");
        assert_eq!(text(&other), "precious");
        assert!(!path.exists());
    }
}
