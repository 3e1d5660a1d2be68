//! What a service may ask of the connection.

use std::net::{Ipv4Addr, SocketAddr};

use stead_core::{Connection, Peer, Scheme};

/// The connection that a request came on: an extension of every request that a service receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// The other end.
    pub peer: Peer,
    /// Plaintext or TLS.
    pub scheme: Scheme,
}

impl ConnectInfo {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self { peer: connection.peer, scheme: connection.scheme }
    }

    /// The peer's address; `0.0.0.0:0` for a peer on a unix socket, which has none.
    pub fn address(&self) -> SocketAddr {
        match self.peer {
            Peer::Tcp(address) => address,
            Peer::Unix => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        }
    }
}
