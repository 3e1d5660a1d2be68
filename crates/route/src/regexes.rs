//! Regexes of routes and matchers: linear time, of limited size, compiled when a configuration is
//! checked.
//!
//! A path regex is anchored at the start of the canonical path but need not reach its end; a value
//! regex may match anywhere. SECURITY: a lookup with either is linear in what it looks at, whatever
//! the request; [`PROGRAM_BYTES_MAX`] bounds what a pattern such as `(a{1000}){1000}` may become.

use std::ops::Range;

use regex_automata::meta::{self, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::captures::{CaptureNames, Captures};
use crate::pattern::is_identifier;

/// A mistake in a regex.
#[derive(Clone, Debug)]
pub struct RegexFault {
    /// The bytes of the regex that it stands in, where it is no matter of the whole.
    pub range: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// A regex over canonical paths, with its named groups.
#[derive(Clone, Debug)]
pub struct PathRegex {
    regex: Regex,
    /// The groups that have names, in order.
    groups: Box<[usize]>,
    slot_count: usize,
}

impl PathRegex {
    /// Compiles `text`; the names are those of its groups.
    ///
    /// # Errors
    /// It is no regex, or becomes too large.
    pub fn compile(text: &str) -> Result<(Self, CaptureNames), RegexFault> {
        let regex = compile(text)?;
        let mut names = CaptureNames::default();
        let mut groups = Vec::new();
        for (group, name) in
            regex.group_info().pattern_names(regex_automata::PatternID::ZERO).enumerate()
        {
            let Some(name) = name else { continue };
            if !is_identifier(name) {
                return Err(RegexFault {
                    range: text.find(name).map(|at| at..at + name.len()),
                    message: "a capture's name is an identifier: letters, digits and `_`"
                        .to_owned(),
                    help: "write `(?<name>…)`".to_owned(),
                });
            }
            groups.push(group);
            names.names.push(name.to_owned());
        }
        let slot_count = groups.last().map_or(0, |last| (last + 1) * 2);
        Ok((Self { regex, groups: groups.into(), slot_count }, names))
    }

    /// Whether the regex matches at the start of `path`; its named groups become the captures.
    pub fn captures(&self, path: &str, captures: &mut Captures) -> bool {
        captures.truncate(0);
        let input = Input::new(path).anchored(Anchored::Yes);
        if self.slot_count == 0 {
            return self.regex.is_match(input);
        }
        captures.slots.clear();
        captures.slots.resize(self.slot_count, None);
        if self.regex.search_slots(&input, &mut captures.slots).is_none() {
            return false;
        }
        for group in &self.groups {
            let slot = |index: usize| captures.slots.get(index).copied().flatten();
            let span = slot(group * 2).zip(slot(group * 2 + 1));
            let (start, end) = span.map_or((0, 0), |(start, end)| (start.get(), end.get()));
            captures.push(start, end);
        }
        true
    }
}

/// Compiles a regex that may match anywhere in a value.
pub(crate) fn compile(text: &str) -> Result<Regex, RegexFault> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(RegexFault {
            range: None,
            message: format!("a regex has at most {TEXT_BYTES_MAX} bytes"),
            help: "write a shorter one, or several routes".to_owned(),
        });
    }
    let config = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
        .hybrid_cache_capacity(CACHE_BYTES_MAX);
    let syntax = syntax::Config::new().utf8(false);
    meta::Builder::new().configure(config).syntax(syntax).build(text).map_err(|error| {
        if error.size_limit().is_some() {
            return RegexFault {
                range: None,
                message: format!("the regex compiles to more than {} KiB", PROGRAM_BYTES_MAX >> 10),
                help: "write smaller counts in `{…}`".to_owned(),
            };
        }
        let (range, message) = match error.syntax_error() {
            Some(regex_syntax::Error::Parse(error)) => {
                (Some(*error.span()), error.kind().to_string())
            }
            Some(regex_syntax::Error::Translate(error)) => {
                (Some(*error.span()), error.kind().to_string())
            }
            _ => (None, error.to_string()),
        };
        let range = range.map(|span| span.start.offset..span.end.offset);
        let help =
            "write a regex as the Rust `regex` crate reads it; it has no look-around".to_owned();
        RegexFault { range, message, help }
    })
}

/// Whether any path can match: it begins with `/`, and so must what the regex matches, unless that
/// may be nothing. A regex that cannot be read is another's to report.
pub(crate) fn can_match_a_path(text: &str) -> bool {
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(text);
    parsed.map_or(true, |hir| {
        let start = start_of(&hir);
        start.has_slash || start.may_be_empty
    })
}

/// What a match can begin with.
struct Start {
    has_slash: bool,
    may_be_empty: bool,
}

fn start_of(hir: &Hir) -> Start {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Start { has_slash: false, may_be_empty: true },
        HirKind::Literal(literal) => {
            Start { has_slash: literal.0.first() == Some(&b'/'), may_be_empty: false }
        }
        HirKind::Class(class) => {
            let has_slash = match class {
                Class::Unicode(class) => {
                    class.iter().any(|range| (range.start()..=range.end()).contains(&'/'))
                }
                Class::Bytes(class) => {
                    class.iter().any(|range| (range.start()..=range.end()).contains(&b'/'))
                }
            };
            Start { has_slash, may_be_empty: false }
        }
        HirKind::Repetition(repetition) => {
            let inner = start_of(&repetition.sub);
            Start { may_be_empty: inner.may_be_empty || repetition.min == 0, ..inner }
        }
        HirKind::Capture(capture) => start_of(&capture.sub),
        HirKind::Concat(parts) => {
            let mut start = Start { has_slash: false, may_be_empty: true };
            for part in parts.iter().map(start_of) {
                start.has_slash |= part.has_slash;
                if !part.may_be_empty {
                    return Start { may_be_empty: false, ..start };
                }
            }
            start
        }
        HirKind::Alternation(parts) => parts.iter().map(start_of).fold(
            Start { has_slash: false, may_be_empty: false },
            |a, b| Start {
                has_slash: a.has_slash || b.has_slash,
                may_be_empty: a.may_be_empty || b.may_be_empty,
            },
        ),
    }
}

/// Whether the regex takes every path, at least when it is written in one of the plain ways.
pub(crate) fn takes_every_path(text: &str) -> bool {
    let body = text.strip_prefix("\\A").or_else(|| text.strip_prefix('^')).unwrap_or(text);
    matches!(body, "" | "/" | "/.*" | ".*" | ".+" | "/?")
}

/// Bytes of a regex's text: as many as of a pattern's.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Bytes of a compiled regex: hundreds of times what a path needs.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Bytes of the states that a search keeps for the next one, per worker and regex.
const CACHE_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_that_no_path_can_begin_is_known() {
        for text in
            ["^/a", "/a", "", "^", ".*x", "[^a]b", "(?i)/A", "(a|/b)", "a?/b", "(x|)", "(?-u:.)"]
        {
            assert!(can_match_a_path(text), "{text}");
        }
        for text in [r"\.(jpg|png)$", "^api/", "[a-z]+", "(a|b)", "a+/", "(?i)x", r"\d"] {
            assert!(!can_match_a_path(text), "{text}");
        }
    }
}
