//! Text to positioned tree, by the recoverable parser of the `toml` crate.
//!
//! Every syntax error of a file is reported, and what could be read is kept, so that the rest of
//! the file is checked in the same run. Integers beyond 64 bits and keys nested beyond any use are
//! errors here: nothing later recurses deeper than this allows.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::schema::quoted;
use crate::value::{Content, Entry, Key, Table, Text};
use crate::{Diagnostic, Diagnostics, FileId, Sources, Span, Value};

mod duplicate;
mod escape;
mod unclosed;

/// Syntax errors shown of one file: an unclosed bracket makes every later line one.
const SYNTAX_ERRORS_MAX: usize = 20;
/// Malformed values reported of one file; looking for repetitions takes time for each.
const VALUE_ERRORS_MAX: usize = 200;

/// First places looked for in one file; each costs one more pass over the text.
const DUPLICATES_EXPLAINED_MAX: usize = 8;

/// Dots in one key or header. The parser bounds brackets but not these, and a table a dot would
/// exhaust the stack; real configurations use four.
const KEY_DOTS_MAX: usize = 16;

/// Reads the text of a file. What has errors is left out of the table.
pub(crate) fn parse(sources: &Sources, file: FileId) -> (Table, Diagnostics) {
    let text = sources.text(file);
    let diagnostics = Diagnostics::new();
    let mut reader = Reader { sources, file, text, diagnostics, duplicates: 0, line: 0 };
    if let Some(at) = too_many_dots(text) {
        let span = reader.span(at..at + 1);
        let message = format!("a key has more than {KEY_DOTS_MAX} dots");
        reader.diagnostics.push(Diagnostic::error(span, message));
        return (Table::new(), reader.diagnostics);
    }
    let (mut root, mut errors) = DeTable::parse_recoverable(text);
    let unclosed = if errors.is_empty() { Vec::new() } else { unclosed::find(text) };
    // What was never closed takes in all that follows: the rest is read without it.
    let rest = if unclosed.is_empty() { String::new() } else { unclosed::without(text, &unclosed) };
    if !unclosed.is_empty() {
        (root, errors) = DeTable::parse_recoverable(&rest);
    }
    reader.unclosed(&unclosed);
    for error in &errors {
        reader.syntax_error(error);
    }
    let table = reader.table(root.get_ref());
    (table, reader.diagnostics)
}

struct Reader<'t> {
    sources: &'t Sources,
    file: FileId,
    text: &'t str,
    diagnostics: Diagnostics,
    duplicates: usize,
    /// The line of the last syntax error.
    line: usize,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut read = Table::new();
        for (key, value) in entries {
            let key = Key { name: key.get_ref().to_string(), span: self.span(key.span()) };
            if let Some(value) = self.value(value) {
                read.push(Entry { key, value });
            }
        }
        read
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let span = self.span(value.span());
        let content = match value.get_ref() {
            DeValue::String(text) => Content::Text(Text::from(text.as_ref())),
            DeValue::Integer(number) => Content::Integer(self.integer(number, span)?),
            DeValue::Float(number) => Content::Float(self.float(number, span)?),
            DeValue::Boolean(boolean) => Content::Boolean(*boolean),
            DeValue::Datetime(time) => Content::Time(time.to_string()),
            DeValue::Array(items) => {
                Content::List(items.iter().filter_map(|item| self.value(item)).collect())
            }
            DeValue::Table(table) => Content::Table(self.table(table)),
        };
        Some(Value::new(content, span))
    }

    fn integer(&mut self, number: &DeInteger<'_>, span: Span) -> Option<i64> {
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        self.or_error(parsed, span, "the integer is malformed or does not fit 64 bits")
    }

    fn float(&mut self, number: &DeFloat<'_>, span: Span) -> Option<f64> {
        let parsed = number.as_str().parse().ok();
        self.or_error(parsed, span, "the number is malformed")
    }

    /// A scalar that is no number at all was reported by the parser already.
    fn or_error<T>(&mut self, parsed: Option<T>, span: Span, message: &str) -> Option<T> {
        let reported = |known: &Diagnostic| known.span.is_some_and(|known| overlap(known, span));
        let is_full = self.diagnostics.len() > VALUE_ERRORS_MAX;
        if parsed.is_none() && !is_full && !self.diagnostics.iter().any(reported) {
            self.diagnostics.push(Diagnostic::error(span, message));
        }
        parsed
    }

    fn unclosed(&mut self, unclosed: &[unclosed::Unclosed]) {
        for unclosed in unclosed.iter().take(SYNTAX_ERRORS_MAX) {
            let span = self.span(unclosed.open.clone());
            let error = Diagnostic::error(span, format!("the {} is not closed", unclosed.what));
            self.diagnostics.push(error.help(format!("close it with `{}`", unclosed.close)));
        }
    }

    fn syntax_error(&mut self, error: &toml::de::Error) {
        let end = self.text.trim_end().len();
        let range = error.span().unwrap_or(end..end);
        let span = self.span(range.clone());
        // One mistake often gives several errors on its line; the first says most.
        let line = self.sources.position(self.file, span.start).line;
        let count = self.diagnostics.len();
        if self.line == line || count > SYNTAX_ERRORS_MAX {
            return;
        }
        self.line = line;
        if count == SYNTAX_ERRORS_MAX {
            let message = "more syntax errors follow; the first ones probably cause them";
            return self.diagnostics.push(Diagnostic::error(span, message));
        }
        let written = self.text.get(range.clone()).unwrap_or("");
        let diagnostic = match error.message() {
            "duplicate key" => self.duplicate(range, span, written),
            message if message.starts_with("string values must be quoted") => {
                Diagnostic::error(span, "a string stands in quotes")
                    .help(format!("write `{}`", quoted(written)))
            }
            message if message.starts_with("missing escaped value") => {
                let (at, message, help) = escape::explain(self.text, range.start);
                Diagnostic::error(self.span(at), message).help(help)
            }
            message => {
                let (message, help) = phrase(message);
                Diagnostic::error(span, message).help_if(help)
            }
        };
        self.diagnostics.push(diagnostic);
    }

    fn duplicate(&mut self, second: Range<usize>, span: Span, key: &str) -> Diagnostic {
        let diagnostic = Diagnostic::error(span, format!("`{}` is set twice", key.escape_debug()))
            .help("remove one of the two");
        self.duplicates += 1;
        let first = (self.duplicates <= DUPLICATES_EXPLAINED_MAX)
            .then(|| duplicate::first_place(self.text, second))
            .flatten();
        match first {
            Some(first) => diagnostic.related(self.span(first), "set here first"),
            None => diagnostic,
        }
    }

    fn span(&self, range: Range<usize>) -> Span {
        let start = floor(self.text, range.start);
        Span::new(self.file, start..floor(self.text, range.end).max(start))
    }
}

