//! The files that one handler serves: from a path to an [`Entry`].
//!
//! Runs on a miss of the cache and when an entry is a second old: first on the worker with
//! [`Lookup::Cached`], which fails with `WouldBlock` rather than read from disk, then on the
//! blocking pool with [`Lookup::MaySleep`]. What is unchanged since the last lookup is carried
//! over.
//!
//! SECURITY: every lookup for a request begins at [`Start::Beneath`] (SECURITY.md 39).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use stead_core::{OpenFiles, Reason};
use stead_http1::coding::{Coding, Wish};
use stead_sys::clock;
use stead_sys::file::{self, FileFacts, FileKind, Lookup, Start};

use super::entry::{self, Content, Entry, FileEntry, Parts, Variant, slot_of};
use super::mime::Types;
use super::names::{self, Refusal};

/// What is served, and how.
pub(crate) struct Tree {
    pub(crate) origin: Origin,
    /// Names to look for in a directory, in order.
    pub(crate) index: Vec<String>,
    /// Whether directories without index are listed.
    pub(crate) listing: bool,
    /// Whether dotfiles and editor backups are served.
    pub(crate) hidden: bool,
    /// Whether precompressed siblings are looked for.
    pub(crate) precompressed: bool,
    pub(crate) types: Types,
}

/// Where the files are.
pub(crate) enum Origin {
    /// Beneath this directory.
    Root(PathBuf),
    /// This one file.
    File(PathBuf),
}

/// The origin, opened. Opened again every second, so that a root that is swapped is followed.
pub(crate) struct Root(Option<OwnedFd>);

/// Content up to this size is kept in memory. More costs less to send from the file, and a copy
/// would push many small ones out.
pub(crate) const MEMORY_BYTES_MAX: u64 = 64 << 10;

/// How often content is read again that changes while it is read.
const READS_MAX: usize = 3;

/// Begins the key of a path that the configuration wrote; no canonical capture holds a `?`.
pub(crate) const CONFIGURED: char = '?';

impl Tree {
    /// Opens the origin.
    pub(crate) fn open_root(&self, lookup: Lookup) -> io::Result<Root> {
        match &self.origin {
            Origin::Root(path) => file::open_root(path, lookup).map(Some).map(Root),
            Origin::File(_) => Ok(Root(None)),
        }
    }

    /// The path that a key of the cache stands for: a capture, or a configured path.
    pub(crate) fn path_of(&self, key: &str) -> Result<Vec<u8>, Refusal> {
        match (&self.origin, key.strip_prefix(CONFIGURED)) {
            (Origin::File(path), _) => Ok(path.as_os_str().as_bytes().to_vec()),
            (Origin::Root(_), Some(path)) => Ok(path.as_bytes().to_vec()),
            (Origin::Root(_), None) => names::path_of(key, self.hidden),
        }
    }

    /// Looks a key up, and makes ready the variant that answers `wish`. `root` is opened if it is
    /// not; `earlier` is what the key stood for before.
    ///
    /// # Errors
    /// `WouldBlock` with [`Lookup::Cached`]; `QuotaExceeded` where `files` may hold no more;
    /// whatever reading fails with.
    pub(crate) fn look_up(
        &self,
        files: &Arc<OpenFiles>,
        root: &mut Option<Arc<Root>>,
        key: &str,
        wish: Wish,
        earlier: Option<&Entry>,
        lookup: Lookup,
    ) -> io::Result<Entry> {
        let path = match self.path_of(key) {
            Ok(path) => path,
            Err(Refusal::Bad) => return Ok(Entry::Refused(Reason::BadPath)),
            Err(Refusal::Empty) => return Ok(Entry::Refused(Reason::FileNotFound)),
            Err(Refusal::Hidden) => return Ok(Entry::Missing),
        };
        let looked = i128::try_from(clock::wall().as_nanos()).unwrap_or(i128::MAX);
        if root.is_none() {
            *root = absent(self.open_root(lookup))?.map(Arc::new);
        }
        let Some(root) = root else { return Ok(Entry::Missing) };
        let earlier = match earlier {
            Some(Entry::File(file)) => Some(&**file),
            _ => None,
        };
        let walk = Walk { tree: self, files, root, wish, earlier, lookup, looked };
        absent(walk.any(&path)).map(|entry| entry.unwrap_or(Entry::Missing))
    }
}

impl Root {
    fn start(&self) -> Start<'_> {
        match &self.0 {
            Some(directory) => Start::Beneath(directory.as_fd()),
            None => Start::Anywhere,
        }
    }

    /// Opens a directory beneath it; may sleep.
    pub(crate) fn open_directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        file::open(self.start(), as_path(path), Lookup::MaySleep)
    }

    /// Looks at something beneath it; may sleep.
    pub(crate) fn facts_of(&self, path: &[u8]) -> io::Result<FileFacts> {
        file::facts_at(self.start(), as_path(path), Lookup::MaySleep)
    }
}

/// One lookup.
struct Walk<'a> {
    tree: &'a Tree,
    files: &'a Arc<OpenFiles>,
    root: &'a Root,
    wish: Wish,
    earlier: Option<&'a FileEntry>,
    lookup: Lookup,
    /// The time of day before the first look, in nanoseconds since 1970.
    looked: i128,
}

