//! Certificates that come and go while the process runs: of hosts whose authority issues them, and
//! the challenges of such an authority (RFC 8737).
//!
//! The hosts are known at start, their certificates are not: until one is there, handshakes for its
//! host end with an alert. Written by the background, seldom; a handshake looks without waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use stead_core::Shared;

use crate::entry::{Entry, EntryOptions, PemSource, Version};
use crate::problem::Problem;

/// The certificates of some hosts, and the challenges that are shown just now.
#[derive(Debug, Default)]
pub struct Issued {
    hosts: HashMap<Box<str>, Arc<Place>>,
    /// How many challenges there are.
    count: AtomicUsize,
    challenges: Mutex<HashMap<Box<str>, Arc<Entry>>>,
}

/// Where the certificate of one host will be, or is.
#[derive(Debug, Default)]
pub(crate) struct Place(OnceLock<Arc<Entry>>);

impl Place {
    pub(crate) fn entry(&self) -> Option<&Arc<Entry>> {
        self.0.get()
    }
}

impl Issued {
    /// The name of its entries in logs and status.
    pub const NAME: &str = "auto";

    /// Places for hosts, in lower case and without a trailing dot, none of which has a certificate.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        let place = |host: String| (host.into_boxed_str(), Arc::default());
        Self { hosts: hosts.into_iter().map(place).collect(), ..Self::default() }
    }

    /// Shows a certificate to clients of `host` from now on: chain and key, both PEM.
    ///
    /// # Errors
    /// Everything that is wrong with it; then nothing changes.
    pub fn install(
        &self,
        host: &str,
        certificate: &[u8],
        key: &[u8],
        shared: &Shared,
    ) -> Result<(), Vec<Problem>> {
        // One that nobody serves is as good as installed.
        let Some(place) = self.hosts.get(host) else { return Ok(()) };
        if let Some(entry) = place.entry() {
            return entry.replace(certificate, key);
        }
        let options = EntryOptions {
            name: Self::NAME.to_owned(),
            certificate: PemSource::Bytes(certificate.into()),
            key: PemSource::Bytes(key.into()),
            clients: None,
            versions: vec![Version::Tls12, Version::Tls13],
        };
        let entry = Arc::new(Entry::load(options, shared)?);
        // Nobody else installs for a host.
        place.0.get_or_init(|| entry);
        Ok(())
    }

    /// What is shown to clients of `host`; `None` where nothing is there yet.
    pub fn entry(&self, host: &str) -> Option<&Arc<Entry>> {
        self.hosts.get(host)?.entry()
    }

    /// Shows what proves `host` to who asks for it by `acme-tls/1` from now on: a certificate in
    /// DER and its key, PKCS #8 in DER.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn show_challenge(&self, host: &str, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let entry = Entry::challenge(certificate, key).map_err(|error| error.to_string())?;
        let mut challenges = self.challenges();
        challenges.insert(host.into(), Arc::new(entry));
        self.count.store(challenges.len(), Ordering::Release);
        Ok(())
    }

    /// Shows it no more.
    pub fn forget_challenge(&self, host: &str) {
        let mut challenges = self.challenges();
        challenges.remove(host);
        self.count.store(challenges.len(), Ordering::Release);
    }

    /// What proves a host, while it is shown.
    pub(crate) fn challenge(&self, host: &str) -> Option<Arc<Entry>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.challenges().get(host).cloned()
    }

    pub(crate) fn place(&self, host: &str) -> Option<&Arc<Place>> {
        self.hosts.get(host)
    }

    fn challenges(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Entry>>> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
