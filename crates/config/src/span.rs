//! Where something stands: a file of the configuration and a range of bytes in it.
//!
//! [`Sources`] keeps every file that was read, so that a [`Span`] is enough to show a line, to
//! count a column, and to find the directory that relative paths start from. A span always lies
//! inside its file's text, on character boundaries.

use std::path::{Path, PathBuf};

/// One file of the configuration; an index into [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte; `start` for a place between two bytes.
    pub end: u32,
}

impl Span {
    /// The bytes `range` of `file`.
    pub fn new(file: FileId, range: std::ops::Range<usize>) -> Self {
        let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: clamp(range.start), end: clamp(range.end.max(range.start)) }
    }

    /// The range as indices.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it was written. Two are equal when their values are: places do not count.
#[derive(Clone, Copy, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written; for a default, the table that lacks the key.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A line and a column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    line_starts: Vec<u32>,
}

/// Every file that was read, in the order in which they were.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Keeps one more file. Relative paths in it start from `path`'s directory.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> FileId {
        let (path, text) = (path.into(), text.into());
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        self.files.push(Source { path, text, line_starts });
        FileId(self.files.len() as u32 - 1)
    }

    /// The path of a file, as it was given.
    pub fn path(&self, file: FileId) -> &Path {
        self.files.get(file.0 as usize).map_or(Path::new(""), |source| &source.path)
    }

    /// The directory that relative paths in `file` start from; empty for the current one.
    pub fn directory(&self, file: FileId) -> &Path {
        self.path(file).parent().unwrap_or(Path::new(""))
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |source| &source.text)
    }

    /// The text of a span; empty if the span lies outside its file.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// The files, in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        (0..self.files.len()).map(|at| FileId(at as u32))
    }

    /// The line and column where `at` bytes of `file` have passed.
    pub fn position(&self, file: FileId, at: u32) -> Position {
        let Some(source) = self.files.get(file.0 as usize) else {
            return Position { line: 1, column: 1 };
        };
        let line = source.line_starts.partition_point(|start| *start <= at).max(1);
        let start = source.line_starts[line - 1] as usize;
        let before = source.text.get(start..at as usize).unwrap_or("");
        // A byte order mark is no character of the line.
        let before = if start == 0 { before.trim_start_matches('\u{feff}') } else { before };
        Position { line, column: before.chars().count() + 1 }
    }

    /// A line without its end, and the byte at which it starts; lines count from 1.
    pub(crate) fn line(&self, file: FileId, line: usize) -> (&str, usize) {
        let Some(source) = self.files.get(file.0 as usize) else { return ("", 0) };
        let Some(start) = source.line_starts.get(line.wrapping_sub(1)) else { return ("", 0) };
        let rest = &source.text[*start as usize..];
        let end = rest.find('\n').unwrap_or(rest.len());
        (rest[..end].trim_end_matches('\r'), *start as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add("a/b.toml", "x = 1\r\nö = 2\n");
        assert_eq!(sources.position(file, 0), Position { line: 1, column: 1 });
        assert_eq!(sources.position(file, 9), Position { line: 2, column: 2 });
        assert_eq!(sources.position(file, 14), Position { line: 3, column: 1 });
        let marked = sources.add("c.toml", "\u{feff}x = 1\n");
        assert_eq!(sources.position(marked, 7), Position { line: 1, column: 5 });
        assert_eq!(sources.line(file, 1), ("x = 1", 0));
        assert_eq!(sources.line(file, 9), ("", 0));
        assert_eq!(sources.directory(file), Path::new("a"));
    }
}
