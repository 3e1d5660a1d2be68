//! How one record looks: `json`, `text`, `common`, `combined`, or as a template says.
//!
//! SECURITY: whatever a request carries goes through `escape`, and path, query, referer and fields
//! through `redact` before.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Client, Version, name};

use super::Record;
use super::escape::{escaped, json as json_inside, plain, quoted};
use super::redact::Redaction;
use super::template::LineTemplate;

/// The shape of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
    /// NCSA common.
    Common,
    /// NCSA combined: common with referer and user agent.
    Combined,
    /// As the operator says.
    Template(Arc<LineTemplate>),
}

/// The second's text, made once a second.
pub(super) struct Clock {
    second: u64,
    iso: [u8; 19],
    common: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: u64::MAX, iso: [b'0'; 19], common: String::new() }
    }
}

impl Clock {
    pub(super) fn update(&mut self, now: Duration) {
        if self.second == now.as_secs() {
            return;
        }
        self.second = now.as_secs();
        let second = i64::try_from(now.as_secs()).unwrap_or(0);
        let time = jiff::Timestamp::from_second(second).unwrap_or_default();
        let iso = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        if iso.len() == self.iso.len() {
            self.iso.copy_from_slice(iso.as_bytes());
        }
        self.common = time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    }
}

/// A record on its way to a line.
pub(super) struct Line<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) redaction: &'a Redaction,
    /// How many exchanges the record stands for, where not all are written.
    pub(super) one_in: Option<u32>,
    pub(super) clock: &'a Clock,
    pub(super) now: Duration,
}

