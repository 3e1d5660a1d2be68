//! Peers that send or take too slowly: SECURITY.md 33, with short limits.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::Exchange;

use crate::average_rates::endless;
use crate::client::Client;
use crate::handlers::{Calls, Count, Fixed, Play, Step, Told, sleep, text, wait};
use crate::harness::{Recipe, at_pace};
use crate::witness::Witness;

const SHORT: Option<Duration> = Some(Duration::from_millis(300));
/// A limit that no test waits for.
const LONG: Option<Duration> = Some(Duration::from_mins(10));

/// That something took as long as [`SHORT`] and not as the defaults, of which the least is 10 s.
/// `started` lies before whatever the server reckons from, or a busy machine makes it look shorter.
fn check_short(started: Instant) {
    let took = started.elapsed();
    assert!((295..9_000).contains(&took.as_millis()), "after {took:?}");
}

#[test]
fn security_33_a_head_that_drips_is_408_at_its_limit() {
    let mut witness = Witness::of(Recipe::default().timeouts(|t| t.header = SHORT));
    let mut client = witness.harness.connect();
    let mut drip = client.stream.try_clone().expect("a second handle");
    let started = Instant::now();
    let dripping = thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(&[b'y'; 1_000]) {
            if drip.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(7));
        }
    });
    let answer = client.answer();
    check_short(started);
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    client.expect_closed();
    witness.harness.expect_outcomes(Reason::HeaderTimeout, 1);
    witness.is_content();
    drop(client);
    dripping.join().expect("the drip ends");
    // The limit is one of each head: a slow but honest second request is served.
    let mut client = witness.harness.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/hello").text(), "hello");
        thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn security_33_a_body_that_stops_is_408() {
    for request in [None, LONG] {
        let recipe = Recipe::default().timeouts(|t| (t.body_idle, t.request) = (SHORT, request));
        let mut witness = Witness::of(recipe);
        let mut client = witness.harness.connect();
        let started = Instant::now();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
        let answer = client.answer();
        check_short(started);
        assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
        client.expect_closed();
        witness.harness.expect_outcomes(Reason::BodyIdleTimeout, 1);
        witness.is_content();
    }
}

