//! One server made in code: a name, listeners, and what answers.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use stead_base::{Limits, Timeouts};
use stead_config::{Address, Origin};
use stead_net::ListenOptions;
use stead_serve::Opening;
use stead_tower::IntoApp;
use tokio::net::TcpStream;

use crate::additions::{CodeServer, Serves};
use crate::bind::{Claim, Wanted};
use crate::errors::ServerError;
use crate::ranges;
use crate::tcp::{Async, Ending};
use crate::tls::{self, Tls};
use crate::trusted_proxies::{self, TrustedProxies};

/// A named set of listeners with one service, or one function for raw connections, behind them.
///
/// ```
/// use axum::{Router, routing::get};
/// use stead::Server;
///
/// let router = Router::new().route("/", get(|| async { "hello" }));
/// let web = Server::new("web").listen(":3400").listen("unix:run/web.sock").service(router);
/// ```
pub struct Server {
    name: String,
    listen: Vec<Listen>,
    limits: Limits,
    timeouts: Timeouts,
    trusted_proxies: TrustedProxies,
    tls: Vec<Tls>,
    serves: Option<Serves>,
}

impl Server {
    /// A server of this name, as logs and [`Running`](crate::Running) know it.
    ///
    /// ```
    /// # use stead::Server;
    /// let server = Server::new("web");
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            listen: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: TrustedProxies::default(),
            tls: Vec::new(),
            serves: None,
        }
    }

    /// Adds a listener: `":3400"` (IPv6 and IPv4), `"127.0.0.1:3400"`, `"localhost:0"`,
    /// `"unix:run/web.sock"`, a `SocketAddr`, or a bound listener of `std` or tokio. Port 0 lets
    /// the system choose.
    ///
    /// ```
    /// # use stead::Server;
    /// let bound = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let server = Server::new("web").listen(":0").listen(bound);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listen.push(listen.into());
        self
    }

    /// Answers every request with a service of `tower`, such as an axum router: [`IntoApp`] says
    /// which. Replaces what answered before.
    ///
    /// ```
    /// # use stead::Server;
    /// use axum::{Router, routing::get};
    /// use std::net::SocketAddr;
    ///
    /// let app = Router::new().route("/", get(|| async { "hello" }));
    /// let app = app.into_make_service_with_connect_info::<SocketAddr>();
    /// let server = Server::new("web").service(app);
    /// ```
    pub fn service<M>(mut self, service: impl IntoApp<M>) -> Self {
        self.serves = Some(Serves::App(service.into_app()));
        self
    }

    /// Hands every connection to a function, which speaks what it likes; no HTTP, no timeout of
    /// ours. Its future runs on the worker that accepted and need not be `Send`. The connection
    /// counts against limits, and a drain waits for it, until the future is done. Replaces what
    /// answered before.
    ///
    /// ```
    /// # use stead::Server;
    /// use tokio::net::TcpStream;
    ///
    /// async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    ///     let (mut reader, mut writer) = stream.split();
    ///     tokio::io::copy(&mut reader, &mut writer).await.map(drop)
    /// }
    ///
    /// let server = Server::new("echo").listen(":8888").tcp(echo);
    /// ```
    pub fn tcp<F, R>(mut self, function: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output: Ending> + 'static,
    {
        self.serves = Some(Serves::Streams(Arc::new(Async::new(&self.name, function))));
        self
    }

    /// What one peer and all together may take. A value out of its range is an error at the start.
    ///
    /// ```
    /// # use stead::{Limits, Server};
    /// let limits = Limits { connections: Some(10_000), ..Limits::default() };
    /// let server = Server::new("web").limits(limits);
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long it waits for its peers: 1 ms to 30 days each, or without end.
    ///
    /// ```
    /// # use stead::{Server, Timeouts};
    /// # use std::time::Duration;
    /// let timeouts = Timeouts { idle: Some(Duration::from_secs(5)), ..Timeouts::default() };
    /// let server = Server::new("web").timeouts(timeouts);
    /// ```
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Proxies in front of the server: what they say in `X-Forwarded-For` and `X-Forwarded-Proto`
    /// of the client's address and scheme counts, for limits, logs and
    /// [`ConnectInfo::client`](crate::ConnectInfo::client); what anybody else says of them is taken
    /// out. [`TrustedProxies`] takes another field. What is no network is an error at the start.
    ///
    /// ```
    /// # use stead::Server;
    /// let server = Server::new("web").trusted_proxies(["10.0.0.0/8", "loopback"]);
    /// ```
    pub fn trusted_proxies(mut self, proxies: impl Into<TrustedProxies>) -> Self {
        self.trusted_proxies = proxies.into();
        self
    }

    /// Speaks TLS on all its listeners: files of PEM, or what [`Tls`] says. Called again, it adds a
    /// certificate: a client gets the one that is good for the name which it asks for, else the
    /// first. What is wrong with the files is an error at the start.
    ///
    /// ```
    /// # use stead::Server;
    /// let server = Server::new("web").listen(":443").tls(("main.pem", "main.key"));
    /// ```
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls.push(tls.into());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of the first listener, where that was bound before.
    pub(crate) fn bound_address(&self) -> Option<SocketAddr> {
        match &self.listen.first()?.wanted {
            Ok(Wanted::Socket(socket)) => rustix::net::getsockname(socket).ok()?.try_into().ok(),
            _ => None,
        }
    }

    /// What it serves and what it wants to listen on; every error is reported.
    pub(crate) fn into_parts(
        self,
        index: usize,
        access_log: bool,
        errors: &mut Vec<ServerError>,
    ) -> Option<(CodeServer, Vec<Claim>)> {
        let takes_streams = matches!(self.serves, Some(Serves::Streams(_)));
        let mut wrong = |message: &str| {
            errors.push(ServerError { server: self.name.clone(), message: message.to_owned() });
        };
        if self.listen.is_empty() {
            wrong("it listens nowhere: add `.listen(\":8080\")`");
        }
        for message in ranges::wrong(&self.limits, &self.timeouts) {
            wrong(&message);
        }
        if !self.trusted_proxies.is_empty() && takes_streams {
            wrong("`tcp` reads no fields of proxies: take `.trusted_proxies(…)` out");
        }
        if !self.tls.is_empty() && takes_streams {
            wrong("`tcp` takes connections as they are: take `.tls(…)` out");
        }
        let chooser = tls::chooser(&self.name, self.tls).unwrap_or_else(|problems| {
            for problem in problems {
                wrong(&problem);
            }
            None
        });
        let (trusted_proxies, unknown) = self.trusted_proxies.into_parts();
        for message in unknown {
            wrong(&message);
        }
        let mut claims = Vec::new();
        for listen in self.listen {
            let (proxies, unknown) = trusted_proxies::split(listen.proxies);
            for message in unknown {
                wrong(&message);
            }
            match listen.wanted {
                Ok(wanted) => {
                    if wanted.is_unix() && takes_streams {
                        wrong("`tcp` takes no unix socket: write a port");
                    }
                    let options = ListenOptions::default();
                    let proxy_protocol = proxies.into_iter().collect();
                    let opening =
                        Opening { proxy_protocol, tls: chooser.clone(), ..Opening::default() };
                    let name = self.name.clone();
                    claims.push(Claim { server: index, name, wanted, options, opening });
                }
                Err(message) => wrong(&message),
            }
        }
        let Some(serves) = self.serves else {
            wrong("nothing answers: add `.service(router)` or `.tcp(function)`");
            return None;
        };
        let server = CodeServer {
            name: self.name.clone(),
            limits: self.limits,
            timeouts: self.timeouts,
            trusted_proxies,
            serves,
            access_log,
        };
        Some((server, claims))
    }
}

