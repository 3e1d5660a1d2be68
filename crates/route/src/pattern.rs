//! Path patterns: literal segments, `{name}` for one segment, `{*name}` for the rest.
//!
//! Read when a configuration is checked. Literals go through the same function as the paths of
//! requests; raw UTF-8 is escaped. A brace stands only round a whole segment, so that a pattern can
//! be compared segment by segment and never needs to be searched.

use std::fmt;
use std::ops::Range;

use crate::canonical::{Beyond, Fault, FaultKind, write_segment};
use crate::captures::CaptureNames;

/// A pattern, parsed and canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// What stands between the slashes; `/` is one empty literal, `/{*rest}` no segment at all.
    pub segments: Vec<Segment>,
    /// The name of `{*name}` at the end.
    pub rest: Option<String>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Canonical text, compared byte by byte.
    Literal(String),
    /// `{name}`: any segment that is not empty.
    Capture(String),
}

/// A mistake in a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// The bytes of the pattern that are wrong.
    pub range: Range<usize>,
    /// What is wrong: lower case, without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The canonical text of a pattern: `/caf%C3%A9/{id}` for `/café/{id}`.
///
/// # Errors
/// Every mistake in the pattern.
pub fn canonical_pattern(text: &str) -> Result<String, Vec<PatternError>> {
    Pattern::parse(text).map(|pattern| pattern.to_string())
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Every mistake in it, in the order of their places.
    pub fn parse(text: &str) -> Result<Self, Vec<PatternError>> {
        let mut parser = Parser::default();
        parser.read(text);
        if parser.errors.is_empty() { Ok(parser.pattern) } else { Err(parser.errors) }
    }

    /// The names of the captures, in the order of their places.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let captures = self.segments.iter().filter_map(|segment| match segment {
            Segment::Capture(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        });
        captures.chain(self.rest.as_deref())
    }

    pub(crate) fn capture_names(&self) -> CaptureNames {
        let names: Vec<_> = self.names().map(str::to_owned).collect();
        let wildcard = self.rest.is_some().then(|| names.len().saturating_sub(1));
        CaptureNames { names, wildcard }
    }

    /// The pattern without its names: equal for two patterns that match the same paths.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => shape.push_str(text),
                Segment::Capture(_) => shape.push_str("{}"),
            }
        }
        if self.rest.is_some() {
            shape.push_str("/{*}");
        }
        shape
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Capture(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match &self.rest {
            Some(name) => write!(f, "/{{*{name}}}"),
            None => Ok(()),
        }
    }
}

/// Whether `name` may be a capture: a letter or `_`, then letters, digits and `_`, all ASCII.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[derive(Default)]
struct Parser {
    pattern: Pattern,
    errors: Vec<PatternError>,
}

impl Parser {
    fn read(&mut self, text: &str) {
        if text.len() > PATTERN_BYTES_MAX {
            let message = format!("a pattern has at most {PATTERN_BYTES_MAX} bytes");
            return self.error(0..text.len(), message, "write a shorter pattern, or a wildcard");
        }
        let Some(segments) = text.strip_prefix('/') else {
            let first = text.chars().next().map_or(0, char::len_utf8);
            let help = format!("write `/{text}`");
            return self.error(0..first, "a pattern begins with `/`", help);
        };
        let mut at = 1;
        let mut segments = segments.split('/').peekable();
        while let Some(segment) = segments.next() {
            self.segment(segment, at, segments.peek().is_none());
            at += segment.len() + 1;
        }
        if self.pattern.segments.len() > SEGMENTS_MAX {
            let message = format!("a pattern has at most {SEGMENTS_MAX} segments");
            self.error(0..text.len(), message, "write a shorter pattern, or a wildcard");
        }
    }

