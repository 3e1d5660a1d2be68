//! Strings with placeholders: `{name}` stands for a capture or a fact of the request.
//!
//! A brace begins a placeholder only before an identifier and its closing brace; any other brace is
//! itself, and `{{` is a brace in any case. `?` or `&` before the identifier belongs to the name
//! (after RFC 6570 §3.2.8). Which names exist is for the component to say: captures depend on the
//! route. A dollar is itself, but nginx's variables are refused; `$$` keeps one literal.

use crate::near::nearest;
use crate::nginx::{self, Meant};
use crate::scalar;
use crate::schema::alternatives;
use crate::{Config, Decoder, Diagnostic, Diagnostics, Schema, Span, Spanned, TextForm, Value};

/// A string that takes placeholders, parsed. Two are equal if they say the same, wherever.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    /// What nginx would put a value in for, without its dollar.
    variables: Vec<Spanned<String>>,
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

    /// Checks that every placeholder is one of `known`, and that nginx's variables are none.
    ///
    /// # Errors
    /// One error a placeholder that is not, or a variable.
    pub fn check(&self, known: &[&str]) -> Result<(), Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        for name in &self.variables {
            diagnostics.push(variable(name, known));
        }
        for name in self.names().filter(|name| !known.contains(&name.value.as_str())) {
            let meant = match nginx::meant(&name.value) {
                Some(Meant::Placeholder(meant)) if known.contains(&meant) => Some(meant),
                _ => nearest(&name.value, known.iter().copied()),
            };
            let help = match meant {
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
        let (mut pieces, mut variables) = (Vec::new(), Vec::new());
        let mut plain = String::new();
        let mut at = 0;
        while let Some(brace) = text[at..].find(['{', '$']).map(|found| at + found) {
            plain.push_str(&text[at..brace]);
            at = brace + 1;
            if text.as_bytes()[brace] == b'$' {
                plain.push('$');
                let is_literal = text[at..].starts_with('$');
                let name = &text[at + usize::from(is_literal)..];
                let name = &name[..nginx::variable_len(name)];
                if nginx::meant(name).is_some() {
                    plain.push_str(name);
                    if !is_literal {
                        let place = place(brace..at + name.len());
                        variables.push(Spanned::new(name.to_owned(), place));
                    }
                    at += usize::from(is_literal) + name.len();
                }
            } else if text[at..].starts_with('{') {
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
        Self { pieces, variables, span }
    }
}

/// What is wrong with a variable of nginx's.
fn variable(name: &Spanned<String>, known: &[&str]) -> Diagnostic {
    let written = |name: &str| format!("write `{{{name}}}`");
    let meant = match nginx::meant(&name.value) {
        Some(Meant::Placeholder("?query")) if known.contains(&"?query") => {
            "write `{?query}` for `$is_args$args`".to_owned()
        }
        Some(Meant::Placeholder(meant)) if known.contains(&meant) => written(meant),
        // Only lines of the log know what came of a request.
        Some(Meant::Field) if known.contains(&"status") => {
            written(&format!("header_{}", &name.value["http_".len()..]))
        }
        Some(Meant::AnswerField) if known.contains(&"status") => {
            written(&format!("response_header_{}", &name.value["sent_http_".len()..]))
        }
        Some(Meant::Group) => "name the group, `(?<name>…)` or `{name}` in the path, and write \
                               `{name}`"
            .to_owned(),
        _ => {
            let known = known.iter().map(|name| format!("`{{{name}}}`"));
            format!("nothing here stands for it; there is {}", alternatives(known))
        }
    };
    let message = format!("`${}` is a variable of nginx, not of Stead", name.value);
    Diagnostic::error(name.span, message)
        .help(format!("{meant}; `$${}` is the text itself", name.value))
}

/// The identifier at the start of `text`, with `?` or `&` before it, if a closing brace follows it.
fn placeholder(text: &str) -> Option<&str> {
    let name = &text[..text.find('}')?];
    let mut bytes = name.strip_prefix(['?', '&']).unwrap_or(name).bytes();
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
        check("'/x{?query}{&b}'", "/x<?query><&b>");
        check("'{?} {&} {?1} {??a}'", "{?} {&} {?1} {??a}");
    }

    #[test]
    fn a_dollar_is_itself_but_for_nginx() {
        check("'$ $x a$ $$ $$x {host}$ $USD 5$'", "$ $x a$ $$ $$x <host>$ $USD 5$");
        check("'$$host $$1 $$10'", "$host $1 $10");
        let helps = |toml: &str, known: &[&str]| -> Vec<String> {
            let settings = Settings::parse(&format!("to = {toml}")).unwrap();
            let template: Template = settings.decode().unwrap();
            let errors = template.check(known).err().unwrap_or_default();
            errors.iter().map(|error| error.help.clone().unwrap()).collect()
        };
        let check = |toml: &str, known: &[&str], expect: &[&str]| {
            let helps = helps(toml, known);
            assert_eq!(helps.len(), expect.len(), "{toml} {helps:?}");
            for (help, expect) in helps.iter().zip(expect) {
                assert!(help.contains(expect), "{toml} {help}");
            }
        };
        let facts = ["host", "uri", "query", "?query", "client_ip", "request_id"];
        check("'https://$host$request_uri'", &facts, &["write `{host}`", "write `{uri}`"]);
        check("'/new/$1$is_args$args'", &facts, &["`{name}`", "`{?query}`", "`{query}`"]);
        check("'$binary_remote_addr'", &facts, &["write `{client_ip}`; `$$binary_remote_addr`"]);
        check("'$http_user_agent'", &facts, &["nothing here"]);
        check("'$http_user_agent'", &["status"], &["write `{header_user_agent}`"]);
        check("'$sent_http_etag'", &["status"], &["write `{response_header_etag}`"]);
        // What is near once won over what is meant.
        check("'/x{request_uri}'", &facts, &["write `{uri}`"]);
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
