//! Tests of what is refused and what is warned of.

use super::*;
use crate::tests::{line_of, spec};

/// Each problem as `kind at [< other]: message`, where `at` is the marked text.
fn problems(text: &str) -> Vec<String> {
    let spec = spec(text);
    let problems = match Router::build(&spec) {
        Ok((_, warnings)) => {
            assert!(warnings.iter().all(Problem::is_warning));
            warnings
        }
        Err(problems) => {
            assert!(!problems.iter().all(Problem::is_warning));
            problems
        }
    };
    let mut lines = Vec::new();
    for problem in problems {
        assert!(!problem.help.is_empty() && !problem.message.ends_with('.'), "{problem:?}");
        let at = show(text, &spec, problem.at, problem.range.clone());
        let other = problem.other.map(|other| format!(" < {}", show(text, &spec, other, None)));
        lines.push(format!("{:?} {at}{}", problem.kind, other.unwrap_or_default()));
    }
    lines
}

fn show(
    text: &str,
    spec: &RouterSpec,
    place: Place,
    range: Option<std::ops::Range<usize>>,
) -> String {
    let routes = |site: Option<usize>| site.map_or(&spec.routes, |s| &spec.sites[s].routes);
    let route = |at: RouteRef| &routes(at.site)[at.route];
    match place {
        Place::Site { site } => format!("site {site}"),
        Place::Host { site, host } => spec.sites[site].hosts[host].clone(),
        Place::Method(at, index) => route(at).methods[index].clone(),
        Place::Header(at, index) => route(at).headers[index].0.clone(),
        Place::Query(at, index) => route(at).query[index].0.clone(),
        Place::Path(at) => match (&route(at).path, range) {
            (PathSpec::Path(text) | PathSpec::Regex(text), Some(range)) => text[range].to_owned(),
            (_, None) => line_of(text, at).to_owned(),
        },
    }
}

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    assert_eq!(problems(text), expect, "{text}");
}

#[test]
fn routes_that_cannot_be_told_apart_are_a_conflict() {
    check("/a\n/a", &["Conflict /a < /a"]);
    check("/a/{x}\n/a/{y}", &["Conflict /a/{y} < /a/{x}"]);
    check("/{*x}\n/{*y}", &["Conflict /{*y} < /{*x}"]);
    check("/%7Ea\n/~a", &["Conflict /~a < /%7Ea"]);
    check("/a/./b\n/a/b", &["Conflict /a/b < /a/./b"]);
    check("~^/a\n~^/a", &["Conflict ~^/a < ~^/a"]);
    check("GET,HEAD /a\nGET /a", &["Conflict GET /a < GET,HEAD /a"]);
    check("POST,GET /a\nGET,POST /a", &["Conflict GET,POST /a < POST,GET /a"]);
    check("/a x=1 ?y=2 Z=3\n/a z=3 x=1 ?y=2", &["Conflict /a z=3 x=1 ?y=2 < /a x=1 ?y=2 Z=3"]);
    check("/a\n/a\n/a", &["Conflict /a < /a", "Conflict /a < /a"]);
}

#[test]
fn the_same_path_in_two_sites_is_no_conflict() {
    check("site a.com\n/a\nsite b.com\n/a\nserver\n/a", &[]);
    check("site a.com\n/a\n/a\nserver\n/a", &["Conflict /a < /a"]);
}

#[test]
fn different_shapes_are_no_conflict() {
    check("/a\n/a/\n/{a}\n/{*a}\n//a\n~^/a\n~/a\n/a%2F\n/%7B%7D", &[]);
}

#[test]
fn a_route_that_others_hide_is_dead() {
    check("GET,POST /a\nPOST /a", &["DeadRoute POST /a < GET,POST /a"]);
    check("GET /a\nHEAD /a", &["DeadRoute HEAD /a < GET /a"]);
    check("GET /a\nPOST /a\nGET,POST /a", &["DeadRoute GET,POST /a < POST /a"]);
    check("GET /a x=1\nHEAD /a x=1", &["DeadRoute HEAD /a x=1 < GET /a x=1"]);
    check("~^/a\n~^/a x=1", &["DeadRoute ~^/a x=1 < ~^/a"]);
    check("~^/a x=1\n~^/a", &[]);
    check("/a\n/a x=1 y=1\nGET /a", &[]);
}

#[test]
fn what_stands_behind_a_regex_for_every_path_is_dead() {
    check("/{*rest}\n~.*\n~/a\n/b", &["DeadRoute /{*rest} < ~.*", "DeadRoute ~/a < ~.*"]);
    check("/{*rest} x=1\n~^/ x=1", &["DeadRoute /{*rest} x=1 < ~^/ x=1"]);
    check("GET ~^/\n/{*rest}", &[]);
    check("~^/a\n/{*rest}", &[]);
    check("~^/\n~^/ x=1", &["DeadRoute ~^/ x=1 < ~^/"]);
    // A site's regex hides nothing of the server, which serves other hosts too.
    check("site a.com\n~^/\nserver\n/a", &[]);
}

