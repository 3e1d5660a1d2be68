//! Configured strings with placeholders, filled from an exchange.
//!
//! Compiled once, when a component is built: `{name}` is a capture of the route's pattern, else a
//! [`Fact`]. Filled in one pass: what a request carries is never looked at for further
//! placeholders. What is written is raw; whoever uses it escapes it for its place.

use std::io::Write;

use stead_config::{Diagnostics, Piece, Spanned, Template};

use crate::{BuildContext, Exchange, TlsFact, check_field_value};

/// A template whose placeholders are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Box<[Part]>);

/// One part of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Stands for itself.
    Literal(Box<str>),
    /// A capture, by its position: canonical, still escaped.
    Capture(usize),
    /// What is known of the request.
    Fact(Fact),
}

/// What is known of every request, by the name of its placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The host without its port.
    Host,
    /// The canonical path.
    Path,
    /// The query without its question mark.
    Query,
    /// Path and query.
    Uri,
    /// `?` and the query; nothing where there is none.
    FirstQuery,
    /// `&` and the query; nothing where there is none.
    FurtherQuery,
    /// The method.
    Method,
    /// `http` or `https`.
    Scheme,
    /// The client's address.
    ClientIp,
    /// What names this request in logs.
    RequestId,
    /// What is known of an encrypted connection.
    Tls(TlsFact),
}

impl Fact {
    /// Every fact with its name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("host", Self::Host),
        ("path", Self::Path),
        ("query", Self::Query),
        ("uri", Self::Uri),
        ("?query", Self::FirstQuery),
        ("&query", Self::FurtherQuery),
        ("method", Self::Method),
        ("scheme", Self::Scheme),
        ("client_ip", Self::ClientIp),
        ("request_id", Self::RequestId),
        ("tls_version", Self::Tls(TlsFact::Version)),
        ("tls_cipher", Self::Tls(TlsFact::Cipher)),
        ("tls_server_name", Self::Tls(TlsFact::ServerName)),
        ("client_certificate_subject", Self::Tls(TlsFact::ClientSubject)),
        ("client_certificate_issuer", Self::Tls(TlsFact::ClientIssuer)),
        ("client_certificate_serial", Self::Tls(TlsFact::ClientSerial)),
        ("client_certificate_fingerprint", Self::Tls(TlsFact::ClientFingerprint)),
        ("client_certificate_dns_names", Self::Tls(TlsFact::ClientDnsNames)),
        ("client_certificate_emails", Self::Tls(TlsFact::ClientEmails)),
    ];

    /// The fact of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, fact)| *fact)
    }

    /// Appends the fact's text.
    pub fn write(self, exchange: &Exchange, out: &mut Vec<u8>) {
        match self {
            Self::Host => out.extend_from_slice(exchange.head().host_name().unwrap_or_default()),
            Self::Path => out.extend_from_slice(exchange.path().as_bytes()),
            Self::Query => out.extend_from_slice(exchange.query().unwrap_or_default()),
            Self::Uri => {
                out.extend_from_slice(exchange.path().as_bytes());
                if let Some(query) = exchange.query() {
                    out.push(b'?');
                    out.extend_from_slice(query);
                }
            }
            Self::FirstQuery => write_query(b'?', exchange, out),
            Self::FurtherQuery => write_query(b'&', exchange, out),
            Self::Method => out.extend_from_slice(exchange.method().as_str().as_bytes()),
            Self::Scheme => out.extend_from_slice(exchange.scheme().as_str().as_bytes()),
            // Writing into a vector cannot fail.
            Self::ClientIp => drop(write!(out, "{}", exchange.client())),
            Self::RequestId => out.extend_from_slice(exchange.request_id().as_bytes()),
            Self::Tls(fact) => {
                if let Some(facts) = &exchange.connection().tls {
                    fact.write(facts, out);
                }
            }
        }
    }
}

fn write_query(before: u8, exchange: &Exchange, out: &mut Vec<u8>) {
    if let Some(query) = exchange.query().filter(|query| !query.is_empty()) {
        out.push(before);
        out.extend_from_slice(query);
    }
}

impl Text {
    /// Resolves a template's placeholders.
    ///
    /// # Errors
    /// Every placeholder that is neither a capture of the route nor a fact.
    pub fn compile(template: &Template, context: &BuildContext<'_>) -> Result<Self, Diagnostics> {
        let captures = context.captures_for(template.names().map(|name| name.value.as_str()));
        let facts = Fact::ALL.iter().map(|(name, _)| *name);
        let known: Vec<&str> = captures.iter().map(String::as_str).chain(facts).collect();
        template.check(&known)?;
        Ok(Self(template.pieces().iter().map(|piece| Part::of(piece, captures)).collect()))
    }

    /// Resolves the value of a header field.
    ///
    /// # Errors
    /// As [`Text::compile`], and for a control character.
    pub fn compile_field(
        template: &Template,
        context: &BuildContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let text = Self::compile(template, context)?;
        for part in &text.0 {
            if let Part::Literal(literal) = part {
                check_field_value(&Spanned::new(literal.to_string(), template.span()))?;
            }
        }
        Ok(text)
    }

    /// The parts in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// All of it, where it has no placeholder.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text, filled.
    pub fn write(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        for part in &self.0 {
            part.write(exchange, out);
        }
    }
}

impl Part {
    /// INVARIANT: the names of placeholders were checked.
    fn of(piece: &Piece, captures: &[String]) -> Self {
        match piece {
            Piece::Text(text) => Self::Literal(text.as_str().into()),
            Piece::Placeholder(name) => Self::named(&name.value, captures),
        }
    }

    /// What a placeholder stands for: a capture before a fact; nothing for another name.
    pub fn named(name: &str, captures: &[String]) -> Self {
        if let Some(index) = captures.iter().position(|capture| capture == name) {
            return Self::Capture(index);
        }
        Fact::named(name).map_or(Self::Literal("".into()), Self::Fact)
    }

    /// Appends the part, filled, for a query: SECURITY: it stays within the parameter in which it
    /// stands, unless it is text or a query itself.
    pub fn write_in_query(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        let ends: &[u8] = match self {
            Self::Literal(_) | Self::Fact(Fact::Query | Fact::FirstQuery | Fact::FurtherQuery) => {
                return self.write(exchange, out);
            }
            // What is escaped in its own query has to be so once the parameter is read.
            Self::Fact(Fact::Uri) => b"&;+%",
            Self::Capture(_) | Self::Fact(_) => PARAMETER_ENDS,
        };
        let mut raw = exchange.worker().buffer();
        self.write(exchange, &mut raw);
        push_but(ends, &raw, out);
        exchange.worker().reclaim_buffer(raw);
    }

    /// Appends the part, filled.
    pub fn write(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Capture(index) => {
                out.extend_from_slice(exchange.capture(*index).unwrap_or_default().as_bytes());
            }
            Self::Fact(fact) => fact.write(exchange, out),
        }
    }
}

/// Appends a piece of a canonical path so that it stays within the parameter of a query in which it
/// stands.
pub fn push_parameter(text: &[u8], out: &mut Vec<u8>) {
    push_but(PARAMETER_ENDS, text, out);
}

/// What ends a parameter, or is read as a blank.
const PARAMETER_ENDS: &[u8] = b"&;+";

/// Appends text with these characters escaped.
fn push_but(escaped: &[u8], text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if escaped.contains(byte) {
            // Writing into a vector cannot fail.
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.push(*byte);
        }
    }
}
