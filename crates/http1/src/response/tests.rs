//! What a response decoder accepts and refuses, whole and cut into pieces.

use std::fmt::Write;

use super::*;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 256, field_count_max: 4, uri_bytes_max: 100 };

/// Heads as statuses, then the body, `+` and the number of trailers, and how it ended.
fn decode(input: &[u8], piece: usize, method: &Method) -> Result<String, Reason> {
    let mut decoder = ResponseDecoder::new(LIMITS, method);
    let mut head = ResponseHead::default();
    let mut out = String::new();
    let (mut from, mut to) = (0, piece.min(input.len()));
    loop {
        let rest = &input[from..to];
        let step = match decoder.decode(rest, &mut head) {
            Ok(step) => step,
            Err(reason) => {
                assert_eq!(decoder.decode(b"HTTP/1.1 200 OK\r\n", &mut head), Err(reason));
                assert_eq!(decoder.eof(), Err(reason));
                return Err(reason);
            }
        };
        match step.event {
            Event::Head => write!(out, "{} ", head.status().as_u16()).unwrap(),
            Event::Data(range) => out += &rest[range].escape_ascii().to_string(),
            Event::Trailers => write!(out, "+{}", head.trailers().len()).unwrap(),
            Event::End => {
                let excess = input.len() - from - step.consumed;
                let end = if decoder.is_switched() { " tunnel" } else { ";" };
                assert_eq!(decoder.is_complete(), !decoder.is_switched());
                return Ok(format!("{out}{end}{}", if excess > 0 { " excess" } else { "" }));
            }
            Event::Pending if to == input.len() => {
                decoder.eof()?;
                return Ok(out + "; by close");
            }
            Event::Pending => to = (to + piece).min(input.len()),
        }
        from += step.consumed;
    }
}

fn check_for(method: &Method, input: &str, expect: Result<&str, Reason>) {
    for piece in [input.len().max(1), 1, 2, 5] {
        let found = decode(input.as_bytes(), piece, method);
        assert_eq!(found, expect.map(str::to_owned), "{input:?} by {piece}");
    }
}

fn check(input: &str, expect: Result<&str, Reason>) {
    check_for(&Method::GET, input, expect);
}

const BAD: Result<&str, Reason> = Err(Reason::BadUpstreamResponse);

#[test]
fn bodies_end_as_their_head_says() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Ok("200 abc;"));
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok("200 ;"));
    check("HTTP/1.0 200\r\n\r\nabc", Ok("200 abc; by close"));
    check("HTTP/1.1 200 \r\n\r\n", Ok("200 ; by close"));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n";
    check(chunked, Ok("200 abc+1;"));
    check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", BAD);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", BAD);
    check("HTTP/1.1 200 OK\r\nContent-L", BAD);
    check("", BAD);
}

#[test]
fn some_responses_have_no_body_whatever_they_state() {
    let stated = "\r\nContent-Length: 3\r\n\r\n";
    check_for(&Method::HEAD, &format!("HTTP/1.1 200 OK{stated}"), Ok("200 ;"));
    check_for(&Method::HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok("200 ;"));
    check_for(&Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n", Ok("200 ;"));
    check(&format!("HTTP/1.1 304 x{stated}"), Ok("304 ;"));
    check(&format!("HTTP/1.1 204 x{stated}"), Ok("204 ;"));
    let mut decoder = ResponseDecoder::new(LIMITS, &Method::HEAD);
    let mut head = ResponseHead::default();
    decoder.decode(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", &mut head).unwrap();
    assert_eq!((head.framing(), head.content_length()), (Framing::None, Some(3)));
    assert!(head.keep_alive());
}

#[test]
fn security_17_a_response_breaks_the_rules_of_requests_at_its_peril() {
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "x : 1",
        " x: 1",
        "x: 1\r\n y",
        "x",
        "x: \0",
        "x: 1\ny: 2",
        "x: 1\ry: 2",
        "a:\r\nb:\r\nc:\r\nd:\r\ne:",
    ] {
        check(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nabc"), BAD);
    }
    check(&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "v".repeat(256)), BAD);
    check(&format!("HTTP/1.1 200 {}", "v".repeat(256)), BAD);
    check("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD);
    let chunked = |body: &str| {
        check(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), BAD);
    };
    for body in ["0x1\r\nx", "1\nx", "1\r\nxZZ", "\r\n", "-1\r\n", "0\r\nx : 1\r\n\r\n"] {
        chunked(body);
    }
    assert_eq!(Reason::BadUpstreamResponse.status(), Some(502));
}

#[test]
fn security_17_excess_bytes_are_told() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", Ok("200 a; excess"));
    check("HTTP/1.1 304 x\r\n\r\nabc", Ok("304 ; excess"));
    let mut decoder = ResponseDecoder::new(LIMITS, &Method::GET);
    let mut head = ResponseHead::default();
    let input = b"HTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK";
    let step = decoder.decode(input, &mut head).unwrap();
    assert_eq!(decoder.decode(b"", &mut head).unwrap().event, Event::End);
    assert!(decoder.is_complete());
    let excess = decoder.decode(&input[step.consumed..], &mut head);
    assert_eq!(excess, Err(Reason::BadUpstreamResponse));
}

#[test]
fn status_lines_are_exact() {
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 2x0 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "ICY 200 OK",
        "HTTP/1.1200 OK",
        " HTTP/1.1 200 OK",
        "",
        "HTTP/1.1 200 \0",
        "HTTP/1.1 200 a\rb",
    ] {
        check(&format!("{line}\r\n\r\n"), BAD);
    }
    check("HTTP/1.1 200 a\n\r\n", BAD);
    check("\r\nHTTP/1.1 200 OK\r\n\r\n", BAD);
    check("HTTP/1.1 299 \t\u{e9}\r\nContent-Length: 0\r\n\r\n", Ok("299 ;"));
}

#[test]
fn security_18_nothing_behind_a_switch_is_read() {
    let switch = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\0tunnel";
    check(switch, Ok("101  tunnel excess"));
    check_for(&Method::CONNECT, "HTTP/1.1 200 OK\r\n\r\n\0", Ok("200  tunnel excess"));
    let refused = "HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno";
    check_for(&Method::CONNECT, refused, Ok("403 no;"));
}

#[test]
fn security_19_eight_interim_heads_are_enough() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let interim = |count| "HTTP/1.1 103 x\r\nLink: a\r\n\r\n".repeat(count) + last;
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Ok("100 200 ;"),
    );
    check(&interim(8), Ok("103 103 103 103 103 103 103 103 200 ;"));
    check(&interim(9), BAD);
    check("HTTP/1.1 100 Continue\r\n\r\n", BAD);
}

#[test]
fn a_connection_is_reusable_only_after_a_delimited_response() {
    let keep = |input: &str| {
        let mut decoder = ResponseDecoder::new(LIMITS, &Method::GET);
        let mut head = ResponseHead::default();
        assert!(!decoder.has_begun());
        decoder.decode(input.as_bytes(), &mut head).unwrap();
        assert!(decoder.has_begun());
        head.keep_alive()
    };
    assert!(keep("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"));
    assert!(!keep("HTTP/1.1 200 x\r\n\r\n"));
    assert!(!keep("HTTP/1.1 200 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    assert!(!keep("HTTP/1.0 200 x\r\nContent-Length: 0\r\n\r\n"));
    assert!(keep("HTTP/1.0 200 x\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!keep("HTTP/1.1 101 x\r\n\r\n"));
}
