//! How long a message's body is: the one place that reads Content-Length and Transfer-Encoding.
//!
//! `Marks` collects, field by field, what frames a message and keeps or switches its connection;
//! judged once, at the end of the head. Strict on purpose: whatever two programs could read
//! differently is refused (RFC 9112 §6.1, §6.3; RFC 9110 §7.6.1, §7.8, §10.1.1).

use stead_base::Reason;

use crate::name::Known;
use crate::scan;

/// The versions of HTTP. The engine speaks the first two; heads of others are made of what came in
/// their own frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As on the wire of HTTP/1, and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }

    /// Reads the version of a start line.
    ///
    /// # Errors
    /// `UnsupportedVersion` if the major version is a digit other than 1, else `BadVersion`.
    #[inline]
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Reason> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', b'.', b'0'..=b'9'] => {
                Err(Reason::UnsupportedVersion)
            }
            _ => Err(Reason::BadVersion),
        }
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, and no length was stated.
    #[default]
    None,
    /// So many bytes; at most 2^63-1.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Until the connection ends; responses only.
    Close,
}

/// What the fields of one head say about its body and its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    length: Length,
    coding: Coding,
    expect: Expect,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    One(u64),
    Bad,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    Chunked,
    /// Well-formed, but something that we do not speak.
    Foreign,
    Bad,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Absent,
    Continue,
    Other,
}

impl Marks {
    /// Notes one field.
    #[inline]
    pub(crate) fn note(&mut self, known: Known, value: &[u8]) {
        match known {
            Known::ContentLength => self.note_length(value),
            Known::TransferEncoding => self.note_coding(value),
            Known::Connection => self.note_connection(value),
            Known::Expect => self.note_expect(value),
            _ => (),
        }
    }

    /// The body of a request with these fields.
    ///
    /// # Errors
    /// `LengthAndEncoding`, `BadContentLength`, `BadTransferEncoding` (400) or
    /// `UnsupportedTransferEncoding` (501).
    pub(crate) fn request_framing(&self, version: Version) -> Result<Framing, Reason> {
        Ok(self.stated_framing(version)?.unwrap_or(Framing::None))
    }

    /// The framing that the fields state, if any.
    pub(crate) fn stated_framing(&self, version: Version) -> Result<Option<Framing>, Reason> {
        match (self.length, self.coding) {
            (Length::Absent, Coding::Absent) => Ok(None),
            (Length::One(bytes), Coding::Absent) => Ok(Some(Framing::Length(bytes))),
            (Length::Bad, Coding::Absent) => Err(Reason::BadContentLength),
            (Length::Absent, _) if version == Version::Http10 => Err(Reason::BadTransferEncoding),
            (Length::Absent, Coding::Chunked) => Ok(Some(Framing::Chunked)),
            (Length::Absent, Coding::Foreign) => Err(Reason::UnsupportedTransferEncoding),
            (Length::Absent, Coding::Bad) => Err(Reason::BadTransferEncoding),
            (Length::One(_) | Length::Bad, _) => Err(Reason::LengthAndEncoding),
        }
    }

    /// The stated length, whether or not a body follows.
    pub(crate) fn content_length(&self) -> Option<u64> {
        match self.length {
            Length::One(bytes) => Some(bytes),
            Length::Absent | Length::Bad => None,
        }
    }

