//! One request, several, and a rest in between.

use crate::handlers::{Echo, Fixed};
use crate::harness::Recipe;

#[test]
fn a_fixed_answer() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let answer = harness.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn a_connection_parks_and_wakes() {
    let harness = Recipe::default().route("/", Fixed("x")).start();
    let mut client = harness.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "x");
        harness.expect_parked(1);
    }
    drop(client);
    harness.expect_open(0);
}

#[test]
fn a_body_comes_back_as_it_went() {
    let harness = Recipe::default().route("/", Echo).start();
    let mut client = harness.connect();
    for size in [1, 5_000, 200_000] {
        let body = vec![b'z'; size];
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        assert!(client.answer().body == body, "{size} bytes");
    }
}
