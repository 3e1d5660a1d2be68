//! The one table of outcomes: every way in which an exchange or a connection ends.
//!
//! A reason is the same word in the access log, in a counter, in `status` and in the documents. The
//! table below is the only place that says which status answers it, whose doing it was, and what it
//! means.

/// Whose doing an outcome was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The peer that sent the request.
    Client,
    /// The server behind us.
    Upstream,
    /// Stead itself, its configuration or its machine.
    Us,
}

impl Side {
    /// The word in documents and in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Us => "us",
        }
    }
}

/// What the table holds of one reason.
#[derive(Clone, Copy, Debug)]
pub struct ReasonFacts {
    /// The word in logs, metrics and documents: `snake_case`.
    pub code: &'static str,
    /// The status that answers it, 400 to 599; 0 where no answer is sent or the handler chose one.
    pub status: u16,
    /// Whose doing it was.
    pub side: Side,
    /// One sentence for people, without a full stop.
    pub meaning: &'static str,
}

macro_rules! reasons {
    ($($name:ident $code:literal $status:literal $side:ident $meaning:literal;)*) => {
        /// How an exchange or a connection ended.
        ///
        /// ```
        /// # use stead_base as stead;
        /// use stead::Reason;
        ///
        /// assert_eq!(Reason::NoRoute.code(), "no_route");
        /// assert_eq!(Reason::NoRoute.status(), Some(404));
        /// ```
        #[allow(clippy::doc_markdown, reason = "meanings are prose for people, not Markdown")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $meaning] $name,)* }

        impl Reason {
            /// Every reason, in the order of the table; a reason's position is its index.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const FACTS: &'static [ReasonFacts] = &[$(ReasonFacts {
                code: $code, status: $status, side: Side::$side, meaning: $meaning,
            },)*];
        }
    };
}

