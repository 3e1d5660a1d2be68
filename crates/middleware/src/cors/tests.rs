//! What pages of other origins are told, and what never.

use proptest::prelude::*;

use super::Origin;
use crate::testing::{Bench, around, refusal, text};
use stead_core::{Name, Reason, Response, StatusCode, name};
use stead_testing::Answer;

const LISTED: &str = "cors = { origins = ['https://app.example.com', 'http://localhost:3000', \
    'https://*.example.org', 'https://*.example.net:8443'], methods = ['GET', 'PUT'], \
    headers = ['Content-Type', 'X-Own'], expose = ['X-Total'], credentials = true, max_age = '1h' }";

fn bench(settings: &str) -> Bench {
    around(&[settings], text("ok"))
}

fn shown(answer: &Answer) -> Vec<String> {
    let is_of_cors =
        |name: &Name<'_>| *name == name::VARY || name.as_bytes().starts_with(b"Access-Control-");
    let shown = answer.fields.iter().filter(|(name, _)| is_of_cors(name));
    shown.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
}

fn preflight(bench: &Bench, origin: &str) -> Answer {
    let fields = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-own"),
    ];
    bench.call("OPTIONS", "/", &fields)
}

#[test]
fn a_listed_origin_may_read_the_answer() {
    let answer = bench(LISTED).call("GET", "/", &[("Origin", "https://app.example.com")]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let expect = [
        "Vary: Origin",
        "Access-Control-Allow-Origin: https://app.example.com",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: X-Total",
    ];
    assert_eq!(shown(&answer), expect);
}

#[test]
fn a_preflight_is_answered_here() {
    let bench = around(&[LISTED], |_| panic!("it never gets to the handler"));
    let answer = preflight(&bench, "https://app.example.com");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let expect = [
        vary,
        "Access-Control-Allow-Origin: https://app.example.com",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, PUT",
        "Access-Control-Allow-Headers: Content-Type, X-Own",
        "Access-Control-Max-Age: 3600",
    ];
    assert_eq!(shown(&answer), expect);
    let answer = preflight(&bench, "https://evil.example");
    assert_eq!((answer.status, shown(&answer)), (204, vec![vary.to_owned()]));
}

#[test]
fn options_without_a_question_go_to_the_handler() {
    let bench = bench(LISTED);
    for fields in
        [&[("Origin", "https://app.example.com")][..], &[("Access-Control-Request-Method", "PUT")]]
    {
        assert_eq!(bench.call("OPTIONS", "/", fields).status, 200);
    }
}

#[test]
fn an_origin_that_is_not_listed_is_never_repeated() {
    let bench = bench(LISTED);
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.com, https://evil.example",
        "null",
        "",
        "*",
        "https://example.org",
        "https://.example.org",
        "https://a..example.org",
        "https://evilexample.org",
        "http://a.example.org",
        "https://a.example.org:444",
        "https://a.example.net",
        "https://evil.example/.example.org",
        "https://evil.example?.example.org",
        "https://evil.example#.example.org",
        "https://evil.example:1.example.org",
        "https://u@a.example.org",
        "https://a\u{e9}.example.org",
    ] {
        let answer = bench.call("GET", "/", &[("Origin", origin)]);
        assert_eq!(
            (answer.status, shown(&answer)),
            (200, vec!["Vary: Origin".to_owned()]),
            "{origin}"
        );
    }
    let two = [("Origin", "https://app.example.com"), ("Origin", "https://app.example.com")];
    assert_eq!(shown(&bench.call("GET", "/", &two)), ["Vary: Origin"]);
}

#[test]
fn names_below_are_taken_with_their_port() {
    let bench = bench(LISTED);
    for origin in
        ["https://a.example.org", "https://a-1.b_2.example.org", "https://x.example.net:8443"]
    {
        let answer = bench.call("GET", "/", &[("Origin", origin)]);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), origin);
    }
}

