//! Strings with placeholders: `{name}` stands for a capture or a fact of the request.
//!
//! A brace begins a placeholder only before an identifier and its closing brace; any other brace is
//! itself, and `{{` is a brace in any case. Which names exist is for the component to say: captures
//! depend on the route.

use crate::near::nearest;
use crate::scalar;
use crate::schema::alternatives;
use crate::{Config, Decoder, Diagnostic, Diagnostics, Schema, Span, Spanned, TextForm, Value};

/// A string that takes placeholders, parsed. Two are equal if they say the same, wherever.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    span: Span,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }
}

impl Eq for Template {}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// A name whose text is put in.
    Placeholder(Spanned<String>),
}

impl Template {
    /// The parts in order; no two texts follow each other.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Where it was written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The names of its placeholders, in order, with their places.
    pub fn names(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name),
            Piece::Text(_) => None,
        })
    }

    /// Checks that every placeholder is one of `known`.
    ///
    /// # Errors
    /// One error a placeholder that is not.
    pub fn check(&self, known: &[&str]) -> Result<(), Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        for name in self.names().filter(|name| !known.contains(&name.value.as_str())) {
            let help = match nearest(&name.value, known.iter().copied()) {
                Some(near) => format!("write `{{{near}}}`"),
                None if known.is_empty() => "write `{{` for a brace".to_owned(),
                None => {
                    let known = known.iter().map(|name| format!("`{{{name}}}`"));
                    format!("write {}, or `{{{{` for a brace", alternatives(known))
                }
            };
            let message = format!("unknown placeholder `{{{}}}`", name.value);
            diagnostics.push(Diagnostic::error(name.span, message).help(help));
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }

    /// Appends the text to `out`, `insert` appending what a name stands for.
    pub fn fill(&self, out: &mut Vec<u8>, mut insert: impl FnMut(&str, &mut Vec<u8>)) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Placeholder(name) => insert(&name.value, out),
            }
        }
    }

    /// Parses `text`; `place` gives the place of a range of its bytes.
    fn parse(text: &str, span: Span, place: impl Fn(std::ops::Range<usize>) -> Span) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(brace) = text[at..].find('{').map(|found| at + found) {
            plain.push_str(&text[at..brace]);
            at = brace + 1;
            if text[at..].starts_with('{') {
                plain.push('{');
                at += 1;
            } else if let Some(name) = placeholder(&text[at..]) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                let end = at + name.len() + 1;
                let name = Spanned::new(name.to_owned(), place(brace..end));
                pieces.push(Piece::Placeholder(name));
                at = end;
            } else {
                plain.push('{');
            }
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self { pieces, span }
    }
}

/// The identifier at the start of `text`, if a closing brace follows it.
fn placeholder(text: &str) -> Option<&str> {
    let name = &text[..text.find('}')?];
    let mut bytes = name.bytes();
    let first = bytes.next()?;
    let identifier = (first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    identifier.then_some(name)
}

impl Config for Template {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = scalar::text(value, &Self::schema(), decoder)?;
        let span = value.span;
        // Without escapes and expansion the text stands in the file as it is, behind its quotes.
        let within = decoder.sources().slice(span).find(&text.value).filter(|_| !text.expanded);
        let place = |range: std::ops::Range<usize>| match within {
            Some(start) => {
                let start = span.start as usize + start;
                Span::new(span.file, start + range.start..start + range.end)
            }
            None => span,
        };
        Some(Self::parse(&text.value, span, place))
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::TEMPLATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn check(toml: &str, expect: &str) {
        let settings = Settings::parse(&format!("to = {toml}")).unwrap();
        let template: Template = settings.decode().unwrap();
        let mut out = Vec::new();
        template.fill(&mut out, |name, out| out.extend(format!("<{name}>").bytes()));
        assert_eq!(String::from_utf8(out).unwrap(), expect, "{toml}");
        for name in template.names() {
            let shown = settings.sources().slice(name.span);
            assert!(shown == format!("{{{}}}", name.value) || name.span == settings.span());
        }
    }

    #[test]
    fn only_identifiers_in_braces_are_placeholders() {
        check("'/history/{year}'", "/history/<year>");
        check("'{a}{b_2}x'", "<a><b_2>x");
        check("'{{year}'", "{year}");
        check(r#"'{"a": {"b": 1}}'"#, r#"{"a": {"b": 1}}"#);
        check("'{ x } {1a} {} {'", "{ x } {1a} {} {");
        check(r#""\t{a}""#, "\t<a>");
        check("''", "");
    }

    #[test]
    fn unknown_placeholders_are_all_errors() {
        let settings = Settings::parse("to = '/{yaer}/{x}'").unwrap();
        let template: Template = settings.decode().unwrap();
        let errors = template.check(&["year", "host"]).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert_eq!(errors.iter().next().unwrap().help.as_deref(), Some("write `{year}`"));
        assert!(template.check(&["yaer", "x"]).is_ok());
    }
}
