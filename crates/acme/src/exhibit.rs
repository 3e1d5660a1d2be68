//! What is shown to prove a host, by the process that orders and by those that wait for it: the
//! authority may reach any of them, such as behind a balancer.
//!
//! The one that orders leaves it in the store before it tells the authority; the others look there
//! while they wait. Shown until it is dropped.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::aside::aside;
use crate::front::{Challenge, Front};
use crate::store::Store;

/// What proves a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exhibit {
    /// A text under a token.
    Http { token: String, text: String },
    /// A certificate with its key, PKCS #8, both in DER.
    Tls { certificate: Vec<u8>, key: Vec<u8> },
}

impl Exhibit {
    /// As it is stored.
    fn to_text(&self) -> String {
        let value = match self {
            Self::Http { token, text } => {
                json!({ "version": VERSION, "token": token, "text": text })
            }
            Self::Tls { certificate, key } => json!({
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
        Some(Self::Tls { certificate: bytes("certificate")?, key: bytes("key")? })
    }
}

/// An exhibit that listeners show until this is dropped.
pub(crate) struct Shown {
    front: Arc<dyn Front>,
    host: String,
    exhibit: Exhibit,
    /// Where other processes find it, if it is ours.
    store: Option<Store>,
}

impl Shown {
    /// Shows our own, here and where other processes look.
    pub(crate) async fn ours(
        front: &Arc<dyn Front>,
        store: &Store,
        host: &str,
        exhibit: Exhibit,
    ) -> Self {
        let (kept, name, text) = (store.clone(), host.to_owned(), exhibit.to_text());
        if let Err(error) = aside(move || kept.keep_proof(&name, &text)).await {
            tracing::warn!("other processes cannot prove {host}: {error}");
        }
        let mut shown = Self::anothers(front, host, exhibit);
        shown.store = Some(store.clone());
        shown
    }

    /// Shows what another process ordered.
    pub(crate) fn anothers(front: &Arc<dyn Front>, host: &str, exhibit: Exhibit) -> Self {
        match &exhibit {
            Exhibit::Http { token, text } => front.answer_http(token, text),
            Exhibit::Tls { certificate, key } => {
                let certificate = CertificateDer::from(certificate.clone());
                let key = PrivatePkcs8KeyDer::from(key.clone());
                front.answer_tls(host, Challenge { certificate, key });
            }
        }
        Self { front: Arc::clone(front), host: host.to_owned(), exhibit, store: None }
    }

    pub(crate) fn exhibit(&self) -> &Exhibit {
        &self.exhibit
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        match &self.exhibit {
            Exhibit::Http { token, .. } => self.front.forget_http(token),
            Exhibit::Tls { .. } => self.front.forget_tls(&self.host),
        }
        if let Some(store) = &self.store {
            store.remove_proof(&self.host);
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
        let http = Exhibit::Http { token: "t".to_owned(), text: "t.thumb".to_owned() };
        let tls = Exhibit::Tls { certificate: vec![0, 255], key: vec![1] };
        for exhibit in [http, tls] {
            assert_eq!(Exhibit::parse(&exhibit.to_text()), Some(exhibit));
        }
    }

    #[test]
    fn what_is_torn_or_of_another_version_is_none() {
        for text in ["", "{", "{\"version\":2,\"token\":\"a\",\"text\":\"b\"}", "{\"version\":1}"] {
            assert_eq!(Exhibit::parse(text), None, "{text}");
        }
        let odd = "{\"version\":1,\"certificate\":\"!\",\"key\":\"AA==\"}";
        assert_eq!(Exhibit::parse(odd), None);
    }
}
