//! A drain: what rests ends, what runs finishes, what is new is refused, what hangs is cut.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_base::Reason;
use stead_core::{Counters, Exchange, StatusCode};
use stead_net::{Bind, acquire};

use crate::client::{Client, is_refused};
use crate::handlers::{Echo, Fixed, Make, Play, Step, sleep, text, wait};
use crate::harness::{Harness, Kitchen, Recipe, eventually};
use crate::http2::{Http2, answer};

const LONG: Duration = Duration::from_secs(15);

fn kitchen() -> Harness {
    let slow = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            sleep(600).await;
            Ok(text(exchange, b"done"))
        })
    });
    let hang = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            sleep(600_000).await;
            Ok(text(exchange, b"never"))
        })
    });
    let bytes = Bytes::from(vec![b'x'; 64 << 20]);
    let large = Make(move |exchange: &mut Exchange| {
        exchange.respond(StatusCode::OK).with_body(bytes.clone())
    });
    Recipe::default()
        .route("/", Fixed("hello"))
        .route("/slow", slow)
        .route("/hang", hang)
        .route("/echo", Echo)
        .route("/stream", Play(vec![Step::text("begin"), Step::Hang], None))
        .route("/large", large)
        .start()
}

#[test]
fn idle_connections_end_at_once_parked_or_not() {
    let harness = kitchen();
    let mut parked = harness.connect();
    assert_eq!(parked.get("/").text(), "hello");
    let mut silent = harness.connect();
    harness.expect_parked(2);
    // This one was served a moment ago and is still a task.
    let mut quiet = harness.connect();
    assert_eq!(quiet.get("/").text(), "hello");
    let counters = harness.shared_counters();
    let took = harness.drain(LONG);
    assert!(took < Duration::from_secs(2), "the drain took {took:?}");
    for client in [&mut parked, &mut silent, &mut quiet] {
        client.expect_closed();
    }
    assert_eq!(outcomes(&counters, Reason::Drained), 3);
}

fn outcomes(counters: &[std::sync::Arc<Counters>], reason: Reason) -> u64 {
    counters.iter().map(|counters| counters.outcomes[reason as usize].value()).sum()
}

#[test]
fn requests_finish_and_new_connections_are_refused() {
    let harness = kitchen();
    let address = harness.address;
    let mut slow = harness.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut head = harness.connect();
    head.send("GET / HTTP/1.1\r\n");
    let mut body = harness.connect();
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 2));
    let started = Instant::now();
    let draining = thread::spawn(move || harness.drain(LONG));
    assert!(eventually(|| is_refused(address)));
    assert!(started.elapsed() < Duration::from_millis(500), "refused at once");
    head.send("Host: a\r\n\r\n");
    body.send("cd");
    for (client, expect) in [(&mut head, "hello"), (&mut body, "abcd"), (&mut slow, "done")] {
        let answer = client.answer();
        assert_eq!(answer.text(), expect);
        client.expect_closed();
    }
    drop((head, body, slow));
    let took = draining.join().expect("the drain ends");
    assert!(took < Duration::from_secs(5), "the drain took {took:?}");
    assert!(is_refused(address));
}

#[test]
fn an_answer_during_a_drain_says_close() {
    let harness = kitchen();
    let mut slow = harness.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 1));
    let draining = thread::spawn(move || harness.drain(LONG));
    let answer = slow.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("done", Some("close")));
    slow.expect_closed();
    drop(slow);
    draining.join().expect("the drain ends");
}

#[test]
fn what_hangs_is_cut_when_the_time_is_over() {
    let harness = kitchen();
    let mut hanging = harness.connect();
    hanging.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut streaming = harness.connect();
    streaming.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut stuck = Client::connect_narrow(harness.address);
    stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 3));
    let counters = harness.shared_counters();
    let took = harness.drain(Duration::from_millis(300));
    assert!((290..3_000).contains(&took.as_millis()), "the drain took {took:?}");
    hanging.expect_closed();
    assert_eq!(outcomes(&counters, Reason::Drained), 3);
    // What was cut inside its body is not taken for whole.
    assert!(streaming.read_to_close().ends_with("\r\n\r\n5\r\nbegin\r\n"));
    assert!(stuck.read_to_close().len() < 64 << 20);
}

