//! The total order written down once more, as plainly as it goes: collect the routes that match,
//! sort them, take the first. Random routes and requests, and the router must agree with it.

use std::cmp::Ordering;

use proptest::prelude::*;

use crate::{
    Captures, Considered, Found, PathSpec, Pattern, ProblemKind, Request, RouteRef, RouteSpec,
    Router, RouterSpec, Sample, Segment, SiteSpec, ValueMatch, Verdict, canonicalize,
};

/// What the order says: the winner with its captures, or the status that the caller answers.
#[derive(Debug, PartialEq)]
enum Expected {
    Route(RouteRef, Vec<(String, String)>),
    MethodNotAllowed,
    Options,
    NotFound,
}

/// A route whose path matches.
struct Match<'a> {
    route: RouteRef,
    spec: &'a RouteSpec,
    captures: Vec<(String, String)>,
    rank: Rank,
}

#[derive(PartialEq)]
enum Rank {
    Path(Pattern),
    Regex,
    Wildcard(Pattern),
}

fn expected(spec: &RouterSpec, request: &Sample) -> Expected {
    let matches = matches(spec, request);
    let mut failed_on_method = request.method == "TRACE";
    for found in &matches {
        if !matchers_hold(found.spec, request) {
            continue;
        }
        if method_holds(found.spec, &request.method) {
            return Expected::Route(found.route, found.captures.clone());
        }
        failed_on_method = true;
    }
    match (failed_on_method, request.method.as_str()) {
        (false, _) => Expected::NotFound,
        (true, "OPTIONS") => Expected::Options,
        (true, _) => Expected::MethodNotAllowed,
    }
}

/// Every route whose path matches, in the total order.
fn matches<'a>(spec: &'a RouterSpec, request: &Sample) -> Vec<Match<'a>> {
    let site = site_of(spec, request.host.as_deref());
    let mut tables = vec![(None, &spec.routes)];
    if let Some(site) = site {
        tables.insert(0, (Some(site), &spec.sites[site].routes));
    }
    let mut all = Vec::new();
    for (site, routes) in tables {
        let routes = routes.iter().enumerate();
        let mut matches: Vec<_> = routes
            .filter_map(|(route, spec)| path_match(RouteRef { site, route }, spec, &request.path))
            .collect();
        matches.sort_by(compare);
        all.extend(matches);
    }
    all
}

fn site_of(spec: &RouterSpec, host: Option<&str>) -> Option<usize> {
    let host = host?.to_ascii_lowercase();
    let hosts = spec.sites.iter().enumerate();
    let hosts = hosts.flat_map(|(site, spec)| spec.hosts.iter().map(move |host| (site, host)));
    let fits = |name: &str| match name.strip_prefix('*') {
        Some(tail) => host.ends_with(tail) && host.len() > tail.len(),
        None => host == name,
    };
    let fitting = hosts.filter(|(_, name)| fits(name));
    fitting.max_by_key(|(_, name)| (!name.starts_with('*'), name.len())).map(|(site, _)| site)
}

fn path_match<'a>(route: RouteRef, spec: &'a RouteSpec, path: &str) -> Option<Match<'a>> {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (rank, captures) = match &spec.path {
        PathSpec::Regex(text) => {
            let (regex, names) = crate::regexes::PathRegex::compile(text).ok()?;
            let mut found = Captures::new();
            if !regex.captures(path, &mut found) {
                return None;
            }
            let values = found.iter(path);
            (Rank::Regex, names.names.iter().zip(values).map(|(n, v)| own(n, v)).collect())
        }
        PathSpec::Path(text) => {
            let pattern = Pattern::parse(text).ok()?;
            let segments: Vec<_> = path[1..].split('/').collect();
            let count = pattern.segments.len();
            let enough = if pattern.rest.is_some() {
                segments.len() > count
            } else {
                segments.len() == count
            };
            if !enough {
                return None;
            }
            let mut captures = Vec::new();
            for (segment, found) in pattern.segments.iter().zip(&segments) {
                match segment {
                    Segment::Literal(text) if text == found => {}
                    Segment::Capture(name) if !found.is_empty() => captures.push(own(name, found)),
                    _ => return None,
                }
            }
            if let Some(name) = &pattern.rest {
                captures.push(own(name, &segments[count..].join("/")));
            }
            let rest = pattern.rest.is_some();
            (if rest { Rank::Wildcard(pattern) } else { Rank::Path(pattern) }, captures)
        }
    };
    Some(Match { route, spec, captures, rank })
}

