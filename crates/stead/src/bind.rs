//! Every address of a configuration, bound or inherited before anything serves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::AddressFamily;
use stead_config::{Address, Configuration, Host, Listen, ServerConfig};
use stead_net::{
    AcquireError, Acquired, Bind, Inherited, Keepalive, ListenOptions, Listening, UnusedSocket,
    acquire_with, adopt, backlog_max,
};
use stead_serve::Opening;

use crate::certificates::Certificates;

/// One address that was bound, for every worker.
pub(crate) struct Bound {
    pub(crate) server: usize,
    pub(crate) acquired: Acquired,
    pub(crate) options: ListenOptions,
    pub(crate) opening: Opening,
    /// Whether every address that `localhost` stands for is bound.
    pub(crate) is_localhost: bool,
}

/// What stands in the way of listening.
///
/// ```
/// # use stead::{BindError, StartError};
/// # fn example(error: StartError) {
/// if let StartError::Bind(errors) = error {
///     for error in errors {
///         if let BindError::Address { server, source } = error {
///             eprintln!("{server} does not start: {source}");
///         }
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub enum BindError {
    /// An address could not be had.
    Address {
        /// The server's name.
        server: String,
        /// Why.
        source: AcquireError,
    },
    /// A socket that was passed on is bound to an address of no server.
    Unused(UnusedSocket),
}

impl BindError {
    /// What the system said, in a word.
    ///
    /// ```
    /// # use stead::BindError;
    /// # fn example(error: &BindError) {
    /// if error.kind() == std::io::ErrorKind::AddrInUse {
    ///     eprintln!("is another one running?");
    /// }
    /// # }
    /// ```
    pub fn kind(&self) -> std::io::ErrorKind {
        match self {
            Self::Address { source, .. } => source.source.kind(),
            Self::Unused(_) => std::io::ErrorKind::InvalidInput,
        }
    }
}

impl std::error::Error for BindError {}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { server, source } => write!(f, "server {server}: {source}"),
            Self::Unused(socket) => socket.fmt(f),
        }
    }
}

/// What one server wants to listen on.
pub(crate) struct Claim {
    pub(crate) server: usize,
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) options: ListenOptions,
    pub(crate) opening: Opening,
}

/// An address to bind, or a socket that is bound.
pub(crate) enum Wanted {
    Address(Address),
    Socket(OwnedFd),
}

impl Wanted {
    /// Whether it is a unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        match self {
            Self::Address(address) => matches!(address, Address::Unix(_)),
            Self::Socket(socket) => rustix::net::getsockname(socket)
                .is_ok_and(|address| address.address_family() == AddressFamily::UNIX),
        }
    }
}

/// What the servers of a configuration want.
pub(crate) fn claims(
    configuration: &Configuration,
    certificates: &Certificates,
) -> impl Iterator<Item = Claim> {
    configuration.servers.iter().enumerate().flat_map(move |(server, (name, config))| {
        config.listen.iter().map(move |listen| Claim {
            server,
            name: name.value.clone(),
            wanted: Wanted::Address(listen.address.value.clone()),
            options: options(listen),
            opening: opening(config, listen, certificates),
        })
    })
}

/// Binds everything that was not inherited; on an error what was bound is released.
pub(crate) fn bind_all(
    claims: impl IntoIterator<Item = Claim>,
    workers: usize,
    mut inherited: Inherited,
) -> Result<Vec<Bound>, Vec<BindError>> {
    let (mut bound, mut errors) = (Vec::new(), Vec::new());
    for Claim { server, name, wanted, options, opening } in claims {
        let (acquired, is_localhost) = match wanted {
            Wanted::Address(address) => {
                let acquired = bind_one(&address, &options, workers, &mut inherited);
                let is_localhost =
                    acquired.as_ref().is_ok_and(|acquired| is_localhost(&address, acquired));
                (acquired, is_localhost)
            }
            Wanted::Socket(socket) => {
                (adopt(socket, workers).map(|acquired| vec![acquired]), false)
            }
        };
        match acquired {
            Ok(acquired) => {
                let of_server = |acquired| {
                    let opening = opening.clone();
                    Bound { server, acquired, options, opening, is_localhost }
                };
                bound.extend(acquired.into_iter().map(of_server));
            }
            Err(source) => errors.push(BindError::Address { server: name, source }),
        }
    }
    errors.extend(inherited.unused().map(BindError::Unused));
    if errors.is_empty() {
        let wanted = bound.iter().map(|bound| u32::from(bound.options.backlog)).max();
        if let Some(warning) = short_queue(wanted, backlog_max()) {
            tracing::warn!("{warning}");
        }
        return Ok(bound);
    }
    for bound in &bound {
        bound.acquired.listening.release();
    }
    Err(errors)
}

