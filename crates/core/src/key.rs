//! What tells clients apart where each is counted by itself: 128 bits of keyed hashes.
//!
//! SECURITY: two hashes (`SipHash`, Aumasson and Bernstein, 2012) with secret keys, so that
//! nobody can choose names that collide.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::net::IpAddr;

use crate::Client;

/// What names a client: 128 bits of keyed hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) [u64; 2]);

impl Key {
    /// Which of `shards` it belongs to.
    pub fn shard(self, shards: usize) -> usize {
        self.0[0] as usize % shards
    }
}

/// What the keys of one table are made with.
pub struct Secrets([RandomState; 2]);

impl Secrets {
    /// Secrets of their own.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    /// Begins a key.
    pub fn hasher(&self) -> KeyHasher {
        KeyHasher([self.0[0].build_hasher(), self.0[1].build_hasher()])
    }
}

/// A key that is being made, from several pieces if need be.
pub struct KeyHasher([DefaultHasher; 2]);

impl KeyHasher {
    /// Adds bytes. Pieces run into each other: mark where one ends if that matters.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|hasher| hasher.write(bytes));
    }

    /// Adds a client: an IPv4 address, or the /64 of an IPv6 address, within which a host chooses
    /// freely.
    pub fn write_client(&mut self, client: Client) {
        match client {
            Client::Ip(IpAddr::V4(ip)) => self.write(&ip.octets()),
            Client::Ip(IpAddr::V6(ip)) => self.write(&ip.octets()[..8]),
            Client::Unix => self.write(b"unix\0"),
        }
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(self.0.map(|hasher| hasher.finish()))
    }
}
