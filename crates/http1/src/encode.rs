//! Writes heads, chunks and trailers, appending to a buffer.
//!
//! When an answer or a forwarded request is sent. What frames a message and what concerns only one
//! connection is written here from `Framing`, never copied from the fields: Content-Length,
//! Transfer-Encoding, Connection, Keep-Alive, Proxy-Connection, TE and Upgrade among them are
//! skipped. Nothing is allocated but growth of the buffer. RFC 9112 §4, §6.1, §7.1, §9.6;
//! RFC 9110 §6.6.1, §7.6.1, §7.8, §8.6.

use http::{Method, StatusCode};

use crate::fields::Fields;
use crate::framing::{Framing, Version};
use crate::name::{Known, Name};

/// What an answer's head is made of, beside its fields.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLine {
    /// The version of the request; the status line always says HTTP/1.1 (RFC 9110 §6.2).
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// What the handler can say of the body; `None` is an empty one.
    pub framing: Framing,
    /// Whether we want to keep the connection.
    pub keep_alive: bool,
    /// Whether the request was HEAD: the length is stated, no body follows.
    pub to_head: bool,
}

/// What a response's head promises, once its status and the client's version have had their say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How the body that follows must be delimited; `None`: no byte may follow.
    pub framing: Framing,
    /// Whether the connection is kept after it.
    pub keep_alive: bool,
}

/// What a forwarded request's head is made of, beside its fields.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, checked: visible ASCII.
    pub target: &'a [u8],
    /// Written as Host in place of the fields' own.
    pub host: Option<&'a [u8]>,
    /// The body; `Close` is not possible for a request.
    pub framing: Framing,
    /// Whether we want to keep the connection.
    pub keep_alive: bool,
    /// The protocols to switch to.
    pub upgrade: Option<&'a [u8]>,
}

impl ResponseLine {
    /// What can be promised: no body for 1xx, 204, 304 and to HEAD, no chunks to HTTP/1.0, no
    /// connection kept after a body that only its end delimits.
    #[inline]
    pub fn promise(&self) -> Promise {
        let framing = match self.framing {
            Framing::Chunked if self.version == Version::Http10 => Framing::Close,
            framing => framing,
        };
        let bodiless = self.to_head || is_bodiless(self.status);
        let follows = if bodiless { Framing::None } else { framing };
        let keep_alive = self.keep_alive && follows != Framing::Close;
        Promise { framing: follows, keep_alive }
    }

    /// What the fields say of the framing. To HEAD and in a 304 it is what they would say to a GET,
    /// if that is known (RFC 9110 §8.6): a length. Where none is known, a GET may still have one.
    fn stated(&self) -> Framing {
        let status = self.status.as_u16();
        match self.framing {
            _ if status < 200 || status == 204 => Framing::None,
            Framing::None if self.to_head || status == 304 => Framing::None,
            Framing::None => Framing::Length(0),
            Framing::Chunked
                if self.version == Version::Http10 || self.to_head || status == 304 =>
            {
                Framing::None
            }
            framing => framing,
        }
    }

