//! HTTP/2 by prior knowledge: the same routes, bodies and answers as in HTTP/1.

use std::time::{Duration, Instant};

use stead_core::name;

use crate::handlers::{Make, Play, Step, text};
use crate::harness::{Recipe, at_best};
use crate::http2::{
    ACK, DATA, END_HEADERS, END_STREAM, End, GOAWAY, HEADERS, Http2, NO_ERROR, PING, PREFACE,
    RST_STREAM, SETTINGS, alone, answer, block, code, fields, frame, get, post, raw, recipe,
    status,
};

#[test]
fn many_streams_are_answered_on_one_connection() {
    let (harness, mut http2) = alone(recipe());
    let all: Vec<u8> = (0..100).flat_map(|n| get(2 * n + 1, "/")).collect();
    http2.send(all);
    let (mut heads, mut ends) = (0, 0);
    while ends < 100 {
        let frame = http2.frame_of(&[HEADERS, DATA]).expect("an answer");
        if frame.kind == HEADERS {
            assert_eq!(status(&frame.content), 200);
            heads += 1;
        }
        ends += u32::from(frame.flags & END_STREAM != 0);
    }
    assert_eq!(heads, 100);
    assert_eq!(harness.count(|counters| &counters.requests), 100);
    assert_eq!(http2.get(201, "/nope"), answer(404, "404 Not Found\n"));
}

#[test]
fn the_preface_comes_in_any_pieces_and_http1_goes_on_beside_it() {
    let harness = recipe().start();
    let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, "/")].concat();
    for cut in [1, 2, 3, 5, 14, 16, 23, 24, 25, 33, 40] {
        let mut client = raw(harness.address);
        client.send(&bytes[..cut]);
        std::thread::sleep(Duration::from_millis(5));
        client.send(&bytes[cut..]);
        let mut http2 = Http2 { client };
        let head = http2.frame_of(&[HEADERS]).expect("an answer");
        assert_eq!(head.content[0], 0x88, "cut at {cut}");
    }
    let mut client = harness.connect();
    assert_eq!(client.get("/").status, 200);
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer().text(), "3");
    for other in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI / HTTP/2.0\r\n\r\n"] {
        let told = harness.talk(other);
        assert!(told.starts_with("HTTP/1.1 505 ") || told.starts_with("HTTP/1.1 400 "), "{told}");
    }
}

#[test]
fn a_listener_without_http2_knows_nothing_of_it() {
    let harness = recipe().http1_only().start();
    let told = harness.talk([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    assert!(told.starts_with("HTTP/1.1 "), "{told}");
}

#[test]
fn heads_reach_handlers_as_in_http1() {
    let (_harness, mut http2) = alone(recipe());
    let block = block(&fields("GET", "/a/../tell?x=1", &[("x-tell", "told")]));
    http2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    assert_eq!(http2.end(1), answer(200, "GET /tell x=1 a told"));
}

#[test]
fn bodies_go_both_ways_with_trailers() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(post(1, "/count", &[]));
    http2.send(frame(DATA, 0, 1, b"abc"));
    http2.send(frame(DATA, 0, 1, b"de"));
    http2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-sum", "5")])));
    assert_eq!(http2.end(1), answer(200, "5 x-sum=5"));
    http2.send(post(3, "/echo", &[("content-length", "3")]));
    http2.send(frame(DATA, END_STREAM, 3, b"abc"));
    assert_eq!(http2.end(3), answer(200, "abc"));
    let steps = vec![Step::text("one"), Step::Yield, Step::Trailers("x-done", "yes")];
    let (_harness, mut http2) = alone(Recipe::default().route("/", Play(steps, None)));
    http2.send(get(1, "/"));
    let head = http2.frame_of(&[HEADERS]).unwrap();
    assert_eq!((status(&head.content), head.flags & END_STREAM), (200, 0));
    assert_eq!(http2.frame_of(&[DATA]).unwrap().content, b"one");
    let trailers = http2.frame_of(&[HEADERS, DATA]).unwrap();
    assert_eq!((trailers.kind, trailers.flags), (HEADERS, END_HEADERS | END_STREAM));
}

/// A body larger than every window arrives while its reader takes it.
#[test]
fn windows_open_as_bodies_are_read() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(post(1, "/count", &[]));
    let (mut stream, mut connection) = (65_536_i64, 65_535_i64);
    for piece in 0..100 {
        while stream < 10_000 || connection < 10_000 {
            let update = http2.frame_of(&[0x8]).expect("a window opens");
            let bytes = i64::from(code(&update.content));
            *(if update.stream == 0 { &mut connection } else { &mut stream }) += bytes;
        }
        let end = if piece == 99 { END_STREAM } else { 0 };
        http2.send(frame(DATA, end, 1, &[b'x'; 10_000]));
        stream -= 10_000;
        connection -= 10_000;
    }
    assert_eq!(http2.end(1), answer(200, "1000000"));
}