#[test]
fn a_body_that_keeps_coming_is_not_idle() {
    let harness = Recipe::default().timeouts(|t| t.body_idle = SHORT).route("/", Count).start();
    let (step, late) = (Duration::from_millis(100), Duration::from_millis(250));
    at_pace(|pace| {
        let mut client = harness.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n");
        for _ in 0..8 {
            pace.rest(step, late);
            // One that was refused is told so by the answer.
            let _ = client.stream.write_all(b"x");
        }
        let answer = client.try_answer();
        let is_whole = answer.as_ref().is_some_and(|answer| answer.text() == "8");
        if is_whole { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn an_unread_body_that_stops_ends_the_connection() {
    let mut witness = Witness::of(Recipe::default().timeouts(|t| t.body_idle = SHORT));
    let mut client = witness.harness.connect();
    let started = Instant::now();
    client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(client.answer().text(), "hello");
    client.expect_closed();
    check_short(started);
    witness.is_content();
}

#[test]
fn security_33_a_reader_that_stops_is_cut() {
    let mut witness = Witness::of(endless(Recipe::default().timeouts(|t| t.write_idle = SHORT)));
    for (times, path) in [(1, "/bytes"), (2, "/stream")] {
        let mut client = Client::connect_narrow(witness.harness.address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        witness.harness.expect_outcomes(Reason::WriteIdleTimeout, times);
        witness.is_content();
        // What had been sent is there, then the end, with nothing made up in between.
        let received = client.read_to_close();
        let body = received.split_once("\r\n\r\n").expect("a head").1;
        let foreign = body.replace("8000\r\n", "").replace("\r\n", "");
        assert!(foreign.bytes().all(|byte| byte == b'x'), "{path}");
    }
    witness.harness.expect_open(1);
}

#[test]
fn small_answers_that_nobody_takes_are_cut_too() {
    let mut witness = Witness::of(Recipe::default().timeouts(|t| t.write_idle = SHORT));
    let client = Client::connect_narrow(witness.harness.address);
    let mut pipe = client.stream.try_clone().expect("a second handle");
    let flood = thread::spawn(move || {
        let requests = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        while pipe.write_all(requests.as_bytes()).is_ok() {}
    });
    witness.harness.expect_outcomes(Reason::WriteIdleTimeout, 1);
    witness.is_content();
    flood.join().expect("the flood ends with its connection");
}

#[test]
fn a_request_that_takes_too_long_is_503_and_its_work_is_dropped() {
    let dropped = Calls::default();
    let told = dropped.clone();
    let hang = wait(move |exchange: &mut Exchange| {
        let told = Told(told.clone());
        Box::pin(async move {
            let _told = told;
            sleep(600_000).await;
            Ok(text(exchange, b"never"))
        })
    });
    let recipe = Recipe::default().timeouts(|t| t.request = SHORT).route("/hang", hang);
    let mut witness = Witness::of(recipe);
    let mut client = witness.harness.connect();
    let started = Instant::now();
    let answer = client.get("/hang");
    check_short(started);
    assert_eq!((answer.status, dropped.value()), (503, 1));
    witness.harness.expect_outcomes(Reason::RequestTimeout, 1);
    witness.is_content();
}

#[test]
fn an_answer_that_takes_too_long_is_cut() {
    let recipe = Recipe::default()
        .timeouts(|t| (t.request, t.write_rate) = (SHORT, None))
        .route("/hang", Play(vec![Step::text("begin"), Step::Hang], None));
    let mut witness = Witness::of(endless(recipe));
    let started = Instant::now();
    let mut client = witness.harness.connect();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.read_to_close().ends_with("\r\n\r\n5\r\nbegin\r\n"));
    check_short(started);
    // One that the peer does not take ends for the same reason.
    let mut client = Client::connect_narrow(witness.harness.address);
    client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    witness.harness.expect_outcomes(Reason::RequestTimeout, 2);
    witness.is_content();
}

#[test]
fn an_idle_connection_ends_parked_or_not() {
    for idle in [150, 600] {
        let idle = Duration::from_millis(idle);
        let witness = Witness::of(Recipe::default().timeouts(|t| t.idle = Some(idle)));
        let mut client = witness.harness.connect();
        let started = Instant::now();
        assert_eq!(client.get("/hello").text(), "hello");
        client.expect_closed();
        let took = started.elapsed();
        assert!(took + Duration::from_millis(5) >= idle, "after {took:?} of {idle:?}");
        assert!(took < idle + Duration::from_secs(9), "after {took:?} of {idle:?}");
        // The neighbour was as idle.
        witness.harness.expect_outcomes(Reason::IdleTimeout, 2);
        witness.harness.expect_open(0);
    }
}

#[test]
fn limits_that_are_off_do_not_end_anything() {
    let recipe = Recipe::default().timeouts(|t| {
        (t.first_byte, t.header, t.body_idle, t.body_rate) = (None, None, None, None);
        (t.write_idle, t.write_rate, t.idle, t.request) = (None, None, None, None);
    });
    let harness = endless(recipe).route("/", Count).route("/hello", Fixed("hello")).start();
    let mut client = harness.connect();
    for part in ["POST / HTTP/1.1\r\n", "Host: a\r\nContent-Length: 2\r\n\r\n", "1", "2"] {
        thread::sleep(Duration::from_millis(200));
        client.send(part);
    }
    assert_eq!(client.answer().text(), "2");
    let mut slow = Client::connect_narrow(harness.address);
    slow.send("GET /bytes HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(slow.answer().body.len(), 32 << 20);
    assert_eq!(client.get("/hello").text(), "hello");
}
