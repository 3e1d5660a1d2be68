//! The compiled configuration: what runs. Immutable, shared by all workers.

use std::sync::Arc;

use stead_base::{Limits, Timeouts};
use stead_core::{Handler, Middleware};
use stead_route::{RouteRef, Router};

use crate::client::TrustedProxies;
use crate::connection_limits::ConnectionLimits;

/// Everything that serves.
pub struct Snapshot {
    /// The servers, in the order of the configuration; listeners name them by position.
    pub servers: Vec<Server>,
}

/// A named set of routes with its own limits and timeouts.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Sizes and counts.
    pub limits: Limits,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// The proxies in front of it.
    pub trusted_proxies: TrustedProxies,
    /// What decides among the routes.
    pub router: Router,
    /// The server's own routes, as the router counts them.
    pub routes: Vec<Route>,
    /// The sites, as the router counts them.
    pub sites: Vec<Site>,
    /// What stands around the answer where no route matches.
    pub middleware: Stack,
    /// Whether its exchanges are written to the access log.
    pub access_log: bool,
    /// Whether only root and this process's own user may connect (unix sockets).
    pub private: bool,
    /// Open connections, all workers together.
    pub connections: ConnectionLimits,
}

impl Server {
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

    /// What stands around the answer where no route of a site, or of the server, matches.
    pub fn middleware(&self, site: Option<usize>) -> &[Arc<dyn Middleware>] {
        site.and_then(|site| self.sites.get(site)).map_or(&self.middleware, |site| &site.middleware)
    }
}

/// Middleware around one handler, outermost first.
pub type Stack = Box<[Arc<dyn Middleware>]>;

/// The routes of some hosts.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its routes, as the router counts them.
    pub routes: Vec<Route>,
    /// What stands around the answer where no route matches.
    pub middleware: Stack,
}

/// One match with what answers it.
pub struct Route {
    /// Its pattern as it was written: the route's name in logs and metrics.
    pub label: String,
    /// The kind of its handler.
    pub kind: &'static str,
    /// What answers.
    pub handler: Box<dyn Handler>,
    /// What stands around it, outermost first.
    pub middleware: Stack,
}