#[test]
fn large_answers_wait_for_the_windows() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(get(1, "/large"));
    let mut bytes = 0;
    loop {
        let data = http2.frame_of(&[DATA]).expect("data");
        bytes += data.content.len();
        if data.flags & END_STREAM != 0 {
            break;
        }
        let count = data.content.len() as u32;
        if count > 0 {
            http2.send([0, 1].map(|n| crate::http2::window_update(n, count)).concat());
        }
    }
    assert_eq!(bytes, 4 << 20);
}

#[test]
fn answers_without_body_have_none() {
    let empty = Make(|exchange: &mut stead_core::Exchange| {
        exchange.respond(stead_core::StatusCode::NO_CONTENT)
    });
    let (_harness, mut http2) = alone(recipe().route("/empty", empty));
    http2.send(get(1, "/empty"));
    let head = http2.frame_of(&[HEADERS]).unwrap();
    assert_eq!((status(&head.content), head.flags), (204, END_HEADERS | END_STREAM));
    let block = block(&fields("HEAD", "/", &[]));
    http2.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &block));
    let head = http2.frame_of(&[HEADERS]).unwrap();
    assert_eq!((status(&head.content), head.flags), (200, END_HEADERS | END_STREAM));
}

#[test]
fn expectations_are_answered_when_somebody_reads() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(post(1, "/count", &[("expect", "100-continue")]));
    let interim = http2.frame_of(&[HEADERS]).unwrap();
    assert_eq!((status(&interim.content), interim.flags & END_STREAM), (100, 0));
    http2.send(frame(DATA, END_STREAM, 1, b"abc"));
    assert_eq!(http2.end(1), answer(200, "3"));
    http2.send(post(3, "/", &[("expect", "100-continue")]));
    assert_eq!(http2.end(3), answer(200, "hello"));
    http2.send(post(5, "/", &[("expect", "tea")]));
    assert!(matches!(http2.end(5), End::Answer { status: 417, .. }));
}

#[test]
fn security_35_bodies_beyond_their_limit_are_refused() {
    let recipe = recipe().limits(|limits| limits.body = Some(stead_base::ByteSize(4)));
    let (_harness, mut http2) = alone(recipe);
    http2.send(post(1, "/count", &[("content-length", "5")]));
    assert!(matches!(http2.end(1), End::Answer { status: 413, .. }));
    http2.send(post(3, "/count", &[]));
    http2.send(frame(DATA, 0, 3, b"12345"));
    assert!(matches!(http2.end(3), End::Answer { status: 413, .. }));
    assert_eq!(http2.get(5, "/"), answer(200, "hello"));
}