/// Who watches a drain asks through a private server: it answers to the end.
#[test]
fn a_private_server_answers_while_the_others_drain() {
    let slow = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            sleep(600).await;
            Ok(text(exchange, b"done"))
        })
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let acquired = acquire(&Bind::Unix(path.clone()), 1).expect("a unix socket");
    let harness = Kitchen::default().start(vec![
        Recipe::default().route("/slow", slow),
        Recipe::default().route("/", Fixed("status")).private().on(acquired.descriptors),
    ]);
    let address = harness.address;
    let ask = |stream: &mut UnixStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
        let mut answer = [0; 512];
        let count = stream.read(&mut answer).expect("an answer");
        assert!(answer[..count].ends_with(b"\r\n\r\nstatus"), "{}", answer.escape_ascii());
    };
    let mut kept = UnixStream::connect(&path).expect("connect");
    ask(&mut kept);
    let mut client = harness.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 1));
    let draining = thread::spawn(move || harness.drain(LONG));
    assert!(eventually(|| is_refused(address)));
    ask(&mut kept);
    ask(&mut UnixStream::connect(&path).expect("a new connection"));
    assert_eq!(client.answer().text(), "done");
    drop(client);
    // It does not hold the drain up.
    let took = draining.join().expect("the drain ends");
    assert!(took < Duration::from_secs(5), "the drain took {took:?}");
    assert!(UnixStream::connect(&path).is_err());
}

/// What the kernel had accepted before the drain is still served.
#[test]
fn connections_that_wait_to_be_accepted_are_not_reset() {
    let block = Make(|exchange: &mut Exchange| {
        thread::sleep(Duration::from_millis(400));
        text(exchange, b"woke")
    });
    let harness = Recipe::default().route("/block", block).route("/", Fixed("hello")).start();
    let mut blocking = harness.connect();
    blocking.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    // The worker is busy: these stay in the kernel's queue.
    let mut waiting: Vec<_> = (0..20).map(|_| harness.connect()).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let draining = thread::spawn(move || harness.drain(LONG));
    assert_eq!(blocking.answer().text(), "woke");
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "hello");
    }
    drop((blocking, waiting));
    draining.join().expect("the drain ends");
}

/// What had arrived when the drain began is answered, also where the worker had not seen it yet.
#[test]
fn requests_that_came_before_the_drain_are_answered() {
    let block = Make(|exchange: &mut Exchange| {
        thread::sleep(Duration::from_millis(400));
        text(exchange, b"woke")
    });
    let harness = Recipe::default().route("/", Fixed("hello")).route("/block", block).start();
    let mut served: Vec<Client> = (0..8).map(|_| harness.connect()).collect();
    for client in &mut served {
        assert_eq!(client.get("/").text(), "hello");
    }
    let fresh: Vec<Client> = (0..8).map(|_| harness.connect()).collect();
    harness.expect_parked(16);
    let mut blocking = harness.connect();
    blocking.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    let mut clients: Vec<Client> = served.into_iter().chain(fresh).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let draining = thread::spawn(move || harness.drain(LONG));
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("close")));
    }
    assert_eq!(blocking.answer().text(), "woke");
    drop((clients, blocking));
    draining.join().expect("the drain ends");
}

/// Closed without a word, a client that had just connected would take us for broken.
#[test]
fn a_first_request_is_waited_for_a_moment() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let mut served = harness.connect();
    assert_eq!(served.get("/").text(), "hello");
    let (mut asks, mut silent) = (harness.connect(), harness.connect());
    let begins = harness.connect();
    harness.expect_parked(4);
    let began = Instant::now();
    let draining = thread::spawn(move || harness.drain(LONG));
    served.expect_closed();
    asks.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut begins = Http2::with(begins, &[]);
    assert_eq!(begins.get(1, "/"), answer(200, "hello"));
    let answer = asks.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("close")));
    silent.expect_closed();
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    drop((asks, silent, served, begins));
    let took = draining.join().expect("the drain ends");
    assert!(took < LONG / 2, "the drain took {took:?}");
}

#[test]
fn a_drain_ends_with_the_last_that_it_waits_for() {
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let mut asks = harness.connect();
    harness.expect_parked(1);
    asks.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let draining = thread::spawn(move || harness.drain(LONG));
    assert_eq!(asks.answer().text(), "hello");
    drop(asks);
    draining.join().expect("the drain ends");
}
