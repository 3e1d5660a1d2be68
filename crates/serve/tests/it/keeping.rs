//! How long a connection is kept: by the requests that it carried, and by its age.

use std::time::{Duration, Instant};

use stead_base::Reason;

use crate::client::Client;
use crate::handlers::Fixed;
use crate::harness::{Harness, Recipe};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn kept_for_requests(requests: u32) -> Harness {
    Recipe::default()
        .limits(|limits| limits.keepalive_requests = Some(requests))
        .route("/", Fixed("hello"))
        .start()
}

fn kept_for(age: Duration) -> Harness {
    Recipe::default()
        .timeouts(|timeouts| {
            timeouts.connection_age_max = Some(age);
            timeouts.idle = None;
        })
        .route("/", Fixed("hello"))
        .start()
}

fn says_close(client: &mut Client) -> bool {
    let answer = client.get("/");
    assert_eq!(answer.text(), "hello");
    answer.field("connection") == Some("close")
}

#[test]
fn the_last_of_its_requests_says_close() {
    let harness = kept_for_requests(3);
    let mut client = harness.connect();
    assert_eq!([(); 3].map(|()| says_close(&mut client)), [false, false, true]);
    client.expect_closed();
    harness.expect_outcomes(Reason::KeepaliveRequests, 1);
    assert_eq!(harness.outcomes(Reason::Ok), 3);
    harness.expect_open(0);
}

#[test]
fn requests_before_and_after_a_rest_count_together() {
    let harness = kept_for_requests(3);
    let mut client = harness.connect();
    for last in [false, false, true] {
        assert_eq!(says_close(&mut client), last);
        if !last {
            harness.expect_parked(1);
        }
    }
    client.expect_closed();
    harness.expect_outcomes(Reason::KeepaliveRequests, 1);
}

#[test]
fn pipelined_requests_beyond_the_last_are_not_answered() {
    let harness = kept_for_requests(2);
    let all = harness.talk(REQUEST.repeat(5));
    assert_eq!(all.matches("HTTP/1.1 200").count(), 2, "{all}");
    assert_eq!(all.matches("Connection: close").count(), 1, "{all}");
    harness.expect_outcomes(Reason::KeepaliveRequests, 1);
    assert_eq!(harness.count(|counters| &counters.requests), 2);
}

/// Where the peer closes by itself it is not our doing.
#[test]
fn a_peer_that_asks_for_the_close_is_not_counted() {
    let harness = kept_for_requests(1);
    let all = harness.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(all.contains("hello"), "{all}");
    harness.expect_open(0);
    assert_eq!(harness.outcomes(Reason::KeepaliveRequests), 0);
}

#[test]
fn a_busy_connection_closes_behind_the_answer_after_its_age() {
    let harness = kept_for(Duration::from_secs(1));
    let (began, mut client) = (Instant::now(), harness.connect());
    while !says_close(&mut client) {
        assert!(began.elapsed() < Duration::from_secs(15), "it never closes");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(began.elapsed() >= Duration::from_millis(850), "after {:?}", began.elapsed());
    client.expect_closed();
    harness.expect_outcomes(Reason::ConnectionAge, 1);
    assert_eq!(harness.outcomes(Reason::IdleTimeout), 0);
}

#[test]
fn connections_that_rest_are_closed_at_their_age() {
    let harness = kept_for(Duration::from_secs(2));
    let (began, mut idle) = (Instant::now(), harness.connect());
    let mut silent = harness.connect();
    assert!(!says_close(&mut idle));
    harness.expect_parked(2);
    for client in [&mut idle, &mut silent] {
        client.expect_closed();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_750), "after {took:?}");
        assert!(took < Duration::from_secs(9), "after {took:?}");
    }
    harness.expect_outcomes(Reason::ConnectionAge, 2);
    assert_eq!(harness.outcomes(Reason::FirstByteTimeout), 0);
    harness.expect_open(0);
    harness.expect_parked(0);
}

#[test]
fn the_sooner_of_idle_time_and_age_counts() {
    let harness = Recipe::default()
        .timeouts(|timeouts| {
            timeouts.connection_age_max = Some(Duration::from_mins(1));
            timeouts.idle = Some(Duration::from_millis(600));
        })
        .route("/", Fixed("hello"))
        .start();
    let mut client = harness.connect();
    assert!(!says_close(&mut client));
    client.expect_closed();
    harness.expect_outcomes(Reason::IdleTimeout, 1);
    assert_eq!(harness.outcomes(Reason::ConnectionAge), 0);
}
