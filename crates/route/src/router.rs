//! The router of one server: asked once per request, when the head is parsed and the path
//! canonical.
//!
//! The site is found by host; its routes are tried before the server's own. The first route in the
//! total order whose matchers all hold wins. A method counts last, so that 405 is answered only
//! where a route failed on nothing else (RFC 9110 §15.5.6). HEAD follows GET.

use std::ops::ControlFlow;

use crate::captures::{CaptureNames, Captures};
use crate::compile;
use crate::hosts::Hosts;
use crate::matcher::Matcher;
use crate::method::{Allow, MethodSet, Methods};
use crate::request::Request;
use crate::spec::{Problem, RouteRef, RouterSpec};
use crate::table::{Candidate, Table, Visitor};

/// The routes of one server, compiled.
///
/// A clone is cheap and shares the tables. A lookup with regexes borrows search memory that belongs
/// to the router, so each worker should hold its own clone: then nothing is shared between threads.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) hosts: Hosts,
    pub(crate) sites: Vec<Table>,
    pub(crate) own: Table,
    pub(crate) methods: Methods,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'r> {
    /// The site of the request's host, if it has one; the server's own routes may win there too.
    pub site: Option<usize>,
    /// Who answers.
    pub found: Found<'r>,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug)]
pub enum Found<'r> {
    /// This route.
    Route(RouteRef),
    /// The caller, with 405 and `Allow`: routes have the path, but not for this method. TRACE and
    /// CONNECT always end here.
    MethodNotAllowed {
        /// The methods that the path takes.
        allow: Allow<'r>,
    },
    /// The caller, with 204 and `Allow`: OPTIONS, which no route of the path takes.
    Options {
        /// The methods that the path takes.
        allow: Allow<'r>,
    },
    /// The caller, with 404.
    NotFound,
}

/// A route that a lookup came to, as `stead explain` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The route.
    pub route: RouteRef,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a route in a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything holds, and no route before it did: it answers.
    Wins,
    /// Everything holds, but a route before it answers.
    Late,
    /// Its regex does not match the path. (Patterns that do not match are never come to.)
    PathDiffers,
    /// Its matcher on this header field does not hold.
    HeaderDiffers(String),
    /// Its matcher on this parameter of the query does not hold.
    QueryDiffers(String),
    /// All holds but the method.
    MethodDiffers,
}

impl Router {
    /// Compiles the routes of a server; gives the router with warnings.
    ///
    /// # Errors
    /// Everything that is wrong in `spec`, with the warnings among it, in the order of the places.
    ///
    /// ```
    /// use stead_route::{Captures, Found, PathSpec, RouteSpec, Router, RouterSpec, Sample};
    ///
    /// let path = PathSpec::Path("/users/{id}".to_owned());
    /// let (methods, headers, query) = (vec!["GET".to_owned()], vec![], vec![]);
    /// let spec = RouterSpec {
    ///     sites: vec![],
    ///     routes: vec![RouteSpec { path, methods, headers, query }],
    /// };
    /// let (router, warnings) = Router::build(&spec).unwrap();
    /// assert!(warnings.is_empty());
    ///
    /// let mut request = Sample { path: "/users/7".to_owned(), ..Sample::default() };
    /// let mut captures = Captures::new();
    /// request.method = "GET".to_owned();
    /// assert!(matches!(router.find(&request, &mut captures).found, Found::Route(_)));
    /// assert_eq!(captures.get("/users/7", 0), Some("7"));
    ///
    /// request.method = "POST".to_owned();
    /// let Found::MethodNotAllowed { allow } = router.find(&request, &mut captures).found else {
    ///     panic!("the route takes GET only");
    /// };
    /// assert_eq!(allow.to_string(), "GET, HEAD, OPTIONS");
    /// ```
    pub fn build(spec: &RouterSpec) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        compile::compile(spec)
    }

    /// Finds who answers `request`; the winner's captures are left in `captures`.
    pub fn find<'r>(
        &'r self,
        request: &(impl Request + ?Sized),
        captures: &mut Captures,
    ) -> Lookup<'r> {
        captures.clear();
        let site = self.site_of(request);
        let method = self.methods.set_of(request.method());
        let mut finder = Finder { request, method, winner: None, missed: MethodSet::NONE };
        for (owner, table) in self.tables(site, request.path()) {
            if table.visit(request.path(), captures, &mut finder).is_break()
                && let Some(route) = finder.winner
            {
                return Lookup { site, found: Found::Route(RouteRef { site: owner, route }) };
            }
        }
        captures.truncate(0);
        let missed = finder.missed;
        let allow = Allow::new(missed, &self.methods);
        let found = if method.is_never_routed() || (!missed.is_empty() && !method.is_options()) {
            Found::MethodNotAllowed { allow }
        } else if missed.is_empty() {
            Found::NotFound
        } else {
            Found::Options { allow }
        };
        Lookup { site, found }
    }

    /// Every route that the lookup of `request` comes to, in the order tried.
    pub fn explain(&self, request: &(impl Request + ?Sized)) -> Vec<Considered> {
        let mut captures = Captures::new();
        let method = self.methods.set_of(request.method());
        let mut list = Vec::new();
        for (site, table) in self.tables(self.site_of(request), request.path()) {
            let mut explainer = Explainer { request, method, site, list: &mut list };
            // It never breaks: what comes after the winner is of interest too.
            let _ = table.visit(request.path(), &mut captures, &mut explainer);
        }
        list
    }

    /// The names of a route's captures.
    pub fn captures_of(&self, route: RouteRef) -> Option<&CaptureNames> {
        let table = match route.site {
            Some(site) => self.sites.get(site)?,
            None => &self.own,
        };
        table.names.get(route.route)
    }

    fn site_of(&self, request: &(impl Request + ?Sized)) -> Option<usize> {
        request.host().and_then(|host| self.hosts.site_of(host))
    }

    /// The tables to try, each with its site; none if the path is no path, as in `OPTIONS *`.
    fn tables(
        &self,
        site: Option<usize>,
        path: &str,
    ) -> impl Iterator<Item = (Option<usize>, &Table)> {
        let of_site = site.and_then(|site| Some((Some(site), self.sites.get(site)?)));
        let is_path = path.starts_with('/') && u32::try_from(path.len()).is_ok();
        of_site.into_iter().chain([(None, &self.own)]).filter(move |_| is_path)
    }
}

