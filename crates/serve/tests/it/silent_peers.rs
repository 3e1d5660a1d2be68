//! Connections without a byte: SECURITY.md 34.

use std::io::Write;
use std::time::{Duration, Instant};

use stead_base::Reason;

use crate::harness::{Recipe, at_pace};
use crate::witness::Witness;

#[test]
fn security_34_a_connection_without_a_byte_is_closed_in_place() {
    let limit = Duration::from_millis(300);
    let mut witness = Witness::of(Recipe::default().timeouts(|t| t.first_byte = Some(limit)));
    let started = Instant::now();
    let mut clients: Vec<_> = (0..50).map(|_| witness.harness.connect()).collect();
    for client in &mut clients {
        client.expect_closed();
    }
    assert!(started.elapsed() >= Duration::from_millis(295), "after {:?}", started.elapsed());
    witness.harness.expect_outcomes(Reason::FirstByteTimeout, 50);
    witness.harness.expect_open(1);
    // No request was made of it.
    let served = witness.harness.count(|counters| &counters.requests);
    witness.is_content();
    assert_eq!(witness.harness.count(|counters| &counters.requests), served + 1);
}

#[test]
fn a_first_byte_in_time_begins_the_time_of_the_head() {
    let recipe = Recipe::default().timeouts(|t| {
        (t.first_byte, t.header) =
            (Some(Duration::from_millis(250)), Some(Duration::from_millis(700)));
    });
    let witness = Witness::of(recipe);
    at_pace(|pace| {
        let mut client = witness.harness.connect();
        pace.rest(Duration::from_millis(100), Duration::from_millis(200));
        let _ = client.stream.write_all(b"GET /hello");
        pace.rest(Duration::from_millis(400), Duration::from_millis(600));
        let _ = client.stream.write_all(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.try_answer().map(|answer| answer.status);
        if answer == Some(200) { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn security_12_empty_lines_do_not_hold_a_connection() {
    let witness = Witness::of(Recipe::default());
    let mut client = witness.harness.connect();
    client.send(b"\r\n");
    // Past the moment after which a quiet connection rests.
    std::thread::sleep(Duration::from_millis(500));
    client.send(b"\r\n");
    witness.harness.expect_outcomes(Reason::BadRequestLine, 1);
    let limit = Some(Duration::from_millis(300));
    let mut witness = Witness::of(Recipe::default().timeouts(|t| t.header = limit));
    let mut silent = witness.harness.connect();
    silent.send(b"\r\n");
    silent.expect_closed();
    witness.harness.expect_outcomes(Reason::HeaderTimeout, 1);
    witness.is_content();
}
