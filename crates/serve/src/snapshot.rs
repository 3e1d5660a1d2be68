//! The compiled configuration: what runs. Immutable, shared by all workers.

use std::os::fd::OwnedFd;
use std::pin::Pin;

use stead_core::{Handler, Peer};
use stead_route::{RouteRef, Router};

use crate::client::TrustedProxies;
use crate::connection_limits::ConnectionLimits;
use crate::scope::Scope;

/// Everything that serves.
pub struct Snapshot {
    /// The servers, in the order of the configuration; listeners name them by position.
    pub servers: Vec<Server>,
}

/// A named set of routes with its own limits and timeouts.
pub struct Server {
    /// Its name.
    pub name: String,
    /// The proxies in front of it.
    pub trusted_proxies: TrustedProxies,
    /// What decides among the routes.
    pub router: Router,
    /// The server's own routes, as the router counts them.
    pub routes: Vec<Route>,
    /// The sites, as the router counts them.
    pub sites: Vec<Site>,
    /// What answers requests that came in the clear, where the server wants TLS.
    pub redirect: Option<Route>,
    /// What holds until it is known who answers, and where no route matches.
    pub scope: Scope,
    /// What a host gets that belongs to no site, where there are sites.
    pub unknown_host: UnknownHost,
    /// Whether only root and this process's own user may connect (unix sockets).
    pub private: bool,
    /// What takes its connections whole; then it has no routes.
    pub streams: Option<Box<dyn Streams>>,
    /// Open connections, all workers together.
    pub connections: ConnectionLimits,
}

/// Takes whole connections, of a server that speaks no HTTP.
pub trait Streams: Send + Sync {
    /// Takes a connection, non-blocking. It stays counted until the future is done; the future runs
    /// on the worker that accepted, and is dropped when a drain takes too long.
    fn take(&self, descriptor: OwnedFd, peer: Peer) -> Pin<Box<dyn Future<Output = ()>>>;
}

impl Server {
    /// A server of these routes alone, with the defaults of everything else.
    pub fn new(name: impl Into<String>, router: Router, routes: Vec<Route>) -> Self {
        Self {
            name: name.into(),
            router,
            routes,
            sites: Vec::new(),
            redirect: None,
            trusted_proxies: TrustedProxies::default(),
            scope: Scope::default(),
            unknown_host: UnknownHost::Routes,
            private: false,
            streams: None,
            connections: ConnectionLimits::default(),
        }
    }

    /// The route that the router found.
    pub fn route(&self, found: RouteRef) -> Option<&Route> {
        match found.site {
            Some(site) => self.sites.get(site)?.routes.get(found.route),
            None => self.routes.get(found.route),
        }
    }

    /// The name of a site.
    pub fn site_name(&self, site: Option<usize>) -> &str {
        site.and_then(|site| self.sites.get(site)).map_or("", |site| &site.name)
    }

    /// What holds at a place.
    pub fn scope(&self, place: ScopeRef) -> &Scope {
        let scope = match (place.route(), place.site()) {
            (Some(route), _) => self.route(route).map(|route| &route.scope),
            (None, site) => site.and_then(|site| self.sites.get(site)).map(|site| &site.scope),
        };
        scope.unwrap_or(&self.scope)
    }
}

/// Where a [`Scope`] is found. PERF: two small numbers, because every connection's task holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeRef {
    /// Of the site; [`NONE`] at the server and its own routes.
    site: u32,
    /// Of the route in its site or server; [`NONE`] where none matches.
    route: u32,
}

const NONE: u32 = u32::MAX;

impl ScopeRef {
    /// At the server.
    pub const SERVER: Self = Self { site: NONE, route: NONE };

    /// At a site, by position, or at the server.
    pub fn of_site(site: Option<usize>) -> Self {
        Self { site: site.map_or(NONE, |site| site as u32), route: NONE }
    }

    /// At a route.
    pub fn of_route(found: RouteRef) -> Self {
        Self { route: found.route as u32, ..Self::of_site(found.site) }
    }

    /// The site's position.
    pub fn site(self) -> Option<usize> {
        (self.site != NONE).then_some(self.site as usize)
    }

    /// The route, where one matches.
    pub fn route(self) -> Option<RouteRef> {
        let route = (self.route != NONE).then_some(self.route as usize)?;
        Some(RouteRef { site: self.site(), route })
    }
}

/// What a host gets that belongs to no site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// The server's own routes.
    Routes,
    /// 404.
    NotFound,
    /// No answer.
    Close,
}

/// The routes of some hosts.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its routes, as the router counts them.
    pub routes: Vec<Route>,
    /// What holds where no route matches.
    pub scope: Scope,
}

/// One match with what answers it.
pub struct Route {
    /// Its pattern as it was written: the route's name in logs and metrics.
    pub label: String,
    /// The kind of its handler.
    pub kind: &'static str,
    /// What answers.
    pub handler: Box<dyn Handler>,
    /// What holds around it.
    pub scope: Scope,
}
