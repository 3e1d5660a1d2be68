//! Routes and requests as short texts, for the tests of every module; and the router against a
//! reference that does nothing clever.
//!
//! A line is a route: `GET,POST /a/{x} x-canary=1 ?v~^2`, where `~` before the path makes it a
//! regex, `name=value` is a header, a leading `?` makes it a parameter of the query, and `~` for
//! `=` a regex. `site HOST…` begins a site, `server` goes back to the server's own routes.

mod reference;

use std::fmt::Write;

use crate::{
    Captures, Found, PathSpec, RouteRef, RouteSpec, Router, RouterSpec, Sample, SiteSpec,
    ValueMatch, canonicalize,
};

pub(crate) fn spec(text: &str) -> RouterSpec {
    let mut spec = RouterSpec::default();
    let mut in_site = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(hosts) = line.strip_prefix("site ") {
            let hosts = hosts.split_whitespace().map(str::to_owned).collect();
            spec.sites.push(SiteSpec { hosts, routes: Vec::new() });
            in_site = true;
        } else if line == "server" {
            in_site = false;
        } else {
            let site = spec.sites.last_mut().filter(|_| in_site);
            site.map_or(&mut spec.routes, |site| &mut site.routes).push(route(line));
        }
    }
    spec
}

pub(crate) fn route(line: &str) -> RouteSpec {
    let mut words = line.split_whitespace().peekable();
    let methods = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let methods = methods.map_or(Vec::new(), |list| list.split(',').map(str::to_owned).collect());
    let path = words.next().unwrap_or_default();
    let path = match path.strip_prefix('~') {
        Some(regex) => PathSpec::Regex(regex.to_owned()),
        None => PathSpec::Path(path.to_owned()),
    };
    let (query, headers): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('?'));
    let headers = headers.into_iter().map(matcher).collect();
    let query = query.iter().map(|word| matcher(&word[1..])).collect();
    RouteSpec { path, methods, headers, query }
}

fn matcher(word: &str) -> (String, ValueMatch) {
    let at = word.find(['=', '~']).expect("a matcher has = or ~");
    let value = word[at + 1..].to_owned();
    let value = if word.as_bytes()[at] == b'~' {
        ValueMatch::Regex(value)
    } else {
        ValueMatch::Exact(value)
    };
    (word[..at].to_owned(), value)
}

/// `POST //host/path?query x-canary=1`; without a method a GET, without a host none.
pub(crate) fn request(line: &str) -> Sample {
    let mut words = line.split_whitespace().peekable();
    let method = words.next_if(|word| !word.contains('/') || word.len() < 2 && *word != "/");
    let uri = words.next().unwrap_or_default();
    let (host, target) = match uri.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", uri),
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut canonical = String::new();
    canonicalize(path.as_bytes(), &mut canonical).expect("the path is valid");
    let headers = words.filter_map(|word| word.split_once('='));
    Sample {
        method: method.unwrap_or("GET").to_owned(),
        host: (!host.is_empty()).then(|| host.to_owned()),
        path: canonical,
        query,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

/// The line of a route in the text that [`spec`] read.
pub(crate) fn line_of(text: &str, wanted: RouteRef) -> &str {
    let (mut sites, mut site) = (0, None);
    let mut counts = std::collections::HashMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("site ") {
            site = Some(sites);
            sites += 1;
        } else if line == "server" {
            site = None;
        } else {
            let count: &mut usize = counts.entry(site).or_default();
            if wanted == (RouteRef { site, route: *count }) {
                return line;
            }
            *count += 1;
        }
    }
    ""
}

/// What the routes of `lines` answer to `line`: the winner's line and its captures, or the status
/// and `Allow`.
pub(crate) fn answer(lines: &str, line: &str) -> String {
    let (router, _) = Router::build(&spec(lines)).expect("the routes are valid");
    let request = request(line);
    let mut captures = Captures::new();
    match router.find(&request, &mut captures).found {
        Found::Route(route) => {
            let names = router.captures_of(route).expect("the route exists");
            assert_eq!(names.names.len(), captures.len());
            let mut answer = line_of(lines, route).to_owned();
            for (name, value) in names.names.iter().zip(captures.iter(&request.path)) {
                let _ = write!(answer, " {name}:{value}");
            }
            answer
        }
        Found::MethodNotAllowed { allow } => format!("405 {allow}").trim_end().to_owned(),
        Found::Options { allow } => format!("204 {allow}"),
        Found::NotFound => "404".to_owned(),
    }
}

/// Checks what the routes of `lines` answer to each request.
#[track_caller]
pub(crate) fn check(lines: &str, expect: &[(&str, &str)]) {
    for (request, expected) in expect {
        assert_eq!(&answer(lines, request), expected, "{request} among\n{lines}");
    }
}
