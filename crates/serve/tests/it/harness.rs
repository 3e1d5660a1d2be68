//! A fleet of one worker on a free port, with handlers made for tests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use stead_base::{Limits, Timeouts};
use stead_core::{Exchange, Handler, Middleware, Process, Reply, StatusCode};
use stead_net::{Bind, Listening, acquire};
use stead_route::{PathSpec, RouteSpec, Router, RouterSpec};
use stead_serve::{Fleet, FleetOptions, Listener, Route, Server, Snapshot};

/// A server under test, ended when dropped.
pub(crate) struct Harness {
    pub(crate) address: SocketAddr,
    pub(crate) fleet: Option<Fleet>,
}

/// What a server under test is made from.
#[derive(Default)]
pub(crate) struct Recipe {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) routes: Vec<(RouteSpec, Route)>,
}

impl Recipe {
    pub(crate) fn route(self, path: &str, handler: impl Handler + 'static) -> Self {
        self.route_with(path, handler, Vec::new())
    }

    pub(crate) fn route_with(
        mut self,
        path: &str,
        handler: impl Handler + 'static,
        middleware: Vec<Box<dyn Middleware>>,
    ) -> Self {
        let spec = RouteSpec {
            path: PathSpec::Path(path.to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        };
        let route = Route {
            label: path.to_owned(),
            kind: "test",
            handler: Box::new(handler),
            middleware: middleware.into(),
        };
        self.routes.push((spec, route));
        self
    }

    pub(crate) fn start(self) -> Harness {
        let (specs, routes): (Vec<_>, Vec<_>) = self.routes.into_iter().unzip();
        let spec = RouterSpec { sites: Vec::new(), routes: specs };
        let (router, _) = Router::build(&spec).expect("the routes are right");
        let server = Server {
            name: "test".to_owned(),
            limits: self.limits,
            timeouts: self.timeouts,
            router,
            routes,
            sites: Vec::new(),
            access_log: false,
            private: false,
            connections: Default::default(),
        };
        let acquired = acquire(&Bind::Address(([127, 0, 0, 1], 0).into()), 1).expect("a port");
        let Listening::Tcp(address) = acquired.listening else { panic!("TCP expected") };
        let fleet = Fleet::start(FleetOptions {
            snapshot: Arc::new(Snapshot { servers: vec![server] }),
            process: Arc::new(Process::default()),
            workers: 1,
            log: None,
            collect: || {},
            listeners: vec![Listener { server: 0, descriptors: acquired.descriptors }],
        });
        Harness { address, fleet: Some(fleet.expect("the fleet starts")) }
    }
}

impl Harness {
    /// Sends `bytes` on a new connection and returns everything until the server closes it or one
    /// second passes without a byte.
    pub(crate) fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("send");
        read_all(&mut stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        stream
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(fleet) = self.fleet.take() {
            fleet.drain(Duration::from_secs(1));
        }
    }
}

/// Reads until the end of input or until nothing comes for the stream's read timeout.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Answers with a fixed text.
pub(crate) struct Fixed(pub(crate) &'static str);

impl Handler for Fixed {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let mut body = exchange.worker().buffer();
        body.extend_from_slice(self.0.as_bytes());
        Reply::Ready(exchange.respond(StatusCode::OK).with_body(body))
    }
}

/// Answers with the request's body, as it comes.
pub(crate) struct Echo;

impl Handler for Echo {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let body = exchange.take_body();
        let response = exchange.respond(StatusCode::OK);
        Reply::Ready(response.with_body(stead_core::Body::Stream(Box::new(body))))
    }
}
