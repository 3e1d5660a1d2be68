//! Streamed answers: made no faster than they are taken, and whole or visibly cut.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use stead_base::Reason;
use stead_core::{Body, Exchange, Handler, StatusCode};

use crate::client::Client;
use crate::handlers::{Calls, Counted, Make, Play, Script, Step};
use crate::harness::Recipe;
use crate::witness::Witness;

fn play(steps: Vec<Step>, length: Option<u64>) -> impl Handler {
    Play(steps, length)
}

#[test]
fn a_slow_reader_bounds_how_much_is_made() {
    const PIECE: usize = 64 << 10;
    let asked = Calls::default();
    let told = asked.clone();
    let large = Make(move |exchange: &mut Exchange| {
        let piece = Bytes::from(vec![b'x'; PIECE]);
        let stream = Counted { piece, pieces: 100_000, asked: told.clone() };
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(stream)))
    });
    let mut witness = Witness::of(Recipe::default().route("/large", large));
    let mut client = Client::connect_narrow(witness.harness.address);
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut before = 0;
    while before == 0 || asked.value() != before {
        before = asked.value();
        thread::sleep(Duration::from_millis(200));
    }
    // The kernel's send buffer grows to a few MiB; the worker adds one piece.
    assert!(before * (PIECE as u64) < 16 << 20, "{before} pieces were made");
    witness.is_content();
    client.take(1 << 20).expect("the answer begins");
    assert!(crate::harness::eventually(|| asked.value() > before), "it goes on as it is taken");
    drop(client);
    witness.harness.expect_outcomes(Reason::ClientClosed, 1);
    witness.harness.expect_open(1);
}

/// Small and large pieces, to a reader that is slow to begin: what was sent in part before a large
/// piece came must not be sent again.
#[test]
fn pieces_of_any_size_arrive_in_order() {
    let number = |index: usize, size: usize| {
        let mut bytes = format!("{index:08}").repeat(size / 8 + 1).into_bytes();
        bytes.truncate(size);
        bytes
    };
    let mut steps = Vec::new();
    let mut expected = Vec::new();
    for index in 0..600 {
        for size in [1_000, 20_000, 17, 3_000] {
            let piece = number(index, size);
            expected.extend_from_slice(&piece);
            steps.extend([Step::Bytes(piece), Step::Yield]);
        }
    }
    let length = expected.len() as u64;
    let harness = Recipe::default()
        .route("/chunked", play(steps.clone(), None))
        .route("/stated", play(steps, Some(length)))
        .start();
    for path in ["/chunked", "/stated"] {
        let mut client = Client::connect_narrow(harness.address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        thread::sleep(Duration::from_millis(200));
        let body = client.answer().body;
        assert!(body == expected, "{path}: {} bytes of {length}", body.len());
    }
}

#[test]
fn a_stream_that_breaks_its_word_is_cut() {
    let text = Step::text("12345");
    let trailers = Step::Trailers("X-Sum", "1");
    let mut witness = Witness::of(
        Recipe::default()
            .route("/short", play(vec![text.clone()], Some(6)))
            .route("/short-with-trailers", play(vec![text.clone(), trailers], Some(6)))
            .route("/long", play(vec![text.clone(), Step::Yield, text.clone()], Some(6)))
            .route("/fails", play(vec![text.clone(), Step::Yield, Step::Fail], None))
            .route("/fails-of-6", play(vec![text, Step::Fail], Some(6))),
    );
    let paths = ["/short", "/short-with-trailers", "/long", "/fails-of-6", "/fails"];
    for (times, path) in (1..).zip(paths) {
        let mut client = witness.harness.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send([request.as_str(), "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        let received = client.read_to_close();
        let (head, body) = received.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}");
        if path == "/fails" {
            assert_eq!(body, "5\r\n12345\r\n", "{path}");
            witness.harness.expect_outcomes(Reason::HandlerError, 2);
        } else {
            assert!(head.contains("Content-Length: 6") && body == "12345", "{path}: {received}");
        }
        if times <= 3 {
            witness.harness.expect_outcomes(Reason::ResponseTruncated, times);
        }
        witness.is_content();
    }
}

/// To HTTP/1.0 only the end of the connection ends a stream: a cut one must not end orderly.
#[test]
fn a_stream_that_fails_to_http_10_is_reset() {
    let steps = vec![Step::text("half"), Step::Yield, Step::Fail];
    let harness = Recipe::default().route("/", play(steps, None)).start();
    let mut client = harness.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut received = Vec::new();
    let ended = std::io::Read::read_to_end(&mut client.stream, &mut received);
    let error = ended.expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    harness.expect_outcomes(Reason::HandlerError, 1);
}

#[test]
fn a_stream_is_dropped_when_its_reader_resets() {
    let steps = vec![Step::text("begin"), Step::Hang];
    let dropped = Calls::default();
    let told = dropped.clone();
    let hang = Make(move |exchange: &mut Exchange| {
        let stream = Dropped(Script::new(steps.clone()), crate::handlers::Told(told.clone()));
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(stream)))
    });
    let witness = Witness::of(Recipe::default().route("/hang", hang));
    let mut client = witness.harness.connect();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().expect("it begins");
    client.reset();
    assert!(crate::harness::eventually(|| dropped.value() == 1));
    witness.harness.expect_outcomes(Reason::ClientClosed, 1);
}

struct Dropped(
    Script,
    #[allow(dead_code, reason = "tells when it is dropped")] crate::handlers::Told,
);

impl stead_core::BodyStream for Dropped {
    fn poll_frame(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<stead_core::Result<stead_core::Frame>>> {
        self.0.poll_frame(context)
    }
}
