//! Where listeners really listen, as the banner, `status` and programs are told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stead_net::{ListenOptions, Listening};
use stead_serve::Snapshot;

use crate::bind::Bound;

/// Where one listener really listens.
///
/// ```
/// # use stead::Running;
/// # fn example(running: &Running) {
/// let urls: Vec<&str> = running.listening().iter().map(|address| &*address.url).collect();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Address {
    /// The server's position in the configuration.
    pub server: usize,
    /// The server's name.
    pub name: String,
    /// `http://localhost:8080`, `http://[::1]:80`, `unix:/run/web.sock`; `tcp://localhost:5432`
    /// where no HTTP is spoken.
    pub url: String,
    /// The address itself, if it is one of TCP.
    pub socket: Option<SocketAddr>,
    /// What its socket was given.
    pub options: ListenOptions,
    /// Whether the socket was passed on by whoever started this process.
    pub inherited: bool,
    /// Whether its connections come from proxies, each with a PROXY header.
    pub proxy_protocol: bool,
}

/// The addresses of what was bound, each once.
pub(crate) fn addresses(snapshot: &Snapshot, bound: &[Bound]) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for bound in bound {
        let server = &snapshot.servers[bound.server];
        let listening = &bound.acquired.listening;
        let mut url = url(bound);
        if server.streams.is_some() {
            url = url.replacen("http://", "tcp://", 1);
        }
        let socket = match listening {
            Listening::Tcp(address) => Some(*address),
            Listening::Unix { .. } => None,
        };
        let address = Address {
            server: bound.server,
            name: server.name.clone(),
            url,
            socket,
            options: bound.options,
            inherited: bound.acquired.inherited,
            proxy_protocol: !bound.opening.proxy_protocol.is_empty(),
        };
        // `localhost` is two listeners and one address.
        let known = |other: &Address| other.server == address.server && other.url == address.url;
        if !addresses.iter().any(known) {
            addresses.push(address);
        }
    }
    addresses
}

/// An address that leads here and nowhere else: `localhost` only where both of its families do.
fn url(bound: &Bound) -> String {
    let scheme = if bound.opening.tls.is_some() { "https" } else { "http" };
    let literal = |ip: IpAddr, port| format!("{scheme}://{}", SocketAddr::new(ip, port));
    match &bound.acquired.listening {
        Listening::Unix { path, .. } => format!("unix:{}", path.display()),
        Listening::Tcp(address) if bound.is_localhost => {
            format!("{scheme}://localhost:{}", address.port())
        }
        Listening::Tcp(address) => match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                literal(Ipv4Addr::LOCALHOST.into(), address.port())
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                literal(Ipv6Addr::LOCALHOST.into(), address.port())
            }
            ip => literal(ip, address.port()),
        },
    }
}