fn overlap(a: Span, b: Span) -> bool {
    a.file == b.file && a.start <= b.end && b.start <= a.end
}

/// The character boundary at or before `at`, inside the text.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// The parser's message in our form: lower case, what was expected as the help.
fn phrase(message: &str) -> (String, Option<String>) {
    match message.split_once(", expected ") {
        Some((what, "nothing")) => (what.to_owned(), Some("remove this".to_owned())),
        Some((what, expected)) => {
            let expected = expected
                .rsplit_once(", ")
                .map_or(expected.to_owned(), |(first, last)| format!("{first} or {last}"));
            (what.to_owned(), Some(format!("expected {expected}")))
        }
        None => (message.to_owned(), None),
    }
}

/// Where a key's dots exceed the limit. Looks at what stands outside of strings and comments.
fn too_many_dots(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut dots) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at += text[at..].find('\n').unwrap_or(text.len() - at),
            quote @ (b'"' | b'\'') => {
                at = string_end(bytes, at, quote);
                continue;
            }
            b'.' => {
                dots += 1;
                if dots > KEY_DOTS_MAX {
                    return Some(at);
                }
            }
            b'\n' | b'=' | b'[' | b']' | b'{' | b'}' | b',' => dots = 0,
            _ => {}
        }
        at += 1;
    }
    None
}

/// One past the string that starts at `at`; a string on one line ends at its line's end at the
/// latest, as for the parser.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let several = bytes[at..].starts_with(&[quote; 3]);
    let mut next = at + if several { 3 } else { 1 };
    while next < bytes.len() {
        match bytes[next] {
            b'\\' if quote == b'"' => next += 1,
            b'\n' if !several => return next,
            byte if byte == quote && !several => return next + 1,
            byte if byte == quote && bytes[next..].starts_with(&[quote; 3]) => return next + 3,
            _ => {}
        }
        next += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Table, Diagnostics, Sources) {
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", text);
        let (table, diagnostics) = parse(&sources, file);
        (table, diagnostics, sources)
    }

    #[test]
    fn order_and_places_of_the_file_are_kept() {
        let (table, diagnostics, sources) = read("z = 1\na = { y = 'q', b = 2 }\n[m.k]\nx = []\n");
        assert!(diagnostics.is_empty());
        assert_eq!(table.names().collect::<Vec<_>>(), ["z", "a", "m"]);
        let a = table.entry("a").unwrap();
        assert_eq!(sources.slice(a.key.span), "a");
        assert_eq!(a.value.as_table().unwrap().names().collect::<Vec<_>>(), ["y", "b"]);
        let m = table.value("m").unwrap();
        assert_eq!(sources.slice(m.as_table().unwrap().value("k").unwrap().span), "[m.k]");
    }

    #[test]
    fn several_syntax_errors_are_all_found_and_the_rest_is_read() {
        let (table, diagnostics, _) = read("a = \nb = 2\nc = [1,\nd = \"x\nfine = true\n");
        assert!(diagnostics.len() >= 2, "{diagnostics}");
        assert!(table.value("b").is_some());
    }

    #[test]
    fn deep_keys_do_not_reach_the_stack() {
        let (_, diagnostics, _) = read(&format!("{}a = 1", "a.".repeat(200_000)));
        assert_eq!(diagnostics.len(), 1);
        let nested = format!("x = {}", format!("{{ {}", "a.".repeat(16) + "a = ").repeat(500));
        assert!(read(&nested).1.has_errors());
        let nested = format!("x = {}", "[".repeat(100_000));
        assert!(read(&nested).1.has_errors());
        let (_, diagnostics, _) = read(&format!("text = '{}' # {0}\n", ".".repeat(99)));
        assert!(diagnostics.is_empty(), "{diagnostics}");
    }

    #[test]
    fn an_integer_beyond_64_bits_is_an_error() {
        let (_, diagnostics, _) = read("a = 99999999999999999999\nb = 0xff\n");
        assert_eq!(diagnostics.len(), 1, "{diagnostics}");
    }
}
