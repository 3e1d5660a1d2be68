//! Middleware that have nothing to do allocate nothing.

use stead_core::{Exchange, Handler, Reply, StatusCode};
use stead_middleware::KINDS;
use stead_testing::Bench;

/// Nothing to do for `GET /a/b` of a client of `a.example` over plaintext.
const IDLE: &[&str] = &[
    "cache_control = { types = { 'image/*' = 'no-cache' }, extensions = { js = 'no-cache' } }",
    "headers = {}",
    "hsts = {}",
    "maintenance = { allow = ['192.0.2.0/24'] }",
    "maintenance = { when = '/no/such/file' }",
    "rewrite = { regex = '^/old/(?<rest>.*)$', to = '/new/{rest}' }",
    "secure_headers = { nosniff = false, referrer = 'off', frame = 'off' }",
    "strip_prefix = ['/api', '/a/bc']",
    "trailing_slash = 'remove'",
    "www = 'remove'",
];

struct Empty;

impl Handler for Empty {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Ready(exchange.respond(StatusCode::OK))
    }
}

/// Allocations of one request, with all that the bench itself makes, once everything is warm.
fn allocations(settings: &[&str]) -> u64 {
    let bench = match Bench::around(KINDS, "/{*rest}", settings, Empty) {
        Ok(bench) => bench,
        Err(wrong) => panic!("{settings:?}: {wrong}"),
    };
    let page = || drop(bench.page("/a/b"));
    page();
    page();
    allocation_counter::measure(page).count_total
}

#[test]
fn nothing_to_do_allocates_nothing() {
    let without = allocations(&[]);
    for settings in IDLE {
        assert_eq!(allocations(&[settings]), without, "{settings}");
    }
    assert_eq!(allocations(IDLE), without);
}
