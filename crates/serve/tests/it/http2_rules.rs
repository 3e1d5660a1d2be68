//! What a request of HTTP/2 may say, and which answer breaking a rule has: only its stream ends.

use stead_base::Reason;

use crate::handlers::Calls;
use crate::http2::{
    DATA, END_HEADERS, END_STREAM, End, FLOW_CONTROL_ERROR, HEADERS, Http2, PROTOCOL_ERROR, alone,
    answer, block, fields, frame, get, post, recipe, window_update,
};

/// Sends a request of these fields on a stream of its own: how it ends, on a connection that goes
/// on.
fn end_of(http2: &mut Http2, stream: u32, fields: &[(&str, &str)]) -> End {
    http2.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields)));
    let end = http2.end(stream);
    assert_eq!(http2.get(stream + 2, "/"), answer(200, "hello"), "after {fields:?}");
    end
}

/// The crate below cuts a fragment off before anything of ours sees it: there is one path, not two.
#[test]
fn security_13_a_fragment_in_http2_is_nowhere() {
    let (_harness, mut http2) = alone(recipe());
    for (stream, path, query) in
        [(1, "/tell#/../admin", "-"), (5, "/tell?a=b#&c=d", "a=b"), (9, "/tell#?a=b", "-")]
    {
        let text = format!("GET /tell {query} a -");
        assert_eq!(
            end_of(&mut http2, stream, &fields("GET", path, &[])),
            answer(200, &text),
            "{path}"
        );
    }
    for (stream, path) in [(13, "/#/tell"), (17, "#/tell")] {
        let end = end_of(&mut http2, stream, &fields("GET", path, &[]));
        assert_eq!(end, answer(200, "hello"), "{path}");
    }
}

#[test]
fn security_20_pseudo_fields_stand_once_and_agree() {
    let (harness, mut http2) = alone(recipe());
    let (method, scheme) = ((":method", "GET"), (":scheme", "http"));
    let (path, authority) = ((":path", "/"), (":authority", "a"));
    let malformed: &[&[(&str, &str)]] = &[
        &[method, scheme, authority],
        &[scheme, path, authority],
        &[method, path, authority],
        &[method, scheme, path, authority, path],
        &[method, scheme, authority, ("x-a", "b"), path],
        &[method, scheme, path, authority, ("host", "b")],
        &[method, scheme, path, authority, ("host", "a"), ("host", "a")],
        &[method, scheme, (":path", "x"), authority],
        &[method, scheme, (":path", ""), authority],
        &[method, scheme, (":path", "http://a/"), authority],
        &[method, (":scheme", "https"), path, authority],
        &[method, scheme, path, authority, (":status", "200")],
    ];
    for (count, fields) in (0_u32..).zip(malformed) {
        let end = end_of(&mut http2, 4 * count + 1, fields);
        assert_eq!(end, End::Reset(PROTOCOL_ERROR), "{fields:?}");
    }
    let mut right = 1000;
    for fields in [
        &[method, scheme, path, authority, ("host", "A")][..],
        &[method, scheme, path, ("host", "a")],
    ] {
        right += 5;
        assert_eq!(end_of(&mut http2, right | 1, fields), answer(200, "hello"), "{fields:?}");
    }
    // What HTTP/1.1 answers with 400 is answered so.
    for (stream, fields) in [
        (2001, &[method, scheme, path][..]),
        (2005, &[method, scheme, path, (":authority", "a:0")]),
        (2009, &[method, scheme, (":path", "/%00"), authority]),
    ] {
        let end = end_of(&mut http2, stream, fields);
        assert!(matches!(end, End::Answer { status: 400, .. }), "{fields:?}: {end:?}");
    }
    assert!(harness.outcomes(Reason::Http2Malformed) > 1);
}

#[test]
fn security_20_a_pseudo_field_that_nobody_knows_ends_the_connection() {
    let (_harness, mut http2) = alone(recipe());
    let fields = fields("GET", "/", &[]);
    let block = block(&[&fields[..], &[(":strange", "x")]].concat());
    http2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    http2.expect_go_away(PROTOCOL_ERROR);
}

