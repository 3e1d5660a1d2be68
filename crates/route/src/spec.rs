//! What the router is built from, and what it says of mistakes in it.
//!
//! Plain data, as the operator wrote it; positions in files belong to the caller, who finds them
//! again through [`Place`]. Built and judged when a configuration is checked, never per request.

use std::ops::Range;

use crate::captures::CaptureNames;
use crate::pattern::Pattern;
use crate::regexes::PathRegex;

/// The routes of one server: those of its sites, and its own, which serve any host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterSpec {
    /// The sites, in file order.
    pub sites: Vec<SiteSpec>,
    /// The server's own routes, in file order; tried after those of the request's site.
    pub routes: Vec<RouteSpec>,
}

/// The routes of some hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSpec {
    /// Names, or `*.name` for all with one or more labels in front. Any case, without a port.
    pub hosts: Vec<String>,
    /// The routes, in file order.
    pub routes: Vec<RouteSpec>,
}

/// One route: what a request must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// What the path must look like.
    pub path: PathSpec,
    /// The methods, in capitals; empty means every one but TRACE and CONNECT. HEAD follows GET.
    pub methods: Vec<String>,
    /// Header fields that must all be there; one of a field's values must match.
    pub headers: Vec<(String, ValueMatch)>,
    /// Parameters of the query that must all be there, both sides decoded; one of a parameter's
    /// values must match.
    pub query: Vec<(String, ValueMatch)>,
}

/// What a path must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSpec {
    /// A pattern: `/users/{id}`, `/files/{*rest}`.
    Path(String),
    /// A regex over the canonical path, from its start but not necessarily to its end.
    Regex(String),
}

impl PathSpec {
    /// The text, as written.
    pub fn text(&self) -> &str {
        match self {
            Self::Path(text) | Self::Regex(text) => text,
        }
    }

    /// The names of the captures; `None` if the text is malformed. What is in the route can so be
    /// checked even where another route keeps the router from being built.
    pub fn captures(&self) -> Option<CaptureNames> {
        match self {
            Self::Path(text) => Some(Pattern::parse(text).ok()?.capture_names()),
            Self::Regex(text) => Some(PathRegex::compile(text).ok()?.1),
        }
    }
}

/// What a value must look like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueMatch {
    /// These bytes, in this case.
    Exact(String),
    /// A regex that matches anywhere in the value.
    Regex(String),
}

/// A route by its place in the [`RouterSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteRef {
    /// The site's index; `None` for the server's own routes.
    pub site: Option<usize>,
    /// The route's index there.
    pub route: usize,
}

/// A text in the [`RouterSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A site as a whole.
    Site {
        /// Its index.
        site: usize,
    },
    /// A host of a site.
    Host {
        /// The site's index.
        site: usize,
        /// The host's index in [`SiteSpec::hosts`].
        host: usize,
    },
    /// A route's pattern or regex, which stands for the route as a whole too.
    Path(RouteRef),
    /// A method of a route, by its index.
    Method(RouteRef, usize),
    /// A header matcher of a route, by its index.
    Header(RouteRef, usize),
    /// A query matcher of a route, by its index.
    Query(RouteRef, usize),
}

impl Place {
    /// The route that the place is in, if it is in one.
    pub fn route(self) -> Option<RouteRef> {
        match self {
            Self::Site { .. } | Self::Host { .. } => None,
            Self::Path(route)
            | Self::Method(route, _)
            | Self::Header(route, _)
            | Self::Query(route, _) => Some(route),
        }
    }
}

/// Something wrong, or doubtful, in a [`RouterSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which mistake it is.
    pub kind: ProblemKind,
    /// Where it is.
    pub at: Place,
    /// The other place that it is about, as with a conflict.
    pub other: Option<Place>,
    /// The bytes of the text at `at` that are wrong; `None` means all of it.
    pub range: Option<Range<usize>>,
    /// What is wrong: lower case, without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    /// Whether the router works all the same.
    pub fn is_warning(&self) -> bool {
        matches!(self.kind, ProblemKind::Overlap | ProblemKind::Doubtful)
    }
}

/// Which mistake a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A host is no name, or a site has none.
    Host,
    /// A host stands twice.
    SameHost,
    /// A pattern is malformed.
    Pattern,
    /// The name of a header matcher is none.
    FieldName,
    /// A regex is malformed or too large.
    Regex,
    /// A method is no method, or one that no route may take.
    Method,
    /// A header or query matcher is malformed or can never hold.
    Matcher,
    /// More routes than a router takes.
    TooMany,
    /// Two routes of a site match exactly the same requests.
    Conflict,
    /// A route can never win, since others take every request that it matches.
    DeadRoute,
    /// Only their order in the file decides between two routes; a warning.
    Overlap,
    /// A text that probably means something else than it says; a warning.
    Doubtful,
}
