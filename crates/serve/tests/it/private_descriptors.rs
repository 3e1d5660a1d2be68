//! Workers with descriptor tables of their own: whatever crosses threads crosses them as wake-ups
//! and values, never as a byte in somebody's socket.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use stead_core::{Exchange, Response, Result};
use stead_serve::{Errand, Messenger};

use crate::client::Client;
use crate::descriptors::alone;
use crate::handlers::{Fixed, text, wait};
use crate::harness::{Harness, Kitchen, Recipe};

const WORKERS: usize = 4;

fn start() -> Harness {
    let recipe = Recipe::default().route("/", Fixed("hello")).route("/file", wait(read_a_file));
    let kitchen = Kitchen { workers: WORKERS, private_descriptors: true, ..Kitchen::default() };
    kitchen.start(vec![recipe])
}

/// Opened by the worker's blocking pool, read by the worker.
fn read_a_file(exchange: &mut Exchange) -> Pin<Box<dyn Future<Output = Result<Response>> + '_>> {
    let opening = exchange.worker().blocking(|| File::open("/proc/version"));
    Box::pin(async move {
        let mut name = Vec::new();
        let read = opening.await?.and_then(|file| file.take(64).read_to_end(&mut name));
        assert!(read.is_ok_and(|count| count > 0));
        Ok(text(exchange, b"opened"))
    })
}

/// A socket that rests must have nothing to read.
fn expect_silence(client: &mut Client) {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let read = client.stream.read(&mut [0; 16]);
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "a stray byte");
    client.stream.set_nonblocking(false).expect("blocking");
}

/// Wakes a worker with an errand, waits until it is done, and so on; each eighth errand is passed
/// on to the neighbour, from one worker's thread to another's.
fn ring(messenger: &Messenger, worker: usize, count: u64) {
    let done = Arc::new(AtomicU64::new(0));
    for n in 0..count {
        let (here, next) = (Arc::clone(&done), messenger.clone());
        let ring = move || here.store(n + 1, Ordering::Release);
        let errand: Errand = match n % 8 {
            0 => Box::new(move |guest| {
                assert!(next.send(guest.worker().index + 1, Box::new(move |_| ring())));
            }),
            _ => Box::new(move |_| ring()),
        };
        assert!(messenger.send(worker, errand));
        while done.load(Ordering::Acquire) <= n {
            thread::yield_now();
        }
    }
}

#[test]
fn a_million_wake_ups_leave_no_stray_byte() {
    const EACH: u64 = 250_000;
    let harness = start();
    let mut resting: Vec<_> = (0..200).map(|_| harness.connect()).collect();
    for client in &mut resting {
        assert_eq!(client.get("/").text(), "hello");
    }
    let over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let messenger = harness.messenger();
            thread::spawn(move || ring(&messenger, worker, EACH))
        })
        .collect();
    let (address, until) = (harness.address, Arc::clone(&over));
    let busy = thread::spawn(move || {
        let mut asked = 0;
        while !until.load(Ordering::Relaxed) {
            // Numbers come and go, here and in the workers' tables.
            let _event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let mut client = Client::connect(address);
            for _ in 0..4 {
                assert_eq!(client.get("/").text(), "hello");
                asked += 1;
            }
            assert_eq!(client.get("/file").text(), "opened");
        }
        asked
    });
    for sender in senders {
        sender.join().expect("no panic");
    }
    over.store(true, Ordering::Relaxed);
    assert!(busy.join().expect("no stray byte in an answer") > 0);
    for client in &mut resting {
        expect_silence(client);
        assert_eq!(client.get("/").text(), "hello");
    }
    assert!(harness.count(|counters| &counters.panics) == 0);
}

#[test]
fn each_worker_holds_as_many_as_the_process_might() {
    alone("private_descriptors::each_worker_holds_as_many_as_the_process_might", hold_many);
}

fn hold_many() {
    // Each connection counts in the worker's table alone: this one has the clients' ends only.
    let harness = start();
    let before = open_here();
    let mut clients: Vec<_> = (0..100).map(|_| harness.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    assert_eq!(open_here(), before + clients.len());
    drop(clients);
    harness.expect_open(0);
}

fn open_here() -> usize {
    std::fs::read_dir("/proc/thread-self/fd").expect("a table").count()
}

/// Copies of a listener in other tables would keep its queue open: new clients would wait for ever.
#[test]
fn a_drain_refuses_new_connections_and_ends() {
    let harness = start();
    let (address, mut client) = (harness.address, harness.connect());
    assert_eq!(client.get("/").text(), "hello");
    assert!(harness.drain(Duration::from_secs(20)) < Duration::from_secs(10));
    client.expect_closed();
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
