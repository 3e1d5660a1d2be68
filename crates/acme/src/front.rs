//! What the running listeners do for an authority: show proofs, and serve what was issued.
//!
//! Implemented where listeners are known. Called from the background thread only, seldom; whatever
//! is given must be visible to every worker when the call returns.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::Certificate;

/// The running listeners, as an authority sees them.
pub trait Front: Send + Sync + 'static {
    /// The proofs that some listener can give, the likeliest first; empty where none can.
    fn proofs(&self) -> Vec<Proof>;

    /// Answers `GET /.well-known/acme-challenge/TOKEN` with `authorization` from now on.
    fn answer_http(&self, token: &str, authorization: &str);

    /// Answers it no more.
    fn forget_http(&self, token: &str);

    /// Serves `certificate` to who asks for `host` by the protocol `acme-tls/1` from now on.
    fn answer_tls(&self, host: &str, certificate: Challenge);

    /// Serves it no more.
    fn forget_tls(&self, host: &str);

    /// Serves `certificate` to clients of `host` from now on.
    ///
    /// # Errors
    /// Why it cannot be served; it stays stored.
    fn install(&self, host: &str, certificate: &Certificate) -> Result<(), String>;
}

/// The certificate that proves a host by TLS-ALPN-01 (RFC 8737 §3).
#[derive(Debug)]
pub struct Challenge {
    /// Self-signed, of the host's name.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

/// A way to prove that a host is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file over plaintext HTTP on port 80 (RFC 8555 §8.3).
    Http,
    /// A certificate over TLS on port 443 (RFC 8737).
    TlsAlpn,
}

impl Proof {
    /// The word in logs, `status` and the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }
}
