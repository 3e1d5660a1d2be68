//! Routes: what is found is what `explain` says, and its captures lie where the pattern has them.
//!
//! The input is text: lines `PATTERN`, `METHOD PATTERN` or `~REGEX` until an empty one, then lines
//! `PATH` or `METHOD PATH` that are looked up.

use stead_route::{
    Captures, Found, PathSpec, Pattern, RouteRef, RouteSpec, Router, RouterSpec, Sample, Segment,
    Verdict, canonicalize,
};

/// Any bytes as routes and requests.
pub fn route(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let until_empty = lines.by_ref().take_while(|line| !line.is_empty());
    let own = until_empty.take(ROUTES_MAX).map(parse_route).collect();
    let spec = RouterSpec { sites: Vec::new(), routes: own };
    let router = match Router::build(&spec) {
        Ok((built, warnings)) => {
            assert!(warnings.iter().all(stead_route::Problem::is_warning), "{warnings:?}");
            built
        }
        Err(problems) => {
            assert!(problems.iter().any(|problem| !problem.is_warning()), "{problems:?}");
            return;
        }
    };
    let mut captures = Captures::new();
    for request in lines.filter_map(parse_request) {
        check_lookup(&spec, &router, &request, &mut captures);
    }
}

fn parse_route(line: &str) -> RouteSpec {
    let (method, path) = split_method(line);
    let path = match path.strip_prefix('~') {
        Some(regex) => PathSpec::Regex(regex.to_owned()),
        None => PathSpec::Path(path.to_owned()),
    };
    let methods = method.map(str::to_owned).into_iter().collect();
    RouteSpec { path, methods, headers: Vec::new(), query: Vec::new() }
}

fn parse_request(line: &str) -> Option<Sample> {
    let (method, raw) = split_method(line);
    let mut path = String::new();
    canonicalize(raw.as_bytes(), &mut path).ok()?;
    Some(Sample { method: method.unwrap_or("GET").to_owned(), path, ..Sample::default() })
}

fn split_method(line: &str) -> (Option<&str>, &str) {
    match line.split_once(' ') {
        Some((method, path)) => (Some(method), path),
        None => (None, line),
    }
}

fn check_lookup(spec: &RouterSpec, router: &Router, request: &Sample, captures: &mut Captures) {
    let found = router.find(request, captures).found;
    let explained = router.explain(request);
    let winners: Vec<RouteRef> = explained
        .iter()
        .filter(|considered| considered.verdict == Verdict::Wins)
        .map(|considered| considered.route)
        .collect();
    let Found::Route(winner) = found else {
        assert!(winners.is_empty(), "{request:?}: found {found:?}, explained {explained:?}");
        return;
    };
    assert_eq!(winners, [winner], "{request:?}: {explained:?}");
    let names = router.captures_of(winner).expect("a route that wins is a route");
    assert_eq!(names.names.len(), captures.len(), "{request:?}");
    if let PathSpec::Path(pattern) = &spec.routes[winner.route].path {
        let pattern = Pattern::parse(pattern).expect("the router was built from it");
        assert_eq!(filled(&pattern, captures, &request.path), request.path, "{pattern:?}");
    }
}

/// The pattern with its captures in their places: the path that it matched.
fn filled(pattern: &Pattern, captures: &Captures, path: &str) -> String {
    let mut text = String::new();
    let mut values = captures.iter(path);
    for segment in &pattern.segments {
        text.push('/');
        text.push_str(match segment {
            Segment::Literal(literal) => literal,
            Segment::Capture(_) => values.next().expect("one value for each name"),
        });
    }
    if pattern.rest.is_some() {
        text.push('/');
        text.push_str(values.next().expect("one value for the rest"));
    }
    text
}

/// Enough for every kind of fork; more only makes a search slow.
const ROUTES_MAX: usize = 40;