#[test]
fn a_panic_ends_one_stream() {
    let panics = Make(|exchange: &mut stead_core::Exchange| {
        assert!(exchange.query().is_none(), "on purpose");
        text(exchange, b"fine")
    });
    let (harness, mut http2) = alone(recipe().route("/panics", panics));
    http2.send([get(1, "/panics?now"), get(3, "/panics")].concat());
    assert!(matches!(http2.end(1), End::Answer { status: 500, .. }));
    assert_eq!(http2.get(5, "/panics"), answer(200, "fine"));
    let torn = Play(vec![Step::text("begun"), Step::Panic], None);
    let (_other, mut http2) = alone(recipe().route("/torn", torn));
    http2.send(get(1, "/torn"));
    assert_eq!(http2.end(1), End::Reset(0x2));
    assert_eq!(http2.get(3, "/"), answer(200, "hello"));
    assert_eq!(harness.count(|counters| &counters.panics), 1);
}

#[test]
fn an_answer_that_asks_for_the_end_ends_the_connection() {
    let closes = Make(|exchange: &mut stead_core::Exchange| {
        let mut answer = text(exchange, b"bye");
        answer.fields.set(name::CONNECTION, b"close");
        answer
    });
    let (harness, mut http2) = alone(recipe().route("/closes", closes));
    assert_eq!(http2.get(1, "/closes"), answer(200, "bye"));
    let last = http2.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert_eq!((code(&last.content), code(&last.content[4..])), (0x7fff_ffff, NO_ERROR));
    harness.expect_open(0);
    // Once with its request, and not again with the connection.
    harness.expect_outcomes(stead_base::Reason::Ok, 1);
}

#[test]
fn an_idle_connection_is_told_and_closed() {
    let recipe = recipe().timeouts(|timeouts| timeouts.idle = Some(Duration::from_millis(300)));
    let (harness, mut http2) = alone(recipe);
    assert_eq!(http2.get(1, "/"), answer(200, "hello"));
    http2.expect_go_away(NO_ERROR);
    harness.expect_outcomes(stead_base::Reason::IdleTimeout, 1);
    harness.expect_open(0);
}

#[test]
fn security_30_a_drain_says_goodbye_in_two_steps() {
    let slow = vec![Step::text("begun"), Step::Yield, Step::Hang];
    let (harness, mut http2) = alone(recipe().route("/slow", Play(slow, None)));
    http2.send(get(1, "/slow"));
    assert_eq!(http2.frame_of(&[DATA]).unwrap().content, b"begun");
    let draining = std::thread::spawn(move || harness.drain(Duration::from_secs(3)));
    let first = http2.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert_eq!((code(&first.content), code(&first.content[4..])), (0x7fff_ffff, NO_ERROR));
    // What was on its way is still taken.
    http2.send(get(3, "/"));
    let ping = http2.frame_of(&[PING]).expect("a ping");
    http2.send(frame(PING, ACK, 0, &ping.content));
    let second = http2.frame_of(&[GOAWAY]).expect("another");
    assert_eq!((code(&second.content), code(&second.content[4..])), (3, NO_ERROR));
    // The stream that hangs is cut when the drain has taken too long.
    let cut = http2.frame_of(&[RST_STREAM]);
    assert!(cut.is_none_or(|cut| cut.stream == 1));
    while http2.frame().is_some() {}
    assert!(draining.join().unwrap() < Duration::from_secs(15));
}

#[test]
fn a_connection_carries_no_more_requests_than_it_may() {
    let recipe = recipe().limits(|limits| limits.keepalive_requests = Some(2));
    let (harness, mut http2) = alone(recipe);
    assert_eq!(http2.get(1, "/"), answer(200, "hello"));
    assert_eq!(http2.get(3, "/"), answer(200, "hello"));
    let last = http2.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert_eq!(code(&last.content[4..]), NO_ERROR);
    while http2.frame().is_some() {}
    harness.expect_outcomes(stead_base::Reason::KeepaliveRequests, 1);
}

