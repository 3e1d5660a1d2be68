//! Tests of the load generator against small servers of their own: what it counts is what they
//! answered, and whatever is wrong fails the run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

/// A server that counts connections and answers each request with what `answer` says, until it
/// has answered `per_connection` on one connection.
fn serve(answer: &'static [u8], per_connection: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let accepted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            accepted.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || answer_all(stream, answer, per_connection));
        }
    });
    (address, count)
}

fn answer_all(mut stream: TcpStream, answer: &[u8], mut left: u64) {
    let mut buffer = [0; 8192];
    let mut ends = 0;
    while left > 0 {
        let Ok(came @ 1..) = stream.read(&mut buffer) else { return };
        let mut out = Vec::new();
        for byte in &buffer[..came] {
            ends = match (ends, byte) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => ends + 1,
                _ => 0,
            };
            if ends == 4 {
                ends = 0;
                left -= 1;
                out.extend_from_slice(answer);
            }
        }
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn plan(address: SocketAddr, reuse: Reuse) -> Plan {
    let expected = Expected::exactly(b"hello");
    Plan {
        address,
        path: "/".into(),
        expected,
        connections: 8,
        reuse,
        read_bytes: READ_BYTES,
        secure: None,
    }
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const SPAN: Duration = Duration::from_millis(200);

#[test]
fn keep_alive_uses_the_same_connections_for_every_span() {
    let (address, connections) = serve(HELLO, u64::MAX);
    let mut loader = Loader::open(plan(address, Reuse::KeepAlive { depth: 1 })).unwrap();
    assert!(loader.run(SPAN, u64::MAX).unwrap().answers >= 8);
    let totals = loader.run(SPAN, 100).unwrap();
    assert!((100..=116).contains(&totals.answers), "{totals:?}");
    assert_eq!((totals.connections, connections.load(Ordering::Relaxed)), (0, 8));
}

#[test]
fn pipelined_requests_are_all_answered() {
    let (address, _) = serve(HELLO, u64::MAX);
    let mut loader = Loader::open(plan(address, Reuse::KeepAlive { depth: 16 })).unwrap();
    let totals = loader.run(SPAN, 1000).unwrap();
    assert!(totals.answers >= 1000 && totals.answers.is_multiple_of(16), "{totals:?}");
}

#[test]
fn without_reuse_every_answer_has_a_connection() {
    let (address, connections) = serve(HELLO, 1);
    let mut loader = Loader::open(plan(address, Reuse::Never)).unwrap();
    let totals = loader.run(SPAN, 100).unwrap();
    assert_eq!(totals.answers, totals.connections);
    drop(loader);
    // The eight opened for a next span are beyond those that carried a request; the server may
    // not have accepted the last of them yet.
    let accepted = connections.load(Ordering::Relaxed);
    assert!((totals.answers..=totals.answers + 8).contains(&accepted), "{accepted} {totals:?}");
}

#[test]
fn a_connection_that_is_kept_where_it_should_close_is_no_answer() {
    let (address, _) = serve(HELLO, 1);
    let mut loader = Loader::open(plan(address, Reuse::KeepAlive { depth: 1 })).unwrap();
    let error = format!("{:#}", loader.run(SPAN, u64::MAX).unwrap_err());
    assert!(error.contains("closed a connection"), "{error}");
}

#[test]
fn a_wrong_answer_fails_the_run() {
    let (address, _) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo", u64::MAX);
    assert!(check_once(address, "/", b"hello", None).is_err());
    let (address, _) = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", u64::MAX);
    assert!(check_once(address, "/", b"hello", None).is_err());
}
