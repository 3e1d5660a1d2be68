//! A header of the PROXY protocol: who the client in front of a proxy is.
//!
//! A proxy that passes bytes on writes it before the first of them. Version 1 is a line of text,
//! version 2 is binary. Either is read whole or refused, within [`PROXY_BYTES_MAX`]: a header that
//! is almost right must not let its sender choose an address. Whom to believe is not decided here.
//!
//! Source: "The PROXY protocol", versions 1 and 2, of the `HAProxy` project, §2.1 and §2.2.

mod binary;
mod crc32c;
mod line;

use std::fmt;
use std::net::SocketAddr;

use stead_base::Reason;

/// The most bytes that a header may take: room for TLVs with a client's certificate facts. A line
/// of version 1 has at most 107.
pub const PROXY_BYTES_MAX: usize = 4 << 10;

/// What a proxy says of the connection that it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; `None` where the proxy speaks for itself, as in health checks, or does
    /// not know: then the peer is the client. Mapped IPv4 addresses are unmapped.
    pub client: Option<SocketAddr>,
    /// Whether the client speaks TLS with the proxy; version 1 cannot say it.
    pub over_tls: bool,
    /// How many bytes of the input the header takes.
    pub bytes: usize,
}

/// Why bytes are no header that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The connection begins with something else.
    Missing,
    /// A rule of the protocol is broken.
    Malformed,
    /// It is longer than its version, or [`PROXY_BYTES_MAX`], allows.
    TooLarge,
    /// Its checksum is another.
    Checksum,
}

impl ProxyError {
    /// The outcome in log, counters and `status`.
    pub const fn reason(self) -> Reason {
        Reason::BadProxyHeader
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no PROXY header",
            Self::Malformed => "a malformed PROXY header",
            Self::TooLarge => "a PROXY header that is too long",
            Self::Checksum => "a PROXY header with a wrong checksum",
        })
    }
}

impl std::error::Error for ProxyError {}

/// Reads the PROXY header at the start of `input`, which is all that arrived so far; `None` if it
/// is not complete.
///
/// ```
/// use stead_preamble::parse_proxy_header;
///
/// let header = parse_proxy_header(b"PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r\nGET /")?;
/// let header = header.expect("complete");
/// assert_eq!(header.client, Some("192.0.2.1:49152".parse().unwrap()));
/// assert_eq!(header.bytes, 41);
/// # Ok::<(), stead_preamble::ProxyError>(())
/// ```
///
/// # Errors
/// It is none, or one that must not be believed. More bytes never make it better.
pub fn parse_proxy_header(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    match input.first() {
        None => Ok(None),
        Some(b'P') => line::parse(input),
        Some(_) => binary::parse(input),
    }
}

/// Whether `input` begins with `start`; `None` if it may, once more of it arrived.
fn begins_with(input: &[u8], start: &[u8]) -> Option<bool> {
    let both = input.len().min(start.len());
    match input[..both] == start[..both] {
        true if both < start.len() => None,
        same => Some(same),
    }
}

#[cfg(test)]
mod tests;
