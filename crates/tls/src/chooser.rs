//! Which of a listener's certificates a client sees, and which hosts it may then ask for.
//!
//! By the name in its `ClientHello`: the entry that has exactly this name, else one with a wildcard
//! for it, else the first. Earlier entries win.
//!
//! SECURITY: what a connection may ask for follows from what its handshake proved, on both sides:
//! see `Chosen::permits`.

use std::sync::Arc;

use stead_core::Shown;

use crate::entry::Entry;
use crate::session::Session;

/// The entries of one listener; the first is the default.
#[derive(Clone, Debug)]
pub struct Chooser {
    entries: Arc<[Arc<Entry>]>,
    /// One for each entry, for connections to hold.
    chosen: Box<[Arc<Chosen>]>,
    speaks_http2: bool,
}

impl Chooser {
    /// Chooses among `entries`; `None` where there are none. HTTP/2 is offered where
    /// `speaks_http2`.
    pub fn new(entries: Vec<Arc<Entry>>, speaks_http2: bool) -> Option<Self> {
        if entries.is_empty() {
            return None;
        }
        let entries: Arc<[Arc<Entry>]> = entries.into();
        let chosen = |at| Arc::new(Chosen { entries: Arc::clone(&entries), at });
        let chosen = (0..entries.len()).map(chosen).collect();
        Some(Self { entries, chosen, speaks_http2 })
    }

    /// The entries in their order.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The session of a client that asked for `server_name`: lower case, without a trailing dot;
    /// `None` where the library refuses its own configuration.
    pub fn open(&self, server_name: Option<Box<str>>) -> Option<Session> {
        let at = server_name.as_deref().and_then(|name| find(&self.entries, name)).unwrap_or(0);
        Session::new(Arc::clone(self.chosen.get(at)?), server_name, self.speaks_http2)
    }
}

/// The entry that a name chooses, by position.
fn find(entries: &[Arc<Entry>], name: &str) -> Option<usize> {
    let exact = entries.iter().position(|entry| entry.live().names.has(name));
    exact.or_else(|| entries.iter().position(|entry| entry.live().names.cover(name)))
}

/// An entry that was chosen, among its siblings.
#[derive(Debug)]
pub(crate) struct Chosen {
    entries: Arc<[Arc<Entry>]>,
    at: usize,
}

impl Chosen {
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entries[self.at]
    }
}

impl Shown for Chosen {
    fn name(&self) -> &str {
        self.entry().name()
    }

    /// SECURITY: the certificate must be good for the host, and the entry that the host itself
    /// would have chosen must ask clients for the same (RFC 9110 §7.4, RFC 9113 §9.1.1).
    fn permits(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let live = self.entry().live();
        live.names.cover(host)
            && find(&self.entries, host)
                .is_none_or(|own| own == self.at || self.entries[own].live().policy == live.policy)
    }
}
