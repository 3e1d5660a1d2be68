//! Control groups that limit memory, of both versions: ours and those above it.
//!
//! Where ours is, `/proc/self/cgroup` says; where its files are, `/proc/self/mountinfo`
//! (cgroups(7)). Inside a container the mount shows a part of the tree only: what lies above it
//! cannot be read, and limits nothing that could be told.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::read;

/// The part of a connection's kernel memory that the kernel counts as reclaimable although it is in
/// use: its inode and its directory entry.
const UNRECLAIMABLE_BYTES: u64 = 1 << 10;
/// From here on a limit of version 1 means none.
const NO_LIMIT: u64 = 1 << 60;

/// One control group's use.
pub(super) struct Group {
    usage: File,
    stat: File,
    /// Socket buffers, which version 1 counts apart.
    sockets: Option<File>,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The groups with a limit, ours first, each with its limit in bytes.
pub(super) fn find(root: &Path) -> Vec<(Group, u64)> {
    let text = |path: &str| read_whole(&root.join(path)).unwrap_or_default();
    let (groups, mounts) = (text("proc/self/cgroup"), text("proc/self/mountinfo"));
    let mut found = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        let Some(path) = group_path(&groups, mount.version) else { continue };
        let top = root.join(mount.place.trim_start_matches('/'));
        let mut directory = Some(top.join(mount.within(path)));
        while let Some(here) = directory.filter(|here| here.starts_with(&top)) {
            found.extend(Group::open(&here, mount.version));
            directory = here.parent().map(Path::to_owned);
        }
    }
    found
}

/// A file of the kernel as long as machines have made it: each mount is a line.
fn read_whole(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(WHOLE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// Our group's path in the tree of this version.
fn group_path(groups: &str, version: Version) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        let is_it = match version {
            Version::One => controllers.split(',').any(|name| name == "memory"),
            Version::Two => controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// A place where control groups are mounted.
struct Mount<'a> {
    /// The group that is seen there.
    group: &'a str,
    place: &'a str,
    version: Version,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (group, place) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let version = match (fields.next()?, fields.nth(1)?) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", options) if options.split(',').any(|o| o == "memory") => Version::One,
            _ => return None,
        };
        Some(Self { group, place, version })
    }

    /// Where below the mount a group is; at its top if it is not below.
    fn within(&self, path: &'a str) -> PathBuf {
        let below = Path::new(path).strip_prefix(self.group).unwrap_or(Path::new(""));
        let is_plain =
            below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if is_plain { below.to_owned() } else { PathBuf::new() }
    }
}

impl Group {
    /// A group that has a limit.
    fn open(directory: &Path, version: Version) -> Option<(Self, u64)> {
        let number = |name: &str| -> Option<u64> {
            let text = read(&File::open(directory.join(name)).ok()?)?;
            text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
        };
        let open = |name: &str| File::open(directory.join(name)).ok();
        let (usage, limits) = match version {
            Version::One => ("memory.usage_in_bytes", [number("memory.limit_in_bytes"), None]),
            // Beyond `high` the kernel slows the group down.
            Version::Two => ("memory.current", [number("memory.max"), number("memory.high")]),
        };
        let limit = limits.into_iter().flatten().min()?;
        let sockets = (version == Version::One).then(|| open("memory.kmem.tcp.usage_in_bytes"));
        let group = Self {
            usage: open(usage)?,
            stat: open("memory.stat")?,
            sockets: sockets.flatten(),
            version,
        };
        Some((group, limit))
    }

    /// Bytes that the kernel cannot have back without closing something.
    pub(super) fn used(&self, connections: usize) -> Option<u64> {
        let all: u64 = read(&self.usage)?.trim().parse().ok()?;
        let stat = read(&self.stat)?;
        let given_back: u64 = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(name, _)| self.version.counts_as_cache(name))
            .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
            .sum();
        let sockets = self.sockets.as_ref().and_then(read);
        let sockets: Option<u64> = sockets.and_then(|text| text.trim().parse().ok());
        let unreclaimable = connections as u64 * UNRECLAIMABLE_BYTES;
        let kept = all.saturating_sub(given_back) + sockets.unwrap_or(0);
        Some((kept + unreclaimable).min(all + sockets.unwrap_or(0)))
    }
}

impl Version {
    fn counts_as_cache(self, name: &str) -> bool {
        match self {
            Self::One => matches!(name, "total_inactive_file" | "total_active_file"),
            Self::Two => matches!(name, "inactive_file" | "active_file" | "slab_reclaimable"),
        }
    }
}