#[test]
fn where_only_the_file_decides_a_warning_says_so() {
    check("GET /a\nGET,POST /a", &["Overlap GET,POST /a < GET /a"]);
    check("/a x=1\n/a y=1", &["Overlap /a y=1 < /a x=1"]);
    check("/a x=1\n/a ?y=1", &["Overlap /a ?y=1 < /a x=1"]);
    check("/a x~1\n/a x=1", &["Overlap /a x=1 < /a x~1"]);
    check("GET /a\n/a x=1", &["Overlap /a x=1 < GET /a"]);
    check("GET /a\nPOST /a", &[]);
    check("/a x=1\n/a x=2\n/a X=3", &[]);
    check("/a ?x=1\n/a ?x=2", &[]);
    check("/a x=1\n/a x=1 y=1\n/a", &[]);
    check("~^/a x=1\n~^/a y=1", &[]);
}

#[test]
fn a_pattern_shows_where_it_is_wrong() {
    check("/a{b}\n/%zz/{1}\nGET x", &["Pattern {", "Pattern %zz", "Pattern 1", "Pattern x"]);
}

#[test]
fn a_regex_shows_where_it_is_wrong() {
    check("~^/(a", &["Regex ("]);
    check("~^/[z-a]", &["Regex z-a"]);
    check("~^/(?<y>.)(?<y>.)", &["Regex y"]);
    check("~^/(?<a.b>.)", &["Regex a.b"]);
    check("~(?=a)", &["Regex (?="]);
    check("~\\pX", &["Regex \\pX"]);
    check("~^/é", &["Doubtful ~^/é"]);
    check("/a x~( ?y~[", &["Regex x", "Regex y"]);
}

#[test]
fn a_regex_has_a_limited_size() {
    let problem = |text: String| {
        let spec = RouterSpec { sites: Vec::new(), routes: vec![crate::tests::route(&text)] };
        Router::build(&spec).unwrap_err().remove(0)
    };
    let problem_of_count = problem("~^/(a{1000}){1000}".to_owned());
    assert_eq!(problem_of_count.kind, ProblemKind::Regex);
    assert_eq!(problem_of_count.message, "the regex compiles to more than 1024 KiB");
    let problem_of_text = problem(format!("~{}", "a".repeat(5000)));
    assert_eq!(problem_of_text.message, "a regex has at most 4096 bytes");
    let problem_of_depth = problem(format!("~{}", "(".repeat(2000)));
    assert_eq!(problem_of_depth.kind, ProblemKind::Regex);
}

#[test]
fn methods_are_tokens_in_capitals() {
    check("get,GET,A\u{e9} /a", &["Method get", "Method A\u{e9}"]);
    check("TRACE,CONNECT /a", &["Method TRACE", "Method CONNECT"]);
    check(&format!("{} /a", "X".repeat(33)), &[&format!("Method {}", "X".repeat(33))]);
    check("M-SEARCH /a", &[]);
    let many: Vec<_> = (0..55).map(|n| format!("X{n} /{n}")).collect();
    check(&many.join("\n"), &["Method X54"]);
}

#[test]
fn matchers_can_hold() {
    check("/a x:y=1", &["FieldName x:y"]);
    for value in [" a", "a\t", "a\nb", "\0"] {
        let mut spec = spec("/a x=1");
        spec.routes[0].headers[0].1 = ValueMatch::Exact(value.to_owned());
        assert_eq!(Router::build(&spec).unwrap_err()[0].kind, ProblemKind::Matcher);
    }
}

#[test]
fn hosts_are_names_that_stand_once() {
    check(
        "site a.com A.com. b.com\nsite *.a.com b.com",
        &["SameHost A.com. < a.com", "SameHost b.com < b.com"],
    );
    check(
        "site * *. a..b .a a*.b *.*.a a/b a:80 [::1]:80 [x] b\u{fc}.de *.[::1] -",
        &[
            "Host *",
            "Host *.",
            "Host a..b",
            "Host .a",
            "Host a*.b",
            "Host *.*.a",
            "Host a/b",
            "Host a:80",
            "Host [::1]:80",
            "Host [x]",
            "Host b\u{fc}.de",
            "Host *.[::1]",
        ],
    );
    check(&format!("site {}", "a".repeat(254)), &[&format!("Host {}", "a".repeat(254))]);
    let nameless = RouterSpec { sites: vec![SiteSpec::default()], routes: Vec::new() };
    assert_eq!(Router::build(&nameless).unwrap_err()[0].at, Place::Site { site: 0 });
}

#[test]
fn captures_in_other_servers_spelling_are_doubted() {
    check("/users/:id/*\n/a:b/:1/x*", &["Doubtful :id", "Doubtful *"]);
}

#[test]
fn a_regex_that_no_path_can_match_is_refused() {
    // Once it was taken, and its route was never found.
    check(r"~\.(jpg|png)$", &[r"Regex ~\.(jpg|png)$"]);
    check("~^api/", &["Regex ~^api/"]);
    check("~^/api/", &[]);
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_places() {
    let text = "site a.com\n/x{\n/b\n/b\nget /c\nsite a.com\n/d\nserver\n~(\n/e x:y=1";
    check(
        text,
        &[
            "SameHost a.com < a.com",
            "Regex (",
            "Pattern {",
            "Conflict /b < /b",
            "Method get",
            "FieldName x:y",
        ],
    );
}

#[test]
fn a_server_without_routes_is_fine() {
    check("", &[]);
    check("site a.com", &[]);
}
