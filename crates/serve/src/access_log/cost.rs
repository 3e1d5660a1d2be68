//! What a record costs: `cargo test --release -p stead-serve cost -- --ignored --nocapture`.
//!
//! Not a test of anything: run by hand before and after a change of `format`. On a busy machine
//! count instructions: the built program under `ROUNDS=1 valgrind --tool=callgrind`.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_base::HeadLimits;
use stead_core::{Blocking, Connection, Exchange, Job, Peer, Reason, Scheme, Worker};
use stead_http1::RequestDecoder;

use super::format::{Clock, Line};
use super::{Format, Record, Redaction};

struct Never;

impl Blocking for Never {
    fn run(&self, _: Job) {}
}

const REQUEST: &[u8] =
    b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: stead-bench\r\n\
    Accept: */*\r\n\r\n";

#[test]
#[ignore = "a measurement"]
fn a_json_record_costs() {
    let worker = Worker::new(0, Arc::default(), Arc::default(), Box::new(Never));
    let connection = Connection {
        peer: Peer::Tcp(([127, 0, 0, 1], 50_000).into()),
        scheme: Scheme::Http,
        tls: None,
        server: "web".into(),
    };
    let mut exchange = Exchange::new(Rc::new(worker), connection);
    let limits = HeadLimits { head_bytes_max: 4096, field_count_max: 100, uri_bytes_max: 4096 };
    RequestDecoder::new(limits, None).decode(REQUEST, exchange.head_mut()).expect("a head");
    exchange.canonicalize_path().expect("a path");
    let record = Record {
        exchange: &exchange,
        site: "",
        route: "/hello",
        status: 200,
        reason: Reason::Ok,
        closes: None,
        bytes_in: 91,
        bytes_out: 150,
        bytes_body: 13,
        duration: Duration::from_nanos(12_345),
        answer: None,
    };
    let redaction = Redaction::new(
        ["access_token", "token", "password", "secret", "sig", "signature", "api_key"],
        ["authorization", "cookie"],
    );
    let (mut out, mut clock) = (Vec::with_capacity(64 << 10), Clock::default());
    let now = Duration::from_secs(1_790_000_000);
    clock.update(now);
    // Fewer where instructions are counted (`valgrind --tool=callgrind`).
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let began = Instant::now();
        for _ in 0..100_000 {
            let line =
                Line { record: &record, redaction: &redaction, one_in: None, clock: &clock, now };
            line.write(&mut out, &Format::Json);
            if out.len() > 32 << 10 {
                black_box(&out);
                out.clear();
            }
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / 1e5);
    }
    println!("{best:.0} ns a record");
}
