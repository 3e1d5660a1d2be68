//! Every address of a configuration, bound before anything serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stead_config::{Address, Configuration, Host};
use stead_net::{AcquireError, Acquired, Bind, Listening, acquire};

/// One address that was bound, for every worker.
pub(crate) struct Bound {
    pub(crate) server: usize,
    pub(crate) acquired: Acquired,
}

/// An address that could not be had.
#[derive(Debug)]
pub struct BindError {
    /// The server's name.
    pub server: String,
    /// Why.
    pub source: AcquireError,
}

/// Binds everything; on an error what was bound is released.
pub(crate) fn bind_all(
    configuration: &Configuration,
    workers: usize,
) -> Result<Vec<Bound>, Vec<BindError>> {
    let (mut bound, mut errors) = (Vec::new(), Vec::new());
    for (server, (name, config)) in configuration.servers.iter().enumerate() {
        for address in &config.listen {
            match bind_one(&address.value, workers) {
                Ok(acquired) => {
                    bound.extend(acquired.into_iter().map(|acquired| Bound { server, acquired }));
                }
                Err(source) => errors.push(BindError { server: name.value.clone(), source }),
            }
        }
    }
    if errors.is_empty() {
        return Ok(bound);
    }
    for bound in &bound {
        bound.acquired.listening.release();
    }
    Err(errors)
}

fn bind_one(address: &Address, workers: usize) -> Result<Vec<Acquired>, AcquireError> {
    let one = |bind: Bind| acquire(&bind, workers).map(|acquired| vec![acquired]);
    match address {
        Address::Unix(path) => one(Bind::Unix(path.clone())),
        Address::Tcp { host: Host::Any, port } => one(Bind::AnyAddress(*port)),
        Address::Tcp { host: Host::Ip(ip), port } => {
            one(Bind::Address(SocketAddr::new(*ip, *port)))
        }
        Address::Tcp { host: Host::Localhost, port } => localhost(*port, workers),
    }
}

/// Both loopback addresses with the same port; only IPv4 where IPv6 is missing.
fn localhost(port: u16, workers: usize) -> Result<Vec<Acquired>, AcquireError> {
    let four = Bind::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let four = acquire(&four, workers)?;
    let port = match &four.listening {
        Listening::Tcp(address) => address.port(),
        Listening::Unix { .. } => port,
    };
    let six = Bind::Address(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
    match acquire(&six, workers) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if error.is_missing_family() => Ok(vec![four]),
        Err(error) => Err(error),
    }
}
