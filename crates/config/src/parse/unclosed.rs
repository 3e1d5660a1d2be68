//! Strings and brackets that are opened and never closed, found at the place where they open.
//!
//! Called where the parser found errors: an open bracket takes in all that follows, so that it
//! reports every later line and not the one that is wrong. What follows from an open bracket is
//! seen from outside of it: a table's header, and inside a list or where a comma is missing a
//! `key =`, begin a new statement. Neither stands there in a file that is right.

use std::ops::Range;

/// Something that is opened and not closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// The bytes that open it.
    pub(super) open: Range<usize>,
    /// What it is, for messages.
    pub(super) what: &'static str,
    /// What closes it.
    pub(super) close: &'static str,
    /// The lines of the statement that it spoils.
    pub(super) statement: Range<usize>,
}

/// All of them, in the order of the text.
pub(super) fn find(text: &str) -> Vec<Unclosed> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let line = line(text, at);
        if line.trim_start().starts_with('[') {
            at += line.len();
            continue;
        }
        match statement(text, at) {
            Ok(end) => at = end,
            Err(Fault { open, is_nested, resume }) => {
                let end = if is_nested { resynchronize(text, at, resume) } else { resume };
                let (what, close) = names(&text[open.clone()]);
                found.push(Unclosed { open, what, close, statement: at..end });
                at = end;
            }
        }
    }
    found
}

/// The text with the statements blanked out: what remains keeps its places.
pub(super) fn without(text: &str, unclosed: &[Unclosed]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in unclosed.iter().flat_map(|unclosed| unclosed.statement.clone()) {
        if !matches!(bytes[byte], b'\n' | b'\r') {
            bytes[byte] = b' ';
        }
    }
    // Whole lines were replaced, byte by byte, by ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Why a statement does not end.
struct Fault {
    open: Range<usize>,
    /// Whether it stands inside of brackets, or is one.
    is_nested: bool,
    /// The line after the one where that is seen.
    resume: usize,
}

/// The end of the statement that starts at `start`: the start of the next line.
fn statement(text: &str, start: usize) -> Result<usize, Fault> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let fault = |open: &[usize], resume: usize| {
        let last = open.last().copied().unwrap_or(start);
        Fault { open: last..last + 1, is_nested: true, resume }
    };
    let (mut at, mut last) = (start, b' ');
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            quote @ (b'"' | b'\'') => {
                let several = if bytes[at..].starts_with(&[quote; 3]) { 3 } else { 1 };
                let Some(end) = string_end(bytes, at, quote, several) else {
                    let resume = if several == 3 { text.len() } else { next_line(text, at) };
                    let is_nested = !open.is_empty();
                    return Err(Fault { open: at..at + several, is_nested, resume });
                };
                (at, last) = (end, quote);
                continue;
            }
            b'[' | b'{' => open.push(at),
            close @ (b']' | b'}') => match open.last() {
                // The parser reports what closes nothing.
                None => {}
                Some(last) if bytes[*last] == close - 2 => drop(open.pop()),
                Some(_) => return Err(fault(&open, next_line(text, at))),
            },
            b'\n' => match open.last() {
                None => return Ok(at + 1),
                Some(inner) => {
                    let takes_keys = bytes[*inner] == b'{' && matches!(last, b'{' | b',');
                    let next = line(text, at + 1);
                    if is_header(next) || (!takes_keys && is_assignment(next)) {
                        return Err(fault(&open, at + 1));
                    }
                }
            },
            _ => {}
        }
        if !bytes[at].is_ascii_whitespace() {
            last = bytes[at];
        }
        at += 1;
    }
    if open.is_empty() { Ok(text.len()) } else { Err(fault(&open, text.len())) }
}

