//! Heads byte for byte: framing, connection, and what is skipped.

use super::*;
use crate::name;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn line(status: u16, framing: Framing) -> ResponseLine {
    ResponseLine {
        version: Version::Http11,
        status: StatusCode::from_u16(status).unwrap(),
        framing,
        keep_alive: true,
        to_head: false,
    }
}

fn check(line: ResponseLine, fields: &[(&str, &str)], expect: &str) -> Promise {
    let mut all = Fields::new();
    for (name, value) in fields {
        all.try_append(name.as_bytes(), value.as_bytes()).unwrap();
    }
    let mut out = Vec::new();
    let promise = response_head(&mut out, &line, &all, None, None);
    assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", "\n"), expect, "{line:?}");
    promise
}

#[test]
fn a_response_states_its_own_framing() {
    let skipped = [
        ("Content-Length", "99"),
        ("transfer-encoding", "gzip"),
        ("Connection", "x-a"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "h2c"),
        ("X-A", "1"),
    ];
    check(
        line(200, Framing::Length(13)),
        &skipped,
        "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 13\n\n",
    );
    check(
        line(200, Framing::Chunked),
        &skipped,
        "HTTP/1.1 200 OK\nX-A: 1\nTransfer-Encoding: chunked\n\n",
    );
    check(line(404, Framing::None), &[], "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n");
}

#[test]
fn statuses_without_body_promise_none() {
    for framing in [Framing::None, Framing::Length(5), Framing::Chunked, Framing::Close] {
        let none = Promise { framing: Framing::None, keep_alive: true };
        assert_eq!(check(line(204, framing), &[], "HTTP/1.1 204 No Content\n\n"), none);
        assert_eq!(check(line(103, framing), &[], "HTTP/1.1 103 Early Hints\n\n"), none);
    }
    check(line(304, Framing::None), &[], "HTTP/1.1 304 Not Modified\n\n");
    check(line(304, Framing::Chunked), &[], "HTTP/1.1 304 Not Modified\n\n");
    let length = "HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n";
    let promise = check(line(304, Framing::Length(5)), &[], length);
    assert_eq!(promise, Promise { framing: Framing::None, keep_alive: true });
}

#[test]
fn head_states_what_get_would() {
    let to_head = |framing| ResponseLine { to_head: true, ..line(200, framing) };
    let none = Promise { framing: Framing::None, keep_alive: true };
    let length = "HTTP/1.1 200 OK\nContent-Length: 5\n\n";
    assert_eq!(check(to_head(Framing::Length(5)), &[], length), none);
    for unknown in [Framing::Chunked, Framing::Close, Framing::None] {
        assert_eq!(check(to_head(unknown), &[], "HTTP/1.1 200 OK\n\n"), none);
    }
}

#[test]
fn connections_are_announced_by_version() {
    let at =
        |version, keep_alive, framing| ResponseLine { version, keep_alive, ..line(200, framing) };
    let length = Framing::Length(1);
    check(
        at(Version::Http11, false, length),
        &[],
        "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: close\n\n",
    );
    check(
        at(Version::Http10, true, length),
        &[],
        "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: keep-alive\n\n",
    );
    check(
        at(Version::Http10, false, length),
        &[],
        "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: close\n\n",
    );
    let close = Promise { framing: Framing::Close, keep_alive: false };
    let told = "HTTP/1.1 200 OK\nConnection: close\n\n";
    assert_eq!(check(at(Version::Http10, true, Framing::Chunked), &[], told), close);
    assert_eq!(check(at(Version::Http11, true, Framing::Close), &[], told), close);
}

#[test]
fn protocol_switches_keep_upgrade() {
    let fields = [("Connection", "upgrade, x-a"), ("Upgrade", "websocket")];
    check(
        line(101, Framing::None),
        &fields,
        "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: upgrade\n\n",
    );
    check(
        line(426, Framing::None),
        &fields,
        "HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nContent-Length: 0\n\
         Connection: upgrade\n\n",
    );
}

#[test]
fn date_and_server_are_added_unless_there() {
    let mut fields = Fields::new();
    let mut out = Vec::new();
    let line = line(599, Framing::Length(0));
    response_head(&mut out, &line, &fields, Some(DATE), Some(b"stead"));
    let expect = "HTTP/1.1 599 \r\nServer: stead\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                  Content-Length: 0\r\n\r\n";
    assert_eq!(out.escape_ascii().to_string(), expect.as_bytes().escape_ascii().to_string());
    fields.append(name::DATE, b"d");
    fields.append(name::SERVER, b"s");
    out.clear();
    response_head(&mut out, &line, &fields, Some(DATE), Some(b"stead"));
    let expect = b"HTTP/1.1 599 \r\nDate: d\r\nServer: s\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(out, expect);
}

#[test]
fn requests_are_framed_anew() {
    let mut fields = Fields::new();
    for (name, value) in [
        ("Host", "old"),
        ("Content-Length", "7"),
        ("TE", "trailers"),
        ("Proxy-Connection", "close"),
        ("x-a", "1"),
    ] {
        fields.try_append(name.as_bytes(), value.as_bytes()).unwrap();
    }
    let line = RequestLine {
        method: &Method::POST,
        target: b"/x?y",
        host: None,
        framing: Framing::Chunked,
        keep_alive: true,
        upgrade: None,
    };
    let text = |line: &RequestLine<'_>| {
        let mut out = Vec::new();
        request_head(&mut out, line, &fields);
        String::from_utf8(out).unwrap().replace("\r\n", "\n")
    };
    let expect = "POST /x?y HTTP/1.1\nHost: old\nx-a: 1\nTransfer-Encoding: chunked\n\n";
    assert_eq!(text(&line), expect);
    let line =
        RequestLine { host: Some(b"new"), framing: Framing::Length(0), keep_alive: false, ..line };
    let expect = "POST /x?y HTTP/1.1\nHost: new\nx-a: 1\nContent-Length: 0\nConnection: close\n\n";
    assert_eq!(text(&line), expect);
    let line = RequestLine { framing: Framing::None, upgrade: Some(b"websocket"), ..line };
    let expect =
        "POST /x?y HTTP/1.1\nHost: new\nx-a: 1\nUpgrade: websocket\nConnection: upgrade\n\n";
    assert_eq!(text(&line), expect);
}

#[test]
fn chunks_and_their_end() {
    for (len, expect) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (65_536, "10000\r\n")] {
        let mut out = Vec::new();
        chunk_head(&mut out, len);
        assert_eq!(out, expect.as_bytes());
    }
    let mut out = Vec::new();
    chunk_head(&mut out, usize::MAX);
    assert_eq!(out, b"ffffffffffffffff\r\n");
    out.clear();
    let mut trailers = Fields::new();
    trailers.append(name::CONTENT_LENGTH, b"1");
    trailers.append(name::COOKIE, b"1");
    trailers.append(Name::Other(b"x-sum"), b"1");
    last_chunk(&mut out, Some(&trailers));
    last_chunk(&mut out, None);
    assert_eq!(out, b"0\r\nx-sum: 1\r\n\r\n0\r\n\r\n");
}

#[test]
fn every_status_line_is_well_formed() {
    for status in 100..=999 {
        let mut out = Vec::new();
        status_line(&mut out, StatusCode::from_u16(status).unwrap());
        assert!(out.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{status}");
        assert!(out.ends_with(b"\r\n") && !out[..out.len() - 2].contains(&b'\n'));
    }
}
