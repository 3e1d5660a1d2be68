//! What a request decoder accepts and refuses, whole and cut into pieces.

use std::fmt::Write;

use super::*;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 256, field_count_max: 8, uri_bytes_max: 100 };

/// All messages in `input` as `METHOD target body+trailers;`, then what is missing.
fn decode(input: &[u8], piece: usize, body_max: Option<u64>) -> Result<String, Reason> {
    let mut decoder = RequestDecoder::new(LIMITS, body_max);
    let mut head = RequestHead::default();
    let mut out = String::new();
    let (mut from, mut to) = (0, piece.min(input.len()));
    loop {
        let rest = &input[from..to];
        let step = match decoder.decode(rest, &mut head) {
            Ok(step) => step,
            Err(reason) => {
                assert_eq!(decoder.decode(b"GET / HTTP/1.1\r\n", &mut head), Err(reason));
                assert!(!decoder.is_idle() && !decoder.head_started());
                return Err(reason);
            }
        };
        assert!(step.consumed <= rest.len());
        match step.event {
            Event::Head => {
                write!(out, "{} {} ", head.method(), head.target().escape_ascii()).unwrap();
            }
            Event::Data(range) => {
                assert!(!range.is_empty() && range.end <= step.consumed);
                out += &rest[range].escape_ascii().to_string();
            }
            Event::Trailers => write!(out, "+{}", head.trailers().len()).unwrap(),
            Event::End => out += ";",
            Event::Pending if to == input.len() => {
                return Ok(out + if decoder.is_idle() { "" } else { "..." });
            }
            Event::Pending => to = (to + piece).min(input.len()),
        }
        from += step.consumed;
    }
}

fn check(input: &[u8], expect: Result<&str, Reason>) {
    for piece in [input.len().max(1), 1, 2, 5] {
        let found = decode(input, piece, None);
        assert_eq!(found, expect.map(str::to_owned), "{} by {piece}", input.escape_ascii());
    }
}

fn check_line(line: &str, expect: Result<&str, Reason>) {
    check(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), expect);
}

fn check_fields(fields: &str, expect: Result<&str, Reason>) {
    check(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes(), expect);
}

#[test]
fn messages_follow_one_another() {
    check(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\
          xyzHEAD /c HTTP/1.0\r\n\r\n",
        Ok("GET /a ;POST /b xyz;HEAD /c ;"));
    check(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\
          x: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Ok("POST / abc+1;GET / ;"));
    check(b"", Ok(""));
    check(b"GET /", Ok("..."));
    check(b"GET / HTTP/1.1\r\nHost: a\r\n", Ok("..."));
    check(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxy", Ok("POST / xy..."));
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    check(
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
        Ok("GET / ;GET / ;..."),
    );
    check(b"\r", Ok("..."));
    check(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Reason::BadRequestLine));
    check(b"\n", Err(Reason::BadLineEnd));
    check(b"\rGET / HTTP/1.1\r\n", Err(Reason::BadLineEnd));
    assert_eq!(Reason::BadRequestLine.status(), Some(400));
}

#[test]
fn framing_is_judged_with_its_status() {
    let body = |fields: &str, reason: Reason, status| {
        check_fields(&format!("Host: a\r\n{fields}"), Err(reason));
        assert_eq!(reason.status(), Some(status));
    };
    body("Content-Length: 5\r\nTransfer-Encoding: chunked", Reason::LengthAndEncoding, 400);
    body("Content-Length: 5\r\nContent-Length: 5", Reason::BadContentLength, 400);
    body("Content-Length:", Reason::BadContentLength, 400);
    body("Transfer-Encoding: gzip, chunked", Reason::UnsupportedTransferEncoding, 501);
    body("Transfer-Encoding: chunked, chunked", Reason::BadTransferEncoding, 400);
    check(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Err(Reason::BadTransferEncoding),
    );
}

