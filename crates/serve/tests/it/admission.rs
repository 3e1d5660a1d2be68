//! How many connections a server takes: `limits.connections` and `limits.connections_per_ip`.

use stead_base::Reason;

use crate::client::Client;
use crate::handlers::Fixed;
use crate::harness::{Harness, Recipe, eventually};

/// Served, or closed without a byte.
fn is_served(client: &mut Client) -> bool {
    use std::io::Write;
    // The close may be quicker than the request.
    let _ = client.stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_answer().is_some_and(|answer| answer.status == 200)
}

fn is_admitted_again(harness: &Harness) -> bool {
    eventually(|| is_served(&mut harness.connect()))
}

#[test]
fn one_connection_too_many_is_closed_and_counted() {
    let harness = Recipe::default()
        .limits(|limits| limits.connections = Some(2))
        .route("/", Fixed("hello"))
        .start();
    let (mut first, mut second) = (harness.connect(), harness.connect());
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(!is_served(&mut harness.connect()));
    harness.expect_outcomes(Reason::TooManyConnections, 1);
    assert!(is_served(&mut first) && is_served(&mut second));
    drop(first);
    assert!(is_admitted_again(&harness));
}

#[test]
fn security_36_an_address_that_connects_too_often_is_closed_unread() {
    let harness = Recipe::default()
        .limits(|limits| limits.connection_rate_per_ip = "3/h".parse().ok())
        .route("/", Fixed("hello"))
        .start();
    for _ in 0..3 {
        assert!(is_served(&mut harness.connect()));
    }
    for _ in 0..2 {
        assert!(!is_served(&mut harness.connect()));
    }
    harness.expect_outcomes(Reason::ConnectionRateLimited, 2);
    let accepted = harness.count(|counters| &counters.connections_accepted);
    assert_eq!(accepted, 3, "what is refused was never open");
    let mut other = Client::connect_from([127, 0, 0, 2], harness.address);
    assert!(is_served(&mut other), "another address");
}

#[test]
fn an_address_has_its_own_share() {
    let harness = Recipe::default()
        .limits(|limits| limits.connections_per_ip = Some(2))
        .route("/", Fixed("hello"))
        .start();
    let (mut first, mut second) = (harness.connect(), harness.connect());
    assert!(is_served(&mut first) && is_served(&mut second));
    assert!(!is_served(&mut harness.connect()));
    harness.expect_outcomes(Reason::TooManyConnectionsPerAddress, 1);
    let mut other = Client::connect_from([127, 0, 0, 2], harness.address);
    assert!(is_served(&mut other), "another address");
    // A place is free again however its connection ended.
    first.reset();
    assert!(is_admitted_again(&harness));
}
