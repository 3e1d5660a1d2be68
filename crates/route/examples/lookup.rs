//! Measures a lookup among 10,000 routes with parameters beside the `matchit` crate.
//!
//! Both routers hold the same patterns and look the same paths up in the same shuffled order; five
//! runs of each, interleaved, and the median of each. Run it in release:
//! `cargo run --release -p stead-route --example lookup`.

use std::hint::black_box;
use std::time::Instant;

use stead_route::{
    Captures, Found, PathSpec, Request, RouteSpec, Router, RouterSpec, canonicalize,
};

fn main() {
    for (title, patterns, paths) in [numbered(), named(), deep()] {
        measure(title, &patterns, &paths);
    }
    measure_canonicalize();
}

/// A GET without host, headers and query.
struct Get<'a>(&'a str);

impl Request for Get<'_> {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> Option<&[u8]> {
        None
    }

    fn path(&self) -> &str {
        self.0
    }

    fn header(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }
}

fn measure(title: &str, patterns: &[String], paths: &[String]) {
    let spec = RouterSpec {
        sites: Vec::new(),
        routes: patterns.iter().map(|pattern| route(pattern)).collect(),
    };
    let (ours, _) = Router::build(&spec).expect("the patterns are valid");
    let mut theirs = matchit::Router::new();
    for (index, pattern) in patterns.iter().enumerate() {
        theirs.insert(pattern.as_str(), index).expect("the patterns are valid");
    }
    let mut captures = Captures::new();
    for (index, path) in paths.iter().enumerate() {
        let wanted = index % patterns.len();
        let found = ours.find(&Get(path), &mut captures).found;
        assert!(matches!(found, Found::Route(route) if route.route == wanted), "{path}: {found:?}");
        assert_eq!(*theirs.at(path).expect("it matches").value, wanted);
    }
    let order = shuffled(paths.len());
    let (mut our_runs, mut their_runs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_runs.push(time(paths, &order, |path| {
            let lookup = ours.find(&Get(black_box(path)), &mut captures);
            let Found::Route(route) = lookup.found else { return 0 };
            route.route + captures.get(path, 0).map_or(0, str::len)
        }));
        their_runs.push(time(paths, &order, |path| {
            let Ok(found) = theirs.at(black_box(path)) else { return 0 };
            *found.value + found.params.iter().next().map_or(0, |(_, value)| value.len())
        }));
    }
    let (ours, theirs) = (median(&mut our_runs), median(&mut their_runs));
    println!(
        "{title}: {} routes, stead {ours:.1} ns, matchit {theirs:.1} ns, ratio {:.2} \
         (runs: stead {our_runs:.1?}, matchit {their_runs:.1?})",
        patterns.len(),
        ours / theirs,
    );
}

/// Nanoseconds per lookup.
fn time(paths: &[String], order: &[usize], mut find: impl FnMut(&str) -> usize) -> f64 {
    let mut sum = 0;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for index in order {
            sum += find(&paths[*index]);
        }
    }
    let elapsed = start.elapsed();
    black_box(sum);
    elapsed.as_nanos() as f64 / (ROUNDS * order.len()) as f64
}

fn measure_canonicalize() {
    let path = b"/api/v1/customers/8412/invoices/2024-11.pdf";
    let mut out = String::new();
    let start = Instant::now();
    for _ in 0..PATHS_MAX * ROUNDS {
        canonicalize(black_box(path), &mut out).expect("the path is canonical");
        black_box(&out);
    }
    let each = start.elapsed().as_nanos() as f64 / (PATHS_MAX * ROUNDS) as f64;
    println!("canonicalize: {} bytes in {each:.1} ns", path.len());
}

fn route(pattern: &str) -> RouteSpec {
    RouteSpec {
        path: PathSpec::Path(pattern.to_owned()),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// `/resource17/{id}/part17/{name}`: numbers, which a radix tree shares well.
fn numbered() -> (&'static str, Vec<String>, Vec<String>) {
    let pattern = |n| format!("/resource{n}/{{id}}/part{n}/{{name}}");
    let path = |n| format!("/resource{n}/{}/part{n}/some-name", n * 7919);
    (
        "numbered",
        (0..ROUTES).map(pattern).collect(),
        (0..PATHS_MAX).map(|n| path(n % ROUTES)).collect(),
    )
}

/// `/api/v2/orders/{id}/invoices`: words, as in an API.
fn named() -> (&'static str, Vec<String>, Vec<String>) {
    const THINGS: [&str; 10] = [
        "users",
        "orders",
        "invoices",
        "customers",
        "products",
        "carts",
        "shipments",
        "payments",
        "reviews",
        "warehouses",
    ];
    let thing = |n: usize| THINGS[n % 10];
    let pattern = |n: usize| {
        format!(
            "/api/v{}/{}/{{id}}/{}-{}/{{key}}",
            n / 1000,
            thing(n / 100),
            thing(n / 10),
            n % 100
        )
    };
    let path = |n: usize| {
        let (a, b) = (thing(n / 100), thing(n / 10));
        format!("/api/v{}/{a}/{}/{b}-{}/k{n}", n / 1000, n * 31, n % 100)
    };
    (
        "named",
        (0..ROUTES).map(pattern).collect(),
        (0..PATHS_MAX).map(|n| path(n % ROUTES)).collect(),
    )
}

/// `/a3/b7/c1/d9/{id}`: many short segments.
fn deep() -> (&'static str, Vec<String>, Vec<String>) {
    let digits = |n: usize| (n / 1000, n / 100 % 10, n / 10 % 10, n % 10);
    let pattern = |n: usize| {
        let (a, b, c, d) = digits(n);
        format!("/a{a}/b{b}/c{c}/d{d}/{{id}}")
    };
    let path = |n: usize| {
        let (a, b, c, d) = digits(n % ROUTES);
        format!("/a{a}/b{b}/c{c}/d{d}/{n}")
    };
    ("deep", (0..ROUTES).map(pattern).collect(), (0..PATHS_MAX).map(path).collect())
}

/// The numbers below `len` in an order that caches cannot guess, the same each time.
fn shuffled(len: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..len).collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for index in (1..len).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(index, (state % (index as u64 + 1)) as usize);
    }
    order
}

fn median(runs: &mut [f64]) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

const RUNS: usize = 5;
const ROUNDS: usize = 50;
const ROUTES: usize = 10_000;
const PATHS_MAX: usize = 10_000;