#[test]
fn chunked_bodies_are_strict() {
    let body = |text: &str, expect| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(format!("{head}{text}").as_bytes(), expect);
    };
    body("0x1\r\nx\r\n0\r\n\r\n", Err(Reason::BadChunk));
    body("1\nx\r\n0\r\n\r\n", Err(Reason::BadChunk));
    body("1\r\nxZZ0\r\n\r\n", Err(Reason::BadChunk));
    body("1;a=\"b;c\"\r\nx\r\n0\r\n\r\n", Ok("POST / x;"));
    body("1\r\nx\r\n0\r\nHost: evil\r\nX-A: 1\r\n\r\n", Ok("POST / x+1;"));
    body("1\r\nx\r\n0\r\nX-A : 1\r\n\r\n", Err(Reason::BadTrailer));
}

#[test]
fn security_09_lines_end_in_crlf() {
    check(b"GET / HTTP/1.1\nHost: a\r\n\r\n", Err(Reason::BadLineEnd));
    check(b"GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Reason::BadLineEnd));
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\n", Err(Reason::BadLineEnd));
    check(b"GET / HTTP/1.1\rHost: a\r\n\r\n", Err(Reason::BadLineEnd));
    check(b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", Err(Reason::BadLineEnd));
    check_fields("Host: a\r\nx: a\rb", Err(Reason::BadLineEnd));
    assert_eq!(Reason::BadLineEnd.status(), Some(400));
}

#[test]
fn security_10_names_are_tokens_right_before_their_colon() {
    for (field, reason) in [
        ("x y: 1", Reason::BadHeaderName),
        (": 1", Reason::BadHeaderName),
        ("x : 1", Reason::BadHeaderName),
        ("x", Reason::BadHeaderName),
        (" x: 1", Reason::FoldedHeader),
        ("x: 1\r\n y", Reason::FoldedHeader),
    ] {
        check_fields(&format!("Host: a\r\n{field}"), Err(reason));
        assert_eq!(reason.status(), Some(400));
    }
    // Leading whitespace on the very first header.
    check_fields(" Host: a", Err(Reason::FoldedHeader));
}

#[test]
fn security_11_values_hold_no_control_byte_and_keep_all_others() {
    for value in ["\0", "\u{1b}", "a\u{7f}", "\u{b}", "\u{c}a"] {
        check_fields(&format!("Host: a\r\nx: {value}"), Err(Reason::BadHeaderValue));
    }
    assert_eq!(Reason::BadHeaderValue.status(), Some(400));
    let mut head = RequestHead::default();
    let mut decoder = RequestDecoder::new(LIMITS, None);
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nx:\t \xa0\x85v\x80\xff \t\r\n\r\n";
    let step = decoder.decode(input, &mut head);
    assert_eq!(step, Ok(Step { consumed: input.len(), event: Event::Head }));
    let value = head.fields().get(crate::Name::Other(b"x"));
    assert_eq!(value, Some(&b"\xa0\x85v\x80\xff"[..]));
}

#[test]
fn security_12_a_request_line_is_exact() {
    check_line("GET / HTTP/1.1", Ok("GET / ;"));
    check_line(&format!("{} / HTTP/1.1", "M".repeat(32)), Ok(&format!("{} / ;", "M".repeat(32))));
    for (line, reason) in [
        ("GET  / HTTP/1.1", Reason::BadRequestLine),
        ("GET /  HTTP/1.1", Reason::BadRequestLine),
        ("GET / HTTP/1.1 ", Reason::BadRequestLine),
        (" GET / HTTP/1.1", Reason::BadRequestLine),
        ("GET / x HTTP/1.1", Reason::BadRequestLine),
        ("GET /", Reason::BadRequestLine),
        ("GET", Reason::BadRequestLine),
        ("GET\t/\tHTTP/1.1", Reason::BadRequestLine),
        ("GET\t/ HTTP/1.1", Reason::BadRequestLine),
        ("G\tT / HTTP/1.1", Reason::BadMethod),
        ("G(T / HTTP/1.1", Reason::BadMethod),
        ("G\0T / HTTP/1.1", Reason::BadMethod),
        ("G\u{c9}T / HTTP/1.1", Reason::BadMethod),
        ("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1", Reason::BadMethod),
        ("GET / HTTP/1.10", Reason::BadVersion),
        ("GET / http/1.1", Reason::BadVersion),
        ("GET / HTTP/1.2", Reason::BadVersion),
        ("GET / HTTP/1.1\t", Reason::BadVersion),
        ("GET / HTTP/01.1", Reason::BadVersion),
        ("GET / ICY", Reason::BadVersion),
    ] {
        check_line(line, Err(reason));
        assert_eq!(reason.status(), Some(400), "{line}");
    }
    check_line("GET / HTTP/2.0", Err(Reason::UnsupportedVersion));
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(Reason::UnsupportedVersion));
    assert_eq!(Reason::UnsupportedVersion.status(), Some(505));
}

#[test]
fn security_13_a_target_is_visible_ascii_in_one_of_four_forms() {
    for target in ["/", "/a?b", "http://a/x", "/%zz{}|\"<>\\^`[]"] {
        check_line(
            &format!("GET {target} HTTP/1.1"),
            Ok(&format!("GET {} ;", target.as_bytes().escape_ascii())),
        );
    }
    check_line("OPTIONS * HTTP/1.1", Ok("OPTIONS * ;"));
    check(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Ok("CONNECT a:443 ;"));
    for target in ["*", "a:443", "/a#b", "/\u{e9}", "/\u{1}", "/a\tb", "x", "ftp://a/", "/\u{7f}"] {
        check_line(&format!("GET {target} HTTP/1.1"), Err(Reason::BadTarget));
    }
    check_line("CONNECT / HTTP/1.1", Err(Reason::BadHost));
    assert_eq!(Reason::BadTarget.status(), Some(400));
}

#[test]
fn security_14_host_is_needed_once() {
    check(b"GET / HTTP/1.1\r\n\r\n", Err(Reason::MissingHost));
    check(b"GET / HTTP/1.0\r\n\r\n", Ok("GET / ;"));
    check(b"GET / HTTP/1.0\r\nHost: a,b\r\n\r\n", Err(Reason::BadHost));
    for host in ["", "u@a", "a/b", "a,b", "a:0", "a:65536", "a b"] {
        check_fields(&format!("Host: {host}"), Err(Reason::BadHost));
    }
    check_fields("Host: a\r\nhost: a", Err(Reason::BadHost));
    check(b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Err(Reason::BadHost));
    check(b"CONNECT b:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Err(Reason::BadHost));
}

#[test]
fn security_15_a_body_is_framed_whatever_the_method() {
    for method in ["GET", "HEAD", "DELETE"] {
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxyGET /");
        check(input.as_bytes(), Ok(&format!("{method} / xy;...")));
    }
}

#[test]
fn security_16_nothing_is_read_after_an_error() {
    check(
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Err(Reason::UnsupportedVersion),
    );
}

#[test]
fn security_18_what_follows_a_protocol_switch_is_not_part_of_the_request() {
    let mut decoder = RequestDecoder::new(LIMITS, None);
    let mut head = RequestHead::default();
    let input =
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nTUNNEL";
    let step = decoder.decode(input, &mut head).unwrap();
    assert_eq!((step.event, &input[step.consumed..]), (Event::Head, &b"TUNNEL"[..]));
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
    assert!(decoder.finish_empty());
}

#[test]
fn security_19_an_expectation_is_told_once_and_others_are_refused() {
    check_fields("Host: a\r\nExpect: 100-continue\r\nContent-Length: 0", Ok("GET / ;"));
    check_fields("Host: a\r\nExpect: 200-ok", Err(Reason::UnsupportedExpectation));
    check_fields("Host: a\r\nExpect: 100-continue, x", Err(Reason::UnsupportedExpectation));
    assert_eq!(Reason::UnsupportedExpectation.status(), Some(417));
}

#[test]
fn security_35_limits_count_while_the_head_arrives() {
    let path = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    check_line(&format!("GET {} HTTP/1.1", path(100)), Ok(&format!("GET {} ;", path(100))));
    check_line(&format!("GET {} HTTP/1.1", path(101)), Err(Reason::UriTooLong));
    check(format!("GET {}", path(101)).as_bytes(), Err(Reason::UriTooLong));
    check(format!("GET {}", path(500)).as_bytes(), Err(Reason::UriTooLong));
    check(format!("GET {}\n", path(500)).as_bytes(), Err(Reason::UriTooLong));
    check(format!("GET / {}", path(500)).as_bytes(), Err(Reason::HeaderTooLarge));
    check("G".repeat(33).as_bytes(), Err(Reason::BadMethod));
    // Request line 16 bytes, Host line 9: 231 bytes are left.
    let field = |bytes: usize| format!("Host: a\r\nx:{}", "v".repeat(bytes - 4));
    check_fields(&field(231), Ok("GET / ;"));
    check_fields(&field(232), Err(Reason::HeaderTooLarge));
    let many = |count: usize| format!("Host: a{}", "\r\nx:".repeat(count - 1));
    check_fields(&many(8), Ok("GET / ;"));
    check_fields(&many(9), Err(Reason::TooManyHeaders));
    assert_eq!(Reason::UriTooLong.status(), Some(414));
    assert_eq!(Reason::HeaderTooLarge.status(), Some(431));
    assert_eq!(Reason::TooManyHeaders.status(), Some(431));
}

#[test]
fn security_35_a_body_over_its_limit_is_refused_when_asked_for() {
    let length = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef";
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    for input in [&length[..], chunked] {
        for piece in [1, 2, 500] {
            let expect = Ok("POST / abcdef;".to_owned());
            assert_eq!(decode(input, piece, Some(6)), expect);
            assert_eq!(decode(input, piece, Some(5)), Err(Reason::BodyTooLarge));
        }
    }
    let mut decoder = RequestDecoder::new(LIMITS, Some(1));
    let mut head = RequestHead::default();
    let consumed = decoder.decode(length, &mut head).unwrap().consumed;
    decoder.set_body_max(Some(6));
    assert!(!decoder.finish_empty());
    let step = decoder.decode(&length[consumed..], &mut head);
    assert_eq!(step, Ok(Step { consumed: 6, event: Event::Data(0..6) }));
    assert_eq!(Reason::BodyTooLarge.status(), Some(413));
}

#[test]
fn an_end_of_input_is_judged_by_the_state() {
    let eof = |input: &[u8]| {
        let mut decoder = RequestDecoder::new(LIMITS, None);
        let mut head = RequestHead::default();
        let mut rest = input;
        loop {
            let step = decoder.decode(rest, &mut head).unwrap();
            rest = &rest[step.consumed..];
            if step.event == Event::Pending {
                return decoder.eof();
            }
        }
    };
    assert_eq!(eof(b""), Ok(()));
    assert_eq!(eof(b"\r\n"), Ok(()));
    assert_eq!(eof(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
    assert_eq!(eof(b"G"), Err(Reason::ClientClosedInHead));
    assert_eq!(eof(b"GET / HTTP/1.1\r\nHost: a\r\n"), Err(Reason::ClientClosedInHead));
    let body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
    assert_eq!(eof(body), Err(Reason::BodyTruncated));
}

#[test]
fn what_was_parsed_before_an_error_stays_readable() {
    let mut decoder = RequestDecoder::new(LIMITS, None);
    let mut head = RequestHead::default();
    let input = b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nbad name: 1\r\n\r\n";
    assert_eq!(decoder.decode(input, &mut head), Err(Reason::BadHeaderName));
    assert_eq!((head.path(), head.host()), (&b"/x"[..], Some(&b"a"[..])));
    assert_eq!(head.fields().get(crate::name::USER_AGENT), Some(&b"b"[..]));
    assert_eq!(head.fields().len(), 2);
}

#[test]
fn a_decoder_stays_small() {
    assert!(size_of::<RequestDecoder>() <= 96, "{}", size_of::<RequestDecoder>());
    assert!(size_of::<RequestHead>() <= 320, "{}", size_of::<RequestHead>());
}
