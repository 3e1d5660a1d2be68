//! Which of a listener's certificates a client sees, and which hosts it may then ask for.
//!
//! By the name in its `ClientHello`: the entry that has exactly this name, else the certificate
//! that was issued for it, else an entry with a wildcard for it, else the first entry. Earlier
//! entries win. Where all certificates are issued ones there is none for other names.
//!
//! SECURITY: what a connection may ask for follows from what its handshake proved, on both sides:
//! see `Chosen::permits`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use stead_core::Shown;

use crate::entry::Entry;
use crate::issued::{Issued, Place};
use crate::session::Session;

/// The certificates of one listener; the first entry is the default.
#[derive(Clone, Debug)]
pub struct Chooser {
    certificates: Arc<Certificates>,
    /// One for each entry, for connections to hold.
    chosen: Arc<[Arc<Chosen>]>,
    /// The same for each issued certificate, once it was chosen.
    chosen_issued: Arc<HashMap<Box<str>, OnceLock<Arc<Chosen>>>>,
    /// Who is asked for challenges.
    issued: Option<Arc<Issued>>,
    speaks_http2: bool,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// The library refuses its own configuration.
    Unusable,
    /// The certificate for the name is not issued yet.
    Pending,
    /// There is no certificate for the name, or no name.
    Unknown,
}

impl Chooser {
    /// Chooses among `entries`; `None` where there are none. HTTP/2 is offered where
    /// `speaks_http2`.
    pub fn new(entries: Vec<Arc<Entry>>, speaks_http2: bool) -> Option<Self> {
        (!entries.is_empty()).then(|| Self::of(entries, HashMap::new(), None, speaks_http2))
    }

    /// Chooses among `entries`, of which there may be none, and the certificates that `issued` has
    /// or will have for `hosts`. Challenges are shown for all its hosts.
    pub fn with_issued<'a>(
        entries: Vec<Arc<Entry>>,
        issued: &Arc<Issued>,
        hosts: impl IntoIterator<Item = &'a str>,
        speaks_http2: bool,
    ) -> Self {
        let known = |host: &'a str| Some((host.into(), Arc::clone(issued.place(host)?)));
        let places = hosts.into_iter().filter_map(known).collect();
        Self::of(entries, places, Some(Arc::clone(issued)), speaks_http2)
    }

    fn of(
        entries: Vec<Arc<Entry>>,
        places: HashMap<Box<str>, Arc<Place>>,
        issued: Option<Arc<Issued>>,
        speaks_http2: bool,
    ) -> Self {
        let unchosen = places.keys().map(|host| (host.clone(), OnceLock::new()));
        let chosen_issued = Arc::new(unchosen.collect());
        let certificates = Arc::new(Certificates { entries: entries.into(), places });
        let chosen = |entry: &Arc<Entry>| certificates.choose(entry);
        let chosen = certificates.entries.iter().map(chosen).collect();
        Self { certificates, chosen, chosen_issued, issued, speaks_http2 }
    }

    /// The entries in their order, without what is issued.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.certificates.entries
    }

    /// Which entry a client of `host` is shown, and whether it may then ask for that host.
    ///
    /// # Errors
    /// Why there is none.
    pub fn shown(&self, host: &str) -> Result<(Arc<Entry>, bool), Unserved> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // Who connects to an address names no host in the handshake (RFC 6066 §3).
        let name = bare.parse::<IpAddr>().is_err().then(|| host.to_ascii_lowercase());
        let chosen = self.choose(name.as_deref().map(|name| name.trim_end_matches('.')))?;
        Ok((Arc::clone(chosen.entry()), chosen.permits(host)))
    }

    /// The session of a client that asked for `server_name`: lower case, without a trailing dot.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(&self, server_name: Option<Box<str>>) -> Result<Box<Session>, Unserved> {
        let chosen = self.choose(server_name.as_deref())?;
        let session = Session::new(Arc::clone(chosen), server_name, self.speaks_http2);
        session.ok_or(Unserved::Unusable)
    }

    /// The session of an authority that looks whether `server_name` is ours, while that is to be
    /// proved. It carries no request.
    pub fn prove(&self, server_name: &str) -> Option<Box<Session>> {
        let challenge = self.issued.as_ref()?.challenge(server_name)?;
        let certificates = Certificates { entries: Box::default(), places: HashMap::new() };
        let chosen = Arc::new(certificates).choose(&challenge);
        Session::new(chosen, Some(server_name.into()), false).map(Session::for_challenge)
    }

    fn choose(&self, name: Option<&str>) -> Result<&Arc<Chosen>, Unserved> {
        match name.map(|name| (name, self.certificates.find(name))) {
            Some((_, Found::Entry(at))) => self.chosen.get(at).ok_or(Unserved::Unusable),
            Some((name, Found::Issued(entry))) => {
                let chosen = self.chosen_issued.get(name).ok_or(Unserved::Unusable)?;
                Ok(chosen.get_or_init(|| self.certificates.choose(entry)))
            }
            Some((_, Found::Pending)) => Err(Unserved::Pending),
            Some((_, Found::None)) | None => self.chosen.first().ok_or(Unserved::Unknown),
        }
    }
}

