//! The first message of a TLS client: which name it asks for, which protocols it offers.
//!
//! Read before any TLS state exists, so that the certificate, or the upstream, is chosen from it;
//! the same bytes are then given to the TLS library, which checks the rest of the handshake. Only
//! what the choice depends on is kept. A message may be cut into any number of records, and records
//! into any number of reads. It is bounded: [`HELLO_BYTES_MAX`] with its records' headers.
//!
//! Strict where two readers could disagree: every length must be met exactly, no extension may
//! stand twice, a name is one valid DNS name, and nothing may follow in the message's last record.
//!
//! Sources: RFC 8446 §4.1.2 (message), §4.2 (extensions), §5.1 (records); RFC 5246 §7.4.1.2;
//! RFC 6066 §3 (`server_name`); RFC 7301 §3.1 (ALPN); RFC 8701 (values that mean nothing and must
//! be passed over).

mod name;
mod record;

use std::fmt;

use stead_base::Reason;

use crate::reader::Reader;
use record::{Message, Walk};

/// The most bytes that a `ClientHello` may take, headers of its records included. Chromium with
/// post-quantum key shares sends about 2,000; a resumption with large tickets, below 5,000.
pub const HELLO_BYTES_MAX: usize = 16 << 10;

/// What a client asks for and offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The DNS name that it wants to reach: lower case, without a trailing dot, at most 253 bytes.
    pub server_name: Option<Box<str>>,
    /// The application protocols that it speaks, the preferred one first.
    pub protocols: Protocols,
    /// How many bytes of the input the message takes, headers of its records included.
    pub bytes: usize,
}

/// Names of application protocols, as a client listed them (RFC 7301 §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocols {
    /// Each with its length before it; checked.
    list: Box<[u8]>,
}

impl Protocols {
    /// The names, the preferred one first; each 1 to 255 bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = Reader(&self.list);
        std::iter::from_fn(move || list.block8())
    }

    /// Whether `name` is one of them: `b"h2"`, `b"http/1.1"`, `b"acme-tls/1"`.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|listed| listed == name)
    }

    /// Whether the client said nothing of protocols.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Why bytes are no `ClientHello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// HTTP without TLS: the peer understands a plain 400.
    PlainHttp,
    /// The hello of SSL 2.0.
    Ssl2,
    /// No TLS at all.
    NotTls,
    /// A record or a handshake message of another kind, or an empty record.
    Unexpected,
    /// It takes more than [`HELLO_BYTES_MAX`].
    TooLarge,
    /// A length is not met, or a value is missing.
    Malformed,
    /// A rule is broken: an extension stands twice, a list is empty, something follows.
    Illegal,
    /// The name is no DNS name: too long, an address, or with bytes that names have not.
    BadName,
}

impl HelloError {
    /// The outcome in log, counters and `status`.
    pub const fn reason(self) -> Reason {
        match self {
            Self::PlainHttp => Reason::PlainHttp,
            _ => Reason::BadClientHello,
        }
    }

    /// The description of the fatal alert that tells the peer (RFC 8446 §6.2); `None` if it does
    /// not speak TLS.
    pub const fn alert(self) -> Option<u8> {
        match self {
            Self::PlainHttp | Self::NotTls => None,
            // unexpected_message
            Self::Unexpected => Some(10),
            // protocol_version
            Self::Ssl2 => Some(70),
            // illegal_parameter
            Self::TooLarge | Self::Illegal => Some(47),
            // decode_error
            Self::Malformed => Some(50),
            // unrecognized_name
            Self::BadName => Some(112),
        }
    }
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainHttp => "plain HTTP instead of TLS",
            Self::Ssl2 => "an SSL 2.0 hello",
            Self::NotTls => "neither TLS nor HTTP",
            Self::Unexpected => "a TLS record that is no part of a ClientHello",
            Self::TooLarge => "a ClientHello of more than 16 KiB",
            Self::Malformed => "a ClientHello with a length that is not met",
            Self::Illegal => "a ClientHello that breaks a rule",
            Self::BadName => "a server name that is no DNS name",
        })
    }
}

impl std::error::Error for HelloError {}

