//! Raw connections for functions of the program.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use stead_core::Peer;
use stead_serve::Streams;
use tokio::net::TcpStream;

/// A function that takes connections.
pub(crate) struct Async<F> {
    server: String,
    function: F,
}

impl<F> Async<F> {
    pub(crate) fn new(server: &str, function: F) -> Self {
        Self { server: server.to_owned(), function }
    }
}

impl<F, R> Streams for Async<F>
where
    F: Fn(TcpStream) -> R + Send + Sync,
    R: Future<Output: Ending> + 'static,
{
    fn take(&self, descriptor: OwnedFd, _: Peer) -> Pin<Box<dyn Future<Output = ()>>> {
        let server = self.server.clone();
        let stream = std::net::TcpStream::from(descriptor);
        match TcpStream::from_std(stream) {
            Ok(stream) => {
                let taking = (self.function)(stream);
                Box::pin(async move { taking.await.report(&server) })
            }
            Err(error) => {
                tracing::error!("server {server} could not watch a connection: {error}");
                Box::pin(std::future::ready(()))
            }
        }
    }
}

/// What a function for raw connections may end with: nothing, or a result whose error is logged at
/// level `debug`.
///
/// ```
/// # use stead::Server;
/// use tokio::net::TcpStream;
///
/// async fn nothing(_: TcpStream) {}
/// async fn a_result(stream: TcpStream) -> std::io::Result<()> {
///     stream.set_nodelay(true)
/// }
///
/// let servers = [Server::new("one").tcp(nothing), Server::new("two").tcp(a_result)];
/// ```
pub trait Ending {
    /// Logs an error.
    fn report(self, server: &str);
}

impl Ending for () {
    fn report(self, _: &str) {}
}

impl<E: Display> Ending for Result<(), E> {
    fn report(self, server: &str) {
        if let Err(error) = self {
            tracing::debug!("a connection of server {server} failed: {error}");
        }
    }
}
