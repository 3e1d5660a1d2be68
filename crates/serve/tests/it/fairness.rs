//! A connection that always has something to do lets the others run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_core::{Body, Exchange, StatusCode};

use crate::handlers::{Calls, Counted, Make};
use crate::harness::Recipe;
use crate::witness::Witness;

/// Keeps a connection busy until told to stop.
struct Busy {
    stop: Arc<AtomicBool>,
    stream: TcpStream,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Sends `first`, then `again` for ever, and reads all that comes.
    fn start(witness: &Witness, first: &str, again: &str) -> Self {
        let mut client = witness.harness.connect();
        client.send(first);
        let (stop, stream) = (Arc::new(AtomicBool::new(false)), client.stream);
        let mut threads = Vec::new();
        let mut reader = stream.try_clone().expect("a second handle");
        threads.push(thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while matches!(reader.read(&mut buffer), Ok(1..)) {}
        }));
        if !again.is_empty() {
            let (mut writer, again) = (stream.try_clone().expect("a third"), again.repeat(1 << 10));
            let stop = Arc::clone(&stop);
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && writer.write_all(again.as_bytes()).is_ok() {}
            }));
        }
        Self { stop, stream, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

#[test]
fn greedy_connections_share_their_worker() {
    let endless = Make(|exchange: &mut Exchange| {
        let piece = Bytes::from(vec![b'x'; 4 << 10]);
        let stream = Counted { piece, pieces: u64::MAX, asked: Calls::default() };
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(stream)))
    });
    let large = Bytes::from(vec![b'x'; 256 << 20]);
    let bytes = Make(move |exchange: &mut Exchange| {
        exchange.respond(StatusCode::OK).with_body(large.clone())
    });
    let recipe = Recipe::default().route("/endless", endless).route("/bytes", bytes);
    let mut witness = Witness::of(recipe);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n";
    for (first, again) in [
        (get("/endless"), ""),
        (get("/bytes"), ""),
        (upload.to_owned(), "0123456789abcdef"),
        (get("/hello"), get("/hello").as_str()),
    ] {
        let busy = Busy::start(&witness, &first, again);
        thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        for _ in 0..20 {
            witness.is_content();
        }
        let took = started.elapsed();
        assert!(took < Duration::from_secs(4), "20 answers took {took:?} beside {first}");
        drop(busy);
    }
}
