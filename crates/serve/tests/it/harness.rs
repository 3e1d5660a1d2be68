//! A fleet on free ports of loopback, ended when dropped.
//!
//! A [`Recipe`] is one server; [`Kitchen`] is what a fleet of several has beside them. Timeouts are
//! the defaults unless a test says otherwise.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_base::{Limits, Reason, Timeouts};
use stead_config::Origin;
use stead_core::{Counter, Counters, Handler, Middleware, Origins, Process};
use stead_net::{Bind, Collect, Listening, acquire};
use stead_route::{PathSpec, RouteSpec, Router, RouterSpec};
use stead_serve::access_log::AccessLog;
use stead_serve::{
    ConnectionLimits, ErrorPage, Fleet, FleetOptions, Listener, Opening, Route, Scope, Server,
    Snapshot,
};
use stead_tls::Chooser;

use crate::client::Client;

/// Servers under test, drained when dropped.
pub(crate) struct Harness {
    /// The first server's address.
    pub(crate) address: SocketAddr,
    /// Every server's address, in order.
    pub(crate) addresses: Vec<SocketAddr>,
    fleet: Option<Fleet>,
}

/// What one server under test is made from.
#[derive(Default)]
pub(crate) struct Recipe {
    limits: Limits,
    timeouts: Timeouts,
    access_log: bool,
    error_page: Option<ErrorPage>,
    routes: Vec<(RouteSpec, Route)>,
    /// Round everything that the server answers.
    around: Vec<Arc<dyn Middleware>>,
    private: bool,
    http1_only: bool,
    /// Who must send a PROXY header.
    proxies: Origins,
    /// What is shown to clients that must speak TLS.
    tls: Option<Chooser>,
    /// In place of a listener of its own: one descriptor for each worker.
    listener: Option<Vec<OwnedFd>>,
}

/// What a fleet is made from, beside its servers.
pub(crate) struct Kitchen {
    pub(crate) workers: usize,
    pub(crate) process: Arc<Process>,
    pub(crate) log: Option<Arc<AccessLog>>,
    pub(crate) collect: Collect,
    pub(crate) private_descriptors: bool,
}

impl Default for Kitchen {
    fn default() -> Self {
        Self {
            workers: 1,
            process: Arc::default(),
            log: None,
            collect: || {},
            private_descriptors: false,
        }
    }
}

impl Recipe {
    pub(crate) fn route(self, path: &str, handler: impl Handler + 'static) -> Self {
        self.route_with(path, handler, Vec::new())
    }

    /// A route that takes these methods only.
    pub(crate) fn route_for(
        mut self,
        methods: &[&str],
        path: &str,
        handler: impl Handler + 'static,
    ) -> Self {
        self = self.route(path, handler);
        if let Some((spec, _)) = self.routes.last_mut() {
            spec.methods = methods.iter().map(|&method| method.to_owned()).collect();
        }
        self
    }

    /// A route of the kind `health`.
    pub(crate) fn health(mut self, path: &str, handler: impl Handler + 'static) -> Self {
        self = self.route(path, handler);
        if let Some((_, route)) = self.routes.last_mut() {
            route.kind = "health";
        }
        self
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
            scope: Scope {
                middleware: middleware.into_iter().map(Arc::from).collect(),
                ..Scope::default()
            },
        };
        self.routes.push((spec, route));
        self
    }

    /// Middleware of the server itself, which stand round what no route answers too.
    pub(crate) fn around(mut self, middleware: impl Middleware + 'static) -> Self {
        self.around.push(Arc::new(middleware));
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn timeouts(mut self, change: impl FnOnce(&mut Timeouts)) -> Self {
        change(&mut self.timeouts);
        self
    }

    /// A page in place of every error answer of our own.
    pub(crate) fn error_page(mut self, text: &'static str) -> Self {
        let (statuses, body) = (400..=599, text.into());
        let content_type = "text/html; charset=utf-8".to_owned();
        self.error_page = Some(ErrorPage { statuses, content_type, body });
        self
    }

    pub(crate) fn logged(mut self) -> Self {
        self.access_log = true;
        self
    }

    /// Without HTTP/2.
    pub(crate) fn http1_only(mut self) -> Self {
        self.http1_only = true;
        self
    }

    pub(crate) fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Takes connections from these only, each with a PROXY header.
    pub(crate) fn behind(mut self, proxies: impl IntoIterator<Item = Origin>) -> Self {
        self.proxies = proxies.into_iter().collect();
        self
    }

    /// Speaks TLS only.
    pub(crate) fn speaking(mut self, chooser: Chooser) -> Self {
        self.tls = Some(chooser);
        self
    }

    /// Serves what these accept, one for each worker, if they accept anything at all.
    pub(crate) fn on(mut self, descriptors: Vec<OwnedFd>) -> Self {
        self.listener = Some(descriptors);
        self
    }

    /// A fleet of this server alone, on one worker.
    pub(crate) fn start(self) -> Harness {
        Kitchen::default().start(vec![self])
    }

    fn into_server(self, name: String) -> Server {
        let (matches, answers): (Vec<_>, Vec<_>) = self.routes.into_iter().unzip();
        let all = RouterSpec { sites: Vec::new(), routes: matches };
        let (router, _) = Router::build(&all).expect("the routes are right");
        let mut server = Server::new(name, router, answers);
        server.private = self.private;
        server.connections = ConnectionLimits::new(&self.limits);
        let errors = server.scope.errors.inside(self.error_page.into_iter().collect());
        server.scope.middleware = self.around.iter().cloned().collect();
        for route in &mut server.routes {
            let own = route.scope.middleware.iter();
            route.scope.middleware = self.around.iter().chain(own).cloned().collect();
        }
        let routes = server.routes.iter_mut().map(|route| &mut route.scope);
        for scope in routes.chain([&mut server.scope]) {
            scope.limits = self.limits;
            scope.timeouts = self.timeouts;
            scope.access_log = self.access_log;
            scope.errors = errors.clone();
        }
        server
    }
}

