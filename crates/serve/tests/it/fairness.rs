//! A connection that always has something to do lets the others run.
//!
//! The work of each greedy connection takes a known time of its worker, and its peer keeps up, so
//! that nothing but its turn ends its run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_core::{Body, BodyStream, Exchange, Frame, Result, StatusCode};

use crate::handlers::{Make, text, wait};
use crate::harness::Recipe;
use crate::witness::Witness;

/// Takes the worker's time without ever waiting.
fn work(micros: u64) {
    thread::sleep(Duration::from_micros(micros));
}

/// Works for each piece.
struct Laborious(Bytes);

impl BodyStream for Laborious {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        work(1_000);
        Poll::Ready(Some(Ok(Frame::Bytes(self.0.clone()))))
    }
}

/// A connection kept busy by two threads until it is dropped.
struct Busy(TcpStream, Vec<JoinHandle<()>>);

impl Busy {
    /// Sends `first`, then `again` for ever, and reads all that comes.
    fn start(witness: &Witness, first: &str, again: &'static str) -> Self {
        let mut client = witness.harness.connect();
        client.send(first);
        let mut reader = client.stream.try_clone().expect("a second handle");
        let mut writer = client.stream.try_clone().expect("a third");
        let reading = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while matches!(reader.read(&mut buffer), Ok(1..)) {}
        });
        let writing = thread::spawn(move || {
            let again = again.repeat(1 << 10);
            while !again.is_empty() && writer.write_all(again.as_bytes()).is_ok() {}
        });
        Self(client.stream, vec![reading, writing])
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
        self.1.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// The neighbour's answers come soon, though the greedy one could go on for ever.
fn check(first: &str, again: &'static str) {
    let stream = |size: usize| {
        Make(move |exchange: &mut Exchange| {
            let stream = Laborious(Bytes::from(vec![b'x'; size]));
            exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(stream)))
        })
    };
    let reads = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            let mut body = exchange.take_body();
            while let Some(frame) = body.frame().await {
                work(100);
                frame?;
            }
            Ok(text(exchange, b"all of it"))
        })
    });
    let works = Make(|exchange: &mut Exchange| {
        work(300);
        text(exchange, b"done")
    });
    let recipe = Recipe::default()
        .route("/small-pieces", stream(10 << 10))
        .route("/large-pieces", stream(64 << 10))
        .route("/upload", reads)
        .route("/works", works);
    let mut witness = Witness::of(recipe);
    let busy = Busy::start(&witness, first, again);
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    for _ in 0..5 {
        witness.is_content();
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "5 answers took {took:?}");
    drop(busy);
}

#[test]
fn an_endless_stream_lets_others_run() {
    check("GET /small-pieces HTTP/1.1\r\nHost: a\r\n\r\n", "");
    check("GET /large-pieces HTTP/1.1\r\nHost: a\r\n\r\n", "");
}

#[test]
fn an_endless_upload_lets_others_run() {
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n";
    check(head, "0123456789abcdef0123456789abcdef");
    // So much at once that no read ever comes back with less than it could take.
    check(&[head, &"x".repeat(1 << 20)].concat(), "0123456789abcdef0123456789abcdef");
}

#[test]
fn endless_requests_let_others_run() {
    check("", "GET /works HTTP/1.1\r\nHost: a\r\n\r\n");
}
