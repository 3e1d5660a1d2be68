//! Bodies: both ways at once, at the reader's pace, with their ends and breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};

use crate::{eventually, serve};

#[tokio::test]
async fn a_body_is_echoed_while_it_arrives() {
    let router = Router::new().route("/", post(|body: Body| async { body }));
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        assert_eq!(client.chunk().as_deref(), Some(piece.as_bytes()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(client.take(2), b"\r\n");
    let again = client.request("POST", "/", "", b"again");
    assert_eq!((again.text(), again.field("content-length")), ("again", Some("5")));
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let router = Router::new().route("/", post(|body: Body| async { body }));
    let serving = serve(router).await;
    let mut client = serving.connect();
    let body: Vec<u8> = (0..8_000_000_u32).map(|byte| byte as u8).collect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sent = body.clone();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        write!(writer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len())?;
        writer.write_all(&sent)
    });
    assert!(client.answer().body == body, "every byte in order");
    sender.join().expect("no panic").expect("all was sent");
}

/// Nothing of a body is read before it is asked for, and then no more than that.
#[tokio::test]
async fn a_body_that_is_not_read_holds_its_sender_back() {
    let taken = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&taken);
    let router = Router::new().route(
        "/",
        post(move |body: Body| async move {
            let mut body = body.into_data_stream();
            let first = body.next().await.expect("a piece").expect("no error");
            seen.store(first.len(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
            "read a little"
        }),
    );
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let mut sent = 0;
    let piece = vec![0; 64 << 10];
    while let Ok(count) = std::io::Write::write(&mut client.stream, &piece) {
        sent += count;
    }
    assert!(sent < 100 << 20, "{sent} bytes were taken");
    let first = taken.load(Ordering::Relaxed);
    assert!((1..=64 << 10).contains(&first), "{first} bytes at once");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    async fn trailers(body: Body) -> Response {
        let collected = body.collect().await.expect("a whole body");
        let mut fields = HeaderMap::new();
        let sum = collected.trailers().and_then(|fields| fields.get("x-sum")).cloned();
        fields.insert("x-sum", sum.unwrap_or(HeaderValue::from_static("none")));
        let frames = [
            Ok::<_, std::io::Error>(http_body::Frame::data(collected.to_bytes())),
            Ok(http_body::Frame::trailers(fields)),
        ];
        Body::new(StreamBody::new(futures_util::stream::iter(frames))).into_response()
    }
    let serving = serve(Router::new().route("/", post(trailers))).await;
    let mut client = serving.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.trailers.as_str()), ("hi", "x-sum: 42\r\n"));
}

#[tokio::test]
async fn continue_is_said_when_the_body_is_asked_for() {
    let router = Router::new()
        .route("/read", post(|body: Bytes| async move { format!("{} bytes", body.len()) }))
        .route("/refuse", post(|| async { StatusCode::UNAUTHORIZED }));
    let serving = serve(router).await;
    let mut client = serving.connect();
    let ask = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    client.send(ask("/read"));
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer().text(), "5 bytes");
    client.send(ask("/refuse"));
    assert_eq!(client.answer().status, 401, "without a word of the body");
    assert!(client.is_closed());
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let router = Router::new().route("/", post(|| async { "early" }));
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(client.answer().text(), "early");
    client.send("67890");
    assert_eq!(client.get("/").status, 405, "what nobody read was read away");
}

