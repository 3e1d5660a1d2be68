//! Sets of clients, as a configuration lists them: networks, and processes of this machine.

use stead_base::{Network, Networks};
use stead_config::Origin;

use crate::Client;

/// Whose requests are meant. Asking allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    networks: Networks,
    has_unix: bool,
}

impl Origins {
    /// Whether `client` is one of them.
    pub fn contains(&self, client: Client) -> bool {
        match client {
            Client::Ip(ip) => self.networks.contains(ip),
            Client::Unix => self.has_unix,
        }
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.has_unix
    }
}

impl FromIterator<Origin> for Origins {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        let (mut networks, mut has_unix) = (Vec::new(), false);
        for origin in origins {
            match origin {
                Origin::Network(network) => networks.push(network),
                Origin::Private => networks.extend(Network::PRIVATE),
                Origin::Loopback => networks.extend(Network::LOOPBACK),
                Origin::Unix => has_unix = true,
            }
        }
        Self { networks: networks.into_iter().collect(), has_unix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_their_networks() {
        let check = |origin: Origin, client: &str, expect: bool| {
            let client = client.parse().map_or(Client::Unix, Client::Ip);
            let origins: Origins = [origin].into_iter().collect();
            assert_eq!(origins.contains(client), expect, "{origin:?} {client}");
        };
        check(Origin::Private, "192.168.7.7", true);
        check(Origin::Private, "127.0.0.1", false);
        check(Origin::Loopback, "127.8.8.8", true);
        check(Origin::Loopback, "unix", false);
        check(Origin::Unix, "unix", true);
        check(Origin::Unix, "::1", false);
        assert!(Origins::default().is_empty());
    }
}