/// Clients that follow the goodbye at once: why it was said is counted all the same, and they are
/// not held up as those are that do not.
#[test]
fn why_a_connection_ends_is_counted_where_the_client_follows() {
    let grace = Duration::from_secs(1);
    let took = at_best(grace, || {
        let recipe = recipe().limits(|limits| limits.keepalive_requests = Some(2));
        let (harness, mut http2) = alone(recipe);
        assert_eq!(http2.get(1, "/"), answer(200, "hello"));
        let began = Instant::now();
        assert_eq!(http2.get(3, "/"), answer(200, "hello"));
        let ping = http2.frame_of(&[PING]).expect("a ping");
        http2.send(frame(PING, ACK, 0, &ping.content));
        let last = http2.frame_of(&[GOAWAY]).expect("GOAWAY");
        assert_eq!((code(&last.content), code(&last.content[4..])), (3, NO_ERROR));
        while http2.frame().is_some() {}
        let took = began.elapsed();
        harness.expect_outcomes(stead_base::Reason::KeepaliveRequests, 1);
        harness.expect_outcomes(stead_base::Reason::Ok, 2);
        assert_eq!(harness.outcomes(stead_base::Reason::ClientClosed), 0);
        took
    });
    assert!(took < grace, "{took:?}");
}

/// A request is over with its answer, though its client still sends a body that nobody reads: only
/// the last bytes wait for that. Curl 7.88 spins where they come before the windows that it needs.
#[test]
fn the_record_does_not_wait_for_a_body_that_nobody_reads() {
    let (harness, mut http2) = alone(recipe());
    http2.send(post(1, "/", &[]));
    assert_eq!(http2.frame_of(&[HEADERS]).unwrap().flags & END_STREAM, 0);
    harness.expect_outcomes(stead_base::Reason::Ok, 1);
    let (mut stream, mut sent) = (64 << 10, 0);
    while sent < 120 << 10 {
        http2.send(frame(DATA, 0, 1, &[0; 8 << 10]));
        (sent, stream) = (sent + (8 << 10), stream - (8 << 10));
        while stream < 8 << 10 {
            let next = http2.frame_of(&[0x8, DATA]).expect("a window");
            assert_eq!(next.kind, 0x8, "the answer ended early");
            stream += if next.stream == 1 { code(&next.content) } else { 0 };
        }
    }
    http2.send(frame(DATA, END_STREAM, 1, b""));
    assert_eq!(http2.end(1), End::Answer { status: 0, body: b"hello".to_vec() });
    assert_eq!(http2.get(3, "/"), answer(200, "hello"));
}

/// Clients that read of an error stop by themselves, once they have all of it.
#[test]
fn an_error_does_not_wait_for_the_upload() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(post(1, "/missing", &[]));
    let body = http2.frame_of(&[DATA]).unwrap();
    assert_eq!((&body.content[..], body.flags & END_STREAM), (&b"404 Not Found\n"[..], 0));
    http2.send(frame(DATA, END_STREAM, 1, b"rest"));
    assert_eq!(http2.end(1), End::Answer { status: 0, body: vec![] });
}

/// Who does not end his upload has his answer ended, and the upload stopped.
#[test]
fn an_answer_ends_though_the_upload_does_not() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(post(1, "/", &[]));
    assert_eq!(http2.end(1), answer(200, "hello"));
    let reset = http2.frame_of(&[RST_STREAM]).expect("a reset");
    assert_eq!((reset.stream, code(&reset.content)), (1, NO_ERROR));
    assert_eq!(http2.get(3, "/"), answer(200, "hello"));
}

/// A client that waits to be told to go on learns at once that it need not.
#[test]
fn an_answer_to_who_waits_with_its_body_ends_at_once() {
    let took = at_best(Duration::from_secs(1), || {
        let (_harness, mut http2) = alone(recipe());
        let began = Instant::now();
        http2.send(post(1, "/", &[("expect", "100-continue")]));
        assert_eq!(http2.end(1), answer(200, "hello"));
        began.elapsed()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
}