#[test]
fn security_21_fields_of_one_connection_and_blanks_reset_the_stream() {
    let (_harness, mut http2) = alone(recipe());
    let wrong = [
        ("connection", "close"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("x-a", " b"),
        ("x-a", "b "),
        ("x-a", "\tb"),
    ];
    for (count, field) in (0_u32..).zip(wrong) {
        let end = end_of(&mut http2, 4 * count + 1, &fields("GET", "/", &[field]));
        assert_eq!(end, End::Reset(PROTOCOL_ERROR), "{field:?}");
    }
    let end = end_of(&mut http2, 101, &fields("GET", "/", &[("te", "trailers")]));
    assert_eq!(end, answer(200, "hello"));
}

#[test]
fn security_21_names_in_upper_case_and_controls_end_the_connection() {
    for field in [("X-A", "b"), ("x-a", "b\r\nc: d"), ("x-a", "b\0"), ("x a", "b"), ("", "b")] {
        let (_harness, mut http2) = alone(recipe());
        let block = block(&fields("GET", "/", &[field]));
        http2.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
        http2.expect_go_away(PROTOCOL_ERROR);
    }
}

#[test]
fn security_22_lengths_agree_with_data() {
    let calls = Calls::default();
    let (_harness, mut http2) = alone(recipe().route("/calls", calls.clone()));
    let length = |length| [("content-length", length)];
    // More, less, and none.
    http2.send([post(1, "/count", &length("3")), frame(DATA, END_STREAM, 1, b"abcd")].concat());
    assert_eq!(http2.end(1), End::Reset(PROTOCOL_ERROR));
    http2.send([post(3, "/count", &length("3")), frame(DATA, END_STREAM, 3, b"ab")].concat());
    assert_eq!(http2.end(3), End::Reset(PROTOCOL_ERROR));
    for (stream, value) in [(5, "3"), (7, "+0"), (9, "0x0"), (11, "")] {
        let block = block(&fields("GET", "/calls", &length(value)));
        http2.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        assert_eq!(http2.end(stream), End::Reset(PROTOCOL_ERROR), "{value}");
    }
    assert_eq!(calls.value(), 0);
    assert_eq!(http2.get(13, "/calls"), answer(200, "called"));
}

#[test]
fn security_23_heads_too_large_are_431_and_the_connection_goes_on() {
    let (harness, mut http2) = alone(recipe());
    let long = "x".repeat(8 << 10);
    let large = [("x-a", &*long), ("x-b", &long), ("x-c", &long), ("x-d", &long)];
    let many = [("x", "y"); 101];
    let crumbs = [("cookie", "a=b"); 101];
    let mut stream = 1;
    for more in [&large[..], &many, &crumbs] {
        let whole = block(&fields("GET", "/", more));
        let mut pieces = whole.chunks(16 << 10).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let end = if kind == HEADERS { END_STREAM } else { 0 };
            http2.send(frame(kind, last | end, stream, piece));
            kind = crate::http2::CONTINUATION;
        }
        let end = http2.end(stream);
        assert!(matches!(end, End::Answer { status: 431, .. }), "{end:?}");
        assert_eq!(http2.get(stream + 2, "/"), answer(200, "hello"));
        stream += 4;
    }
    assert_eq!(harness.outcomes(Reason::HeaderTooLarge), 1);
    assert_eq!(harness.outcomes(Reason::TooManyHeaders), 2);
    let end = end_of(&mut http2, stream, &fields("GET", &format!("/{}", "x".repeat(9000)), &[]));
    assert!(matches!(end, End::Answer { status: 414, .. }), "{end:?}");
}

/// What a peer does to its own stream ends that stream.
#[test]
fn errors_of_one_stream_leave_the_others() {
    let (_harness, mut http2) = alone(recipe());
    http2.send(get(3, "/hang"));
    http2.send(window_update(3, 0x7fff_ffff));
    assert_eq!(http2.end(3), End::Reset(FLOW_CONTROL_ERROR));
    assert_eq!(http2.get(5, "/"), answer(200, "hello"));
}
