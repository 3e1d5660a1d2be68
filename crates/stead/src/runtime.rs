//! The directory of a running Stead: its admin socket, and the lock that keeps a second one of the
//! same configuration out.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stead_disk::{Lock, make_directory, read_regular, short_digest};
use stead_net::Listening;

use crate::check::Checked;

/// Where a Stead of one name keeps its socket and lock.
#[derive(Clone, Debug)]
pub struct Runtime {
    directory: PathBuf,
    /// Made and removed by whoever started us.
    is_given: bool,
}

/// The lock of the directory, held until it is dropped; then it is removed, with the directory if
/// that is ours.
#[derive(Debug)]
pub(crate) struct RuntimeLock {
    _lock: Lock,
    path: PathBuf,
    directory: Option<PathBuf>,
}

impl Drop for RuntimeLock {
    fn drop(&mut self) {
        remove_lock(&self.path, self.directory.as_deref());
    }
}

/// Paths that an end at once would leave behind.
#[derive(Clone, Debug)]
pub struct Leftovers {
    listening: Vec<Listening>,
    lock: Option<(PathBuf, Option<PathBuf>)>,
}

impl Leftovers {
    pub(crate) fn new(listening: Vec<Listening>, lock: Option<&RuntimeLock>) -> Self {
        let lock = lock.map(|lock| (lock.path.clone(), lock.directory.clone()));
        Self { listening, lock }
    }

    /// Removes them; the process must end next.
    pub fn remove(&self) {
        self.listening.iter().for_each(Listening::release);
        if let Some((lock, directory)) = &self.lock {
            remove_lock(lock, directory.as_deref());
        }
    }
}

/// Called while the lock is held, so that nobody else's is removed.
fn remove_lock(path: &Path, directory: Option<&Path>) {
    // Gone already is as good; a directory in which somebody put something stays.
    let _ = fs::remove_file(path);
    if let Some(directory) = directory {
        let _ = fs::remove_dir(directory);
    }
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
    /// Another configuration of the same name runs.
    #[error(
        "{} runs under the same name{}: give one of them another `process.name`",
        .configuration.display(), by(*.pid)
    )]
    NameTaken {
        /// Its path.
        configuration: PathBuf,
        /// Its process id.
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
        let given = given_directory();
        Self { is_given: given.is_some(), directory: given.unwrap_or_else(|| directory(&name)) }
    }

    /// For root: the places of the same configuration as run by another user, who made them.
    pub fn of_other_users(checked: &Checked, path: &Path) -> Vec<Self> {
        let name = checked.name.clone().unwrap_or_else(|| default_name(path));
        let is_named = |place: &Self| {
            let last = place.directory.file_name().unwrap_or_default().to_string_lossy();
            last == name
                || last.strip_prefix("stead-").is_some_and(|rest| {
                    rest.split_once('-').is_some_and(|(user, rest)| {
                        rest == name && user.bytes().all(|byte| byte.is_ascii_digit())
                    })
                })
        };
        places().into_iter().filter(is_named).collect()
    }

    /// The admin sockets that lie where a Stead of this user keeps them; for root, of any user.
    pub fn sockets() -> Vec<PathBuf> {
        let sockets = places().into_iter().map(|place| place.socket());
        sockets.filter(|socket| socket.exists()).collect()
    }

    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// Makes the directory and takes the lock, held until the result is dropped.
    ///
    /// # Errors
    /// Another process holds it, or the directory is not ours.
    pub(crate) fn take(&self, configuration: &Path) -> Result<RuntimeLock, RuntimeError> {
        let path = self.directory.join("lock");
        for _ in 0..LOCK_TRIES {
            self.make()?;
            let mut lock = match Lock::take(&path) {
                Ok(Some(lock)) => lock,
                Ok(None) => return Err(taken(&path, configuration)),
                // One that ended meanwhile removed the directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(system(&path)(error)),
            };
            let mut lines = format!("{}\n", std::process::id()).into_bytes();
            lines.extend_from_slice(absolute(configuration).as_os_str().as_bytes());
            lock.write(&lines).map_err(system(&path))?;
            let directory = (!self.is_given).then(|| self.directory.clone());
            return Ok(RuntimeLock { _lock: lock, path, directory });
        }
        Err(RuntimeError::Taken { pid: None })
    }

    /// Makes the directory, unless it is there and ours alone.
    fn make(&self) -> Result<(), RuntimeError> {
        make_directory(&self.directory).map_err(system(&self.directory))?;
        let facts = fs::symlink_metadata(&self.directory).map_err(system(&self.directory))?;
        if facts.uid() != rustix::process::geteuid().as_raw() || !facts.is_dir() {
            return Err(RuntimeError::Foreign(self.directory.clone()));
        }
        // SECURITY: where others may write, what lies there may be a trap.
        if facts.mode() & 0o022 != 0 {
            return Err(RuntimeError::Shared(self.directory.clone()));
        }
        Ok(())
    }
}

