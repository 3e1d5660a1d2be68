//! Peers that are too slow on the mean: the rates of SECURITY.md 33.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_base::{Rate, Reason};
use stead_core::{Body, Exchange, StatusCode};

use crate::client::Client;
use crate::handlers::{Calls, Counted, Make};
use crate::harness::{Harness, Recipe};
use crate::witness::Witness;

/// A rate is judged from the tenth second.
const PATIENCE: Duration = Duration::from_secs(12);

/// Endless answers: `/stream` in pieces of 32 KiB, `/bytes` in one.
pub(crate) fn endless(recipe: Recipe) -> Recipe {
    let stream = Make(|exchange: &mut Exchange| {
        let piece = Bytes::from(vec![b'x'; 32 << 10]);
        let stream = Counted { piece, pieces: 1 << 20, asked: Calls::default() };
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(stream)))
    });
    let large = Bytes::from(vec![b'x'; 32 << 20]);
    let bytes = Make(move |exchange: &mut Exchange| {
        exchange.respond(StatusCode::OK).with_body(large.clone())
    });
    recipe.route("/stream", stream).route("/bytes", bytes)
}

/// Takes `bytes` each tenth of a second for at most 12 s; says when the server gave up.
fn sip(harness: &Harness, path: &str, bytes: usize) -> thread::JoinHandle<Option<Duration>> {
    let mut client = Client::connect_narrow(harness.address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    thread::spawn(move || {
        let started = Instant::now();
        let mut buffer = vec![0; bytes];
        while started.elapsed() < PATIENCE {
            if client.stream.read_exact(&mut buffer).is_err() {
                return Some(started.elapsed());
            }
            thread::sleep(Duration::from_millis(100));
        }
        None
    })
}

/// Sends a byte `per_second` times a second for at most 12 s; gives the status that came.
fn trickle(harness: &Harness, per_second: u32) -> thread::JoinHandle<Option<(u16, Duration)>> {
    let mut client = harness.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    let mut drip = client.stream.try_clone().expect("a second handle");
    let dripping = thread::spawn(move || {
        let started = Instant::now();
        while started.elapsed() < PATIENCE && drip.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_secs(1) / per_second);
        }
        drop(drip.shutdown(std::net::Shutdown::Both));
    });
    thread::spawn(move || {
        let started = Instant::now();
        let answer = client.try_answer().map(|answer| (answer.status, started.elapsed()));
        dripping.join().expect("the drip ends");
        answer
    })
}

/// The one test that waits for a rate's ten seconds, for all of them at once.
#[test]
fn security_33_rates_are_judged_over_ten_seconds() {
    let rates = Recipe::default().timeouts(|t| {
        (t.body_rate, t.write_rate) = (Some(Rate(20)), Some(Rate(400_000)));
    });
    let mut witness = Witness::of(endless(rates));
    let harness = &witness.harness;
    let (slow_body, fine_body) = (trickle(harness, 8), trickle(harness, 60));
    let slow = [sip(harness, "/bytes", 8 << 10), sip(harness, "/stream", 8 << 10)];
    let fine = [sip(harness, "/bytes", 90 << 10), sip(harness, "/stream", 90 << 10)];
    let (status, after) = slow_body.join().expect("a body too slow").expect("an answer");
    assert_eq!(status, 408);
    assert!(after >= Duration::from_millis(9_900), "after {after:?}");
    harness.expect_outcomes(Reason::BodyTooSlow, 1);
    for sipping in slow {
        let after = sipping.join().expect("a reader too slow");
        assert!(after.is_some_and(|after| after >= Duration::from_millis(9_900)), "{after:?}");
    }
    harness.expect_outcomes(Reason::WriteTooSlow, 2);
    for sipping in fine {
        assert_eq!(sipping.join().expect("a reader fast enough"), None);
    }
    assert_eq!(fine_body.join().expect("a body fast enough"), None);
    assert_eq!(witness.harness.outcomes(Reason::BodyTooSlow), 1);
    witness.is_content();
}