reasons! {
    Ok "ok" 0 Us "answered as the handler meant to";
    BadRequestLine "bad_request_line" 400 Client "the request line is not METHOD SP TARGET SP VERSION";
    BadMethod "bad_method" 400 Client "the method is no token of at most 32 bytes";
    BadTarget "bad_target" 400 Client "the request target has a form or a byte that is not allowed";
    BadPath "bad_path" 400 Client "the path has an invalid escape, a NUL, a backslash or overlong UTF-8";
    BadVersion "bad_version" 400 Client "the version is not HTTP/1.0 or HTTP/1.1";
    UnsupportedVersion "unsupported_version" 505 Client "the major version is not 1";
    BadLineEnd "bad_line_end" 400 Client "a line of the head does not end in CRLF, or a bare CR or LF stands in it";
    BadHeaderName "bad_header_name" 400 Client "a header name is empty, not a token, or followed by whitespace";
    BadHeaderValue "bad_header_value" 400 Client "a header value holds a control character";
    FoldedHeader "folded_header" 400 Client "a header line begins with whitespace";
    MissingHost "missing_host" 400 Client "an HTTP/1.1 request has no Host";
    BadHost "bad_host" 400 Client "Host is repeated, malformed, or differs from the target's authority";
    LengthAndEncoding "length_and_encoding" 400 Client "both Content-Length and Transfer-Encoding are present";
    BadContentLength "bad_content_length" 400 Client "Content-Length is repeated or not a plain decimal number";
    BadTransferEncoding "bad_transfer_encoding" 400 Client "Transfer-Encoding is not exactly one final chunked, or came with HTTP/1.0";
    UnsupportedTransferEncoding "unsupported_transfer_encoding" 501 Client "a transfer coding other than chunked was asked for";
    BadChunk "bad_chunk" 400 Client "a chunk's size or line end is malformed";
    ChunkExtensionTooLong "chunk_extension_too_long" 400 Client "chunk extensions exceed 64 bytes a chunk or 4 KiB a body";
    BadTrailer "bad_trailer" 400 Client "a trailer field is malformed or the trailers exceed the header limits";
    UnsupportedExpectation "unsupported_expectation" 417 Client "Expect asks for something other than 100-continue";
    UriTooLong "uri_too_long" 414 Client "the request target exceeds limits.uri";
    HeaderTooLarge "header_too_large" 431 Client "the head exceeds limits.header_size";
    TooManyHeaders "too_many_headers" 431 Client "the head has more fields than limits.header_count";
    BodyTooLarge "body_too_large" 413 Client "the body exceeds limits.body";
    FirstByteTimeout "first_byte_timeout" 0 Client "no byte arrived within timeouts.first_byte";
    HeaderTimeout "header_timeout" 408 Client "the head was not complete within timeouts.header";
    IdleTimeout "idle_timeout" 0 Us "the connection was idle for timeouts.idle";
    IdlePressure "idle_pressure" 0 Us "the connection rested, or would have, while places for connections or memory ran short, and made room";
    KeepaliveRequests "keepalive_requests" 0 Us "the connection carried limits.keepalive_requests requests and was closed after its answer";
    ConnectionAge "connection_age" 0 Us "the connection was older than timeouts.connection_age_max and was closed, after its answer or while idle";
    BodyIdleTimeout "body_idle_timeout" 408 Client "no byte of the body arrived within timeouts.body_idle";
    BodyTooSlow "body_too_slow" 408 Client "the body arrived slower than timeouts.body_rate";
    WriteIdleTimeout "write_idle_timeout" 0 Client "the peer took no byte within timeouts.write_idle";
    WriteTooSlow "write_too_slow" 0 Client "the peer took the answer slower than timeouts.write_rate";
    RequestTimeout "request_timeout" 503 Us "the exchange took longer than timeouts.request";
    ClientClosed "client_closed" 0 Client "the peer closed or reset before the answer was sent whole";
    ClientClosedInHead "client_closed_in_head" 0 Client "the peer closed inside a request's head";
    Http2Malformed "http2_malformed" 0 Client "an HTTP/2 request broke a rule of its fields, so its stream was reset";
    Http2Refused "http2_refused" 0 Us "limits.http2_streams was reached, the connection's heads held 512 KiB or its waiting answers far too much, or it was about to close: the client may ask again";
    Http2Protocol "http2_protocol" 0 Client "an HTTP/2 peer broke the protocol, so its connection was closed";
    Http2FrameTooLarge "http2_frame_too_large" 0 Client "an HTTP/2 frame was larger than 16 KiB";
    Http2HeaderBlock "http2_header_block" 0 Client "an HTTP/2 header block had more than 8 CONTINUATION frames or 64 KiB";
    Http2Resets "http2_resets" 0 Client "an HTTP/2 peer reset too many requests before they were answered";
    Http2Errors "http2_errors" 0 Client "an HTTP/2 peer made us reset too many of its streams";
    Http2Flood "http2_flood" 0 Client "an HTTP/2 peer sent too many frames that ask for nothing";
    BeginStalled "begin_stalled" 408 Client "a head or a TLS handshake was not whole 2 s after its first byte while memory ran short";
    Http2Stalled "http2_stalled" 0 Client "an HTTP/2 peer took nothing of an answer for 2 s while memory ran short, so its stream was reset, or the connection where all of it stood still";
    Http2SettingsTimeout "http2_settings_timeout" 0 Client "an HTTP/2 peer did not acknowledge our settings within 10 s";
    BodyTruncated "body_truncated" 400 Client "the peer closed inside a request's body";
    NoRoute "no_route" 404 Client "no route matches";
    UnknownHost "unknown_host" 404 Client "the host belongs to no site, and unknown_host refuses it";
    MethodNotAllowed "method_not_allowed" 405 Client "routes match, but none for this method";
    FileNotFound "file_not_found" 404 Client "there is no such file, or it must not be served";
    RangeNotSatisfiable "range_not_satisfiable" 416 Client "no range lies within the file";
    PreconditionFailed "precondition_failed" 412 Client "an If-Match or If-Unmodified-Since does not hold";
    FileChanged "file_changed" 0 Us "the file changed while it was being sent, so the answer was cut";
    FileError "file_error" 500 Us "the file could not be read";
    TooManyConnections "too_many_connections" 0 Us "limits.connections was reached";
    TooManyConnectionsPerAddress "too_many_connections_per_ip" 0 Client "limits.connections_per_ip was reached";
    ConnectionRateLimited "connection_rate_limited" 0 Client "limits.connection_rate_per_ip was reached";
    DescriptorsExhausted "descriptors_exhausted" 0 Us "the process or the system has no descriptor left to accept with";
    ClientDenied "client_denied" 403 Client "the client's address is not allowed, or is denied";
    Unauthorized "unauthorized" 401 Client "the request came without valid credentials";
    TooManyFailures "too_many_failures" 429 Client "too many wrong credentials came from this address";
    RateLimited "rate_limited" 429 Client "rate_limit was reached";
    ConcurrencyLimited "concurrency_limited" 503 Us "concurrency_limit was reached, and its queue was full or took too long";
    Overloaded "overloaded" 503 Us "too much work waits for the disk or for passwords to be checked, or places for connections or memory ran out";
    NotReady "not_ready" 503 Us "the server is starting or draining";
    Maintenance "maintenance" 503 Us "the middleware maintenance is switched on";
    HandlerError "handler_error" 500 Us "a handler or middleware failed";
    HandlerPanic "handler_panic" 500 Us "a handler or middleware panicked";
    ResponseTruncated "response_truncated" 0 Us "a body ended before its announced length";
    Drained "drained" 0 Us "the connection was closed because the server drains";
    ProxySourceRefused "proxy_source_refused" 0 Client "the connection came from no proxy that proxy_protocol of its listener names";
    ProxyHeaderTimeout "proxy_header_timeout" 0 Client "the PROXY header was not complete within 5 s";
    BadProxyHeader "bad_proxy_header" 0 Client "the connection did not begin with a well-formed PROXY header";
    PlainHttp "plain_http" 400 Client "plain HTTP was sent to a listener that speaks TLS";
    TlsHandshakeTimeout "tls_handshake_timeout" 0 Client "the TLS handshake was not done within timeouts.tls_handshake";
    TlsHandshakeFailed "tls_handshake_failed" 0 Client "the TLS handshake came to nothing";
    CertificatePending "certificate_pending" 0 Us "the certificate for the host is not issued yet";
    AcmeChallenge "acme_challenge" 0 Client "an authority saw in a TLS handshake that a host is ours";
    UnknownServerName "unknown_server_name" 0 Client "the TLS handshake asked for a name that no certificate is for, or for none";
    MisdirectedRequest "misdirected_request" 421 Client "the host is not covered by the certificate that the handshake chose, or asks clients for another one";
    BadClientHello "bad_client_hello" 0 Client "the connection did not begin with a well-formed TLS ClientHello";
    BadUpstreamResponse "bad_upstream_response" 502 Upstream "an upstream's response broke the protocol";
}

impl Reason {
    /// What the table says of this reason.
    pub const fn facts(self) -> ReasonFacts {
        Self::FACTS[self as usize]
    }

    /// The word in logs, metrics and documents.
    pub const fn code(self) -> &'static str {
        self.facts().code
    }

    /// The status that answers it; `None` where no answer is sent or the handler chose one.
    pub const fn status(self) -> Option<u16> {
        match self.facts().status {
            0 => None,
            status => Some(status),
        }
    }

    /// Whose doing it was.
    pub const fn side(self) -> Side {
        self.facts().side
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_snake_case_and_statuses_are_errors() {
        let mut seen = HashSet::new();
        for (index, reason) in Reason::ALL.iter().enumerate() {
            let facts = reason.facts();
            assert_eq!(*reason as usize, index);
            assert!(seen.insert(facts.code), "{} stands twice", facts.code);
            let is_right = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(facts.code.bytes().all(is_right));
            assert!(facts.status == 0 || (400..600).contains(&facts.status));
            assert!(!facts.meaning.ends_with('.'), "{}", facts.meaning);
        }
    }
}
