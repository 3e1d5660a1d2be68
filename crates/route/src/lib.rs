//! Which route answers a request: canonical paths, patterns, captures and the router.
//!
//! A shell writes the request's path once with [`canonicalize`]; router, rules, handlers, log and
//! upstream see that one form. [`Router::build`] compiles the routes of one server, or says what is
//! wrong with them; [`Router::find`] picks the first route in a total order that matches.
//!
//! Pure: no sockets, no clock, no system calls. A lookup allocates nothing once its [`Captures`] is
//! warm, and its cost does not grow with the number of literal and parameter routes.

#![forbid(unsafe_code)]

mod canonical;
mod captures;
mod compile;
mod hosts;
mod literals;
mod matcher;
mod method;
mod order;
mod pattern;
mod regexes;
mod request;
mod router;
mod spec;
mod table;
mod tree;

pub use canonical::{
    canonicalize, decode, has_empty_segment, has_encoded_slash, one_leading_slash,
};
pub use captures::{CaptureNames, Captures};
pub use method::Allow;
pub use pattern::{Pattern, PatternError, Segment, canonical_pattern};
pub use regexes::{PathRegex, RegexFault};
pub use request::{Request, Sample};
pub use router::{Considered, Found, Lookup, Router, Verdict};
pub use spec::{
    PathSpec, Place, Problem, ProblemKind, RouteRef, RouteSpec, RouterSpec, SiteSpec, ValueMatch,
};

#[cfg(test)]
mod tests;
