//! How many connections a server holds, in total and from one address, and how often an address
//! may open one.
//!
//! Touched at accept and close only. An IPv4 address counts by itself, an IPv6 address with its
//! /64, since a host may choose freely within that. Tables are in shards, each under a lock that is
//! held for one look-up; that of rates is bounded, whoever comes ([`Allowances`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stead_base::{Limits, Reason};
use stead_core::{Allowances, Peer, Verdict};

const SHARDS: usize = 16;
/// Addresses whose rate is remembered at a time, each only until its allowance is whole again: at
/// most 11 MB.
const ADDRESSES_MAX: u32 = 250_000;

/// The open connections of one server, all workers together.
#[derive(Default)]
pub struct ConnectionLimits {
    total: AtomicU32,
    by_address: [Mutex<HashMap<u64, u32>>; SHARDS],
    rates: Option<Allowances>,
}

impl ConnectionLimits {
    /// What these limits ask for, nobody admitted yet.
    pub fn new(limits: &Limits) -> Self {
        let rates = limits.connection_rate_per_ip;
        // A frequency's count takes at most a day to earn, which every table holds.
        let rates = rates.and_then(|rate| Allowances::new(rate, rate.count, ADDRESSES_MAX));
        Self { rates, ..Self::default() }
    }

    /// Counts one more connection that `client` opens. Asked before it costs anything.
    ///
    /// # Errors
    /// It opens them too often.
    pub fn admit_rate(&self, client: Peer) -> Result<(), Reason> {
        let (Some(rates), Peer::Tcp(_)) = (&self.rates, client) else { return Ok(()) };
        let mut key = rates.key();
        key.write_client(client.into());
        match rates.take(key.finish(), Allowances::now(), Duration::ZERO) {
            Verdict::Conforms(_) => Ok(()),
            Verdict::Refused(_) => Err(Reason::ConnectionRateLimited),
        }
    }

    /// Admits a connection, of `client` where that is known already; undone by [`Self::release`],
    /// and by [`Self::release_client`] for its client.
    ///
    /// # Errors
    /// The reason why not; then nothing is to be undone.
    pub fn admit(&self, limits: &Limits, client: Option<Peer>) -> Result<(), Reason> {
        let total = self.total.fetch_add(1, Ordering::Relaxed);
        let admitted = match limits.connections {
            Some(limit) if total >= limit => Err(Reason::TooManyConnections),
            _ => client.map_or(Ok(()), |client| self.admit_client(limits, client)),
        };
        if admitted.is_err() {
            self.release();
        }
        admitted
    }

    /// Admits the client of a connection that was admitted without one.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit_client(&self, limits: &Limits, client: Peer) -> Result<(), Reason> {
        let (Some(limit), Some(key)) = (limits.connections_per_ip, key(client)) else {
            return Ok(());
        };
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= limit {
            return Err(Reason::TooManyConnectionsPerAddress);
        }
        *count += 1;
        Ok(())
    }

    /// Forgets a connection that was admitted.
    pub fn release(&self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    /// Forgets the client of a connection.
    pub fn release_client(&self, limits: &Limits, client: Peer) {
        let (Some(_), Some(key)) = (limits.connections_per_ip, key(client)) else { return };
        let mut shard = self.shard(key);
        if let Some(count) = shard.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&key);
            }
        }
    }

    /// Connections open now.
    pub fn open(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    fn shard(&self, key: u64) -> std::sync::MutexGuard<'_, HashMap<u64, u32>> {
        let index = (key ^ key >> 17) as usize % SHARDS;
        self.by_address[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(peer: Peer) -> Option<u64> {
    match peer {
        Peer::Unix => None,
        Peer::Tcp(address) => Some(match address.ip() {
            // No /64 begins with 0xffff_ffff: it lies in multicast space.
            IpAddr::V4(ip) => 0xffff_ffff_0000_0000 | u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Tcp((ip.parse::<IpAddr>().expect("an address"), 1).into())
    }

    #[test]
    fn addresses_count_by_themselves_and_ipv6_by_64_bits() {
        let limits = Limits { connections_per_ip: Some(1), ..Limits::default() };
        let open = ConnectionLimits::default();
        assert_eq!(open.admit(&limits, Some(peer("10.0.0.1"))), Ok(()));
        assert_eq!(
            open.admit(&limits, Some(peer("10.0.0.1"))),
            Err(Reason::TooManyConnectionsPerAddress)
        );
        assert_eq!(open.admit(&limits, Some(peer("10.0.0.2"))), Ok(()));
        assert_eq!(open.admit(&limits, Some(peer("2001:db8::1"))), Ok(()));
        assert!(open.admit(&limits, Some(peer("2001:db8::2"))).is_err());
        assert_eq!(open.admit(&limits, Some(peer("2001:db8:0:1::1"))), Ok(()));
        open.release_client(&limits, peer("10.0.0.1"));
        open.release();
        assert_eq!(open.admit(&limits, Some(peer("10.0.0.1"))), Ok(()));
        assert_eq!(open.open(), 4);
    }

    #[test]
    fn security_36_an_address_opens_connections_at_its_rate_only() {
        let frequency = "3/d".parse().expect("a frequency");
        let limits = Limits { connection_rate_per_ip: Some(frequency), ..Limits::default() };
        let open = ConnectionLimits::new(&limits);
        for _ in 0..3 {
            assert_eq!(open.admit_rate(peer("10.0.0.1")), Ok(()));
            assert_eq!(open.admit_rate(peer("2001:db8::1")), Ok(()));
        }
        let refused = Err(Reason::ConnectionRateLimited);
        assert_eq!(open.admit_rate(peer("10.0.0.1")), refused);
        assert_eq!(open.admit_rate(peer("2001:db8::ffff")), refused);
        assert_eq!(open.admit_rate(peer("10.0.0.2")), Ok(()));
        assert_eq!(open.admit_rate(peer("2001:db8:0:1::")), Ok(()));
        assert!((0..10).all(|_| open.admit_rate(Peer::Unix).is_ok()));
        // The longest times that can be written are kept too.
        let frequency = "1000000/d".parse().expect("a frequency");
        let limits = Limits { connection_rate_per_ip: Some(frequency), ..limits };
        assert!(ConnectionLimits::new(&limits).rates.is_some());
        assert!(ConnectionLimits::new(&Limits::default()).rates.is_none());
    }

    #[test]
    fn the_total_is_a_limit_of_its_own() {
        let limits = Limits { connections: Some(1), ..Limits::default() };
        let open = ConnectionLimits::default();
        assert_eq!(open.admit(&limits, Some(Peer::Unix)), Ok(()));
        assert_eq!(open.admit(&limits, Some(Peer::Unix)), Err(Reason::TooManyConnections));
        open.release();
        assert_eq!(open.admit(&limits, Some(Peer::Unix)), Ok(()));
    }
}