    fn segment(&mut self, text: &str, at: usize, last: bool) {
        let whole = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        match (whole.filter(|name| !name.contains(['{', '}'])), text.find(['{', '}'])) {
            (Some(name), _) => self.capture(name, at, last),
            (None, Some(brace)) => self.error(
                at + brace..at + brace + 1,
                "a brace stands only round a whole segment",
                "write `{name}` between two slashes, or `%7B` and `%7D` for braces themselves",
            ),
            (None, None) => self.literal(text, at, last),
        }
    }

    fn capture(&mut self, inner: &str, at: usize, last: bool) {
        let (name, star) = match inner.strip_prefix('*') {
            Some(name) => (name, "*"),
            None => (inner, ""),
        };
        let start = at + 1 + star.len();
        let braces = at..at + inner.len() + 2;
        if name.is_empty() {
            let help = if star.is_empty() { "write `{id}`" } else { "write `{*rest}`" };
            return self.error(braces, "a capture needs a name", help);
        }
        if !is_identifier(name) {
            return self.error(
                start..start + name.len(),
                "a capture's name is an identifier: letters, digits and `_`",
                "write `{id}`; to say what a segment looks like, use `regex = '…'`",
            );
        }
        if self.pattern.names().any(|other| other == name) {
            let message = format!("the name `{name}` stands twice in the pattern");
            return self.error(
                start..start + name.len(),
                message,
                "give each capture its own name",
            );
        }
        if star.is_empty() {
            self.pattern.segments.push(Segment::Capture(name.to_owned()));
        } else if last {
            self.pattern.rest = Some(name.to_owned());
        } else {
            let help = format!("write `{{{name}}}` for one segment, or end the pattern here");
            self.error(braces, "a wildcard is the last segment", help);
        }
    }

    fn literal(&mut self, text: &str, at: usize, last: bool) {
        let mut literal = String::with_capacity(text.len());
        if let Err(fault) = write_segment(text.as_bytes(), Beyond::Escape, &mut literal) {
            return self.fault(fault, text, at);
        }
        match literal.as_str() {
            "." => {}
            ".." => {
                if let Some(Segment::Capture(name)) = self.pattern.segments.pop() {
                    let message = format!("`..` takes the capture `{name}` away");
                    self.error(at..at + text.len(), message, "write the pattern without `..`");
                }
            }
            _ => return self.pattern.segments.push(Segment::Literal(literal)),
        }
        if last {
            self.pattern.segments.push(Segment::Literal(String::new()));
        }
    }

    fn fault(&mut self, fault: Fault, text: &str, at: usize) {
        let byte = text.as_bytes().get(fault.start).copied().unwrap_or_default();
        let (message, help) = match (fault.kind, byte) {
            (FaultKind::Escape, _) => {
                ("`%` begins an escape of two hexadecimal digits", "write `%25` for `%` itself")
            }
            (FaultKind::Nul, _) => ("a path never holds a NUL", "take `%00` out"),
            (FaultKind::Backslash, _) => ("a path never holds a backslash", "write `/`"),
            (FaultKind::Overlong, _) => {
                ("the escapes are overlong UTF-8", "write the character itself")
            }
            (FaultKind::Byte, b'?') => (
                "a pattern matches the path only, without the query",
                "match the query with `query = { name = \"value\" }`, or write `%3F`",
            ),
            (FaultKind::Byte, b'#') => {
                ("a path never holds `#`: browsers keep it to themselves", "write `%23`")
            }
            (FaultKind::Byte, b' ') => ("a path never holds a space", "write `%20`"),
            (FaultKind::Byte, _) => ("a path never holds a control character", "take it out"),
        };
        let mut end = at + fault.end;
        while !text.is_char_boundary(end - at) {
            end += 1;
        }
        self.error(at + fault.start..end, message, help);
    }

    fn error(&mut self, range: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(PatternError { range, message: message.into(), help: help.into() });
    }
}

/// Bytes of a pattern: far beyond any that a person writes.
pub(crate) const PATTERN_BYTES_MAX: usize = 4 << 10;

/// Segments of a pattern, which bounds how deep a lookup goes.
const SEGMENTS_MAX: usize = 256;

#[cfg(test)]
mod tests;