#[test]
fn every_origin_is_a_star_that_depends_on_nothing() {
    let bench = bench("cors = '*'");
    let answer = bench.call("GET", "/", &[("Origin", "https://evil.example")]);
    assert_eq!(shown(&answer), ["Access-Control-Allow-Origin: *"]);
    // A cache that kept one without the field gave it to pages that then could not read it.
    assert_eq!(shown(&bench.page("/")), ["Access-Control-Allow-Origin: *"]);
    let answer = preflight(&bench, "null");
    assert_eq!(answer.field("Access-Control-Allow-Methods"), "GET, HEAD, POST");
    assert_eq!(answer.field("Access-Control-Max-Age"), "600");
}

#[test]
fn errors_carry_the_fields_and_the_handlers_own_are_replaced() {
    let bench = around(&[LISTED], |exchange| {
        let mut response = exchange.refuse(Reason::HandlerError);
        response.fields.append(name::VARY, b"Accept, origin");
        response.fields.append(name::ACCESS_CONTROL_ALLOW_ORIGIN, b"*");
        response
    });
    let answer = bench.call("GET", "/", &[("Origin", "http://localhost:3000")]);
    assert_eq!(answer.status, 500);
    assert_eq!(
        shown(&answer)[..2],
        ["Vary: Accept, origin", "Access-Control-Allow-Origin: http://localhost:3000"]
    );
    let answer = bench.call("GET", "/", &[("Origin", "https://evil.example")]);
    assert_eq!(shown(&answer), ["Vary: Accept, origin"]);
}

#[test]
fn an_answer_without_origin_says_that_it_would_differ() {
    let bench = around(&[LISTED], |_| Response::new(StatusCode::OK));
    assert_eq!(shown(&bench.page("/")), ["Vary: Origin"]);
}

#[test]
fn a_star_with_credentials_is_refused() {
    assert_eq!(refusal("cors = { origins = '*', credentials = true }").len(), 1);
    let stars = "cors = { origins = 'https://a.example', credentials = true, methods = '*', \
                 headers = '*', expose = ['*'] }";
    assert_eq!(refusal(stars).len(), 3);
    assert_eq!(refusal("cors = { origins = ['*', 'https://a.example'] }").len(), 1);
}

#[test]
fn what_is_no_origin_method_or_field_is_refused() {
    for origin in [
        "null",
        "app.example.com",
        "https://",
        "https://a.example/",
        "https://a.example/x",
        "https://a.example:443",
        "http://a.example:80",
        "https://a.example:0",
        "https://a.example:080",
        "https://a.example:65536",
        "https://u@a.example",
        "https://a.example?x",
        "https://*",
        "https://*.com",
        "https://*.*.example.com",
        "https://a.*.example",
        "https://*a.example.com",
        "https://caf\u{e9}.example",
        "://a.example",
        "https://a..example",
        "https://[::1",
        "x y://a.example",
        "",
    ] {
        assert_eq!(refusal(&format!("cors = '{origin}'")).len(), 1, "{origin}");
    }
    for origin in [
        "https://a.example",
        "HTTPS://A.Example",
        "http://[::1]:3000",
        "capacitor://localhost",
        "https://a.example:80",
        "http://*.localhost:3000",
        "http://192.0.2.1",
    ] {
        assert_eq!(refusal(&format!("cors = '{origin}'")).len(), 0, "{origin}");
    }
    let wrong = "cors = { origins = 'https://a.example', methods = ['put', 'A B'], \
                 headers = ['a b'], expose = [\"a\\nb\"] }";
    assert_eq!(refusal(wrong).len(), 4);
    assert_eq!(refusal("cors = { origins = [] }").len(), 1);
    assert_eq!(refusal("cors = {}").len(), 1);
}

proptest! {
    #[test]
    fn names_below_take_only_what_ends_at_a_dot(origin in "https://[a-z.:/@?#%-]{0,20}\\.?example\\.org(:[0-9]{1,3})?") {
        let below = Origin::parse("https://*.example.org").unwrap();
        let host = origin.strip_prefix("https://").unwrap();
        let labels = host.strip_suffix(".example.org");
        let is_below = labels.is_some_and(|labels| {
            !labels.is_empty()
                && !labels.split('.').any(str::is_empty)
                && labels.bytes().all(|byte| byte.is_ascii_lowercase() || b".-".contains(&byte))
        });
        prop_assert_eq!(below.takes(origin.as_bytes()), is_below);
    }
}
