//! What a program adds to what a configuration can name: its own kinds, services and servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_base::{Limits, Timeouts};
use stead_config::{Diagnostic, Diagnostics, Settings, TrustedProxies, Vocabulary};
use stead_core::{Handler, HandlerKind, LocalKeys, MiddlewareKind, Peer};
use stead_route::{PathSpec, RouteSpec, Router, RouterSpec};
use stead_serve::{ConnectionLimits, Route, Scope, Streams};
use stead_tower::{App, Facts};

use crate::compile::trusted_proxies;
use crate::errors::KindError;
use crate::{registry, service};

/// Everything that comes from code.
#[derive(Default)]
pub(crate) struct Additions {
    pub(crate) handlers: Vec<HandlerKind>,
    pub(crate) middleware: Vec<MiddlewareKind>,
    pub(crate) services: BTreeMap<String, App>,
    pub(crate) servers: Vec<CodeServer>,
}

impl Additions {
    /// The kinds that exist, as the configuration needs to know them.
    pub(crate) fn vocabulary(&self) -> Vocabulary {
        let known = registry::vocabulary().with_handlers(&self.handlers);
        let known = known.with_middleware(&self.middleware);
        if self.services.is_empty() { known } else { known.with_handlers(&[service::KIND]) }
    }

    /// The handler kind of a name.
    pub(crate) fn handler(&self, name: &str) -> Option<&HandlerKind> {
        match registry::handler(name) {
            None if name == service::KIND.name => Some(&service::KIND),
            None => self.handlers.iter().find(|kind| kind.name == name),
            known => known,
        }
    }

    /// The middleware kind of a name.
    pub(crate) fn middleware(&self, name: &str) -> Option<&MiddlewareKind> {
        let own = || self.middleware.iter().find(|kind| kind.name == name);
        registry::middleware(name).or_else(own)
    }

    /// The program's own kinds whose name another kind has.
    pub(crate) fn clashes(&self) -> Vec<KindError> {
        let handlers = self.handlers.iter().map(|kind| kind.name).collect::<Vec<_>>();
        let middleware = self.middleware.iter().map(|kind| kind.name).collect::<Vec<_>>();
        let of_stead = |name: &str| registry::handler(name).is_some() || name == service::KIND.name;
        let mut clashes = taken("handler", &handlers, of_stead);
        clashes
            .extend(taken("middleware", &middleware, |name| registry::middleware(name).is_some()));
        clashes
    }

    /// The handler that settings of `service` name; `None` for settings of another kind.
    pub(crate) fn service(
        &self,
        settings: &Settings,
        route: &str,
        keys: &LocalKeys,
    ) -> Option<Result<Box<dyn Handler>, Diagnostics>> {
        if settings.name() != service::KIND.name {
            return None;
        }
        let name = match service::name(settings) {
            Ok(name) => name,
            Err(errors) => return Some(Err(errors)),
        };
        let Some(app) = self.services.get(&name.value) else {
            let known: Vec<String> =
                self.services.keys().map(|name| format!("`\"{name}\"`")).collect();
            let message = format!("no service is called `{}`", name.value);
            let error = Diagnostic::error(name.span, message)
                .help(format!("write one of those that the program gives: {}", known.join(", ")));
            return Some(Err(error.into()));
        };
        Some(Ok(app.handler(&Facts { keys, route })))
    }
}

/// Each name that stands for two kinds of one sort.
fn taken(sort: &'static str, names: &[&str], of_stead: impl Fn(&str) -> bool) -> Vec<KindError> {
    let is_taken =
        |(index, name): &(usize, &&str)| of_stead(name) || names[..*index].contains(*name);
    let error = |(_, name): (usize, &&str)| KindError { sort, name: (*name).to_owned() };
    names.iter().enumerate().filter(is_taken).map(error).collect()
}

/// A server made in code, without its listeners.
pub(crate) struct CodeServer {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) serves: Serves,
    pub(crate) access_log: bool,
}

/// What answers on a server made in code.
pub(crate) enum Serves {
    App(App),
    Streams(Arc<dyn Streams>),
}

/// The pattern of the only route of a service.
const EVERY_PATH: &str = "/{*rest}";

impl CodeServer {
    pub(crate) fn compile(&self, keys: &LocalKeys) -> stead_serve::Server {
        let scope = || Scope {
            limits: self.limits,
            timeouts: self.timeouts,
            access_log: self.access_log,
            ..Scope::default()
        };
        let mut server = match &self.serves {
            Serves::App(app) => {
                let facts = Facts { keys, route: EVERY_PATH };
                let route = Route {
                    label: EVERY_PATH.to_owned(),
                    kind: service::KIND.name,
                    handler: app.handler(&facts),
                    scope: scope(),
                };
                stead_serve::Server::new(&*self.name, router(&[EVERY_PATH]), vec![route])
            }
            Serves::Streams(streams) => {
                let mut server = stead_serve::Server::new(&*self.name, router(&[]), Vec::new());
                server.streams = Some(Box::new(Shared(Arc::clone(streams))));
                server
            }
        };
        server.scope = scope();
        server.connections = ConnectionLimits::new(&self.limits);
        server.trusted_proxies = trusted_proxies(&self.trusted_proxies);
        server
    }
}

fn router(paths: &[&str]) -> Router {
    let route = |path: &&str| RouteSpec {
        path: PathSpec::Path((*path).to_owned()),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    };
    let spec = RouterSpec { sites: Vec::new(), routes: paths.iter().map(route).collect() };
    match Router::build(&spec) {
        Ok((router, _)) => router,
        Err(_) => unreachable!("one route for every path conflicts with nothing"),
    }
}

/// What takes connections, shared by the snapshots of a program.
struct Shared(Arc<dyn Streams>);

impl Streams for Shared {
    fn take(
        &self,
        descriptor: std::os::fd::OwnedFd,
        peer: Peer,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        self.0.take(descriptor, peer)
    }
}
