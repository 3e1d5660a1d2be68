//! What a service may ask of the connection.

use std::net::{Ipv4Addr, SocketAddr};

use stead_core::{Client, Exchange, Peer, Scheme};

/// The connection that a request came on: an extension of every request that a service receives.
///
/// ```
/// # use stead_tower as stead;
/// use stead::{Body, BoxError, ConnectInfo};
///
/// async fn whoami(request: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
///     let info = request.extensions().get::<ConnectInfo>();
///     let text = info.map_or_else(|| "nobody".to_owned(), |info| info.client.to_string());
///     Ok(http::Response::new(text.into()))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// The other end of the connection.
    pub peer: Peer,
    /// Whose request it is: the peer, or whom a trusted proxy names (`trusted_proxies`).
    pub client: Client,
    /// How the client reached us, or the trusted proxy in front of us.
    pub scheme: Scheme,
}

impl ConnectInfo {
    pub(crate) fn of(exchange: &Exchange) -> Self {
        Self {
            peer: exchange.connection().peer,
            client: exchange.client(),
            scheme: exchange.scheme(),
        }
    }

    /// The client's address: port 0 where a trusted proxy names it, `0.0.0.0:0` for a process on a
    /// unix socket, which has none.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// # use stead::ConnectInfo;
    /// fn port(info: &ConnectInfo) -> Option<u16> {
    ///     Some(info.address().port()).filter(|port| *port > 0)
    /// }
    /// ```
    pub fn address(&self) -> SocketAddr {
        match (self.client, self.peer) {
            (Client::Ip(ip), Peer::Tcp(peer)) if peer.ip() == ip => peer,
            (Client::Ip(ip), _) => SocketAddr::new(ip, 0),
            (Client::Unix, _) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        }
    }
}