impl Line<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>, format: &Format) {
        match format {
            Format::Json => self.json(out),
            Format::Text => self.text(out),
            Format::Common => self.common(out, false),
            Format::Combined => self.common(out, true),
            Format::Template(template) => template.write(out, self),
        }
        out.push(b'\n');
    }

    fn json(&self, out: &mut Vec<u8>) {
        let (record, exchange) = (self.record, self.record.exchange);
        out.reserve(JSON_BYTES);
        out.extend_from_slice(b"{\"time\":\"");
        self.iso(out);
        out.extend_from_slice(b"\",\"server\":");
        quoted(out, exchange.connection().server.as_bytes());
        key_quoted(out, b",\"site\":", record.site.as_bytes());
        key_quoted(out, b",\"route\":", record.route.as_bytes());
        out.extend_from_slice(b",\"client\":\"");
        self.client(out);
        out.extend_from_slice(b"\"");
        key_quoted(out, b",\"method\":", exchange.method().as_str().as_bytes());
        key_quoted(out, b",\"host\":", exchange.head().host().unwrap_or_default());
        out.extend_from_slice(b",\"path\":\"");
        self.path(|text| json_inside(out, text));
        out.extend_from_slice(b"\",\"query\":\"");
        self.query(|text| json_inside(out, text));
        out.extend_from_slice(b"\",\"protocol\":\"");
        out.extend_from_slice(self.protocol());
        out.extend_from_slice(b"\",\"status\":");
        number(out, u64::from(record.status));
        out.extend_from_slice(b",\"reason\":\"");
        out.extend_from_slice(record.reason.code().as_bytes());
        if let Some(closes) = record.closes {
            out.extend_from_slice(b"\",\"closes\":\"");
            out.extend_from_slice(closes.code().as_bytes());
        }
        out.extend_from_slice(b"\",\"bytes_in\":");
        number(out, record.bytes_in);
        out.extend_from_slice(b",\"bytes_out\":");
        number(out, record.bytes_out);
        out.extend_from_slice(b",\"bytes_body\":");
        number(out, record.bytes_body);
        out.extend_from_slice(b",\"duration_ms\":");
        millis(out, record.duration);
        out.extend_from_slice(b",\"referer\":\"");
        self.sent(name::REFERER, |text| json_inside(out, text));
        out.extend_from_slice(b"\",\"user_agent\":\"");
        self.sent(name::USER_AGENT, |text| json_inside(out, text));
        out.push(b'"');
        if let Some(id) = exchange.given_request_id() {
            key_quoted(out, b",\"request_id\":", id.as_bytes());
        }
        if let Some(tls) = &exchange.connection().tls {
            key_quoted(out, b",\"tls_version\":", tls.version.as_bytes());
            if let Some(client) = &tls.client {
                let subject = client.subject.as_bytes();
                key_quoted(out, b",\"client_certificate_subject\":", subject);
            }
        }
        if let Some(one_in) = self.one_in {
            out.extend_from_slice(b",\"one_in\":");
            number(out, u64::from(one_in));
        }
        out.push(b'}');
    }

    fn text(&self, out: &mut Vec<u8>) {
        let (record, exchange) = (self.record, self.record.exchange);
        self.iso(out);
        out.push(b' ');
        plain(out, exchange.connection().server.as_bytes());
        out.push(b' ');
        self.client(out);
        out.push(b' ');
        plain(out, exchange.method().as_str().as_bytes());
        out.push(b' ');
        self.uri(|text| plain(out, text));
        out.push(b' ');
        number(out, u64::from(record.status));
        out.push(b' ');
        out.extend_from_slice(record.reason.code().as_bytes());
        out.push(b' ');
        number(out, record.bytes_body);
        out.extend_from_slice(b"B ");
        millis(out, record.duration);
        out.extend_from_slice(b"ms");
        if let Some(closes) = record.closes {
            out.extend_from_slice(b" closes:");
            out.extend_from_slice(closes.code().as_bytes());
        }
        if let Some(id) = exchange.given_request_id() {
            out.extend_from_slice(b" request_id:");
            plain(out, id.as_bytes());
        }
        if let Some(one_in) = self.one_in {
            out.extend_from_slice(b" one_in:");
            number(out, u64::from(one_in));
        }
    }

    fn common(&self, out: &mut Vec<u8>, combined: bool) {
        let (record, exchange) = (self.record, self.record.exchange);
        self.client(out);
        out.extend_from_slice(b" - - [");
        self.common_time(out);
        out.extend_from_slice(b"] \"");
        escaped(out, exchange.method().as_str().as_bytes());
        out.push(b' ');
        self.uri(|text| escaped(out, text));
        out.push(b' ');
        out.extend_from_slice(self.protocol());
        out.extend_from_slice(b"\" ");
        number(out, u64::from(record.status));
        out.push(b' ');
        number(out, record.bytes_body);
        if combined {
            for name in [name::REFERER, name::USER_AGENT] {
                out.extend_from_slice(b" \"");
                let before = out.len();
                self.sent(name, |text| escaped(out, text));
                if out.len() == before {
                    out.push(b'-');
                }
                out.push(b'"');
            }
        }
    }

    pub(super) fn protocol(&self) -> &'static [u8] {
        match self.record.exchange.version() {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
            Version::Http2 => b"HTTP/2.0",
        }
    }

    pub(super) fn iso(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.clock.iso);
        out.push(b'.');
        digits3(out, self.now.subsec_millis());
        out.push(b'Z');
    }

    pub(super) fn common_time(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.clock.common.as_bytes());
    }

    pub(super) fn unix_millis(&self) -> u64 {
        u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn client(&self, out: &mut Vec<u8>) {
        match self.record.exchange.client() {
            Client::Ip(IpAddr::V4(address)) => {
                // PERF: most records have one of these, and formatting by hand takes a fifth of
                // the time.
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        out.push(b'.');
                    }
                    match octet {
                        0..10 => out.push(b'0' + octet),
                        10..100 => out.extend_from_slice(&[b'0' + octet / 10, b'0' + octet % 10]),
                        _ => digits3(out, u32::from(octet)),
                    }
                }
            }
            // Writing into a vector cannot fail.
            client => drop(write!(out, "{client}")),
        }
    }

    pub(super) fn path(&self, emit: impl FnMut(&[u8])) {
        self.redaction.path(self.record.exchange.routed_path().as_bytes(), emit);
    }

    pub(super) fn query(&self, emit: impl FnMut(&[u8])) {
        self.redaction.query(self.record.exchange.head().query().unwrap_or_default(), emit);
    }

    /// Path and query; a dash where there is no path.
    pub(super) fn uri(&self, mut emit: impl FnMut(&[u8])) {
        if self.record.exchange.routed_path().is_empty() {
            emit(b"-");
        }
        self.path(&mut emit);
        if self.record.exchange.head().query().is_some() {
            emit(b"?");
            self.query(emit);
        }
    }

    /// A field that the client sent.
    fn sent(&self, name: stead_core::Name<'_>, emit: impl FnMut(&[u8])) {
        let value = self.record.exchange.fields().get(name).unwrap_or_default();
        self.field(name.as_bytes(), value, emit);
    }

    /// The value of a field. It may be a URL, and many are.
    pub(super) fn field(&self, name: &[u8], value: &[u8], mut emit: impl FnMut(&[u8])) {
        if !value.is_empty() && self.redaction.hides(name) {
            return emit(b"***");
        }
        self.redaction.url(value, emit);
    }
}

/// Room for what most records take.
const JSON_BYTES: usize = 1 << 10;

fn digits3(out: &mut Vec<u8>, value: u32) {
    let digit = |value: u32| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[digit(value / 100), digit(value / 10), digit(value)]);
}

pub(super) fn millis(out: &mut Vec<u8>, duration: Duration) {
    number(out, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    out.push(b'.');
    digits3(out, duration.subsec_micros() % 1000);
}

pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn key_quoted(out: &mut Vec<u8>, key: &[u8], text: &[u8]) {
    out.extend_from_slice(key);
    quoted(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_padded() {
        let mut out = Vec::new();
        millis(&mut out, Duration::from_micros(1_002_003));
        assert_eq!(out, b"1002.003");
        let mut clock = Clock::default();
        clock.update(Duration::from_secs(0));
        assert_eq!(&clock.iso, b"1970-01-01T00:00:00");
        assert_eq!(clock.common, "01/Jan/1970:00:00:00 +0000");
    }
}
