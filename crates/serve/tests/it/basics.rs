//! One request, several, and what ends a connection.

use std::io::Write;

use crate::harness::{Echo, Fixed, Recipe, read_all};

#[test]
fn a_fixed_answer() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let answer = harness.talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let harness = Recipe::default().route("/a", Fixed("A")).route("/b", Fixed("B")).start();
    let answer = harness.talk(
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let bodies: Vec<&str> = answer.split("\r\n\r\n").skip(1).map(|part| &part[..1]).collect();
    assert_eq!(bodies, ["A", "B", "A"], "{answer}");
}

#[test]
fn a_connection_parks_and_wakes() {
    let harness = Recipe::default().route("/", Fixed("x")).start();
    let mut stream = harness.connect();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
        assert!(read_all(&mut stream).ends_with("\r\n\r\nx"));
        let counters = harness.fleet.as_ref().expect("running").counters();
        assert_eq!(counters[0].connections_parked.value(), 1);
    }
}

#[test]
fn a_body_comes_back_chunk_by_chunk() {
    let harness = Recipe::default().route("/", Echo).start();
    let answer = harness.talk(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    assert!(answer.ends_with("\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn a_malformed_request_is_refused_and_the_connection_closed() {
    let harness = Recipe::default().route("/", Fixed("x")).start();
    let answer = harness.talk(b"GET / HTTP/1.1\r\nHost : a\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}
