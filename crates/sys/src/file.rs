//! Files beneath a root: opened without leaving it, looked at, probed for residency.
//!
//! Source: openat2(2), preadv2(2). SECURITY: every path from a request goes through
//! [`Start::Beneath`], whose `RESOLVE_BENEATH` makes the kernel refuse what would leave the root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A device, FIFO, socket or anything else.
    Other,
}

/// What `statx` says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time, in nanoseconds since 1970.
    pub modified: i128,
}

/// Whether a lookup may read from disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Only what the kernel has at hand: [`io::ErrorKind::WouldBlock`] where it has to read
    /// (`RESOLVE_CACHED`).
    Cached,
    /// May sleep.
    MaySleep,
}

/// Where a lookup begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Beneath this directory, which it never leaves: not by `..`, not by a symlink, not through
    /// `/proc` links.
    Beneath(BorrowedFd<'a>),
    /// Where the path says: for paths that an operator wrote, never for one from a request.
    Anywhere,
}

/// Opens a directory to be looked up beneath.
///
/// # Errors
/// `WouldBlock` as [`Lookup::Cached`] says; what openat2(2) says otherwise.
pub fn open_root(path: &Path, lookup: Lookup) -> io::Result<OwnedFd> {
    walk(Start::Anywhere, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, lookup)
}

/// Opens a file or directory for reading.
///
/// # Errors
/// `WouldBlock` as [`Lookup::Cached`] says; what openat2(2) says otherwise, `EXDEV` for a path that
/// would leave where it began.
pub fn open(start: Start<'_>, path: &Path, lookup: Lookup) -> io::Result<OwnedFd> {
    // Non-blocking, so that opening a FIFO does not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    walk(start, path, flags, lookup)
}

/// Looks at a path without opening it for reading.
///
/// # Errors
/// As [`open`].
pub fn facts_at(start: Start<'_>, path: &Path, lookup: Lookup) -> io::Result<FileFacts> {
    facts(walk(start, path, OFlags::PATH | OFlags::CLOEXEC, lookup)?.as_fd())
}

/// The one way to the file system: every lookup is an openat2(2).
fn walk(start: Start<'_>, path: &Path, flags: OFlags, lookup: Lookup) -> io::Result<OwnedFd> {
    let (directory, mut resolve) = match start {
        Start::Beneath(root) => (root, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS),
        Start::Anywhere => (fs::CWD, ResolveFlags::empty()),
    };
    if lookup == Lookup::Cached {
        resolve |= ResolveFlags::CACHED;
    }
    loop {
        match fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            // A rename or mount raced with the walk: openat2(2) asks for another try.
            Err(Errno::AGAIN) if lookup == Lookup::MaySleep => {}
            // Linux before 5.12 does not know `RESOLVE_CACHED`.
            Err(Errno::INVAL) if lookup == Lookup::Cached => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Whether an error says that the process or the system has no descriptor left.
pub fn means_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE))
}

/// Whether a failed lookup means that there is nothing to be served: no such file, one that must
/// not be read, or a path that leaves its root.
pub fn means_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::NOENT
                | Errno::NOTDIR
                | Errno::XDEV
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::ACCESS
                | Errno::PERM
                | Errno::NXIO
                | Errno::NODEV
        )
    )
}

/// The names in an open directory, without `.` and `..`, in the order of the file system, until
/// `each` says `false`. May sleep.
pub fn names(directory: impl AsFd, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    for entry in fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") && !each(name) {
            break;
        }
    }
    Ok(())
}

/// Looks at an open file.
pub fn facts(file: BorrowedFd<'_>) -> io::Result<FileFacts> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME;
    let stat = fs::statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    Ok(from_statx(&stat))
}

fn from_statx(stat: &fs::Statx) -> FileFacts {
    let kind = match fs::FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        fs::FileType::RegularFile => FileKind::Regular,
        fs::FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    };
    FileFacts {
        kind,
        device: fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        size: stat.stx_size,
        modified: i128::from(stat.stx_mtime.tv_sec) * 1_000_000_000
            + i128::from(stat.stx_mtime.tv_nsec),
    }
}

/// Whether the byte at `offset` can be read without sleeping on the disk.
///
/// `EOPNOTSUPP` of a file system that keeps everything in memory counts as resident; see
/// [`is_memory_file_system`].
pub fn is_resident(file: impl AsFd, offset: u64) -> io::Result<bool> {
    let mut byte = [0_u8; 1];
    let mut slice = [io::IoSliceMut::new(&mut byte)];
    match rustix::io::preadv2(file.as_fd(), &mut slice, offset, ReadWriteFlags::NOWAIT) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(Errno::OPNOTSUPP) => is_memory_file_system(file.as_fd()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the file lies on tmpfs or ramfs.
pub fn is_memory_file_system(file: impl AsFd) -> io::Result<bool> {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    #[allow(clippy::useless_conversion, reason = "the field's width differs between targets")]
    let kind = i64::from(fs::fstatfs(file)?.f_type);
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}

/// Asks the kernel to read bytes ahead; that it may not is no error.
pub fn will_need(file: impl AsFd, offset: u64, count: u64) {
    let count = std::num::NonZero::new(count);
    let _ = fs::fadvise(file, offset, count, fs::Advice::WillNeed);
}

/// Reads bytes at `offset` into `buffer`; fewer only at the end of the file. May sleep.
pub fn read_at(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match rustix::io::pread(file.as_fd(), &mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Reads bytes at `offset` only as far as they are in memory already.
///
/// # Errors
/// `WouldBlock` where the first byte is not.
pub fn read_at_cached(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut slice = [io::IoSliceMut::new(buffer)];
    match rustix::io::preadv2(file.as_fd(), &mut slice, offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) if is_memory_file_system(file.as_fd())? => {
            read_at(file, buffer, offset)
        }
        Err(Errno::OPNOTSUPP) => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs as std_fs;

    #[test]
    fn a_lookup_never_leaves_its_root() {
        let outside = tempfile::tempdir().expect("a directory");
        let root = outside.path().join("root");
        std_fs::create_dir(&root).expect("create");
        std_fs::write(outside.path().join("secret"), b"no").expect("write");
        std_fs::write(root.join("page"), b"yes").expect("write");
        std::os::unix::fs::symlink("../secret", root.join("link")).expect("link");
        std::os::unix::fs::symlink("page", root.join("inner")).expect("link");
        let handle = open_root(&root, Lookup::MaySleep).expect("open");
        let open =
            |path: &str| open(Start::Beneath(handle.as_fd()), Path::new(path), Lookup::MaySleep);
        assert!(
            open("../secret").is_err() && open("link").is_err() && open("/etc/passwd").is_err()
        );
        let absent = open("../secret").expect_err("leaves the root");
        assert!(means_absent(&absent) && means_absent(&open("none").expect_err("no such file")));
        let page = open("inner").expect("a link inside the root");
        let facts = facts(page.as_fd()).expect("facts");
        assert_eq!((facts.kind, facts.size), (FileKind::Regular, 3));
        let mut bytes = [0; 8];
        assert_eq!(read_at(&page, &mut bytes, 1).expect("read"), 2);
        assert!(is_resident(&page, 0).expect("just written"));
        let mut found = Vec::new();
        let directory = open(".").expect("the root itself");
        names(&directory, |name| {
            found.push(name.to_vec());
            true
        })
        .expect("names");
        found.sort();
        assert_eq!(found, [&b"inner"[..], b"link", b"page"]);
    }
}