    /// The length that an answer states, in protocols that frame bodies by themselves.
    pub fn stated_length(&self) -> Option<u64> {
        match self.stated() {
            Framing::Length(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The fields that concern more than one connection, for protocols that write their own.
pub fn end_to_end(fields: &Fields) -> impl Iterator<Item = (Name<'_>, &[u8])> {
    fields.iter().filter(|(name, _)| !matches!(name, Name::Known(known) if is_hop(*known)))
}

/// Writes an answer's head. `date` and `server` are written unless the fields have their own.
/// Returns what was promised, so that the body follows suit.
pub fn response_head(
    out: &mut Vec<u8>,
    line: &ResponseLine,
    fields: &Fields,
    date: Option<&[u8; 29]>,
    server: Option<&[u8]>,
) -> Promise {
    let promise = line.promise();
    status_line(out, line.status);
    let status = line.status.as_u16();
    let switches = matches!(status, 101 | 426);
    let (mut date, mut server) = (date, server);
    for (name, value) in fields.iter() {
        if let Name::Known(known) = name {
            match known {
                Known::Date => date = None,
                Known::Server => server = None,
                Known::Upgrade if switches => (),
                _ if is_hop(known) => continue,
                _ => (),
            }
        }
        field(out, name.as_bytes(), value);
    }
    if let Some(server) = server {
        field(out, b"Server", server);
    }
    if let Some(date) = date {
        field(out, b"Date", date);
    }
    framing_field(out, line.stated());
    connection(out, line.version, promise.keep_alive, status);
    out.extend_from_slice(b"\r\n");
    promise
}

/// Writes a request's head, always HTTP/1.1.
pub fn request_head(out: &mut Vec<u8>, line: &RequestLine<'_>, fields: &Fields) {
    debug_assert!(line.target.iter().all(|byte| matches!(byte, 0x21..=0x7E)), "checked target");
    debug_assert!(line.framing != Framing::Close, "a request's body has its own end");
    for part in [line.method.as_str().as_bytes(), b" ", line.target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    if let Some(host) = line.host {
        field(out, b"Host", host);
    }
    for (name, value) in fields.iter() {
        match name {
            Name::Known(Known::Host) if line.host.is_some() => (),
            Name::Known(known) if is_hop(known) => (),
            _ => field(out, name.as_bytes(), value),
        }
    }
    framing_field(out, line.framing);
    if let Some(upgrade) = line.upgrade {
        field(out, b"Upgrade", upgrade);
    }
    out.extend_from_slice(match (line.upgrade, line.keep_alive) {
        (Some(_), _) => b"Connection: upgrade\r\n\r\n",
        (None, false) => b"Connection: close\r\n\r\n",
        (None, true) => b"\r\n",
    });
}

/// The whole interim answer to `Expect: 100-continue`.
pub const fn continue_line() -> &'static [u8] {
    b"HTTP/1.1 100 Continue\r\n\r\n"
}

/// Writes the line before a chunk of `len` bytes; its content and [`CHUNK_END`] must follow. Writes
/// nothing for 0, which would end the body.
pub fn chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    if len == 0 {
        return;
    }
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        let value = (len >> (digit * 4)) & 0xF;
        out.push(b"0123456789abcdef".get(value).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows the content of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the end of a chunked body. Trailers that frame, route or authenticate are dropped.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().flat_map(|trailers| trailers.iter()) {
        match name {
            Name::Known(known) if !known.is_allowed_in_trailers() => (),
            _ => field(out, name.as_bytes(), value),
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn framing_field(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(bytes) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::None | Framing::Close => (),
    }
}

#[inline]
fn connection(out: &mut Vec<u8>, version: Version, keep_alive: bool, status: u16) {
    let text: &[u8] = match (status, version, keep_alive) {
        (101, ..) | (426, Version::Http11, true) => b"Connection: upgrade\r\n",
        (426, Version::Http11, false) => b"Connection: upgrade, close\r\n",
        // Told to HTTP/1.0 too: our status line says 1.1, where keeping is the rule.
        (200.., _, false) => b"Connection: close\r\n",
        (200.., Version::Http10, true) => b"Connection: keep-alive\r\n",
        // What the version does anyway, or an interim answer.
        _ => b"",
    };
    out.extend_from_slice(text);
}

/// Whether a status never has a body (RFC 9112 §6.3).
const fn is_bodiless(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100..=199 | 204 | 304)
}

/// Fields that concern one connection only.
const fn is_hop(known: Known) -> bool {
    use Known as K;
    matches!(
        known,
        K::Connection
            | K::ContentLength
            | K::KeepAlive
            | K::ProxyConnection
            | K::Te
            | K::TransferEncoding
            | K::Upgrade
    )
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if let Some(line) = static_line(status.as_u16()) {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
}

macro_rules! status_lines {
    ($($status:literal $phrase:literal;)*) => {
        /// The whole status line of a registered status, in one copy.
        const fn static_line(status: u16) -> Option<&'static [u8]> {
            match status {
                $($status => Some(
                    concat!("HTTP/1.1 ", $status, " ", $phrase, "\r\n").as_bytes(),
                ),)*
                _ => None,
            }
        }
    };
}

// The registry of RFC 9110 §16.2.1 with the phrases of its registrations.
status_lines! {
    100 "Continue";
    101 "Switching Protocols";
    102 "Processing";
    103 "Early Hints";
    200 "OK";
    201 "Created";
    202 "Accepted";
    203 "Non-Authoritative Information";
    204 "No Content";
    205 "Reset Content";
    206 "Partial Content";
    207 "Multi-Status";
    208 "Already Reported";
    226 "IM Used";
    300 "Multiple Choices";
    301 "Moved Permanently";
    302 "Found";
    303 "See Other";
    304 "Not Modified";
    305 "Use Proxy";
    307 "Temporary Redirect";
    308 "Permanent Redirect";
    400 "Bad Request";
    401 "Unauthorized";
    402 "Payment Required";
    403 "Forbidden";
    404 "Not Found";
    405 "Method Not Allowed";
    406 "Not Acceptable";
    407 "Proxy Authentication Required";
    408 "Request Timeout";
    409 "Conflict";
    410 "Gone";
    411 "Length Required";
    412 "Precondition Failed";
    413 "Content Too Large";
    414 "URI Too Long";
    415 "Unsupported Media Type";
    416 "Range Not Satisfiable";
    417 "Expectation Failed";
    418 "I'm a teapot";
    421 "Misdirected Request";
    422 "Unprocessable Content";
    423 "Locked";
    424 "Failed Dependency";
    425 "Too Early";
    426 "Upgrade Required";
    428 "Precondition Required";
    429 "Too Many Requests";
    431 "Request Header Fields Too Large";
    451 "Unavailable For Legal Reasons";
    500 "Internal Server Error";
    501 "Not Implemented";
    502 "Bad Gateway";
    503 "Service Unavailable";
    504 "Gateway Timeout";
    505 "HTTP Version Not Supported";
    506 "Variant Also Negotiates";
    507 "Insufficient Storage";
    508 "Loop Detected";
    510 "Not Extended";
    511 "Network Authentication Required";
}

#[cfg(test)]
mod tests;
