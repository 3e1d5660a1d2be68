//! The directory of a running Stead: its admin socket, and the lock that keeps a second one of the
//! same configuration out.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::check::Checked;

/// Where a Stead of one name keeps its socket and lock.
#[derive(Clone, Debug)]
pub struct Runtime {
    directory: PathBuf,
}

/// Why the runtime directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Another process of the same configuration runs.
    #[error("this configuration runs already{}: stop it first with `stead stop`", by(*.pid))]
    Taken {
        /// Its process id, where it left one.
        pid: Option<u32>,
    },
    /// The directory belongs to somebody else: what is in it could be a trap.
    #[error("{} belongs to another user", .0.display())]
    Foreign(PathBuf),
    /// Others may write into the directory.
    #[error("{} may be written by others: take that right from them", .0.display())]
    Shared(PathBuf),
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" as process {pid}"))
}

impl Runtime {
    /// The place for the configuration at `path`: `$RUNTIME_DIRECTORY`, else `/run/stead/NAME` as
    /// root, else `$XDG_RUNTIME_DIR/stead/NAME`, else `stead-UID-NAME` in the temporary directory.
    pub fn of(checked: &Checked, path: &Path) -> Self {
        let name = checked.name.clone().unwrap_or_else(|| default_name(path));
        Self { directory: directory(&name) }
    }

    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// Makes the directory and takes the lock, held until the result is dropped.
    ///
    /// # Errors
    /// Another process holds it, or the directory is not ours.
    pub fn take(&self) -> Result<File, RuntimeError> {
        let system = |path: &Path| {
            let path = path.to_owned();
            move |source| RuntimeError::System { path, source }
        };
        make_own(&self.directory).map_err(system(&self.directory))?;
        let facts = fs::symlink_metadata(&self.directory).map_err(system(&self.directory))?;
        if facts.uid() != rustix::process::geteuid().as_raw() || !facts.is_dir() {
            return Err(RuntimeError::Foreign(self.directory.clone()));
        }
        // SECURITY: where others may write, what lies there may be a trap.
        if facts.mode() & 0o022 != 0 {
            return Err(RuntimeError::Shared(self.directory.clone()));
        }
        let path = self.directory.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(&path)
            .map_err(system(&path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let read = (&mut lock).take(16).read_to_string(&mut pid);
            let pid = read.ok().and_then(|_| pid.trim().parse().ok());
            return Err(RuntimeError::Taken { pid });
        }
        lock.set_len(0).map_err(system(&path))?;
        writeln!(lock, "{}", std::process::id()).map_err(system(&path))?;
        Ok(lock)
    }
}

/// A lock that is a symlink would have us write to what it names.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Makes the directory for this user alone, unless it exists; parents as the system makes them.
fn make_own(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The name of a configuration that has none: its directory's name and a digest of its path, so
/// that two files never meet.
pub fn default_name(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().and_then(Path::file_name).unwrap_or_default();
    let is_plain =
        |character: &char| character.is_ascii_alphanumeric() || "-_".contains(*character);
    let word: String = directory.to_string_lossy().chars().filter(is_plain).take(32).collect();
    let word = if word.is_empty() { "stead" } else { &word };
    format!("{word}-{:08x}", digest(path.as_os_str().as_encoded_bytes()))
}

/// FNV-1a, folded to 32 bits: only to tell paths apart.
fn digest(bytes: &[u8]) -> u32 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    (hash ^ hash >> 32) as u32
}

fn directory(name: &str) -> PathBuf {
    if let Some(directories) = non_empty("RUNTIME_DIRECTORY") {
        // systemd lists several with colons between them; the first is ours.
        let first = directories.as_encoded_bytes().split(|byte| *byte == b':').next();
        return PathBuf::from(std::ffi::OsStr::from_bytes(first.unwrap_or_default()));
    }
    if rustix::process::geteuid().is_root() {
        return Path::new("/run/stead").join(name);
    }
    if let Some(directory) = non_empty("XDG_RUNTIME_DIR") {
        return Path::new(&directory).join("stead").join(name);
    }
    // In one step below a sticky directory: nobody else can swap it once it is ours.
    let user = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("stead-{user}-{name}"))
}

fn non_empty(variable: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_never_share_a_name() {
        assert_ne!(
            default_name(Path::new("/a/stead.toml")),
            default_name(Path::new("/b/stead.toml"))
        );
        assert!(default_name(Path::new("/srv/my shop/stead.toml")).starts_with("myshop-"));
    }

    #[test]
    fn a_second_instance_is_refused_with_the_first_ones_pid() {
        let parent = tempfile::tempdir().expect("a directory");
        let runtime = Runtime { directory: parent.path().join("web") };
        let first = runtime.take().expect("free");
        let error = runtime.take().expect_err("taken");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        runtime.take().expect("free again");
    }
}
