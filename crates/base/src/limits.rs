//! What one server allows its peers: sizes, counts and waiting times, with their defaults.
//!
//! Plain data. Every limit that guards memory or waits for a peer is finite by default; `None` is
//! what the configuration calls `"off"`.

use std::time::Duration;

use crate::{ByteSize, Frequency, Rate};

/// What the head of one message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of request line and fields together, with their line ends.
    pub head_bytes_max: u32,
    /// Fields.
    pub field_count_max: u16,
    /// Bytes of the request target.
    pub uri_bytes_max: u32,
}

/// `limits` of a server: sizes and counts.
///
/// ```
/// # use stead_base as stead;
/// use stead::{ByteSize, Limits};
///
/// let limits = Limits { body: Some(ByteSize(1 << 20)), ..Limits::default() };
/// assert_eq!(limits.header_count, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of the server, all workers together.
    pub connections: Option<u32>,
    /// Connections from one IPv4 address or one IPv6 /64.
    pub connections_per_ip: Option<u32>,
    /// New connections from one IPv4 address or one IPv6 /64: so many at once, and over time.
    pub connection_rate_per_ip: Option<Frequency>,
    /// Bytes of a head; 1 KiB to 1 MiB.
    pub header_size: ByteSize,
    /// Fields of a head; 1 to 1000.
    pub header_count: u16,
    /// Bytes of a request target; 256 B to 64 KiB.
    pub uri: ByteSize,
    /// Bytes of a request body.
    pub body: Option<ByteSize>,
    /// Requests that one connection may carry.
    pub keepalive_requests: Option<u32>,
    /// Requests of one HTTP/2 connection at a time; 1 to 1000.
    pub http2_streams: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_ip: None,
            connection_rate_per_ip: None,
            header_size: ByteSize(32 << 10),
            header_count: 100,
            uri: ByteSize(8 << 10),
            body: None,
            keepalive_requests: None,
            http2_streams: 128,
        }
    }
}

impl Limits {
    /// The part that the HTTP/1.1 engine enforces.
    pub fn head(&self) -> HeadLimits {
        HeadLimits {
            head_bytes_max: self.header_size.0 as u32,
            field_count_max: self.header_count,
            uri_bytes_max: self.uri.0 as u32,
        }
    }
}

/// `timeouts` of a server: how long it waits for a peer.
///
/// ```
/// # use stead_base as stead;
/// use stead::Timeouts;
/// use std::time::Duration;
///
/// let timeouts = Timeouts { request: Some(Duration::from_secs(60)), ..Timeouts::default() };
/// assert_eq!(timeouts.idle, Some(Duration::from_secs(75)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the first byte.
    pub first_byte: Option<Duration>,
    /// From a TLS handshake's first byte to its last.
    pub tls_handshake: Option<Duration>,
    /// From a head's first byte to its last.
    pub header: Option<Duration>,
    /// Between two reads of a body.
    pub body_idle: Option<Duration>,
    /// Mean over the last 10 s in which we waited for the body.
    pub body_rate: Option<Rate>,
    /// Without the peer acknowledging a byte that we sent.
    pub write_idle: Option<Duration>,
    /// Mean over the last 10 s in which we waited for the peer to take bytes.
    pub write_rate: Option<Rate>,
    /// Between an answer and the next request's first byte.
    pub idle: Option<Duration>,
    /// From a head's last byte to the answer's last.
    pub request: Option<Duration>,
    /// From accept until the connection is not kept any longer, 10 % more or less.
    pub connection_age_max: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |n| Some(Duration::from_secs(n));
        Self {
            first_byte: seconds(10),
            tls_handshake: seconds(20),
            header: seconds(10),
            body_idle: seconds(30),
            body_rate: Some(Rate(240)),
            write_idle: seconds(30),
            write_rate: Some(Rate(240)),
            idle: seconds(75),
            request: None,
            connection_age_max: None,
        }
    }
}
