//! What a site and a route may say differently from their server, and what holds for both.

use std::ops::Deref;
use std::path::PathBuf;

use stead_base::{ByteSize, Limits, Rate, Timeouts};

use crate::value::{Content, Table};
use crate::{
    Config, Decoder, Diagnostic, Duration, Map, Off, Schema, Span, Spanned, TextForm, Value,
};

/// A table with the places of the keys that are written in it, for `explain`.
#[derive(Clone, Debug, Default)]
pub struct Placed<T> {
    /// The table.
    pub value: T,
    /// Each key that is written, with where it stands.
    pub places: Vec<(String, Span)>,
}

impl<T> Placed<T> {
    /// Where a key is written.
    pub fn place(&self, key: &str) -> Option<Span> {
        self.places.iter().find(|(name, _)| name == key).map(|(_, span)| *span)
    }
}

/// Where it is written makes no difference.
impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Config> Config for Placed<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let entries = value.as_table().into_iter().flat_map(Table::entries);
        let places = entries.map(|entry| (entry.key.name.clone(), entry.key.span)).collect();
        Some(Self { value: T::decode(value, decoder)?, places })
    }

    fn schema() -> Schema {
        T::schema()
    }
}

/// The limits that a site or a route may set for itself: those that count once it is known which
/// one it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeLimits(ScopeLimitsTable);

/// What a request may take here; keys that are not written are inherited.
#[derive(Clone, Debug, Default, PartialEq, Config)]
struct ScopeLimitsTable {
    /// Bytes of a request body.
    body: Option<Off<ByteSize>>,
}

impl ScopeLimits {
    /// Puts what is written here in place of what was inherited.
    pub fn apply(&self, limits: &mut Limits) {
        if let Some(body) = self.0.body {
            limits.body = body.0;
        }
    }
}

impl Config for ScopeLimits {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let server_only = [
            "connections",
            "connections_per_ip",
            "connection_rate_per_ip",
            "keepalive_requests",
            "http2_streams",
            "header_size",
            "header_count",
            "uri",
        ];
        without(value, &server_only, decoder, ScopeLimitsTable::decode).map(Self)
    }

    fn schema() -> Schema {
        ScopeLimitsTable::schema()
    }
}

/// The timeouts that a site or a route may set for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeTimeouts(ScopeTimeoutsTable);

/// How long a peer is waited for here; keys that are not written are inherited.
#[derive(Clone, Debug, Default, PartialEq, Config)]
struct ScopeTimeoutsTable {
    /// Between two reads of a body.
    #[config(range = "1ms"..="30d")]
    body_idle: Option<Off<Duration>>,
    /// The least mean rate of a body, over the last 10 s in which we waited for it.
    #[config(range = "1B/s"..="1TB/s")]
    body_rate: Option<Off<Rate>>,
    /// Without the peer acknowledging a byte that we sent.
    #[config(range = "1ms"..="30d")]
    write_idle: Option<Off<Duration>>,
    /// The least mean rate at which the peer takes bytes, over the last 10 s in which we waited.
    #[config(range = "1B/s"..="1TB/s")]
    write_rate: Option<Off<Rate>>,
    /// From a head's last byte to the answer's last.
    #[config(range = "1ms"..="30d")]
    request: Option<Off<Duration>>,
}

impl ScopeTimeouts {
    /// Puts what is written here in place of what was inherited.
    pub fn apply(&self, timeouts: &mut Timeouts) {
        let ScopeTimeoutsTable { body_idle, body_rate, write_idle, write_rate, request } = &self.0;
        put(&mut timeouts.body_idle, body_idle.as_ref());
        put(&mut timeouts.body_rate, body_rate.as_ref());
        put(&mut timeouts.write_idle, write_idle.as_ref());
        put(&mut timeouts.write_rate, write_rate.as_ref());
        put(&mut timeouts.request, request.as_ref());
    }
}

fn put<T: Copy>(inherited: &mut Option<T>, own: Option<&Off<T>>) {
    if let Some(own) = own {
        *inherited = own.0;
    }
}

impl Config for ScopeTimeouts {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let server_only = ["first_byte", "tls_handshake", "header", "idle", "connection_age_max"];
        without(value, &server_only, decoder, ScopeTimeoutsTable::decode).map(Self)
    }

    fn schema() -> Schema {
        ScopeTimeoutsTable::schema()
    }
}

