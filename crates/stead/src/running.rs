//! Servers that run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use stead_serve::{Cutter, Messenger};
use stead_tower::Body;
use tokio::sync::watch;

use crate::address::Address;
use crate::call::{CallError, call};
use crate::errors::StartError;
use crate::signals::Stop;
use crate::start::Started;

/// Servers that run on threads of their own. Dropped, they end at once; [`Running::shutdown`] lets
/// requests finish.
///
/// ```
/// # use {axum::Router, stead::{Server, Stead}};
/// # #[tokio::main]
/// # async fn main() -> Result<(), stead::StartError> {
/// let web = Server::new("web").listen("127.0.0.1:0").service(Router::<()>::new());
/// let running = Stead::new().server(web).start().await?;
/// assert!(std::net::TcpStream::connect(running.addresses("web")[0]).is_ok());
/// running.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Running {
    /// Gone once a shutdown began.
    started: Mutex<Option<Started>>,
    addresses: Vec<Address>,
    servers: Vec<String>,
    messenger: Messenger,
    cutter: Cutter,
    calls: AtomicUsize,
    ended: watch::Sender<bool>,
}

impl Running {
    pub(crate) fn new(started: Started) -> Self {
        Self {
            addresses: started.addresses().to_vec(),
            servers: started.servers().to_vec(),
            messenger: started.messenger(),
            cutter: started.cutter(),
            started: Mutex::new(Some(started)),
            calls: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
        }
    }

    /// The TCP addresses that a server listens on, with their real ports; none for an unknown name.
    ///
    /// ```
    /// # use stead::{Server, Stead};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), stead::StartError> {
    /// # let router = axum::Router::<()>::new();
    /// let web = Server::new("web").listen("127.0.0.1:0").service(router);
    /// let running = Stead::new().server(web).start().await?;
    /// assert!(running.addresses("web")[0].port() > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn addresses(&self, server: &str) -> Vec<SocketAddr> {
        let own = self.addresses.iter().filter(|address| address.name == server);
        own.filter_map(|address| address.socket).collect()
    }

    /// Every address of every server, unix sockets included, as a person would write it.
    ///
    /// ```
    /// # use stead::Running;
    /// # fn example(running: &Running) {
    /// for address in running.listening() {
    ///     println!("{}: {}", address.name, address.url);
    /// }
    /// # }
    /// ```
    pub fn listening(&self) -> &[Address] {
        &self.addresses
    }

    /// Answers a request without a socket, as that server would: through its router, its middleware
    /// and its handler. For tests, and for programs that ask themselves. A `Host` that is missing
    /// is `localhost`, the peer is `127.0.0.1`; the client too, unless that is a trusted proxy.
    /// What guards against peers does not count: limits of bodies and connections, and timeouts;
    /// and nothing is written to the access log.
    ///
    /// ```
    /// # use axum::{Router, routing::get};
    /// # use stead::{Body, Server, Stead};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let router = Router::new().route("/hello", get(|| async { "hello" }));
    /// # let web = Server::new("web").listen("127.0.0.1:0").service(router);
    /// # let running = Stead::new().server(web).start().await?;
    /// let request = http::Request::get("/hello").body(Body::empty())?;
    /// let response = running.call("web", request).await?;
    /// assert_eq!(response.into_body().read_to_end(1024).await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There is no such server, it has no routes, it has ended, or the request is one that would be
    /// refused before routing.
    ///
    /// # Cancel safety
    /// Dropping the future drops the exchange.
    pub async fn call(
        &self,
        server: &str,
        request: Request<impl Into<Body>>,
    ) -> Result<Response<Body>, CallError> {
        let index = self.servers.iter().position(|name| name == server);
        let index = index.ok_or_else(|| CallError::NoServer(server.to_owned()))?;
        let turn = self.calls.fetch_add(1, Ordering::Relaxed);
        call(&self.messenger, turn, index as u16, request.map(Into::into)).await
    }

    /// Stops accepting, lets requests finish for as long as the drain may take, and ends. A second
    /// call waits for the first.
    ///
    /// ```no_run
    /// # use stead::Running;
    /// # async fn example(running: Running) {
    /// tokio::signal::ctrl_c().await.ok();
    /// running.shutdown().await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the shutdown.
    pub async fn shutdown(&self) {
        if let Some(started) = self.take() {
            let ended = self.ended.clone();
            std::thread::spawn(move || {
                started.stop();
                ended.send_replace(true);
            });
        }
        self.wait().await;
    }

    /// Waits for SIGTERM, SIGINT or SIGQUIT, then shuts down; a second signal cuts what is left.
    /// From the first call on these signals end the process no more by themselves.
    ///
    /// ```no_run
    /// # use stead::Stead;
    /// # async fn example(stead: Stead) -> Result<(), stead::StartError> {
    /// let running = stead.start().await?;
    /// println!("{} addresses", running.listening().len());
    /// running.shutdown_on_signal().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Signals cannot be awaited.
    pub async fn shutdown_on_signal(&self) -> Result<(), StartError> {
        let mut stop = Stop::new()
            .map_err(|error| StartError::System("listen for signals".to_owned(), error))?;
        tokio::select! {
            () = stop.recv() => {}
            () = self.wait() => return Ok(()),
        }
        tokio::select! {
            () = stop.recv() => self.cutter.cut(),
            () = self.shutdown() => {}
        }
        self.wait().await;
        Ok(())
    }

    /// Waits until the servers have ended.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use stead::Running;
    /// # async fn example(running: Arc<Running>) {
    /// let stops = Arc::clone(&running);
    /// tokio::spawn(async move { stops.shutdown().await });
    /// running.wait().await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn wait(&self) {
        // The sender lives as long as this does.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn take(&self) -> Option<Started> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(started) = self.take() {
            // Not waited for: a drop must not block.
            std::thread::spawn(move || started.drain(Duration::ZERO));
        }
    }
}