    /// Whether the peer wants to keep the connection (RFC 9112 §9.3).
    #[inline]
    pub(crate) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.keep_alive)
    }

    /// Whether Connection lists `upgrade`.
    #[inline]
    pub(crate) fn lists_upgrade(&self) -> bool {
        self.upgrade
    }

    /// Whether `100-continue` is expected.
    ///
    /// # Errors
    /// `UnsupportedExpectation` if anything else is.
    pub(crate) fn expects_continue(&self) -> Result<bool, Reason> {
        match self.expect {
            Expect::Absent => Ok(false),
            Expect::Continue => Ok(true),
            Expect::Other => Err(Reason::UnsupportedExpectation),
        }
    }

    fn note_length(&mut self, value: &[u8]) {
        self.length = match (self.length, scan::parse_decimal(value)) {
            (Length::Absent, Ok(bytes)) => Length::One(bytes),
            _ => Length::Bad,
        };
    }

    /// One field, every element a bare token: exactly `chunked` is ours, any other token foreign.
    fn note_coding(&mut self, value: &[u8]) {
        let mut elements = 0;
        let mut coding = Coding::Chunked;
        for element in value.split(|byte| *byte == b',').map(scan::trim) {
            elements += 1;
            if !scan::is_token(element) {
                coding = Coding::Bad;
            } else if !element.eq_ignore_ascii_case(b"chunked") && coding != Coding::Bad {
                coding = Coding::Foreign;
            }
        }
        let repeated = elements > 1 && coding == Coding::Chunked;
        self.coding = if self.coding != Coding::Absent || repeated { Coding::Bad } else { coding };
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(scan::trim) {
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => (),
            }
        }
    }

    fn note_expect(&mut self, value: &[u8]) {
        let is_continue = value.eq_ignore_ascii_case(b"100-continue");
        self.expect = if is_continue && self.expect != Expect::Other {
            Expect::Continue
        } else {
            Expect::Other
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(version: Version, fields: &[(Known, &str)]) -> Result<Framing, Reason> {
        let mut marks = Marks::default();
        for (known, value) in fields {
            marks.note(*known, value.as_bytes());
        }
        marks.request_framing(version)
    }

    #[test]
    fn security_01_length_and_encoding_is_400() {
        use Known::{ContentLength as L, TransferEncoding as T};
        for version in [Version::Http10, Version::Http11] {
            for (length, coding) in [("5", "chunked"), ("x", "gzip"), ("5", ""), ("", "chunked")] {
                let expect = Err(Reason::LengthAndEncoding);
                assert_eq!(framing(version, &[(L, length), (T, coding)]), expect);
                assert_eq!(framing(version, &[(T, coding), (L, length)]), expect);
            }
        }
        assert_eq!(Reason::LengthAndEncoding.status(), Some(400));
    }

    #[test]
    fn security_02_content_length_is_one_plain_number() {
        use Known::ContentLength as L;
        assert_eq!(framing(Version::Http11, &[]), Ok(Framing::None));
        assert_eq!(framing(Version::Http11, &[(L, "0")]), Ok(Framing::Length(0)));
        assert_eq!(framing(Version::Http10, &[(L, "17")]), Ok(Framing::Length(17)));
        for wrong in ["", "+1", "-1", "0x1", "1_0", "1 0", "9223372036854775808", "5, 5", "5,5"] {
            assert_eq!(framing(Version::Http11, &[(L, wrong)]), Err(Reason::BadContentLength));
        }
        for second in ["5", "6", ""] {
            let expect = Err(Reason::BadContentLength);
            assert_eq!(framing(Version::Http11, &[(L, "5"), (L, second)]), expect);
        }
        assert_eq!(Reason::BadContentLength.status(), Some(400));
    }

    #[test]
    fn security_03_transfer_encoding_is_one_final_chunked() {
        use Known::TransferEncoding as T;
        for right in ["chunked", "Chunked", "CHUNKED"] {
            assert_eq!(framing(Version::Http11, &[(T, right)]), Ok(Framing::Chunked));
        }
        for foreign in ["xchunked", "gzip, chunked", "chunked, gzip", "identity", "gzip,deflate"] {
            let expect = Err(Reason::UnsupportedTransferEncoding);
            assert_eq!(framing(Version::Http11, &[(T, foreign)]), expect, "{foreign}");
        }
        for bad in ["", ",chunked", "chunked,", "chunked;q=1", "chunked, chunked", "gzip;q=1, x"] {
            let expect = Err(Reason::BadTransferEncoding);
            assert_eq!(framing(Version::Http11, &[(T, bad)]), expect, "{bad}");
        }
        for second in ["chunked", "gzip"] {
            let expect = Err(Reason::BadTransferEncoding);
            assert_eq!(framing(Version::Http11, &[(T, "chunked"), (T, second)]), expect);
            assert_eq!(framing(Version::Http11, &[(T, second), (T, "chunked")]), expect);
        }
        assert_eq!(Reason::UnsupportedTransferEncoding.status(), Some(501));
        assert_eq!(Reason::BadTransferEncoding.status(), Some(400));
    }

    #[test]
    fn security_04_transfer_encoding_in_http_10_is_400() {
        for value in ["chunked", "gzip", "gzip, chunked", ""] {
            let found = framing(Version::Http10, &[(Known::TransferEncoding, value)]);
            assert_eq!(found, Err(Reason::BadTransferEncoding), "{value}");
        }
    }

    #[test]
    fn connections_are_kept_by_the_rules_of_their_version() {
        let keep = |version, values: &[&str]| {
            let mut marks = Marks::default();
            for value in values {
                marks.note(Known::Connection, value.as_bytes());
            }
            marks.keep_alive(version)
        };
        assert!(keep(Version::Http11, &[]) && !keep(Version::Http10, &[]));
        assert!(
            keep(Version::Http10, &["Keep-Alive"]) && keep(Version::Http10, &["x, keep-alive"])
        );
        assert!(!keep(Version::Http11, &["Close"]) && !keep(Version::Http11, &["a,close ,b"]));
        assert!(!keep(Version::Http10, &["keep-alive", "close"]));
        assert!(keep(Version::Http11, &["closed"]));
    }

    #[test]
    fn versions_are_exact() {
        assert_eq!(Version::parse(b"HTTP/1.1"), Ok(Version::Http11));
        assert_eq!(Version::parse(b"HTTP/1.0"), Ok(Version::Http10));
        for other in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/2.1"] {
            assert_eq!(Version::parse(other.as_bytes()), Err(Reason::UnsupportedVersion));
        }
        for bad in ["HTTP/1.10", "http/1.1", "HTTP/1.2", "HTTP/1", "HTTP/2", "", "HTTP/1.1 "] {
            assert_eq!(Version::parse(bad.as_bytes()), Err(Reason::BadVersion), "{bad}");
        }
    }
}
