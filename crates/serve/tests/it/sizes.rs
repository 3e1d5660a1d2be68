//! Requests that are too large: SECURITY.md 35.

use std::io::Write;
use std::time::Duration;

use stead_base::{ByteSize, Reason};

use crate::harness::Recipe;
use crate::witness::Witness;

fn small() -> Witness {
    Witness::of(Recipe::default().limits(|limits| {
        limits.header_size = ByteSize(1 << 10);
        limits.header_count = 5;
        limits.uri = ByteSize(256);
        limits.body = Some(ByteSize(1_000));
    }))
}

#[test]
fn security_35_a_head_too_long_is_431_while_it_arrives() {
    let mut witness = small();
    let of =
        |value: usize| format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\n", "y".repeat(value));
    // The empty line at its end does not count.
    let fields = of(0).len();
    witness.sees_served(of((1 << 10) - fields) + "\r\n");
    witness.sees_refused(of((1 << 10) - fields + 1) + "\r\n", Reason::HeaderTooLarge);
    // Its end need not come.
    let mut client = witness.harness.connect();
    client.send(of(2_000));
    assert_eq!(client.answer().status, 431);
    witness.is_content();
}

#[test]
fn security_35_too_many_fields_are_431() {
    let mut witness = small();
    let of =
        |more: usize| format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(more));
    witness.sees_served(of(4));
    witness.sees_refused(of(5), Reason::TooManyHeaders);
}

#[test]
fn security_35_a_target_too_long_is_414_while_it_arrives() {
    let mut witness = small();
    let of = |more: usize| format!("GET /tell/{} HTTP/1.1\r\nHost: a\r\n\r\n", "z".repeat(more));
    witness.sees_served(of(250));
    witness.sees_refused(of(251), Reason::UriTooLong);
    let mut client = witness.harness.connect();
    client.send(format!("GET /{}", "z".repeat(300)));
    assert_eq!(client.answer().status, 414);
    witness.is_content();
}

#[test]
fn security_35_a_body_too_long_is_413_by_its_stated_length() {
    let mut witness = small();
    let of =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(witness.sees_served(of(1_000) + &"x".repeat(1_000)).text(), "1000");
    // None of it was sent, and the answer comes at once.
    witness.sees_refused(of(1_001), Reason::BodyTooLarge);
    witness.sees_refused(of(i64::MAX as usize), Reason::BodyTooLarge);
}

#[test]
fn security_35_a_chunked_body_too_long_is_413_where_it_passes_the_limit() {
    let mut witness = small();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    let fits = format!("{head}{}0\r\n\r\n", chunk.repeat(10));
    assert_eq!(witness.sees_served(fits).text(), "1000");
    let long = format!("{head}{}1\r\n", chunk.repeat(10));
    witness.sees_refused(long, Reason::BodyTooLarge);
    // The same when it comes slowly.
    let mut client = witness.harness.connect();
    client.send(head);
    for _ in 0..10 {
        client.send(&chunk);
        std::thread::sleep(Duration::from_millis(3));
    }
    client.send("1\r\n");
    assert_eq!(client.answer().status, 413);
    witness.harness.expect_outcomes(Reason::BodyTooLarge, 2);
}

#[test]
fn an_endless_head_is_cut_off_early() {
    let mut witness = Witness::new();
    let mut client = witness.harness.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let mut sent = 0;
    // Until the server has closed: far less than what is offered.
    while sent < 64 << 20 && client.stream.write_all(&[b'x'; 1 << 10]).is_ok() {
        sent += 1 << 10;
    }
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    witness.harness.expect_outcomes(Reason::HeaderTooLarge, 1);
    witness.is_content();
}