fn compare(a: &Match<'_>, b: &Match<'_>) -> Ordering {
    let class = |rank: &Rank| match rank {
        Rank::Path(_) => 0,
        Rank::Regex => 1,
        Rank::Wildcard(_) => 2,
    };
    let file = a.route.route.cmp(&b.route.route);
    let matchers = count(b.spec).cmp(&count(a.spec)).then(file);
    match (&a.rank, &b.rank) {
        (Rank::Path(x), Rank::Path(y)) | (Rank::Wildcard(x), Rank::Wildcard(y)) => {
            by_segments(x, y).then(matchers)
        }
        (Rank::Regex, Rank::Regex) => file,
        (x, y) => class(x).cmp(&class(y)),
    }
}

fn by_segments(a: &Pattern, b: &Pattern) -> Ordering {
    let is_capture = |segment: &Segment| matches!(segment, Segment::Capture(_));
    let pairs = a.segments.iter().zip(&b.segments);
    let mut kinds = pairs.map(|(a, b)| is_capture(a).cmp(&is_capture(b)));
    let longer = b.segments.len().cmp(&a.segments.len());
    kinds.find(|order| order.is_ne()).unwrap_or(longer)
}

fn count(spec: &RouteSpec) -> usize {
    usize::from(!spec.methods.is_empty()) + spec.headers.len() + spec.query.len()
}

fn method_holds(spec: &RouteSpec, method: &str) -> bool {
    if spec.methods.is_empty() {
        return method != "TRACE";
    }
    spec.methods.iter().any(|named| named == method || named == "GET" && method == "HEAD")
}

fn matchers_hold(spec: &RouteSpec, request: &Sample) -> bool {
    let is = |wanted: &ValueMatch, value: &str| match wanted {
        ValueMatch::Exact(text) => text == value,
        ValueMatch::Regex(_) => unreachable!("only exact values are made here"),
    };
    let pairs = request.query.as_deref().unwrap_or_default().split('&');
    let pairs: Vec<_> = pairs.filter_map(|pair| pair.split_once('=')).collect();
    spec.headers.iter().all(|(name, wanted)| {
        request.headers.iter().any(|(other, value)| other == name && is(wanted, value))
    }) && spec
        .query
        .iter()
        .all(|(name, wanted)| pairs.iter().any(|(other, value)| other == name && is(wanted, value)))
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => Just("a"), 2 => Just("b"), 1 => Just(""), 1 => Just("abcdefgh-long"), 3 => Just("{}"),
    ];
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, rest)| {
        let mut text = String::new();
        for (index, segment) in segments.iter().enumerate() {
            text.push('/');
            text.push_str(&segment.replace("{}", &format!("{{c{index}}}")));
        }
        if rest || segments.is_empty() {
            text.push_str("/{*rest}");
        }
        text
    })
}

fn route() -> impl Strategy<Value = RouteSpec> {
    const REGEXES: [&str; 7] =
        ["^/a", "/(?<x>[ab])", "/a/b$", "b", "^/(?<x>a)?/?(?<y>b)?", "/[^/]*/(?<z>.*)", "^"];
    let path = prop_oneof![
        4 => pattern().prop_map(PathSpec::Path),
        1 => prop::sample::select(&REGEXES[..]).prop_map(|text| PathSpec::Regex(text.to_owned())),
    ];
    let methods = prop::sample::subsequence(&["GET", "HEAD", "POST", "OPTIONS", "PURGE"][..], 0..3);
    let few = prop_oneof![2 => Just(0_usize), 1 => 1..3_usize];
    let pairs =
        |few: usize| prop::sample::subsequence(&[("x", "1"), ("x", "2"), ("y", "1")][..], few);
    let headers = few.clone().prop_flat_map(pairs);
    let query = few.prop_flat_map(pairs);
    (path, methods, headers, query).prop_map(|(path, methods, headers, query)| {
        let matchers = |pairs: Vec<(&str, &str)>| {
            let exact = |value: &str| ValueMatch::Exact(value.to_owned());
            pairs.iter().map(|(name, value)| (name.to_string(), exact(value))).collect()
        };
        let methods = methods.into_iter().map(str::to_owned).collect();
        RouteSpec { path, methods, headers: matchers(headers), query: matchers(query) }
    })
}

