//! The park: connections that rest cost a record, wake on a byte, and end in place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::Exchange;

use crate::client::Client;
use crate::handlers::{Fixed, Make, text};
use crate::harness::{Kitchen, Recipe, eventually};

const MANY: usize = 1_500;

#[test]
fn many_connections_rest_wake_and_end_in_place() {
    static COLLECTED: AtomicU64 = AtomicU64::new(0);
    let collect = || {
        COLLECTED.fetch_add(1, Ordering::SeqCst);
    };
    let recipe = Recipe::default()
        .timeouts(|timeouts| timeouts.idle = Some(Duration::from_secs(4)))
        .route("/", Fixed("hello"));
    let harness = Kitchen { collect, ..Kitchen::default() }.start(vec![recipe]);
    let mut clients: Vec<_> = (0..MANY).map(|_| harness.connect()).collect();
    // At first without a byte, then twice after a request.
    harness.expect_parked(MANY as u64);
    for _ in 0..2 {
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.answer().text(), "hello");
        }
        harness.expect_parked(MANY as u64);
    }
    let requests = harness.count(|counters| &counters.requests);
    assert_eq!(requests, 2 * MANY as u64);
    // Hang-ups, half of them resets.
    for (index, client) in clients.drain(MANY / 3..).enumerate() {
        if index % 2 == 0 { client.reset() } else { drop(client) }
    }
    harness.expect_open(MANY as u64 / 3);
    harness.expect_parked(MANY as u64 / 3);
    // Memory is given back once it has been quiet for a second.
    assert!(eventually(|| COLLECTED.load(Ordering::SeqCst) > 0));
    // The rest runs out of time.
    for client in &mut clients {
        client.expect_closed();
    }
    harness.expect_outcomes(Reason::IdleTimeout, MANY as u64 / 3);
    harness.expect_open(0);
    harness.expect_parked(0);
    assert_eq!(harness.outcomes(Reason::ClientClosed), 0);
}

/// Pseudo-random numbers that differ from thread to thread (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A connection goes to rest 300 ms after its last answer: a request that comes just then is
/// served.
#[test]
fn bytes_that_come_in_the_moment_of_parking_are_not_lost() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let address = harness.address;
    let racing: Vec<_> = (1..=6)
        .map(|seed| {
            thread::spawn(move || {
                let mut random = Random(seed << 32 | 0x9e37_79b9);
                let mut clients: Vec<_> = (0..60).map(|_| Client::connect(address)).collect();
                let mut due: Vec<_> = clients.iter().map(|_| Instant::now()).collect();
                for _ in 0..12 {
                    for (client, due) in clients.iter_mut().zip(&mut due) {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        // In two pieces at times: the second may meet a connection that wakes.
                        let cut = random.below(35) as usize;
                        let (one, two) = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".split_at(cut.min(27));
                        client.send(one);
                        if cut.is_multiple_of(2) {
                            thread::yield_now();
                        }
                        client.send(two);
                        assert_eq!(client.answer().text(), "hello");
                        *due =
                            Instant::now() + Duration::from_micros(285_000 + random.below(40_000));
                    }
                }
            })
        })
        .collect();
    for thread in racing {
        thread.join().expect("no request was lost");
    }
    assert_eq!(harness.count(|counters| &counters.requests), 6 * 60 * 12);
    harness.expect_open(0);
}

/// A parked connection's last request and its end, seen by the park as one event.
#[test]
fn a_last_request_with_the_end_behind_it_is_answered() {
    let block = Make(|exchange: &mut Exchange| {
        thread::sleep(Duration::from_millis(200));
        text(exchange, b"woke")
    });
    let harness = Recipe::default().route("/", Fixed("hello")).route("/block", block).start();
    let mut clients: Vec<_> = (0..5).map(|_| harness.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    harness.expect_parked(5);
    let mut blocking = harness.connect();
    blocking.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.finish();
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "hello");
        client.expect_end();
    }
    assert_eq!(blocking.answer().text(), "woke");
}

/// The same between accept and the first byte.
#[test]
fn first_bytes_are_not_lost_however_late() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let mut random = Random(7);
    for _ in 0..400 {
        let mut client = harness.connect();
        let ends = Instant::now() + Duration::from_micros(random.below(300));
        while Instant::now() < ends {
            std::hint::spin_loop();
        }
        assert_eq!(client.get("/").text(), "hello");
    }
}
