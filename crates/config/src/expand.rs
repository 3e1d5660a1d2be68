//! `${NAME}` and `${NAME:-default}` in strings, once, after parsing; `$${` is a literal `${`.
//!
//! What is put in is never looked at again and never shown: places keep pointing at the text as it
//! was written, and so does every message. A variable that is not set and has no default is an
//! error.

use crate::nginx::{self, Meant};
use crate::value::{Content, Table, Text};
use crate::{Diagnostic, Diagnostics, Sources, Span, Value};

/// How the environment is read: the value of a variable, if it is set.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Expands every string of a table.
pub(crate) fn expand(
    table: &mut Table,
    sources: &Sources,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) {
    let mut expansion = Expansion { sources, environment, diagnostics, bytes: 0, errors: 0 };
    for entry in table.entries_mut() {
        expansion.value(&mut entry.value);
    }
}

struct Expansion<'a> {
    sources: &'a Sources,
    environment: &'a Environment<'a>,
    diagnostics: &'a mut Diagnostics,
    /// Bytes put in so far.
    bytes: usize,
    errors: usize,
}

/// Bytes that all variables of one file may put in.
const EXPANDED_BYTES_MAX: usize = 4 << 20;
/// Variables reported of one file.
const ERRORS_MAX: usize = 200;

impl Expansion<'_> {
    fn value(&mut self, value: &mut Value) {
        let span = value.span;
        match &mut value.content {
            Content::Text(text) if text.value.contains("${") => self.text(text, span),
            Content::List(items) => items.iter_mut().for_each(|item| self.value(item)),
            Content::Table(table) => {
                table.entries_mut().iter_mut().for_each(|entry| self.value(&mut entry.value));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &mut Text, span: Span) {
        let mut out = String::with_capacity(text.value.len());
        let mut rest = text.value.as_str();
        let mut expanded = false;
        while let Some(at) = rest.find("${") {
            if at > 0 && rest.as_bytes()[at - 1] == b'$' {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}').map(|end| at + end) else {
                self.error(span, &rest[at..], "`${` has no `}`", "write `$${` for a literal `${`");
                rest = "";
                break;
            };
            expanded = true;
            out.push_str(&self.variable(&rest[at + 2..end], &rest[at..=end], span));
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        let written = std::mem::replace(&mut text.value, out);
        (text.written, text.expanded) = (Some(written), expanded);
    }

    /// The text that `${inner}` stands for.
    fn variable(&mut self, inner: &str, written: &str, span: Span) -> String {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            let message = format!("`{}` names no environment variable", written.escape_debug());
            self.error(span, written, &message, "write `$${` for a literal `${`");
            return String::new();
        }
        // `:-` means what it means in a shell: an empty variable counts as not set.
        let set = (self.environment)(name).filter(|set| default.is_none() || !set.is_empty());
        if let Some(value) = set.or_else(|| default.map(str::to_owned)) {
            let fitted = self.bytes <= EXPANDED_BYTES_MAX;
            self.bytes += value.len();
            if self.bytes <= EXPANDED_BYTES_MAX {
                return value;
            }
            if fitted {
                let message = "environment variables put in more than 4 MiB";
                self.error(span, written, message, "write less of them");
            }
            return String::new();
        }
        let message = format!("the environment variable `{name}` is not set");
        let help = match nginx::meant(name) {
            Some(Meant::Placeholder(meant)) => {
                format!("write `{{{meant}}}`, without a dollar, for what a request brings")
            }
            _ => format!("set it, or write `${{{name}:-default}}`"),
        };
        self.error(span, written, &message, &help);
        String::new()
    }

    /// Points at `written` inside the string, where it stands there as it is.
    fn error(&mut self, span: Span, written: &str, message: &str, help: &str) {
        self.errors += 1;
        if self.errors > ERRORS_MAX {
            // Later looks at each take time for each of these; enough is said.
            return;
        }
        let found = self.sources.slice(span).find(written).map(|at| {
            let start = span.start as usize + at;
            Span::new(span.file, start..start + written.len())
        });
        self.diagnostics.push(Diagnostic::error(found.unwrap_or(span), message).help(help));
    }
}

/// What a string as written stands for where no variable is set.
pub(crate) fn of_defaults(written: &str) -> String {
    let (mut out, mut rest) = (String::new(), written);
    while let Some((before, variable)) = rest.split_once("${") {
        let Some((inner, after)) = variable.split_once('}') else { break };
        out.push_str(before);
        out.push_str(inner.split_once(":-").map_or("", |(_, default)| default));
        rest = after;
    }
    out + rest
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expect: Result<&str, &str>) {
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", format!("k = '{written}'"));
        let (mut table, mut diagnostics) = crate::parse::parse(&sources, file);
        let environment = |name: &str| match name {
            "HOME" => Some("/home/x".to_owned()),
            "NESTED" => Some("${HOME}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(&mut table, &sources, &environment, &mut diagnostics);
        let outcome = match diagnostics.iter().next() {
            Some(diagnostic) => Err(sources.slice(diagnostic.span.unwrap())),
            None => Ok(table.value("k").and_then(Value::as_str).unwrap()),
        };
        assert_eq!(outcome, expect, "{written}");
    }

    #[test]
    fn variables_are_put_in_once() {
        check("${HOME}/a", Ok("/home/x/a"));
        check("${NESTED}", Ok("${HOME}"));
        check("${NONE:-b}${HOME}", Ok("b/home/x"));
        check("${EMPTY}-${EMPTY:-d}", Ok("-d"));
        check("$${HOME} $ {x} $x", Ok("${HOME} $ {x} $x"));
        check("$$${HOME}", Ok("$${HOME}"));
        check("a ${NONE} b", Err("${NONE}"));
        check("a ${HOME", Err("${HOME"));
        check("${}", Err("${}"));
        check("${A B}", Err("${A B}"));
    }
}