fn router_spec() -> impl Strategy<Value = RouterSpec> {
    const HOSTS: [&[&str]; 3] = [&["a.com", "*.b.a.com"], &["*.a.com"], &["*.x.b.a.com", "c.com"]];
    let routes = || prop::collection::vec(route(), 0..8);
    (prop::collection::vec(routes(), 0..3), routes()).prop_map(|(sites, routes)| {
        let sites = sites.into_iter().zip(HOSTS).map(|(routes, hosts)| SiteSpec {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            routes,
        });
        RouterSpec { sites: sites.collect(), routes }
    })
}

fn request() -> impl Strategy<Value = Sample> {
    let segment = prop::sample::select(&["a", "b", "", "abcdefgh-long", "%2F", "z"][..]);
    let path = prop::collection::vec(segment, 1..5)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    let hosts = ["a.com", "X.A.com", "b.a.com", "y.b.a.com", "y.x.B.a.com", "c.com", "d.com"];
    let host = prop::option::of(prop::sample::select(hosts.to_vec()));
    let method =
        prop::sample::select(&["GET", "HEAD", "POST", "OPTIONS", "PURGE", "TRACE", "other"][..]);
    let values = || prop::sample::subsequence(&[("x", "1"), ("x", "2"), ("y", "1")][..], 0..=3);
    (path, host, method, values(), values()).prop_map(|(path, host, method, headers, query)| {
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Sample {
            method: method.to_owned(),
            host: host.map(str::to_owned),
            path,
            query: (!query.is_empty()).then(|| query.join("&")),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        }
    })
}

/// The router of `spec` without the routes that are errors in it; these are given too.
fn build_valid(spec: &RouterSpec) -> (Router, RouterSpec, Vec<(RouteRef, ProblemKind)>) {
    let mut valid = spec.clone();
    let mut taken_out = Vec::new();
    let mut first = true;
    loop {
        match Router::build(&valid) {
            Ok((router, _)) => return (router, valid, taken_out),
            Err(problems) => {
                let errors = problems.iter().filter(|problem| !problem.is_warning());
                let mut routes: Vec<_> =
                    errors.map(|p| (p.at.route().expect("it is in a route"), p.kind)).collect();
                if std::mem::take(&mut first) {
                    taken_out.clone_from(&routes);
                }
                routes.sort_unstable();
                routes.dedup_by_key(|(route, _)| *route);
                for (route, _) in routes.iter().rev() {
                    let list = match route.site {
                        Some(site) => &mut valid.sites[site].routes,
                        None => &mut valid.routes,
                    };
                    list.remove(route.route);
                }
            }
        }
    }
}

fn found(router: &Router, request: &Sample) -> Expected {
    let mut captures = Captures::new();
    match router.find(request, &mut captures).found {
        Found::Route(route) => {
            let names = router.captures_of(route).expect("the route exists").names.iter().cloned();
            let values = captures.iter(&request.path).map(str::to_owned);
            Expected::Route(route, names.zip(values).collect())
        }
        Found::MethodNotAllowed { .. } => Expected::MethodNotAllowed,
        Found::Options { .. } => Expected::Options,
        Found::NotFound => Expected::NotFound,
    }
}

/// Bytes that a shell might hand on if it checked nothing.
#[derive(Debug)]
struct Hostile(String, Vec<u8>, String, Vec<u8>);

impl Request for Hostile {
    fn method(&self) -> &str {
        &self.0
    }

    fn host(&self) -> Option<&[u8]> {
        Some(&self.1)
    }

    fn path(&self) -> &str {
        &self.2
    }

    fn header(&self, _: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        each(&self.3)
    }

