//! How one record looks: `json`, `text`, `common` or `combined`.
//!
//! SECURITY: no byte of a request reaches the log as a control character, a quote or, in text, as
//! part of another record: whatever could end a field or a line is escaped.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use stead_core::{Client, Version, name};
use stead_sys::clock;

use super::Record;

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
    /// NCSA common.
    Common,
    /// NCSA combined: common with referer and user agent.
    Combined,
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
    fn update(&mut self, now: Duration) {
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

pub(super) fn write(out: &mut Vec<u8>, time: &mut Clock, format: Format, record: &Record<'_>) {
    let now = clock::wall();
    time.update(now);
    match format {
        Format::Json => json(out, time, now, record),
        Format::Text => text(out, time, now, record),
        Format::Common => common(out, time, record, false),
        Format::Combined => common(out, time, record, true),
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, time: &Clock, now: Duration, record: &Record<'_>) {
    let exchange = record.exchange;
    out.extend_from_slice(b"{\"time\":\"");
    iso(out, time, now);
    out.extend_from_slice(b"\",\"server\":");
    quoted(out, exchange.connection().server.as_bytes());
    key_quoted(out, b",\"site\":", record.site.as_bytes());
    key_quoted(out, b",\"route\":", record.route.as_bytes());
    out.extend_from_slice(b",\"client\":\"");
    client(out, record);
    out.extend_from_slice(b"\"");
    key_quoted(out, b",\"method\":", exchange.method().as_str().as_bytes());
    key_quoted(out, b",\"host\":", exchange.head().host().unwrap_or_default());
    key_quoted(out, b",\"path\":", exchange.routed_path().as_bytes());
    key_quoted(out, b",\"query\":", exchange.head().query().unwrap_or_default());
    out.extend_from_slice(b",\"protocol\":\"");
    out.extend_from_slice(protocol(record));
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
    key_quoted(out, b",\"referer\":", field(record, name::REFERER));
    key_quoted(out, b",\"user_agent\":", field(record, name::USER_AGENT));
    out.push(b'}');
}

fn text(out: &mut Vec<u8>, time: &Clock, now: Duration, record: &Record<'_>) {
    let exchange = record.exchange;
    iso(out, time, now);
    out.push(b' ');
    plain(out, exchange.connection().server.as_bytes());
    out.push(b' ');
    client(out, record);
    out.push(b' ');
    plain(out, exchange.method().as_str().as_bytes());
    out.push(b' ');
    plain(out, or_dash(exchange.routed_path().as_bytes()));
    if let Some(query) = exchange.head().query() {
        out.push(b'?');
        plain(out, query);
    }
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
}

fn common(out: &mut Vec<u8>, time: &Clock, record: &Record<'_>, combined: bool) {
    let exchange = record.exchange;
    client(out, record);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(time.common.as_bytes());
    out.extend_from_slice(b"] \"");
    escaped(out, exchange.method().as_str().as_bytes());
    out.push(b' ');
    escaped(out, or_dash(exchange.routed_path().as_bytes()));
    if let Some(query) = exchange.head().query() {
        out.push(b'?');
        escaped(out, query);
    }
    out.push(b' ');
    out.extend_from_slice(protocol(record));
    out.extend_from_slice(b"\" ");
    number(out, u64::from(record.status));
    out.push(b' ');
    number(out, record.bytes_body);
    if combined {
        for name in [name::REFERER, name::USER_AGENT] {
            out.extend_from_slice(b" \"");
            escaped(out, or_dash(field(record, name)));
            out.push(b'"');
        }
    }
}

fn protocol(record: &Record<'_>) -> &'static [u8] {
    match record.exchange.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

fn field<'a>(record: &'a Record<'_>, name: stead_core::Name<'_>) -> &'a [u8] {
    record.exchange.fields().get(name).unwrap_or_default()
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

fn iso(out: &mut Vec<u8>, time: &Clock, now: Duration) {
    out.extend_from_slice(&time.iso);
    out.push(b'.');
    digits3(out, now.subsec_millis());
    out.push(b'Z');
}

fn digits3(out: &mut Vec<u8>, value: u32) {
    out.extend([value / 100 % 10, value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8));
}

fn millis(out: &mut Vec<u8>, duration: Duration) {
    number(out, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    out.push(b'.');
    digits3(out, duration.subsec_micros() % 1000);
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn client(out: &mut Vec<u8>, record: &Record<'_>) {
    match record.exchange.client() {
        Client::Ip(IpAddr::V4(address)) => {
            // PERF: most records have one of these, and formatting by hand takes a fifth of the
            // time.
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
        }
        // Writing into a vector cannot fail.
        client => drop(write!(out, "{client}")),
    }
}

fn key_quoted(out: &mut Vec<u8>, key: &[u8], text: &[u8]) {
    out.extend_from_slice(key);
    quoted(out, text);
}

/// A JSON string. Bytes that are no UTF-8 become U+FFFD.
fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        for character in String::from_utf8_lossy(text).chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                other if is_control(other) => {
                    let _ = write!(out, "\\u{:04x}", u32::from(other));
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

/// Whether nothing in `text` needs escaping in JSON: printable ASCII without quote and backslash.
fn is_plain(text: &[u8]) -> bool {
    // Without a way out in the middle, so that the compiler looks at many bytes at once.
    let special = |byte: u8| !matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.iter().fold(false, |found, byte| found | special(*byte))
}

/// Control characters, and those that turn the direction or break the line of a reader's terminal.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// For a quoted field of `common` and `combined`: quotes, backslashes and all that is not printable
/// ASCII become `\xHH`, as Apache and nginx write it.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, |byte| matches!(byte, b'"' | b'\\'));
}

/// For an unquoted word: blanks too.
fn plain(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, |byte| matches!(byte, b' ' | b'\\'));
}

fn escape(out: &mut Vec<u8>, text: &[u8], is_special: impl Fn(u8) -> bool) {
    for &byte in text {
        if matches!(byte, 0x20..=0x7e) && !is_special(byte) {
            out.push(byte);
        } else {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Vec<u8>, &[u8]), input: &[u8], expect: &str) {
        let mut out = Vec::new();
        write(&mut out, input);
        assert_eq!(String::from_utf8_lossy(&out), expect);
    }

    #[test]
    fn no_control_character_can_forge_a_line() {
        check(quoted, b"a\r\nb", r#""a\u000d\u000ab""#);
        check(quoted, b"\"\\", r#""\"\\""#);
        check(quoted, b"\xff", "\"\u{fffd}\"");
        check(quoted, "\u{202e}x".as_bytes(), r#""\u202ex""#);
        check(escaped, b"\"\n\x1b[2J", r"\x22\x0A\x1B[2J");
        check(plain, b"a b", r"a\x20b");
    }

    #[test]
    fn times_are_padded() {
        check(|out, _| millis(out, Duration::from_micros(1_002_003)), b"", "1002.003");
        let mut clock = Clock::default();
        clock.update(Duration::from_secs(0));
        assert_eq!(&clock.iso, b"1970-01-01T00:00:00");
        assert_eq!(clock.common, "01/Jan/1970:00:00:00 +0000");
    }
}
