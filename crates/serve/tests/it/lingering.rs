//! Closing so that the answer arrives: 256 KiB or 2 s of what still comes are read away.

use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::{Exchange, StatusCode};

use crate::handlers::Make;
use crate::harness::Recipe;

#[test]
fn the_answer_arrives_though_the_client_sent_much_more() {
    let refuse = Make(|exchange: &mut Exchange| exchange.respond(StatusCode::FORBIDDEN));
    let harness = Recipe::default().route("/refuse", refuse).start();
    let more = "x".repeat(200 << 10);
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 403),
        (
            "POST /refuse HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n",
            403,
        ),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    ] {
        for _ in 0..5 {
            let mut client = harness.connect();
            client.send([head, &more].concat());
            // Give the kernel time to destroy it.
            std::thread::sleep(Duration::from_millis(20));
            let answer = client.answer();
            assert_eq!((answer.status, answer.field("connection")), (status, Some("close")));
            client.expect_end();
        }
    }
    harness.expect_open(0);
}

/// The body was not there yet when the answer was written.
#[test]
fn a_body_that_comes_after_the_answer_resets_nothing() {
    let refuse = Make(|exchange: &mut Exchange| exchange.respond(StatusCode::FORBIDDEN));
    let harness = Recipe::default().route("/refuse", refuse).start();
    for connection in ["close", "keep-alive"] {
        let mut client = harness.connect();
        let head = format!("POST /refuse HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n");
        client.send(head + "Content-Length: 60000\r\n\r\n");
        std::thread::sleep(Duration::from_millis(50));
        client.send("x".repeat(50_000));
        std::thread::sleep(Duration::from_millis(50));
        client.send("x".repeat(10_000));
        assert_eq!(client.answer().status, 403);
        client.finish();
        client.expect_end();
    }
}

#[test]
fn a_client_that_does_not_close_is_left_after_two_seconds() {
    let harness = Recipe::default().start();
    let mut client = harness.connect();
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    let started = Instant::now();
    assert_eq!(client.answer().status, 400);
    client.expect_closed();
    // Our side is closed at once, the descriptor when the time is over.
    assert!(started.elapsed() < Duration::from_secs(1), "after {:?}", started.elapsed());
    harness.expect_open(0);
    let took = started.elapsed();
    assert!((1_900..4_000).contains(&took.as_millis()), "after {took:?}");
    assert_eq!(harness.outcomes(Reason::BadHeaderName), 1);
}

#[test]
fn a_client_that_never_stops_sending_is_left_after_256_kib() {
    let harness = Recipe::default().start();
    let mut client = harness.connect();
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    let started = Instant::now();
    // The reset may come while this is written.
    while std::io::Write::write_all(&mut client.stream, &[b'x'; 8 << 10]).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(5), "it is still read");
    }
    harness.expect_open(0);
}
