//! What an authority asks a host over HTTP before it issues a certificate (RFC 8555 §8.3): texts
//! that are shown under `/.well-known/acme-challenge/` as long as an order is under way.
//!
//! Written by the background, read by every worker. While nothing is shown a look is one load of a
//! counter that nobody writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Texts by token.
#[derive(Debug, Default)]
pub struct Challenges {
    /// How many there are.
    count: AtomicUsize,
    texts: Mutex<HashMap<Box<str>, Arc<str>>>,
}

impl Challenges {
    /// What stands before the token in a path.
    pub const PATH: &str = "/.well-known/acme-challenge/";

    /// Shows `text` under `token` from now on.
    pub fn show(&self, token: &str, text: &str) {
        let mut texts = self.texts();
        texts.insert(token.into(), text.into());
        self.count.store(texts.len(), Ordering::Release);
    }

    /// Shows it no more.
    pub fn forget(&self, token: &str) {
        let mut texts = self.texts();
        texts.remove(token);
        self.count.store(texts.len(), Ordering::Release);
    }

    /// What is shown under a path, canonical.
    pub fn text(&self, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(Self::PATH)?;
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.texts().get(token).cloned()
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<str>>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_under_its_token_alone_until_it_is_forgotten() {
        let challenges = Challenges::default();
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(challenges.text(path), None);
        challenges.show("token", "token.thumb");
        challenges.show("other", "other.thumb");
        assert_eq!(challenges.text(path).as_deref(), Some("token.thumb"));
        for path in ["/token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/toke"] {
            assert_eq!(challenges.text(path), None, "{path}");
        }
        challenges.forget("token");
        challenges.forget("token");
        assert_eq!(challenges.text(path), None);
        assert!(challenges.text("/.well-known/acme-challenge/other").is_some());
    }
}