/// What a listener chooses among.
#[derive(Debug)]
struct Certificates {
    entries: Box<[Arc<Entry>]>,
    /// Of issued ones, by host.
    places: HashMap<Box<str>, Arc<Place>>,
}

/// What a name chooses.
enum Found<'a> {
    /// The entry at this position.
    Entry(usize),
    Issued(&'a Arc<Entry>),
    /// What is not issued yet.
    Pending,
    None,
}

impl Certificates {
    fn find(&self, name: &str) -> Found<'_> {
        let entries = &self.entries;
        if let Some(at) = entries.iter().position(|entry| entry.live().names.has(name)) {
            return Found::Entry(at);
        }
        if let Some(place) = self.places.get(name) {
            return place.entry().map_or(Found::Pending, Found::Issued);
        }
        let covers = entries.iter().position(|entry| entry.live().names.cover(name));
        covers.map_or(Found::None, Found::Entry)
    }

    fn choose(self: &Arc<Self>, entry: &Arc<Entry>) -> Arc<Chosen> {
        Arc::new(Chosen { certificates: Arc::clone(self), entry: Arc::clone(entry) })
    }
}

/// An entry that was chosen, among its siblings.
#[derive(Debug)]
pub(crate) struct Chosen {
    certificates: Arc<Certificates>,
    entry: Arc<Entry>,
}

impl Chosen {
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Shown for Chosen {
    fn name(&self) -> &str {
        self.entry.name()
    }

    /// SECURITY: the certificate must be good for the host, and the entry that the host itself
    /// would have chosen must ask clients for the same (RFC 9110 §7.4, RFC 9113 §9.1.1).
    fn permits(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let has_upper = host.bytes().any(|byte| byte.is_ascii_uppercase());
        let lower = has_upper.then(|| host.to_ascii_lowercase());
        let host = lower.as_deref().unwrap_or(host);
        let live = self.entry.live();
        let asks_the_same =
            |own: &Arc<Entry>| Arc::ptr_eq(own, &self.entry) || own.live().policy == live.policy;
        live.names.cover(host)
            && match self.certificates.find(host) {
                Found::Entry(at) => self.certificates.entries.get(at).is_none_or(asks_the_same),
                Found::Issued(own) => asks_the_same(own),
                // Issued certificates ask clients for nothing.
                Found::Pending => live.policy.is_none(),
                Found::None => true,
            }
    }

    /// SECURITY: only where no certificate of the listener asks clients for something else.
    fn permits_unnamed(&self) -> bool {
        let live = self.entry.live();
        let asks_the_same =
            |own: &Arc<Entry>| Arc::ptr_eq(own, &self.entry) || own.live().policy == live.policy;
        self.certificates.entries.iter().all(asks_the_same)
            && (self.certificates.places.is_empty() || live.policy.is_none())
    }
}