/// One past a string's end, if it has one.
fn string_end(bytes: &[u8], start: usize, quote: u8, quotes: usize) -> Option<usize> {
    let mut at = start + quotes;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if quotes == 1 => return None,
            b'\\' if quote == b'"' && bytes.get(at + 1) != Some(&b'\n') => at += 1,
            byte if byte == quote && quotes == 1 => return Some(at + 1),
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => {
                // Up to two quotes may stand before the three that close it.
                let more = bytes[at + 3..].iter().take(2).take_while(|byte| **byte == quote);
                return Some(at + 3 + more.count());
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The first line from `from` on that begins a statement and is indented no further than the one
/// at `start`.
fn resynchronize(text: &str, start: usize, from: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let most = indent(line(text, start));
    let mut at = from;
    while at < text.len() {
        let next = line(text, at);
        if is_header(next) || (is_assignment(next) && indent(next) <= most) {
            return at;
        }
        at += next.len();
    }
    text.len()
}

/// The line that starts at `at`, its end included.
fn line(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    rest.split_inclusive('\n').next().unwrap_or("")
}

fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// `[a.b]` or `[[a.b]]` alone on its line; no list of values looks so.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or("").trim();
    let Some(inner) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
        return false;
    };
    let inner = inner.strip_prefix('[').and_then(|line| line.strip_suffix(']')).unwrap_or(inner);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    inner.starts_with(|first: char| first.is_ascii_alphabetic())
        && inner.bytes().all(is_name)
        && !matches!(inner, "true" | "false" | "inf" | "nan")
}

/// `key =`, the key bare and possibly dotted.
fn is_assignment(line: &str) -> bool {
    let Some((key, _)) = line.split_once('=') else { return false };
    let key = key.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !key.is_empty() && key.bytes().all(is_name)
}

/// What opens with these bytes, and what closes it.
fn names(open: &str) -> (&'static str, &'static str) {
    match open {
        "[" => ("list", "]"),
        "{" => ("table", "}"),
        "'" => ("string", "'"),
        "'''" => ("string", "'''"),
        "\"\"\"" => ("string", "\"\"\""),
        _ => ("string", "\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line, column, and what closes each that is found; and what remains of the text.
    fn check(text: &str, expect: &[(usize, usize, &str)], rest: &str) {
        let found = find(text);
        let place = |unclosed: &Unclosed| {
            let before = &text[..unclosed.open.start];
            let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
            (before.matches('\n').count() + 1, column, unclosed.close)
        };
        assert_eq!(found.iter().map(place).collect::<Vec<_>>(), expect, "{text}");
        let left = without(text, &found);
        assert_eq!(left.len(), text.len());
        let left: Vec<&str> = left.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(left.join("|"), rest, "{text}");
    }

    #[test]
    fn what_is_open_is_found_where_it_opens() {
        check("a = [1\n\n[b.c]\nd = 1\n", &[(1, 5, "]")], "[b.c]|d = 1");
        check("a = [1,\n 2,\nb = 3\n", &[(1, 5, "]")], "b = 3");
        check("a = { b = 1\nc = 2\n", &[(1, 5, "}")], "c = 2");
        check("a = { b = [1, 2 }\nc = 2\n", &[(1, 11, "]")], "c = 2");
        check("a = { b = \"x }\nc = 'y\nd = 1", &[(1, 11, "\""), (2, 5, "'")], "d = 1");
        check("a = [\n  { y = \"z },\n]\nb = 2\n", &[(2, 9, "\"")], "b = 2");
        check("a = \"\"\"x\nb = 1\n", &[(1, 5, "\"\"\"")], "");
        check("a = [1", &[(1, 5, "]")], "");
        check("a = [[1, 2]\n[[x]]\n", &[(1, 5, "]")], "[[x]]");
        check("a = \"x\\\nb = 1\n", &[(1, 5, "\"")], "b = 1");
        check("ü = \"ü\nb = 1\n", &[(1, 6, "\"")], "b = 1");
    }

    #[test]
    fn nothing_is_open_in_what_is_right() {
        for text in [
            "a = [\n  1, # ]\n  [true],\n  [false]\n]\nb = { c = [\n], d = '[' }",
            "a = {\n  b = 1,\n  c = '''x = [\n[y]\n'''' }\n[x]\ny = \"\\\"[\"\n",
            "# don't [\n[a.'b c'] # {\n",
            "a = 1]\n",
        ] {
            assert_eq!(find(text), [], "{text}");
        }
    }
}
