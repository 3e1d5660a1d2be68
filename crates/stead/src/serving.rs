//! `stead::serve`: in place of `axum::serve`.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use stead_base::{Limits, Timeouts};
use stead_tower::IntoApp;

use crate::server::{Listen, Server};
use crate::stead::Stead;
use crate::tls::Tls;
use crate::trusted_proxies::TrustedProxies;

/// Serves a service on a bound listener: the one line that changes in a program of axum.
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let app = Router::new().route("/", get(|| async { "hello" }));
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:3000").await?;
/// stead::serve(listener, app).await
/// # }
/// ```
///
/// The service runs on workers of its own, one for each usable core. It goes on until the future is
/// dropped, which ends everything at once.
pub fn serve<M>(listener: impl Into<Listen>, service: impl IntoApp<M>) -> Serve {
    let server = Server::new("web").listen(listener).service(service);
    Serve { server, stead: Stead::new(), signal: None }
}

/// What [`serve`] gives: await it.
///
/// ```no_run
/// # use {axum::Router, std::time::Duration, tokio::net::TcpListener};
/// # async fn example(listener: TcpListener, app: Router) -> std::io::Result<()> {
/// stead::serve(listener, app).workers(2).drain(Duration::from_secs(5)).await
/// # }
/// ```
#[must_use = "it does nothing until it is awaited"]
pub struct Serve {
    server: Server,
    stead: Stead,
    signal: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Serve {
    /// Stops accepting when `signal` is done, and ends when the requests in flight have: after 25 s
    /// at most, unless [`Serve::drain`] says otherwise.
    ///
    /// ```no_run
    /// # use {axum::Router, tokio::net::TcpListener};
    /// # async fn example(listener: TcpListener, app: Router) -> std::io::Result<()> {
    /// stead::serve(listener, app)
    ///     .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap() })
    ///     .await
    /// # }
    /// ```
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }

    /// How long requests in flight may take to end; what is left then is cut.
    ///
    /// ```
    /// # use {axum::Router, std::time::Duration};
    /// let serve = stead::serve(":3000", Router::<()>::new()).drain(Duration::from_secs(5));
    /// ```
    pub fn drain(mut self, limit: Duration) -> Self {
        self.stead = self.stead.drain(limit);
        self
    }

    /// How many event loops, 1 to 1024; else one for each usable core.
    ///
    /// ```
    /// # use axum::Router;
    /// let serve = stead::serve(":3000", Router::<()>::new()).workers(2);
    /// ```
    pub fn workers(mut self, count: usize) -> Self {
        self.stead = self.stead.workers(count);
        self
    }

    /// Writes one line to standard output for every request: as text on a terminal, else as JSON.
    ///
    /// ```no_run
    /// # use {axum::Router, tokio::net::TcpListener};
    /// # async fn example(listener: TcpListener, app: Router) -> std::io::Result<()> {
    /// stead::serve(listener, app).access_log().await
    /// # }
    /// ```
    pub fn access_log(mut self) -> Self {
        self.stead = self.stead.access_log();
        self
    }

    /// What gives free memory back to the system, as in [`Stead::give_back`].
    pub fn give_back(mut self, memory: fn()) -> Self {
        self.stead = self.stead.give_back(memory);
        self
    }

    /// What one peer and all together may take.
    ///
    /// ```
    /// # use {axum::Router, stead::Limits};
    /// let limits = Limits { connections_per_ip: Some(100), ..Limits::default() };
    /// let serve = stead::serve(":3000", Router::<()>::new()).limits(limits);
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.server = self.server.limits(limits);
        self
    }

    /// How long it waits for its peers.
    ///
    /// ```
    /// # use {axum::Router, stead::Timeouts, std::time::Duration};
    /// let timeouts = Timeouts { request: Some(Duration::from_secs(60)), ..Timeouts::default() };
    /// let serve = stead::serve(":3000", Router::<()>::new()).timeouts(timeouts);
    /// ```
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.server = self.server.timeouts(timeouts);
        self
    }

    /// Proxies in front, whose word counts about the client, as in [`Server::trusted_proxies`].
    ///
    /// ```
    /// # use axum::Router;
    /// let serve = stead::serve(":3000", Router::<()>::new()).trusted_proxies(["10.0.0.0/8"]);
    /// ```
    pub fn trusted_proxies(mut self, proxies: impl Into<TrustedProxies>) -> Self {
        self.server = self.server.trusted_proxies(proxies);
        self
    }

    /// Speaks TLS, as in [`Server::tls`].
    ///
    /// ```
    /// # use axum::Router;
    /// let serve = stead::serve(":443", Router::<()>::new()).tls(("main.pem", "main.key"));
    /// ```
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.server = self.server.tls(tls);
        self
    }

    /// The address that the listener is bound to.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// # let app = axum::Router::<()>::new();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let serve = stead::serve(listener, app);
    /// assert!(serve.local_addr()?.port() > 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The listener is a unix socket, or an address that is bound once this is awaited.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.server.bound_address().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    async fn run(self) -> io::Result<()> {
        let running = self.stead.server(self.server).start().await?;
        match self.signal {
            Some(signal) => {
                signal.await;
                running.shutdown().await;
            }
            None => running.wait().await,
        }
        Ok(())
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