/// How often a directory is made that others remove as they end.
const LOCK_TRIES: usize = 16;

fn system(path: &Path) -> impl Fn(io::Error) -> RuntimeError {
    move |source| RuntimeError::System { path: path.to_owned(), source }
}

/// Who holds a lock, as far as it says.
fn taken(lock: &Path, configuration: &Path) -> RuntimeError {
    // Gone already where its holder ended meanwhile.
    let text = read_regular(lock, LOCK_BYTES_MAX).unwrap_or_default();
    let (pid, path) = match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (&text[..], &[][..]),
    };
    let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.trim().parse().ok());
    let other = PathBuf::from(OsStr::from_bytes(path));
    if path.is_empty() || other == absolute(configuration) {
        RuntimeError::Taken { pid }
    } else {
        RuntimeError::NameTaken { configuration: other, pid }
    }
}

/// A process id and a path; one of the system has at most 4096 bytes.
const LOCK_BYTES_MAX: u64 = 8192;

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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
    format!("{word}-{:08x}", short_digest(path.as_os_str().as_encoded_bytes()))
}

/// What `$RUNTIME_DIRECTORY` says.
fn given_directory() -> Option<PathBuf> {
    non_empty("RUNTIME_DIRECTORY").map(|directories| first_of(&directories))
}

/// The first of several directories: systemd lists them with colons between them.
pub(crate) fn first_of(directories: &OsStr) -> PathBuf {
    let first = directories.as_bytes().split(|byte| *byte == b':').next();
    PathBuf::from(OsStr::from_bytes(first.unwrap_or_default()))
}

fn directory(name: &str) -> PathBuf {
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

/// Directories that exist where a Stead of this user, or for root of any user, keeps its socket.
/// SECURITY: only such as belong to the user that their place is for.
fn places() -> Vec<Runtime> {
    let own = rustix::process::geteuid();
    let temporary = std::env::temp_dir();
    let mut found = Vec::new();
    let mut add = |parent: &Path, owner: &dyn Fn(&str) -> Option<u32>| {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten().take(PLACES_MAX) {
            let name = entry.file_name();
            let owner = name.to_str().and_then(owner);
            let facts = fs::symlink_metadata(entry.path());
            if facts.is_ok_and(|facts| facts.is_dir() && Some(facts.uid()) == owner) {
                found.push(Runtime { directory: entry.path(), is_given: false });
            }
        }
    };
    let of_temporary = |name: &str| -> Option<u32> {
        let user = name.strip_prefix("stead-")?.split_once('-')?.0.parse().ok()?;
        (own.is_root() || user == own.as_raw()).then_some(user)
    };
    if own.is_root() {
        add(Path::new("/run/stead"), &|_| Some(0));
        for user in fs::read_dir("/run/user").into_iter().flatten().flatten().take(PLACES_MAX) {
            let id = user.file_name().to_str().and_then(|id| id.parse().ok());
            add(&user.path().join("stead"), &|_| id);
        }
    } else if let Some(directory) = non_empty("XDG_RUNTIME_DIR") {
        add(&Path::new(&directory).join("stead"), &|_| Some(own.as_raw()));
    }
    add(&temporary, &of_temporary);
    found
}

/// Entries of one directory that are looked at.
const PLACES_MAX: usize = 10_000;

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
        let runtime = Runtime { directory: parent.path().join("web"), is_given: false };
        let (mine, other) = (Path::new("/nowhere/a.toml"), Path::new("/nowhere/b.toml"));
        let first = runtime.take(mine).expect("free");
        let error = runtime.take(mine).expect_err("taken").to_string();
        assert!(error.contains("this configuration runs already"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        let error = runtime.take(other).expect_err("taken").to_string();
        assert!(
            error.starts_with("/nowhere/a.toml runs under the same name as process"),
            "{error}"
        );
        drop(first);
        assert!(!runtime.directory.exists(), "nothing is left");
        drop(runtime.take(other).expect("free again"));
    }

    #[test]
    fn a_directory_that_was_given_stays() {
        let parent = tempfile::tempdir().expect("a directory");
        let runtime = Runtime { directory: parent.path().to_owned(), is_given: true };
        drop(runtime.take(Path::new("a.toml")).expect("free"));
        assert!(parent.path().exists() && !parent.path().join("lock").exists());
    }
}
