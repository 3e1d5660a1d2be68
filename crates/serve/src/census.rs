//! Which addresses hold how many connections: a walk over the records of one worker, asked for
//! seldom and taken in turns, so that accepting pays nothing for it.
//!
//! An IPv4 address counts by itself, an IPv6 address with its /64, as limits count them. Memory is
//! bounded: where there are more addresses than [`ADDRESSES_MAX`], the counts of the busy ones are
//! too low by at most a share of all connections (Misra and Gries, "Finding repeated elements",
//! 1982).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use stead_core::Peer;

use crate::errand::Guest;

/// Open connections by server and address.
#[derive(Debug, Default)]
pub struct Census {
    counts: HashMap<(u16, IpAddr), u32>,
    /// What every count may be too low by.
    missed: u32,
}

/// Addresses that are counted at once.
const ADDRESSES_MAX: usize = 4096;
/// Records looked at in one turn of the worker.
const TURN_RECORDS: u32 = 4096;

impl Census {
    fn count(&mut self, server: u16, peer: Peer) {
        let Peer::Tcp(address) = peer else { return };
        let place = (server, network(address.ip()));
        if let Some(count) = self.counts.get_mut(&place) {
            *count += 1;
        } else if self.counts.len() < ADDRESSES_MAX {
            self.counts.insert(place, 1);
        } else {
            self.missed += 1;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: Self) {
        for (place, count) in other.counts {
            *self.counts.entry(place).or_default() += count;
        }
        self.missed += other.missed;
    }

    /// Whether no address was left out.
    pub fn is_exact(&self) -> bool {
        self.missed == 0
    }

    /// The `most` busiest: server, address (of an IPv6 network the first) and connections.
    pub fn busiest(&self, most: usize) -> Vec<(u16, IpAddr, u32)> {
        let counts = self.counts.iter().map(|((server, ip), count)| (*server, *ip, *count));
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by_key(|(server, ip, count)| (std::cmp::Reverse(*count), *server, *ip));
        counts.truncate(most);
        counts
    }
}

/// What counts as one client.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

impl Guest {
    /// Counts this worker's connections by address.
    pub async fn census(&self) -> Census {
        let (mut census, mut from) = (Census::default(), Some(0));
        while let Some(next) = from {
            from = self.state().park.survey(next, TURN_RECORDS, |listener, peer| {
                census.count(self.state().listener(listener).server, peer);
            });
            tokio::task::yield_now().await;
        }
        census
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
        let (mut census, mut other) = (Census::default(), Census::default());
        for ip in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            census.count(0, peer(ip));
        }
        for ip in ["2001:db8::2", "2001:db8::3", "192.0.2.1"] {
            other.count(0, peer(ip));
        }
        other.count(1, peer("192.0.2.1"));
        other.count(1, Peer::Unix);
        census.add(other);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let busiest = [(0, ip("192.0.2.1"), 3), (0, ip("2001:db8::"), 3), (0, ip("192.0.2.2"), 1)];
        assert_eq!(census.busiest(3), busiest);
        assert!(census.is_exact());
    }

    #[test]
    fn a_busy_address_is_found_among_any_number_of_others() {
        let mut census = Census::default();
        for n in 0..50_000_u32 {
            census.count(0, Peer::Tcp((IpAddr::from((n + 1).to_be_bytes()), 1).into()));
            if n % 10 == 0 {
                census.count(0, peer("203.0.113.9"));
            }
        }
        assert!(census.counts.len() <= ADDRESSES_MAX && !census.is_exact());
        let (_, first, count) = census.busiest(1)[0];
        assert_eq!(first, IpAddr::from([203, 0, 113, 9]));
        assert!(count <= 5_000 && count + census.missed >= 5_000, "{count} of 5000");
    }
}
