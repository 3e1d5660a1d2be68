//! Session tickets: what a client brings back to go on with an earlier session.
//!
//! Keys are of one `[tls.NAME]`, shared by all workers, and outlive a reload. A key makes tickets
//! for [`KEY_LIFETIME`] and opens them for as long again; then it is forgotten, and with it what
//! an eavesdropper could have hoped to open.
//!
//! SECURITY: a ticket is sealed together with the entry's name and its policy for clients'
//! certificates, so that it opens nowhere else (CVE-2025-23419).
//!
//! Source: RFC 8446 §4.6.1, RFC 5077.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use stead_base::Tick;
use stead_sys::clock;

/// How long a key makes tickets. Twice as long one can be opened.
pub(crate) const KEY_LIFETIME: Duration = Duration::from_hours(6);
/// Bytes that name a key in a ticket.
const ID_BYTES: usize = 8;
/// SECURITY: what is longer than a ticket with a chain of certificates is not looked at.
const TICKET_BYTES_MAX: usize = 16 << 10;

/// The keys of all entries of a process, by name.
#[derive(Debug, Default)]
pub(crate) struct TicketKeys(Mutex<HashMap<Box<str>, Arc<Keys>>>);

impl TicketKeys {
    pub(crate) fn of(&self, entry: &str) -> Arc<Keys> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry(entry.into()).or_default())
    }
}

/// The keys of one entry, the newest first.
#[derive(Default)]
pub(crate) struct Keys(RwLock<Vec<Key>>);

struct Key {
    id: [u8; ID_BYTES],
    secret: LessSafeKey,
    made: Tick,
}

impl Key {
    fn new(now: Tick) -> Option<Self> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; 32]);
        rand::fill(&mut id).ok()?;
        rand::fill(&mut secret).ok()?;
        let key = UnboundKey::new(&AES_256_GCM, &secret).ok()?;
        Some(Self { id, secret: LessSafeKey::new(key), made: now })
    }
}

impl Keys {
    /// Seals what rustls wants to remember: key id, nonce, ciphertext with its tag.
    fn seal(&self, now: Tick, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.rotate(now)?;
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(ID_BYTES + NONCE_LEN + plain.len() + 16);
        ticket.extend_from_slice(&key.id);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[ID_BYTES + NONCE_LEN..];
        let tag = key.secret.seal_in_place_separate_tag(nonce, Aad::from(context), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, now: Tick, context: &[u8], ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (id, rest) = ticket.split_first_chunk::<ID_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().find(|key| key.id == *id && now - key.made < KEY_LIFETIME * 2)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let count = key.secret.open_in_place(nonce, Aad::from(context), &mut plain).ok()?.len();
        plain.truncate(count);
        Some(plain)
    }

    /// Makes the first key, and the next one when it is time.
    fn rotate(&self, now: Tick) -> Option<()> {
        let is_fresh = |keys: &[Key]| keys.first().is_some_and(|key| now - key.made < KEY_LIFETIME);
        if is_fresh(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(());
        }
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !is_fresh(&keys) {
            let key = Key::new(now)?;
            keys.retain(|old| now - old.made < KEY_LIFETIME * 2);
            keys.truncate(1);
            keys.insert(0, key);
        }
        Some(())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// What makes and opens the tickets of one entry under one policy.
#[derive(Debug)]
pub(crate) struct Tickets {
    keys: Arc<Keys>,
    /// Sealed with each ticket.
    context: Vec<u8>,
}

impl Tickets {
    pub(crate) fn new(keys: Arc<Keys>, entry: &str, policy: &[u8]) -> Self {
        let context = [policy, entry.as_bytes()].concat();
        Self { keys, context }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        KEY_LIFETIME.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(clock::now(), &self.context, plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(clock::now(), &self.context, ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Tick {
        Tick::from_millis(hours * 3_600_000 + 1)
    }

    #[test]
    fn a_key_opens_its_tickets_for_two_lifetimes_and_no_longer() {
        let keys = Keys::default();
        let ticket = keys.seal(at(0), b"main", b"session").expect("sealed");
        for (hours, opens) in [(0, true), (7, true), (11, true), (12, false), (100, false)] {
            let opened = keys.open(at(hours), b"main", &ticket);
            assert_eq!(opened.is_some(), opens, "after {hours} hours");
        }
        keys.seal(at(7), b"main", b"other").expect("the second key");
        assert_eq!(keys.open(at(8), b"main", &ticket).as_deref(), Some(&b"session"[..]));
        keys.seal(at(14), b"main", b"other").expect("the third key");
        assert_eq!(keys.0.read().expect("keys").len(), 2);
        assert_eq!(keys.open(at(11), b"main", &ticket), None, "its key is gone");
    }

    #[test]
    fn security_47_a_ticket_opens_for_its_entry_and_policy_only() {
        let shared = TicketKeys::default();
        let keys = shared.of("main");
        let main = Tickets::new(Arc::clone(&keys), "main", b"none");
        let ticket = main.encrypt(b"session").expect("sealed");
        assert_eq!(main.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let strict = Tickets::new(keys, "main", b"required");
        assert_eq!(strict.decrypt(&ticket), None);
        let other = Tickets::new(shared.of("other"), "other", b"none");
        assert_eq!(other.decrypt(&ticket), None);
        let again = Tickets::new(shared.of("main"), "main", b"none");
        assert!(again.decrypt(&ticket).is_some(), "after a reload");
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let keys = Keys::default();
        let ticket = keys.seal(at(0), b"", b"session").expect("sealed");
        for end in 0..ticket.len() {
            assert_eq!(keys.open(at(0), b"", &ticket[..end]), None);
        }
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(keys.open(at(0), b"", &changed), None);
        }
        assert_eq!(keys.open(at(0), b"", &vec![0; TICKET_BYTES_MAX + 1]), None);
    }
}