/// Decodes a table without the keys that only a server can have, each of which is an error.
fn without<T>(
    value: &Value,
    server_only: &[&str],
    decoder: &mut Decoder<'_>,
    decode: impl FnOnce(&Value, &mut Decoder<'_>) -> Option<T>,
) -> Option<T> {
    let Some(table) = value.as_table() else { return decode(value, decoder) };
    let mut rest = Table::new();
    for entry in table.entries() {
        let name = entry.key.name.as_str();
        if server_only.contains(&name) {
            let message = format!("`{name}` counts before it is known which route will answer");
            let help = format!("write it in `{}` of the server", decoder.key());
            decoder.report(Diagnostic::error(entry.key.span, message).help(help));
        } else {
            rest.push(entry.clone());
        }
    }
    decode(&Value::new(Content::Table(rest), value.span), decoder)
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is done.
    On,
    /// It is not.
    Off,
}

impl Config for Switch {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &value.content {
            Content::Text(text) if text.value == "on" => return Some(Self::On),
            Content::Text(text) if text.value == "off" => return Some(Self::Off),
            Content::Table(_) => {
                // Others have a log for each site.
                let help = "write `\"on\"` or `\"off\"`: `[log]` says where the one log goes, and \
                            records name their site";
                decoder.wrong_type(value, &Self::schema(), Some(help.to_owned()));
            }
            _ => decoder.no_variant(value, SWITCH, &Self::schema()),
        }
        None
    }

    fn schema() -> Schema {
        Schema::Words(SWITCH)
    }
}

const SWITCH: &[crate::Word] = &[
    crate::Word { name: "on", docs: "It is done." },
    crate::Word { name: "off", docs: "It is not." },
];

/// What a host gets that belongs to no site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// The server's own routes.
    Routes,
    /// 404.
    NotFound,
    /// No answer: the connection is closed.
    Close,
}

impl Config for UnknownHost {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &value.content {
            Content::Integer(404) => Some(Self::NotFound),
            Content::Text(text) if text.value == "404" && text.expanded => Some(Self::NotFound),
            Content::Text(text) if text.value == "close" => Some(Self::Close),
            Content::Text(text) if text.value == "routes" => Some(Self::Routes),
            _ => {
                let help = "write 404, `\"close\"`, or `\"routes\"` for the server's own routes";
                decoder.wrong_type(value, &Self::schema(), Some(help.to_owned()));
                None
            }
        }
    }

    fn schema() -> Schema {
        const WORDS: &[crate::Word] = &[
            crate::Word { name: "routes", docs: "The server's own routes answer." },
            crate::Word { name: "close", docs: "The connection is closed without an answer." },
        ];
        Schema::OneOf(vec![Schema::Words(WORDS), Schema::integer(404, 404)])
    }
}

/// Pages in place of our own error answers: by status (`404`) or class (`"5xx"`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorPages(pub Vec<(ErrorStatus, Spanned<PathBuf>)>);

/// Which answers a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// This one.
    Status(u16),
    /// Every one of a class: 4 or 5.
    Class(u16),
}

impl ErrorStatus {
    /// Whether it means `status`.
    pub fn covers(self, status: u16) -> bool {
        match self {
            Self::Status(own) => own == status,
            Self::Class(class) => status / 100 == class,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return matches!(class, "4" | "5").then(|| Self::Class(class.parse().unwrap_or(5)));
        }
        let status = text.parse().ok()?;
        (text.len() == 3 && (400..600).contains(&status)).then_some(Self::Status(status))
    }
}

impl Config for ErrorPages {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let pages = Map::<Spanned<PathBuf>>::decode(value, decoder)?;
        let mut decoded = Vec::new();
        for (status, path) in pages.0 {
            if let Some(status) = ErrorStatus::parse(&status) {
                decoded.push((status, path));
            } else {
                let message = format!("`{}` is no error status", status.escape_debug());
                let help = "write a status from 400 to 599, or `4xx` or `5xx`";
                decoder.report(Diagnostic::error(status.span, message).help(help));
            }
        }
        Some(Self(decoded))
    }

    fn schema() -> Schema {
        let path = TextForm { example: "404.html", ..TextForm::PATH };
        Schema::Map(Box::new(Schema::Text(path)))
    }
}

/// Where a server sends requests that came in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum ServerRedirect {
    /// To the same address over TLS.
    Https,
}