/// Where a server made in code listens.
///
/// ```
/// use stead::Listen;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let by_text = Listen::from("localhost:8080");
/// let by_address = Listen::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
/// let bound = Listen::from(std::net::TcpListener::bind("127.0.0.1:0")?);
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Listen {
    wanted: Result<Wanted, String>,
    /// Whose PROXY headers are taken; nobody's: there are none.
    proxies: Vec<Result<Origin, String>>,
}

impl Listen {
    /// Takes connections from these proxies only, each with a header of the PROXY protocol,
    /// version 1 or 2, whose client is then the peer: networks and addresses, `"private"`,
    /// `"loopback"`, and `"unix"` for peers that come through a unix socket. What is no network is
    /// an error at the start.
    ///
    /// ```
    /// # use stead::{Listen, Server};
    /// let behind_haproxy = Listen::from(":8080").proxy_protocol(["10.0.0.0/8"]);
    /// let server = Server::new("web").listen(behind_haproxy);
    /// ```
    pub fn proxy_protocol<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        self.proxies =
            proxies.into_iter().map(|text| trusted_proxies::origin(text.as_ref())).collect();
        self
    }

    fn new(wanted: Result<Wanted, String>) -> Self {
        Self { wanted, proxies: Vec::new() }
    }
}

impl From<&str> for Listen {
    fn from(text: &str) -> Self {
        let address = Address::parse(text).map(Wanted::Address);
        Self::new(address.map_err(|help| format!("`{text}` is no address: {help}")))
    }
}

impl From<String> for Listen {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        let host = stead_config::Host::Ip(address.ip());
        Self::new(Ok(Wanted::Address(Address::Tcp { host, port: address.port() })))
    }
}

impl From<std::net::TcpListener> for Listen {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::new(Ok(Wanted::Socket(OwnedFd::from(listener))))
    }
}

impl From<std::os::unix::net::UnixListener> for Listen {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self::new(Ok(Wanted::Socket(OwnedFd::from(listener))))
    }
}

impl From<tokio::net::TcpListener> for Listen {
    fn from(listener: tokio::net::TcpListener) -> Self {
        Self::of_tokio(listener.into_std())
    }
}

impl From<tokio::net::UnixListener> for Listen {
    fn from(listener: tokio::net::UnixListener) -> Self {
        Self::of_tokio(listener.into_std())
    }
}

impl Listen {
    fn of_tokio(listener: std::io::Result<impl Into<OwnedFd>>) -> Self {
        let socket = listener.map(|listener| Wanted::Socket(listener.into()));
        Self::new(socket.map_err(|error| error.to_string()))
    }
}
