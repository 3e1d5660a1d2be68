//! The order of routes that match the same paths, and what is wrong with it.
//!
//! More matchers come first, then the earlier in the file. Two routes that cannot be told apart,
//! and a route that can never win, are errors; where only the file's order decides, a warning.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::compile::{Path, Route};
use crate::method::MethodSet;
use crate::regexes;
use crate::spec::{Place, Problem, ProblemKind, ValueMatch};

/// Puts the routes of a site into their order within a leaf. Regexes keep the file's order: each is
/// a leaf of its own.
pub(crate) fn sort(routes: &mut [Route]) {
    routes.sort_by_key(|route| match route.path {
        Path::Pattern(_) => (Reverse(route.matcher_count()), route.place.route),
        Path::Regex(..) => (Reverse(0), route.place.route),
    });
}

/// Checks the routes of one site, in file order, against each other.
pub(crate) fn check(routes: &[Route], problems: &mut Vec<Problem>) {
    let mut shapes: HashMap<&str, Vec<&Route>> = HashMap::new();
    for route in routes {
        shapes.entry(&route.shape).or_default().push(route);
    }
    for mut same in shapes.into_values() {
        if matches!(same.first(), Some(Route { path: Path::Pattern(_), .. })) {
            same.sort_by_key(|route| (Reverse(route.matcher_count()), route.place.route));
        }
        check_leaf(&same, problems);
    }
    check_behind_regexes(routes, problems);
}

/// Checks routes that match the same paths, in their order.
fn check_leaf(routes: &[&Route], problems: &mut Vec<Problem>) {
    let mut alive: Vec<&Route> = Vec::new();
    for &route in routes {
        if let Some(twin) = alive.iter().find(|other| is_twin(other, route)) {
            problems.push(conflict(twin, route));
        } else if let Some(other) = hidden_by(route, &alive) {
            problems.push(dead(
                other,
                route,
                "move it before that one, or give it another matcher",
            ));
        } else {
            let is_pattern = matches!(route.path, Path::Pattern(_));
            if let Some(other) = alive.iter().find(|other| is_pattern && overlap(other, route)) {
                problems.push(only_order_decides(other, route));
            }
            alive.push(route);
        }
    }
}

/// Whether two routes of one shape match exactly the same requests.
fn is_twin(a: &Route, b: &Route) -> bool {
    a.methods == b.methods && a.headers == b.headers && a.query == b.query
}

/// The route that takes the last of `route`'s methods, if those in `before` leave none to it.
fn hidden_by<'a>(route: &Route, before: &[&'a Route]) -> Option<&'a Route> {
    let mut taken = MethodSet::NONE;
    before.iter().copied().find(|other| {
        if other.headers.is_subset(&route.headers) && other.query.is_subset(&route.query) {
            taken = taken.with(other.methods);
        }
        taken.holds(route.methods)
    })
}

/// Whether some request may satisfy both, and their numbers of matchers do not decide.
fn overlap(a: &Route, b: &Route) -> bool {
    a.matcher_count() == b.matcher_count()
        && a.methods.meets(b.methods)
        && !contradict(&a.headers, &b.headers)
        && !contradict(&a.query, &b.query)
}

/// Whether two sets of matchers ask for different values of the same name. (A request that gives
/// several values could satisfy both; the order of such routes is not worth a warning.)
fn contradict(a: &BTreeSet<(String, ValueMatch)>, b: &BTreeSet<(String, ValueMatch)>) -> bool {
    let exact = |set: &BTreeSet<(String, ValueMatch)>, name: &str| {
        set.iter().any(|(other, value)| other == name && matches!(value, ValueMatch::Exact(_)))
    };
    a.iter().any(|pair @ (name, value)| {
        matches!(value, ValueMatch::Exact(_)) && !b.contains(pair) && exact(b, name)
    })
}

/// Finds routes behind a regex that takes every path.
fn check_behind_regexes(routes: &[Route], problems: &mut Vec<Problem>) {
    let is_wildcard =
        |route: &Route| matches!(&route.path, Path::Pattern(pattern) if pattern.rest.is_some());
    let mut greedy: Vec<&Route> = Vec::new();
    let (regexes, patterns): (Vec<_>, Vec<_>) =
        routes.iter().partition(|route| matches!(route.path, Path::Regex(..)));
    for route in regexes.into_iter().chain(patterns.into_iter().filter(|r| is_wildcard(r))) {
        let help = "move the regex's work to a wildcard, `/{*rest}`, which is tried last";
        if let Some(other) = hidden_by(route, &greedy)
            && !problems.iter().any(|p| p.at == Place::Path(route.place) && !p.is_warning())
        {
            problems.push(dead(other, route, help));
        }
        let text = route.shape.strip_prefix("regex ");
        if matches!(route.path, Path::Regex(..)) && text.is_some_and(regexes::takes_every_path) {
            greedy.push(route);
        }
    }
}

fn conflict(first: &Route, second: &Route) -> Problem {
    // The order of a leaf is not that of the file: the later one is to blame.
    let (first, second) =
        if first.place < second.place { (first, second) } else { (second, first) };
    Problem {
        kind: ProblemKind::Conflict,
        at: Place::Path(second.place),
        other: Some(Place::Path(first.place)),
        range: None,
        message: "two routes match exactly the same requests".to_owned(),
        help: "take one out, or tell them apart by `methods`, `headers` or `query`".to_owned(),
    }
}

fn dead(winner: &Route, route: &Route, help: &str) -> Problem {
    Problem {
        kind: ProblemKind::DeadRoute,
        at: Place::Path(route.place),
        other: Some(Place::Path(winner.place)),
        range: None,
        message: "this route can never win: others take every request that it matches".to_owned(),
        help: help.to_owned(),
    }
}

fn only_order_decides(first: &Route, second: &Route) -> Problem {
    Problem {
        kind: ProblemKind::Overlap,
        at: Place::Path(second.place),
        other: Some(Place::Path(first.place)),
        range: None,
        message: "only the order in the file decides between two routes".to_owned(),
        help: "tell them apart, or give the one that should win another matcher".to_owned(),
    }
}
