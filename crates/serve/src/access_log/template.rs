//! Lines that the operator designs: text, and values by the names of their placeholders.
//!
//! SECURITY: a value never holds the character that follows it in the template, nor a quote, a
//! backslash, or what is not printable ASCII: it is written as `\xHH`. So no request can end a
//! field or a line. Under `Escape::Json` it is written as inside a JSON string.

use stead_core::{Exchange, Name, TlsFact};

use super::escape;
use super::format::{self, Line};

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTemplate {
    parts: Box<[Part]>,
    escape: Escape,
}

/// How values are kept from ending a field or a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As `\xHH`; what is empty is `-`.
    Text,
    /// As inside a JSON string.
    Json,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Stands for itself.
    Literal(String),
    /// What a placeholder stands for.
    Value(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    /// A value, and what follows it.
    Value(Value, Option<u8>),
}

macro_rules! values {
    ($($name:literal $variant:ident $doc:literal;)*) => {
        /// What a placeholder of a log line stands for.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Value {
            $(#[doc = $doc] $variant,)*
            /// A field of the request, as middleware left it.
            Header(Box<[u8]>),
            /// A field of the answer that handler or middleware set.
            AnswerHeader(Box<[u8]>),
        }

        impl Value {
            /// Every placeholder but those of header fields, with what it stands for.
            pub const NAMES: &'static [(&'static str, &'static str)] = &[$(($name, $doc),)*];

            fn fixed(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

values! {
    "time" Time "The time in UTC: `2026-11-20T15:04:05.123Z`.";
    "time_common" TimeCommon "The time as `common` writes it: `20/Nov/2026:15:04:05 +0000`.";
    "unix_ms" UnixMs "Milliseconds since 1970.";
    "server" Server "The server's name.";
    "site" Site "The site's name.";
    "route" Route "The route's pattern.";
    "client_ip" ClientIp "The client's address.";
    "scheme" Scheme "`http` or `https`, as the client used it.";
    "method" Method "The method.";
    "host" Host "The host without its port.";
    "path" Path "The canonical path, as asked for.";
    "query" Query "The query, as asked for.";
    "uri" Uri "Path and query.";
    "version" Version "`HTTP/1.0` or `HTTP/1.1`.";
    "status" Status "The status; 0 where no answer was sent.";
    "reason" Reason "How it ended, in one word.";
    "closes" Closes "Why we close the connection afterwards, where we do.";
    "bytes_in" BytesIn "Bytes of the request.";
    "bytes_out" BytesOut "Bytes of the answer with its head.";
    "bytes_body" BytesBody "Bytes of the answer's body.";
    "duration_ms" DurationMs "Milliseconds from the head to the answer's last byte.";
    "request_id" RequestId "What names the request.";
    "tls_version" TlsVersion "`TLSv1.2` or `TLSv1.3`.";
    "tls_cipher" TlsCipher "The cipher suite.";
    "tls_server_name" TlsServerName "The name that the client asked for in its handshake.";
    "client_certificate_subject" ClientSubject "Whom the client's certificate names.";
    "client_certificate_issuer" ClientIssuer "Who signed it.";
    "client_certificate_serial" ClientSerial "Its serial number.";
    "client_certificate_fingerprint" ClientFingerprint "Its SHA-256.";
    "one_in" OneIn "How many exchanges the record stands for.";
}

/// Before the name of a field of the request, `_` for `-`.
pub const HEADER: &str = "header_";
/// Before the name of a field of the answer, `_` for `-`.
pub const ANSWER_HEADER: &str = "response_header_";

impl Value {
    /// What a placeholder stands for.
    pub fn named(name: &str) -> Option<Self> {
        let field = |name: &str| {
            let name = name.replace('_', "-").to_ascii_lowercase();
            (!name.is_empty()).then(|| name.into_bytes().into_boxed_slice())
        };
        if let Some(name) = name.strip_prefix(ANSWER_HEADER) {
            return field(name).map(Self::AnswerHeader);
        }
        if let Some(name) = name.strip_prefix(HEADER) {
            return field(name).map(Self::Header);
        }
        Self::fixed(name)
    }
}

impl LineTemplate {
    /// Joins the parts of a line.
    pub fn new(pieces: impl IntoIterator<Item = Piece>, escape: Escape) -> Self {
        let mut pieces = pieces.into_iter().peekable();
        let mut parts = Vec::new();
        while let Some(piece) = pieces.next() {
            parts.push(match piece {
                Piece::Literal(text) => Part::Literal(text.into_bytes().into()),
                Piece::Value(value) => {
                    let end = match pieces.peek() {
                        Some(Piece::Literal(text)) => text.bytes().next(),
                        _ => None,
                    };
                    Part::Value(value, end)
                }
            });
        }
        Self { parts: parts.into(), escape }
    }

    /// Whether it shows a field of the answer.
    pub(super) fn wants_answer(&self) -> bool {
        let wants = |part: &Part| matches!(part, Part::Value(Value::AnswerHeader(_), _));
        self.parts.iter().any(wants)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, line: &Line<'_>) {
        for part in &self.parts {
            let (value, end) = match part {
                Part::Literal(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Part::Value(value, end) => (value, *end),
            };
            let before = out.len();
            match self.escape {
                Escape::Text => value.write(out, line, |out, text| escape::field(out, text, end)),
                Escape::Json => value.write(out, line, escape::json),
            }
            if out.len() == before && self.escape == Escape::Text {
                out.push(b'-');
            }
        }
    }
}

impl Value {
    /// Appends the value; what others chose through `escape`.
    fn write(&self, out: &mut Vec<u8>, line: &Line<'_>, escape: impl Fn(&mut Vec<u8>, &[u8])) {
        let (record, exchange) = (line.record, line.record.exchange);
        match self {
            Self::Time => line.iso(out),
            Self::TimeCommon => line.common_time(out),
            Self::UnixMs => format::number(out, line.unix_millis()),
            Self::Server => escape(out, exchange.connection().server.as_bytes()),
            Self::Site => escape(out, record.site.as_bytes()),
            Self::Route => escape(out, record.route.as_bytes()),
            Self::ClientIp => line.client(out),
            Self::Scheme => out.extend_from_slice(exchange.scheme().as_str().as_bytes()),
            Self::Method => escape(out, exchange.method().as_str().as_bytes()),
            Self::Host => escape(out, exchange.head().host_name().unwrap_or_default()),
            Self::Path => line.path(|text| escape(out, text)),
            Self::Query => line.query(|text| escape(out, text)),
            Self::Uri => line.uri(|text| escape(out, text)),
            Self::Version => out.extend_from_slice(line.protocol()),
            Self::Status => format::number(out, u64::from(record.status)),
            Self::Reason => out.extend_from_slice(record.reason.code().as_bytes()),
            Self::Closes => {
                let closes = record.closes.map_or("", |reason| reason.code());
                out.extend_from_slice(closes.as_bytes());
            }
            Self::BytesIn => format::number(out, record.bytes_in),
            Self::BytesOut => format::number(out, record.bytes_out),
            Self::BytesBody => format::number(out, record.bytes_body),
            Self::DurationMs => format::millis(out, record.duration),
            Self::RequestId => escape(out, exchange.request_id().as_bytes()),
            Self::TlsVersion => tls(out, exchange, TlsFact::Version, escape),
            Self::TlsCipher => tls(out, exchange, TlsFact::Cipher, escape),
            Self::TlsServerName => tls(out, exchange, TlsFact::ServerName, escape),
            Self::ClientSubject => tls(out, exchange, TlsFact::ClientSubject, escape),
            Self::ClientIssuer => tls(out, exchange, TlsFact::ClientIssuer, escape),
            Self::ClientSerial => tls(out, exchange, TlsFact::ClientSerial, escape),
            Self::ClientFingerprint => tls(out, exchange, TlsFact::ClientFingerprint, escape),
            Self::OneIn => format::number(out, u64::from(line.one_in.unwrap_or(1))),
            Self::Header(name) => {
                let sent = exchange.fields().get(Name::from_bytes(name));
                line.field(name, sent.unwrap_or_default(), |text| escape(out, text));
            }
            Self::AnswerHeader(name) => {
                let fields = record.answer;
                let set = fields.and_then(|fields| fields.get(Name::from_bytes(name)));
                line.field(name, set.unwrap_or_default(), |text| escape(out, text));
            }
        }
    }
}

/// Appends what is known of an encrypted connection.
fn tls(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    fact: TlsFact,
    escape: impl Fn(&mut Vec<u8>, &[u8]),
) {
    let Some(facts) = &exchange.connection().tls else { return };
    let mut text = exchange.worker().buffer();
    fact.write(facts, &mut text);
    escape(out, &text);
    exchange.worker().reclaim_buffer(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_fields_are_named_by_identifiers() {
        for (name, docs) in Value::NAMES {
            assert!(Value::named(name).is_some() && docs.ends_with('.'), "{name}");
        }
        let agent = Value::Header(b"user-agent".as_slice().into());
        assert_eq!(Value::named("header_User_Agent"), Some(agent));
        let kind = Value::AnswerHeader(b"content-type".as_slice().into());
        assert_eq!(Value::named("response_header_content_type"), Some(kind));
        assert_eq!(Value::named("header_"), None);
        assert_eq!(Value::named("agent"), None);
    }
}
