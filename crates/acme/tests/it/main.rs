//! An authority that does what no real one does on demand: it suggests windows, refuses, forgets,
//! and is away. Listeners are played by [`Listeners`], which the authority asks without a network.

mod authority;
mod directory;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use stead_acme::{Certificate, Challenge, ChallengeKind, Front};

/// What a process serves.
pub(crate) struct Listeners {
    kinds: Vec<ChallengeKind>,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    /// What is answered, by token.
    http: HashMap<String, String>,
    /// The hosts that are proved by a certificate.
    tls: Vec<String>,
    installed: HashMap<String, Vec<Certificate>>,
    /// Whether it takes no certificate.
    refuses: bool,
}

impl Listeners {
    pub(crate) fn new(kinds: &[ChallengeKind]) -> Self {
        Self { kinds: kinds.to_vec(), shown: Mutex::default() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Shown) -> T) -> T {
        look(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the authority would see.
    pub(crate) fn prove(&self, kind: ChallengeKind, host: &str, token: &str) -> bool {
        self.with(|shown| match kind {
            ChallengeKind::Http => {
                shown.http.get(token).is_some_and(|text| text.starts_with(token))
            }
            ChallengeKind::TlsAlpn => shown.tls.iter().any(|known| known == host),
        })
    }

    /// Whether anything is still shown.
    pub(crate) fn shows_challenges(&self) -> bool {
        self.with(|shown| !shown.http.is_empty() || !shown.tls.is_empty())
    }

    /// Whether certificates are taken from now on.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.with(|shown| shown.refuses = refuses);
    }

    /// How many certificates a host was given.
    pub(crate) fn installed(&self, host: &str) -> usize {
        self.with(|shown| shown.installed.get(host).map_or(0, Vec::len))
    }
}

impl Front for Listeners {
    fn kinds(&self) -> Vec<ChallengeKind> {
        self.kinds.clone()
    }

    fn show(&self, host: &str, challenge: &Challenge) {
        self.with(|shown| match challenge {
            Challenge::Http { token, text } => drop(shown.http.insert(token.clone(), text.clone())),
            Challenge::TlsAlpn { .. } => shown.tls.push(host.to_owned()),
        });
    }

    fn forget(&self, host: &str, challenge: &Challenge) {
        self.with(|shown| match challenge {
            Challenge::Http { token, .. } => drop(shown.http.remove(token)),
            Challenge::TlsAlpn { .. } => shown.tls.retain(|known| known != host),
        });
    }

    fn install(&self, host: &str, certificate: &Certificate) -> Result<(), String> {
        self.with(|shown| {
            if shown.refuses {
                return Err("as the test says".to_owned());
            }
            shown.installed.entry(host.to_owned()).or_default().push(certificate.clone());
            Ok(())
        })
    }
}