impl Kitchen {
    pub(crate) fn start(self, recipes: Vec<Recipe>) -> Harness {
        let (mut addresses, mut listeners, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, mut recipe) in recipes.into_iter().enumerate() {
            let (address, descriptors) = match recipe.listener.take() {
                Some(descriptors) => (SocketAddr::from(([127, 0, 0, 1], 0)), descriptors),
                None => bind(self.workers),
            };
            addresses.push(address);
            let proxy_protocol = std::mem::take(&mut recipe.proxies);
            let (tls, http2) = (recipe.tls.take(), !recipe.http1_only);
            let opening = Opening { proxy_protocol, tls, http2 };
            let server = index as u16;
            listeners.push(Listener { server, descriptors, inherited: false, opening });
            servers.push(recipe.into_server(format!("server{index}")));
        }
        self.process.set_workers(self.workers);
        let fleet = Fleet::start(FleetOptions {
            snapshot: Arc::new(Snapshot { servers }),
            process: self.process,
            workers: self.workers,
            log: self.log,
            collect: self.collect,
            listeners,
            private_descriptors: self.private_descriptors,
        });
        let fleet = Some(fleet.expect("the fleet starts"));
        Harness { address: addresses[0], addresses, fleet }
    }
}

fn bind(workers: usize) -> (SocketAddr, Vec<OwnedFd>) {
    let free = Bind::Address(([127, 0, 0, 1], 0).into());
    let acquired = acquire(&free, workers).expect("a free port");
    let Listening::Tcp(address) = acquired.listening else { panic!("TCP expected") };
    (address, acquired.descriptors)
}

impl Harness {
    /// A new connection to the first server.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends `bytes` on a new connection and returns everything until the server closes it.
    pub(crate) fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.read_to_close()
    }

    fn counters(&self) -> &[Arc<Counters>] {
        self.fleet.as_ref().expect("not drained yet").counters()
    }

    /// What sends the workers errands.
    pub(crate) fn messenger(&self) -> stead_serve::Messenger {
        self.fleet.as_ref().expect("not drained yet").messenger()
    }

    /// The counters, to be read after the fleet has ended.
    pub(crate) fn shared_counters(&self) -> Vec<Arc<Counters>> {
        self.counters().to_vec()
    }

    /// One counter, summed over the workers.
    pub(crate) fn count(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        self.counters().iter().map(|counters| counter(counters).value()).sum()
    }

    /// How often something ended with `reason`.
    pub(crate) fn outcomes(&self, reason: Reason) -> u64 {
        self.count(|counters| &counters.outcomes[reason as usize])
    }

    /// Waits until something has ended with `reason` exactly `times` times.
    pub(crate) fn expect_outcomes(&self, reason: Reason, times: u64) {
        let told = eventually(|| self.outcomes(reason) == times);
        assert!(told, "{}: {} times, not {times}", reason.code(), self.outcomes(reason));
    }

    /// Waits until so many connections are open.
    pub(crate) fn expect_open(&self, connections: u64) {
        let open = || self.count(|counters| &counters.connections_open);
        assert!(eventually(|| open() == connections), "{} open, not {connections}", open());
    }

    /// Waits until so many connections are parked.
    pub(crate) fn expect_parked(&self, connections: u64) {
        let parked = || self.count(|counters| &counters.connections_parked);
        assert!(eventually(|| parked() == connections), "{} parked, not {connections}", parked());
    }

    /// Drains for at most `limit`; says how long it took.
    pub(crate) fn drain(mut self, limit: Duration) -> Duration {
        let started = Instant::now();
        self.fleet.take().expect("not drained yet").drain(limit);
        started.elapsed()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(fleet) = self.fleet.take() {
            fleet.drain(Duration::ZERO);
        }
    }
}

/// Whether `holds` becomes true within ten seconds.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let ends = Instant::now() + Duration::from_secs(10);
    while Instant::now() < ends {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    holds()
}

/// The steps of a test that must not come late.
pub(crate) struct Pace {
    last: Instant,
    is_kept: bool,
}

impl Pace {
    /// Rests; the whole step, with what came before it, must not take longer than `most`.
    pub(crate) fn rest(&mut self, wait: Duration, most: Duration) {
        std::thread::sleep(wait);
        self.is_kept &= self.last.elapsed() <= most;
        self.last = Instant::now();
    }
}

/// Tries until an attempt is right. One that is wrong fails the test, unless the machine had held
/// it up: then it proves nothing, and another is made.
pub(crate) fn at_pace(mut attempt: impl FnMut(&mut Pace) -> Result<(), String>) {
    for _ in 0..ATTEMPTS {
        let mut pace = Pace { last: Instant::now(), is_kept: true };
        match attempt(&mut pace) {
            Ok(()) => return,
            Err(error) => assert!(!pace.is_kept, "{error}"),
        }
    }
    panic!("the machine is too busy for this test");
}

/// The least time that something took: what is slow by itself is slow each time.
pub(crate) fn at_best(limit: Duration, mut attempt: impl FnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ATTEMPTS {
        best = best.min(attempt());
        if best < limit {
            break;
        }
    }
    best
}

const ATTEMPTS: usize = 10;