/// What to say where the system lets fewer connections wait than a listener asks for.
fn short_queue(wanted: Option<u32>, most: Option<u32>) -> Option<String> {
    let (wanted, most) = (wanted?, most?);
    (most < wanted).then(|| {
        format!(
            "at most {most} connections wait to be accepted: raise it with \
             `sysctl net.core.somaxconn={wanted}`, or write `backlog = {most}`"
        )
    })
}

/// Whether what was bound is all of `localhost`; IPv4 alone is, where IPv6 is missing.
fn is_localhost(address: &Address, acquired: &[Acquired]) -> bool {
    match address {
        Address::Tcp { host: Host::Localhost, .. } => true,
        Address::Tcp { host: Host::Any, .. } => {
            let is_both = |one: &Acquired| match one.listening {
                Listening::Tcp(address) => address.is_ipv6() || !has_ipv6(),
                Listening::Unix { .. } => false,
            };
            acquired.iter().all(is_both)
        }
        _ => false,
    }
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// How connections of a listener begin.
fn opening(server: &ServerConfig, listen: &Listen, certificates: &Certificates) -> Opening {
    let proxies = listen.proxy_protocol.iter().flat_map(|proxies| &proxies.0);
    let tls = certificates.chooser(server, listen);
    Opening { proxy_protocol: proxies.copied().collect(), tls, http2: listen.http2 }
}

fn options(listen: &Listen) -> ListenOptions {
    let keepalive = listen.tcp_keepalive.value.0.map(|probes| Keepalive {
        idle: probes.idle,
        interval: probes.interval,
        count: probes.count,
    });
    ListenOptions {
        backlog: listen.backlog,
        keepalive,
        user_timeout: listen.user_timeout.value.0,
        mode: listen.mode.as_ref().map(|mode| u32::from(mode.value.0)),
    }
}

fn bind_one(
    address: &Address,
    options: &ListenOptions,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Vec<Acquired>, AcquireError> {
    let mut acquire = |bind: &Bind| acquire_with(bind, options, workers, inherited);
    let mut one = |bind: Bind| acquire(&bind).map(|acquired| vec![acquired]);
    match address {
        Address::Unix(path) => one(Bind::Unix(path.clone())),
        Address::Tcp { host: Host::Any, port } => one(Bind::AnyAddress(*port)),
        Address::Tcp { host: Host::Ip(ip), port } => {
            one(Bind::Address(SocketAddr::new(*ip, *port)))
        }
        Address::Tcp { host: Host::Localhost, port } => localhost(*port, acquire),
    }
}

/// Both loopback addresses with the same port; only IPv4 where IPv6 is missing.
fn localhost(
    port: u16,
    mut acquire: impl FnMut(&Bind) -> Result<Acquired, AcquireError>,
) -> Result<Vec<Acquired>, AcquireError> {
    let four = Bind::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let four = acquire(&four)?;
    let port = match &four.listening {
        Listening::Tcp(address) => address.port(),
        Listening::Unix { .. } => port,
    };
    let six = Bind::Address(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
    match acquire(&six) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if error.is_missing_family() => Ok(vec![four]),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_the_system_cuts_is_said() {
        let said = short_queue(Some(4096), Some(128)).expect("a warning");
        assert!(said.contains("net.core.somaxconn=4096") && said.contains("backlog = 128"));
        assert_eq!(short_queue(Some(128), Some(128)), None);
        assert_eq!(short_queue(Some(4096), None), None);
    }
}
