//! Where the text of a configuration comes from: the disk, or a map in tests.
//!
//! Called at start only. A file larger than 4 MiB is refused: a configuration never
//! is, and what was named by mistake is not read whole. Only the first file may be a pipe, as in
//! `stead check -c /dev/stdin`: whoever writes its path waits for it; one that a configuration
//! names would hang the start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use stead_disk::{read_bounded, read_regular};

/// The largest file that is read as configuration, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// What can be read.
pub trait Files {
    /// The text of a regular file.
    ///
    /// # Errors
    /// What the system said; `InvalidData` where the file is no UTF-8, else as [`read_regular`].
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The text of the first file, which may be a pipe.
    ///
    /// # Errors
    /// As [`Files::read`].
    fn read_first(&self, path: &Path) -> io::Result<String> {
        self.read(path)
    }

    /// The files that match `pattern`, which starts from `base` unless it is absolute, in the order
    /// of their names. `*`, `?` and `[…]` match within one segment, and no leading dot unless it is
    /// written. That nothing matches is no error.
    ///
    /// # Errors
    /// A directory exists but cannot be read.
    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>>;

    /// Whether there is such a directory.
    fn is_directory(&self, path: &Path) -> bool;

    /// What two paths to the same file have in common.
    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        text(read_regular(path, FILE_BYTES_MAX)?)
    }

    fn read_first(&self, path: &Path) -> io::Result<String> {
        text(read_bounded(path, FILE_BYTES_MAX)?)
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![start(base, pattern)];
        let mut segments = segments(pattern).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let mut next = Vec::new();
            for directory in &found {
                if is_glob(segment) {
                    next.extend(matching(directory, segment)?);
                } else {
                    next.push(directory.join(segment));
                }
            }
            next.retain(|path| if last { path.is_file() } else { path.is_dir() });
            found = next;
        }
        found.sort();
        Ok(found)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || path.is_dir()
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let known = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = end_of(&String::from_utf8_lossy(known));
        let message = format!("not UTF-8 text, at line {line}, column {column}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// The line and column behind a text, counted from 1, the column in characters.
fn end_of(text: &str) -> (usize, usize) {
    let line = text.matches('\n').count() + 1;
    (line, text.rsplit('\n').next().unwrap_or("").chars().count() + 1)
}

fn matching(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = match std::fs::read_dir(listed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| matches(pattern, name)) {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}

/// Files in memory, by path: for tests and fuzzing.
impl Files for BTreeMap<PathBuf, String> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let wanted = start(base, pattern);
        let segments: Vec<&str> = segments(pattern).collect();
        let fits = |path: &&PathBuf| {
            let Ok(rest) = path.strip_prefix(&wanted) else { return false };
            let parts: Vec<Component<'_>> = rest.components().collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| {
                    part.as_os_str().to_str().is_some_and(|part| matches(segment, part))
                })
        };
        Ok(self.keys().filter(fits).cloned().collect())
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || self.keys().any(|file| file != path && file.starts_with(path))
    }
}

fn start(base: &Path, pattern: &str) -> PathBuf {
    if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_owned() }
}

/// The directory in which the matches of a pattern are looked for: what stands before its first
/// segment with `*`, `?` or `[`.
pub(crate) fn directory_of(base: &Path, pattern: &str) -> PathBuf {
    let mut directory = start(base, pattern);
    directory.extend(segments(pattern).take_while(|segment| !is_glob(segment)));
    directory
}

fn segments(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter(|segment| !matches!(*segment, "" | "."))
}

/// Whether a path is a pattern.
pub(crate) fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Whether `name` matches one segment of a pattern. `**` is the same as `*`.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // The usual two indices and the place to go back to: the last star. Linear in practice,
    // |pattern| * |name| at worst.
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            back = Some((p + 1, n));
            p += 1;
        } else if let Some(next) = match_one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
        } else if let Some((after_star, taken)) = back {
            (p, n) = (after_star, taken + 1);
            back = Some((after_star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Matches one character at `pattern[at]`; gives the place behind what matched.
fn match_one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match class(&pattern[at + 1..], c) {
            Some((true, length)) => Some(at + 1 + length),
            Some((false, _)) => None,
            None => (c == '[').then_some(at + 1),
        },
        literal => (*literal == c).then_some(at + 1),
    }
}

/// Whether `c` is in the class that follows `[`, and how long the class is with its `]`. `None`
/// where no `]` closes it.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let first = usize::from(negated);
    let end = (first + 1..pattern.len()).find(|at| pattern[*at] == ']')?;
    let set = &pattern[first..end];
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        let range = set.get(at + 1) == Some(&'-') && at + 2 < set.len();
        let last = if range { set[at + 2] } else { set[at] };
        found |= (set[at]..=last).contains(&c);
        at += if range { 3 } else { 1 };
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_one_segment() {
        let check = |pattern, name, expect| {
            assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
        };
        check("*.toml", "a.toml", true);
        check("*.toml", ".toml", false);
        check(".*", ".a", true);
        check("a?c*", "abcd", true);
        check("a?c", "ac", false);
        check("[a-c]x", "bx", true);
        check("[!a-c]x", "bx", false);
        check("[]]", "]", true);
        check("[", "[", true);
        check("*a*b", "xaybzb", true);
        check("*a*b", "xaybz", false);
        check("", "", true);
    }

    #[test]
    fn disk_and_memory_agree() {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = BTreeMap::new();
        for name in ["c/b.toml", "c/a.toml", "c/.hidden.toml", "c/x.txt", "d/e.toml"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
            memory.insert(path, name.to_owned());
        }
        for pattern in ["c/*.toml", "*/*.toml", "c/a.toml", "none/*.toml", "c/[ab].*", "./c/?.txt"]
        {
            let disk = Disk.glob(directory.path(), pattern).unwrap();
            assert_eq!(disk, memory.glob(directory.path(), pattern).unwrap(), "{pattern}");
        }
        for pattern in ["c/*.toml", "*/a.toml", "none/*.toml", "c/a.toml/*", "./d/?"] {
            let folder = directory_of(directory.path(), pattern);
            let is_there = !pattern.starts_with("none") && !pattern.contains("a.toml/");
            assert_eq!(Disk.is_directory(&folder), is_there, "{pattern}");
            assert_eq!(memory.is_directory(&folder), is_there, "{pattern}");
        }
        let names = Disk.glob(directory.path(), "c/*.toml").unwrap();
        assert!(names[0].ends_with("a.toml") && names.len() == 2);
        assert_eq!(Disk.read(&names[1]).unwrap(), "c/b.toml");
    }

    #[test]
    fn what_is_no_small_text_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.toml");
        std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
        for read in [Disk.read(&path), Disk.read_first(&path)] {
            let error = read.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert_eq!(error.to_string(), "it is larger than 4 MiB");
        }
        std::fs::write(&path, b"a = 1\n\xc3\xb6 = \xff").unwrap();
        let error = Disk.read(&path).unwrap_err().to_string();
        assert_eq!(error, "not UTF-8 text, at line 2, column 5");
    }
}