/// Looks for the winner.
struct Finder<'q, R: ?Sized> {
    request: &'q R,
    method: MethodSet,
    winner: Option<usize>,
    /// Methods of the routes that failed on the method alone.
    missed: MethodSet,
}

impl<R: Request + ?Sized> Visitor for Finder<'_, R> {
    fn candidate(
        &mut self,
        table: &Table,
        candidate: &Candidate,
        captures: &mut Captures,
    ) -> ControlFlow<()> {
        let mut matchers = table.matchers_of(candidate).iter();
        if !matchers.all(|matcher| matcher.holds(self.request, &mut captures.text)) {
            return ControlFlow::Continue(());
        }
        if candidate.methods.meets(self.method) {
            self.winner = Some(candidate.route as usize);
            return ControlFlow::Break(());
        }
        self.missed = self.missed.with(candidate.methods);
        ControlFlow::Continue(())
    }
}

/// Lists what is tried.
struct Explainer<'q, R: ?Sized> {
    request: &'q R,
    method: MethodSet,
    site: Option<usize>,
    list: &'q mut Vec<Considered>,
}

impl<R: Request + ?Sized> Explainer<'_, R> {
    fn add(&mut self, candidate: &Candidate, verdict: Verdict) {
        let route = RouteRef { site: self.site, route: candidate.route as usize };
        self.list.push(Considered { route, verdict });
    }
}

impl<R: Request + ?Sized> Visitor for Explainer<'_, R> {
    fn candidate(
        &mut self,
        table: &Table,
        candidate: &Candidate,
        captures: &mut Captures,
    ) -> ControlFlow<()> {
        let mut matchers = table.matchers_of(candidate).iter();
        let failed = matchers.find(|matcher| !matcher.holds(self.request, &mut captures.text));
        let verdict = match failed {
            Some(Matcher::Header { name, .. }) => Verdict::HeaderDiffers(name.to_string()),
            Some(Matcher::Query { name, .. }) => Verdict::QueryDiffers(name.to_string()),
            None if !candidate.methods.meets(self.method) => Verdict::MethodDiffers,
            None if self.list.iter().any(|before| before.verdict == Verdict::Wins) => Verdict::Late,
            None => Verdict::Wins,
        };
        self.add(candidate, verdict);
        ControlFlow::Continue(())
    }

    fn path_differs(&mut self, candidate: &Candidate) {
        self.add(candidate, Verdict::PathDiffers);
    }
}

#[cfg(test)]
mod tests;