impl Walk<'_> {
    /// A file, or a directory by its slash; devices, FIFOs and sockets are not there.
    fn any(&self, path: &[u8]) -> io::Result<Entry> {
        let may_be_directory = matches!(self.tree.origin, Origin::Root(_));
        if may_be_directory && (path.is_empty() || path.ends_with(b"/")) {
            return self.directory(path);
        }
        if self.facts(path)?.kind == FileKind::Other {
            // Opening a FIFO or a device may do something; looking at it does not.
            return Ok(Entry::Missing);
        }
        let opened = match self.open(path) {
            // A directory that may be entered but not read has index files like any other.
            Err(error) if may_be_directory && error.kind() == io::ErrorKind::PermissionDenied => {
                let is_directory = self.facts(path)?.kind == FileKind::Directory;
                return Ok(if is_directory { Entry::Redirect } else { Entry::Missing });
            }
            opened => opened?,
        };
        let facts = file::facts(opened.as_fd())?;
        match facts.kind {
            FileKind::Regular => self.file(path, opened, facts),
            FileKind::Directory if may_be_directory => Ok(Entry::Redirect),
            _ => Ok(Entry::Missing),
        }
    }

    /// The first index file, else the listing.
    fn directory(&self, path: &[u8]) -> io::Result<Entry> {
        for name in &self.tree.index {
            let path = [path, name.as_bytes()].concat();
            match absent(self.facts(&path))? {
                Some(facts) if facts.kind == FileKind::Regular => {}
                _ => continue,
            }
            let Some(opened) = absent(self.open(&path))? else { continue };
            let facts = file::facts(opened.as_fd())?;
            if facts.kind == FileKind::Regular {
                return self.file(&path, opened, facts);
            }
        }
        let listed = self.tree.listing && self.facts(path)?.kind == FileKind::Directory;
        Ok(if listed { Entry::Listing } else { Entry::Missing })
    }

    /// A file with its siblings.
    fn file(&self, path: &[u8], opened: OwnedFd, facts: FileFacts) -> io::Result<Entry> {
        let mut found = FileEntry::default();
        found.versions[slot_of(None)] = Some(facts);
        if self.tree.precompressed {
            for coding in Coding::ALL {
                found.versions[slot_of(Some(coding))] = self.sibling(path, coding, &facts)?;
            }
        }
        self.carry_over(&mut found);
        if found.variant(self.wish).is_none() {
            self.load(path, opened, &mut found)?;
        }
        Ok(Entry::File(Box::new(found)))
    }

    fn sibling(
        &self,
        path: &[u8],
        coding: Coding,
        file: &FileFacts,
    ) -> io::Result<Option<FileFacts>> {
        let path = [path, coding.ending().as_bytes()].concat();
        let facts = absent(self.facts(&path))?;
        let fresh =
            |facts: &FileFacts| facts.kind == FileKind::Regular && entry::is_as_new(facts, file);
        Ok(facts.filter(fresh))
    }

    /// Takes over the variants of which nothing changed.
    fn carry_over(&self, found: &mut FileEntry) {
        let varies = found.varies();
        let Some(earlier) = self.earlier else { return };
        let slots = found.variants.iter_mut().zip(&found.versions).zip(&earlier.variants);
        for ((slot, version), earlier) in slots {
            let same = |variant: &&Arc<Variant>| {
                !variant.racy && variant.varies == varies && *version == Some(variant.facts)
            };
            *slot = earlier.as_ref().filter(same).cloned();
        }
    }

    /// Makes the variant that answers the wish; a sibling that vanished meanwhile is passed over.
    fn load(&self, path: &[u8], opened: OwnedFd, found: &mut FileEntry) -> io::Result<()> {
        let mut opened = opened;
        let coding = loop {
            let Some(coding) = found.choose(self.wish) else { break None };
            let sibling = [path, coding.ending().as_bytes()].concat();
            if let Some(sibling) = absent(self.open(&sibling))? {
                opened = sibling;
                break Some(coding);
            }
            found.versions[slot_of(Some(coding))] = None;
        };
        let facts = file::facts(opened.as_fd())?;
        let (facts, content) = self.read(opened, facts)?;
        let media_type = self.tree.types.of(path);
        let (looked, varies) = (self.looked, found.varies());
        let parts = Parts { facts, looked, media_type, coding, varies, content };
        found.versions[slot_of(coding)] = Some(facts);
        found.variants[slot_of(coding)] = Some(Arc::new(Variant::new(parts)));
        Ok(())
    }

    /// The content, with the facts that it belongs to: read whole between two equal looks. What
    /// does not hold still is sent from the file, where a change cuts the answer.
    fn read(&self, opened: OwnedFd, facts: FileFacts) -> io::Result<(FileFacts, Content)> {
        let mut facts = facts;
        for _ in 0..READS_MAX {
            if facts.size > MEMORY_BYTES_MAX {
                break;
            }
            let bytes = self.read_whole(&opened, facts.size as usize)?;
            let after = file::facts(opened.as_fd())?;
            if after == facts && bytes.len() as u64 == facts.size {
                return Ok((facts, Content::Memory(Bytes::from(bytes))));
            }
            facts = after;
        }
        let file = self.files.hold(opened, facts).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok((facts, Content::Open(file)))
    }

    fn read_whole(&self, opened: &OwnedFd, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let mut done = 0;
        while done < size {
            let rest = &mut bytes[done..];
            let count = match self.lookup {
                Lookup::Cached => file::read_at_cached(opened, rest, done as u64)?,
                Lookup::MaySleep => file::read_at(opened, rest, done as u64)?,
            };
            if count == 0 {
                break;
            }
            done += count;
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    fn open(&self, path: &[u8]) -> io::Result<OwnedFd> {
        file::open(self.root.start(), as_path(path), self.lookup)
    }

    fn facts(&self, path: &[u8]) -> io::Result<FileFacts> {
        file::facts_at(self.root.start(), as_path(path), self.lookup)
    }
}

/// The empty path is the root itself.
fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(if path.is_empty() { b"." } else { path }))
}

/// `None` where an error says that there is nothing to be served.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if file::means_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