    fn query(&self) -> Option<&[u8]> {
        Some(&self.3)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_router_follows_the_total_order(
        spec in router_spec(),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let (router, spec, _) = build_valid(&spec);
        for request in &requests {
            prop_assert_eq!(found(&router, request), expected(&spec, request), "{:?}", request);
        }
    }

    #[test]
    fn the_explanation_is_what_happens(spec in router_spec(), request in request()) {
        let (router, spec, _) = build_valid(&spec);
        let considered = router.explain(&request);
        let wins = considered.iter().find(|c| c.verdict == Verdict::Wins).map(|c| c.route);
        let winner = match expected(&spec, &request) {
            Expected::Route(route, _) => Some(route),
            Expected::MethodNotAllowed | Expected::Options | Expected::NotFound => None,
        };
        prop_assert_eq!(wins, winner);
        let tried = considered.iter().filter(|c| c.verdict != Verdict::PathDiffers);
        let order: Vec<_> = matches(&spec, &request).iter().map(|found| found.route).collect();
        prop_assert_eq!(tried.map(|Considered { route, .. }| *route).collect::<Vec<_>>(), order);
    }

    /// A route reported as dead, or as the later twin of another, wins nothing in the plain order.
    #[test]
    fn what_is_called_dead_never_wins(
        spec in router_spec(),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let (_, _, errors) = build_valid(&spec);
        for request in &requests {
            if let Expected::Route(winner, _) = expected(&spec, request) {
                prop_assert!(errors.iter().all(|(route, _)| *route != winner), "{:?}", request);
            }
        }
    }

    #[test]
    fn any_request_is_answered(
        spec in router_spec(),
        method in "\\PC{0,8}",
        host in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[.a-cA-C*/]{0,12}(a\\.com)?\\.?".prop_map(String::into_bytes),
        ],
        path in "\\PC{0,20}|/[/ab%é{}*]{0,20}",
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            "[xy12&=%+]{0,12}".prop_map(String::into_bytes),
        ],
    ) {
        let (router, ..) = build_valid(&spec);
        let request = Hostile(method, host, path, bytes);
        let mut captures = Captures::new();
        router.find(&request, &mut captures);
        for index in 0..captures.len() {
            prop_assert!(captures.get(request.path(), index).is_some());
        }
        router.explain(&request);
    }

    #[test]
    fn any_text_is_compiled_or_refused(
        path in "\\PC{0,20}|/?[a{}*/%:]{0,12}",
        regex in "\\PC{0,12}|[a-c\\\\()?<>\\[\\]{}*+|^$.0-9]{0,12}",
        host in "\\PC{0,12}|[a*.:\\[\\]0-9]{0,8}",
        name in "\\PC{0,6}",
    ) {
        let one = |path| RouteSpec {
            path,
            methods: vec![name.clone()],
            headers: vec![(name.clone(), ValueMatch::Regex(regex.clone()))],
            query: vec![(name.clone(), ValueMatch::Exact(name.clone()))],
        };
        let routes = vec![one(PathSpec::Path(path.clone())), one(PathSpec::Regex(regex.clone()))];
        let sites = vec![SiteSpec { hosts: vec![host], routes }];
        let spec = RouterSpec { sites, routes: Vec::new() };
        for problem in Router::build(&spec).err().unwrap_or_default() {
            let text = match problem.at {
                crate::Place::Path(RouteRef { route: 0, .. }) => &path,
                crate::Place::Path(_) | crate::Place::Header(..) => &regex,
                _ => continue,
            };
            if let Some(range) = problem.range {
                prop_assert!(text.get(range).is_some(), "{}", text);
            }
        }
    }

    #[test]
    fn canonical_paths_are_routed_as_they_are(raw in prop::collection::vec(any::<u8>(), 0..24)) {
        let mut path = String::new();
        if canonicalize(&raw, &mut path).is_ok() {
            let (router, _) = Router::build(&super::spec("/{*rest}")).unwrap();
            let request = Sample { method: "GET".to_owned(), path, ..Sample::default() };
            let mut captures = Captures::new();
            router.find(&request, &mut captures);
            prop_assert_eq!(captures.get(&request.path, 0), Some(&request.path[1..]));
        }
    }
}
