//! What is known of an encrypted connection: made when its handshake is done, kept as long as the
//! connection, also while that rests.

use std::fmt;
use std::sync::Arc;

/// What a handshake agreed on.
#[derive(Clone)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name in the registry of IANA.
    pub cipher: &'static str,
    /// The name that the client asked for (SNI): lower case, without a trailing dot.
    pub server_name: Option<Box<str>>,
    /// The application protocol that was agreed on (ALPN).
    pub protocol: Option<Protocol>,
    /// Whose certificate was shown.
    pub shown: Arc<dyn Shown>,
    /// Whether the name that the client asked for is permitted.
    pub is_named: bool,
    /// Whether the client went on with an earlier session.
    pub is_resumed: bool,
    /// The client's certificate, verified.
    pub client: Option<Arc<ClientCertificate>>,
}

/// A certificate that was shown to a client.
pub trait Shown: Send + Sync {
    /// The name of its `[tls.NAME]`.
    fn name(&self) -> &str;

    /// Whether requests for this host, without a port, may come on a connection with it.
    fn permits(&self, host: &str) -> bool;

    /// Whether requests that name no host may come: they reach what any host would.
    fn permits_unnamed(&self) -> bool;
}

impl TlsFacts {
    /// Whether requests for a host, without a port, may come on this connection.
    ///
    /// PERF: nearly always it is the name of the handshake, which was looked at then.
    pub fn permits(&self, host: &[u8]) -> bool {
        let is_same = |name: &str| host.eq_ignore_ascii_case(name.as_bytes());
        self.is_named && self.server_name.as_deref().is_some_and(is_same)
            || std::str::from_utf8(host).is_ok_and(|host| self.shown.permits(host))
    }
}

/// What is told of an encrypted connection by the name of a placeholder; nothing on one in the
/// clear, and of a certificate nothing where the client showed none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFact {
    /// The version of TLS.
    Version,
    /// The cipher suite.
    Cipher,
    /// The name that the client asked for.
    ServerName,
    /// Whom the client's certificate names.
    ClientSubject,
    /// Who signed it.
    ClientIssuer,
    /// Its serial number.
    ClientSerial,
    /// Its SHA-256.
    ClientFingerprint,
    /// Its DNS names, with commas between them.
    ClientDnsNames,
    /// Its e-mail addresses, with commas between them.
    ClientEmails,
}

impl TlsFact {
    /// Appends the fact's text, raw.
    pub fn write(self, facts: &TlsFacts, out: &mut Vec<u8>) {
        let (many, client) = match (self, facts.client.as_deref()) {
            (Self::Version, _) => return out.extend_from_slice(facts.version.as_bytes()),
            (Self::Cipher, _) => return out.extend_from_slice(facts.cipher.as_bytes()),
            (Self::ServerName, _) => {
                let name = facts.server_name.as_deref().unwrap_or_default();
                return out.extend_from_slice(name.as_bytes());
            }
            (_, None) => return,
            (Self::ClientDnsNames, Some(client)) => (&*client.dns_names, client),
            (Self::ClientEmails, Some(client)) => (&*client.emails, client),
            (_, Some(client)) => (&[][..], client),
        };
        for (at, one) in many.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b"," } else { b"" });
            out.extend_from_slice(one.as_bytes());
        }
        out.extend_from_slice(match self {
            Self::ClientSubject => client.subject.as_bytes(),
            Self::ClientIssuer => client.issuer.as_bytes(),
            Self::ClientSerial => client.serial.as_bytes(),
            Self::ClientFingerprint => client.fingerprint.as_bytes(),
            _ => b"",
        });
    }
}

/// What ALPN agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

impl Protocol {
    /// The protocol's name in ALPN.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// A certificate by which a client proved who it is. A service finds it beside its request, as the
/// extension `Arc<ClientCertificate>`, where the client showed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it names, `CN=…, O=…`, the way it stands in the certificate, escaped as in RFC 4514;
    /// control characters are replaced.
    pub subject: Box<str>,
    /// Who signed it, likewise.
    pub issuer: Box<str>,
    /// Its serial number, lower-case hexadecimal without separators.
    pub serial: Box<str>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: Box<str>,
    /// When it ends, in seconds since 1970.
    pub not_after: u64,
    /// Its DNS names.
    pub dns_names: Box<[Box<str>]>,
    /// Its e-mail addresses.
    pub emails: Box<[Box<str>]>,
}

impl fmt::Debug for TlsFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)
    }
}