/// Reads the `ClientHello` at the start of `input`, which is all that arrived so far; `None` if it
/// is not complete. [`HelloReader`] does it for input that grows.
///
/// ```
/// use stead_preamble::{HelloError, parse_client_hello};
///
/// assert_eq!(parse_client_hello(b"\x16\x03\x01"), Ok(None));
/// assert_eq!(parse_client_hello(b"GET / HTTP/1.1\r\n"), Err(HelloError::PlainHttp));
/// ```
///
/// # Errors
/// It is no `ClientHello`, or one that must not be answered. More bytes never make it better.
pub fn parse_client_hello(input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    HelloReader::default().parse(input)
}

/// Reads the `ClientHello` of one connection, as it arrives. SECURITY: what trickles in, in records
/// of a byte each, is looked at once, not again with each byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct HelloReader(Walk);

impl HelloReader {
    /// Reads the `ClientHello` at the start of `input`, which is all that arrived so far, with what
    /// was there at the last call unchanged; `None` if it is not complete.
    ///
    /// # Errors
    /// As [`parse_client_hello`].
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        let Some(Message { body, bytes }) = record::gather(&mut self.0, input)? else {
            return Ok(None);
        };
        let mut hello = ClientHello { server_name: None, protocols: Protocols::default(), bytes };
        let mut body = Reader(&body);
        if let Some(extensions) = parse_fixed_part(&mut body).ok_or(HelloError::Malformed)?? {
            hello.parse_extensions(Reader(extensions))?;
        }
        Ok(Some(hello))
    }
}

type Extensions<'a> = Option<&'a [u8]>;

/// Passes over what stands before the extensions, and gives those. `None` if a length is not met.
fn parse_fixed_part<'a>(body: &mut Reader<'a>) -> Option<Result<Extensions<'a>, HelloError>> {
    let _version: [u8; 2] = body.array()?;
    let _random: [u8; 32] = body.array()?;
    let session = body.block8()?;
    let suites = body.block16()?;
    let compressions = body.block8()?;
    // RFC 5246 §7.4.1.2: extensions may be missing altogether.
    let extensions = if body.is_empty() { None } else { Some(body.block16()?) };
    if !body.is_empty() || suites.is_empty() || !suites.len().is_multiple_of(2) {
        return None;
    }
    if session.len() > 32 || !compressions.contains(&NO_COMPRESSION) {
        return Some(Err(HelloError::Illegal));
    }
    Some(Ok(extensions))
}

impl ClientHello {
    fn parse_extensions(&mut self, mut extensions: Reader<'_>) -> Result<(), HelloError> {
        let mut seen = Seen::default();
        while !extensions.is_empty() {
            let kind = extensions.u16().ok_or(HelloError::Malformed)?;
            let body = extensions.block16().ok_or(HelloError::Malformed)?;
            if !seen.insert(kind) {
                return Err(HelloError::Illegal);
            }
            match kind {
                SERVER_NAME => self.server_name = name::parse(body)?,
                ALPN => self.protocols = parse_protocols(body)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// RFC 7301 §3.1: neither the list nor a name in it may be empty.
fn parse_protocols(body: &[u8]) -> Result<Protocols, HelloError> {
    let list = whole(Reader(body), Reader::block16)?;
    let mut names = Reader(list);
    while !names.is_empty() {
        if names.block8().ok_or(HelloError::Malformed)?.is_empty() {
            return Err(HelloError::Illegal);
        }
    }
    if list.is_empty() {
        return Err(HelloError::Illegal);
    }
    Ok(Protocols { list: list.into() })
}

/// The one block that an extension is made of.
fn whole<'a>(
    mut body: Reader<'a>,
    block: impl FnOnce(&mut Reader<'a>) -> Option<&'a [u8]>,
) -> Result<&'a [u8], HelloError> {
    block(&mut body).filter(|_| body.is_empty()).ok_or(HelloError::Malformed)
}

/// Kinds of extensions that were met: a bit for each of the 65,536, since a message of 16 KiB has
/// room for thousands and must not cost their square.
struct Seen([u64; 1024]);

impl Default for Seen {
    fn default() -> Self {
        Self([0; 1024])
    }
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, kind: u16) -> bool {
        let bit = 1 << (kind % 64);
        let word = &mut self.0[usize::from(kind / 64)];
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// Kinds of extensions (RFC 8446 §4.2).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

const NO_COMPRESSION: u8 = 0;

#[cfg(test)]
mod tests;
