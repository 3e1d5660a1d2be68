//! Challenges (RFC 8555 §8): what is shown to prove a host, by the process that orders and by those
//! that wait for it, since the authority may reach any of them, such as behind a balancer.
//!
//! The one that orders leaves it in the store before it tells the authority; the others look there
//! while they wait. Showing until it is dropped.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::aside::aside;
use crate::front::Front;
use crate::store::Store;

/// A way to prove that a host is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A text over plaintext HTTP on port 80 (RFC 8555 §8.3).
    Http,
    /// A certificate over TLS on port 443 (RFC 8737).
    TlsAlpn,
}

impl ChallengeKind {
    /// The word in logs, `status` and the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }
}

/// What proves a host as long as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The answer to `GET /.well-known/acme-challenge/TOKEN`.
    Http {
        /// The last segment of the path.
        token: String,
        /// The body.
        text: String,
    },
    /// What is shown to who asks for the host by the protocol `acme-tls/1` (RFC 8737 §3).
    TlsAlpn {
        /// A self-signed certificate of the host's name, in DER.
        certificate: Vec<u8>,
        /// Its key, PKCS #8 in DER.
        key: Vec<u8>,
    },
}

impl Challenge {
    /// As it is stored.
    fn to_text(&self) -> String {
        let value = match self {
            Self::Http { token, text } => {
                json!({ "version": VERSION, "token": token, "text": text })
            }
            Self::TlsAlpn { certificate, key } => json!({
                "version": VERSION,
                "certificate": STANDARD.encode(certificate),
                "key": STANDARD.encode(key),
            }),
        };
        format!("{value:#}\n")
    }

    /// Reads one; `None` where it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if value.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let word = |key: &str| value.get(key).and_then(Value::as_str);
        if let (Some(token), Some(text)) = (word("token"), word("text")) {
            return Some(Self::Http { token: token.to_owned(), text: text.to_owned() });
        }
        let bytes = |key: &str| STANDARD.decode(word(key)?).ok();
        Some(Self::TlsAlpn { certificate: bytes("certificate")?, key: bytes("key")? })
    }
}

/// A challenge that listeners show until this is dropped.
pub(crate) struct Showing {
    front: Arc<dyn Front>,
    host: String,
    challenge: Challenge,
    /// Where other processes find it, if it is ours.
    store: Option<Store>,
}

impl Showing {
    /// Shows our own, here and where other processes look.
    pub(crate) async fn ours(
        front: &Arc<dyn Front>,
        store: &Store,
        host: &str,
        challenge: Challenge,
    ) -> Self {
        let (kept, name, text) = (store.clone(), host.to_owned(), challenge.to_text());
        if let Err(error) = aside(move || kept.keep_challenge(&name, &text)).await {
            tracing::warn!("other processes cannot prove {host}: {error}");
        }
        let mut shown = Self::anothers(front, host, challenge);
        shown.store = Some(store.clone());
        shown
    }

    /// Shows what another process ordered.
    pub(crate) fn anothers(front: &Arc<dyn Front>, host: &str, challenge: Challenge) -> Self {
        front.show(host, &challenge);
        Self { front: Arc::clone(front), host: host.to_owned(), challenge, store: None }
    }

    pub(crate) fn challenge(&self) -> &Challenge {
        &self.challenge
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.front.forget(&self.host, &self.challenge);
        if let Some(store) = &self.store {
            store.remove_challenge(&self.host);
        }
    }
}

/// Of the file's form.
const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_others_is_read_again() {
        let http = Challenge::Http { token: "t".to_owned(), text: "t.thumb".to_owned() };
        let tls = Challenge::TlsAlpn { certificate: vec![0, 255], key: vec![1] };
        for challenge in [http, tls] {
            assert_eq!(Challenge::parse(&challenge.to_text()), Some(challenge));
        }
    }

    #[test]
    fn what_is_torn_or_of_another_version_is_none() {
        for text in ["", "{", "{\"version\":2,\"token\":\"a\",\"text\":\"b\"}", "{\"version\":1}"] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
        let odd = "{\"version\":1,\"certificate\":\"!\",\"key\":\"AA==\"}";
        assert_eq!(Challenge::parse(odd), None);
    }
}