#[tokio::test]
async fn head_tells_the_length_that_get_would_have() {
    let stream = || async {
        let pieces = ["a", "b"].map(Ok::<_, std::io::Error>);
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/empty", get(|| async {}))
        .route("/none", get(|| async { StatusCode::NO_CONTENT }))
        .route("/same", get(|| async { StatusCode::NOT_MODIFIED }))
        .route("/stream", get(stream));
    let serving = serve(router).await;
    let mut client = serving.connect();
    let mut head = |path: &str| {
        let answer = client.request("HEAD", path, "", b"");
        assert_eq!(answer.field("transfer-encoding"), None, "{path}");
        (answer.status, answer.field("content-length").map(str::to_owned))
    };
    assert_eq!(head("/"), (200, Some("5".to_owned())));
    assert_eq!(head("/empty"), (200, Some("0".to_owned())));
    assert_eq!(head("/none"), (204, None));
    assert_eq!(head("/same"), (304, None));
    assert_eq!(head("/stream"), (200, None));
    assert_eq!(head("/nowhere"), (404, None));
    assert_eq!(client.get("/stream").text(), "ab");
    assert_eq!(client.get("/empty").field("content-length"), Some("0"));
}

/// A peer that goes away ends what was done for it, whether its handler waits or its body.
#[tokio::test]
async fn a_peer_that_leaves_drops_future_and_body() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (one, two) = (Arc::clone(&dropped), Arc::clone(&dropped));
    let router = Router::new()
        .route(
            "/future",
            get(move || async move {
                let _counted = Counted(one);
                std::future::pending::<&str>().await
            }),
        )
        .route(
            "/body",
            get(move || async move {
                let counted = Counted(two);
                let first = futures_util::stream::iter([Ok::<_, std::io::Error>("first")]);
                Body::from_stream(first.chain(futures_util::stream::pending()).map(move |piece| {
                    let _held = &counted;
                    piece
                }))
            }),
        );
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.send("GET /future HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(client);
    assert!(eventually(|| dropped.load(Ordering::Relaxed) == 1));
    let mut client = serving.connect();
    client.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.chunk().as_deref(), Some(&b"first"[..]));
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    drop(client);
    assert!(eventually(|| dropped.load(Ordering::Relaxed) == 2));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_to_its_reader_and_to_the_peer() {
    let router = Router::new()
        .route("/read", post(|body: Result<Bytes, _>| async move { body.map(|_| "whole") }))
        .route(
            "/break",
            get(|| async {
                let pieces = [Ok("half"), Err(std::io::Error::other("broke"))];
                Body::from_stream(futures_util::stream::iter(pieces))
            }),
        );
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.send("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.answer().status, 400);
    let mut client = serving.connect();
    client.send("GET /break HTTP/1.1\r\nHost: a\r\n\r\n");
    let all = String::from_utf8(client.read_to_close()).expect("text");
    assert!(all.starts_with("HTTP/1.1 200 ") && !all.ends_with("0\r\n\r\n"), "{all}");
}

/// What a handler leaves to a task of its own goes on after the answer, as far as the answer's
/// length was known.
#[tokio::test]
async fn a_body_may_be_read_after_the_answer() {
    let read = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&read);
    let router = Router::new().route(
        "/",
        post(move |request: Request| async move {
            tokio::spawn(async move {
                let body = request.into_body().collect().await.expect("a whole body");
                seen.store(body.to_bytes().len(), Ordering::Relaxed);
            });
            (StatusCode::ACCEPTED, "later")
        }),
    );
    let serving = serve(router).await;
    let mut client = serving.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(client.answer().status, 202);
    client.send("67890");
    assert!(eventually(|| read.load(Ordering::Relaxed) == 10));
    assert_eq!(client.get("/").status, 405, "and the connection goes on");
}

/// A length that a service says itself is kept, as hyper keeps it: it went away, and browsers
/// showed no progress.
#[tokio::test]
async fn a_stream_whose_length_is_said_keeps_it() {
    let stream = |pieces: &'static [&'static str]| {
        let pieces = pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        ([(header::CONTENT_LENGTH, "6")], body)
    };
    let router = Router::new()
        .route("/", get(move || async move { stream(&["one", "two"]) }))
        .route("/short", get(move || async move { stream(&["one"]) }))
        .route("/long", get(move || async move { stream(&["one", "two", "three"]) }));
    let serving = serve(router).await;
    let mut client = serving.connect();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.field("content-length"), answer.text()), (Some("6"), "onetwo"));
        assert_eq!(answer.field("transfer-encoding"), None);
    }
    for path in ["/short", "/long"] {
        let mut client = serving.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head().to_ascii_lowercase();
        assert!(head.contains("content-length: 6\r\n"), "{head}");
        let body = client.read_to_close();
        assert!(body.len() <= 6 && !body.ends_with(b"three"), "{}", body.escape_ascii());
    }
}

/// A body that knows its length is believed, not the field beside it, as under hyper; and what has
/// no body has no length.
#[tokio::test]
async fn a_length_that_the_body_knows_wins() {
    let said = |length: &'static str| [(header::CONTENT_LENGTH, length)];
    let empty = move |status| async move { (status, said("6"), Body::from_stream(nothing())) };
    let router = Router::new()
        .route("/", get(move || async move { (said("6"), "hello") }))
        .route("/twice", get(move || async move { (said("6, 6"), Body::from_stream(nothing())) }))
        .route("/none", get(move || empty(StatusCode::NO_CONTENT)));
    let serving = serve(router).await;
    let mut client = serving.connect();
    let answer = client.get("/");
    assert_eq!((answer.field("content-length"), answer.text()), (Some("5"), "hello"));
    let answer = client.get("/twice");
    assert_eq!((answer.field("content-length"), answer.text()), (None, ""), "that is no length");
    client.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 204 ") && !head.contains("\r\ncontent-length:"), "{head}");
    assert!(!head.contains("\r\ntransfer-encoding:"), "{head}");
}

fn nothing() -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures_util::stream::empty()
}

/// `content-type` and others go both ways as they are; what frames a message is Stead's.
#[tokio::test]
async fn framing_fields_of_a_service_are_not_sent() {
    let router = Router::new().route(
        "/",
        get(|| async {
            let fields = [
                (header::TRANSFER_ENCODING, "chunked"),
                (header::SET_COOKIE, "a=1"),
                (header::CONNECTION, "x-mine"),
            ];
            (fields, "hello")
        }),
    );
    let serving = serve(router).await;
    let answer = serving.connect().get("/");
    assert_eq!((answer.field("content-length"), answer.text()), (Some("5"), "hello"));
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(answer.field("set-cookie"), Some("a=1"));
}

/// It was dropped with the other fields of the connection, and the connection went on.
#[tokio::test]
async fn a_service_may_end_its_connection() {
    let close = |value: &'static str| [(header::CONNECTION, value)];
    let router = Router::new()
        .route("/", get(move || async move { (close("close"), "bye") }))
        .route("/listed", get(move || async move { (close("x-mine, Close"), "bye") }))
        .route("/other", get(move || async move { (close("x-close"), "on") }));
    let serving = serve(router).await;
    for path in ["/", "/listed"] {
        let mut client = serving.connect();
        let answer = client.get(path);
        assert_eq!((answer.field("connection"), answer.text()), (Some("close"), "bye"));
        assert!(client.is_closed());
    }
    let mut client = serving.connect();
    for _ in 0..2 {
        let answer = client.get("/other");
        assert_eq!((answer.field("connection"), answer.text()), (None, "on"));
    }
}
