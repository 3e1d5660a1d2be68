//! Several workers: TCP listeners of their own, unix listeners shared, limits of the process.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stead_base::Reason;
use stead_net::{Bind, acquire};

use crate::client::{Client, is_refused};
use crate::handlers::Fixed;
use crate::harness::{Kitchen, Recipe};

#[test]
fn workers_share_an_address_and_the_limits_of_its_server() {
    const MANY: u64 = 120;
    let recipe = Recipe::default()
        .limits(|limits| limits.connections = Some(MANY as u32))
        .route("/", Fixed("hello"));
    let harness = Kitchen { workers: 3, ..Kitchen::default() }.start(vec![recipe]);
    let mut clients: Vec<_> = (0..MANY).map(|_| harness.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    for counters in harness.shared_counters() {
        assert!(counters.connections_open.value() > 0, "a worker has nothing to do");
    }
    harness.expect_open(MANY);
    // Whichever worker it comes to.
    for _ in 0..10 {
        harness.connect().expect_closed();
    }
    harness.expect_outcomes(Reason::TooManyConnections, 10);
    let address = harness.address;
    assert!(harness.drain(Duration::from_secs(10)) < Duration::from_secs(3));
    clients.iter_mut().for_each(Client::expect_closed);
    assert!(is_refused(address));
}

#[test]
fn a_unix_socket_is_watched_by_every_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.sock");
    let acquired = acquire(&Bind::Unix(path.clone()), 2).expect("a unix socket");
    // Our own user may use a private one.
    let recipe = Recipe::default().route("/", Fixed("hello")).private().on(acquired.descriptors);
    let harness = Kitchen { workers: 2, ..Kitchen::default() }.start(vec![recipe]);
    for _ in 0..100 {
        let mut stream = UnixStream::connect(&path).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a read timeout");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    harness.expect_open(0);
    // Who asks Stead what it does is nothing that it does.
    assert_eq!(harness.outcomes(Reason::Ok), 0);
    for counters in harness.shared_counters() {
        let counted = [&counters.requests, &counters.connections_accepted, &counters.bytes_out];
        assert!(counted.iter().all(|counter| counter.value() == 0), "a private server counts");
    }
    harness.drain(Duration::from_secs(5));
    assert!(UnixStream::connect(&path).is_err(), "nobody listens any more");
}
