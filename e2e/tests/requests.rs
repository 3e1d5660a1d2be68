//! Malformed and oversized requests as raw bytes through the real binary: the exact status, the
//! connection closed, and nothing behind the error answered.

use stead_e2e::client::exchange;
use stead_e2e::{Connection, Folder, Stead};

fn start(folder: &Folder) -> Stead {
    let config = r#"[log]
access = "off"
[server.web]
listen = ["127.0.0.1:0"]
limits = { body = "1KiB", uri = "1KiB", header_size = "4KiB", header_count = 20 }
[[server.web.route]]
path = "/{*any}"
respond = "answered"
"#;
    Stead::start(folder, config)
}

/// Sends a request with another behind it; checks the status, and that the connection was closed
/// without an answer to the second.
fn refused(stead: &Stead, request: &str, status: u16) {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = exchange(stead.port("web"), format!("{request}{smuggled}"));
    let expected = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&expected), "{request:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{request:?}");
    assert!(!answer.contains("answered"), "{request:?}: {answer}");
}

/// A request with these lines after `Host`.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn security_01_length_and_encoding_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    let chunked = "Transfer-Encoding: chunked\r\n";
    refused(&stead, &with(&format!("Content-Length: 5\r\n{chunked}")), 400);
    refused(&stead, &with(&format!("{chunked}Content-Length: 0\r\n")), 400);
    assert_eq!(stead.outcome("length_and_encoding"), 2);
}

#[test]
fn security_02_odd_lengths_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    for value in [
        "",
        "+1",
        "-1",
        "0x1",
        "1_0",
        "1 0",
        "1,1",
        "1, 2",
        "9223372036854775808",
        "99999999999999999999",
        "a",
        "1.0",
    ] {
        refused(&stead, &with(&format!("Content-Length: {value}\r\n")), 400);
    }
    refused(&stead, &with("Content-Length: 1\r\nContent-Length: 1\r\n"), 400);
    refused(&stead, &with("Content-Length: 1\r\nContent-Length: 2\r\n"), 400);
}

#[test]
fn security_03_encodings_are_chunked_alone() {
    let folder = Folder::new();
    let stead = start(&folder);
    for (value, status) in [
        ("gzip", 501),
        ("gzip, chunked", 501),
        ("xchunked", 501),
        ("identity", 501),
        ("chunked, chunked", 400),
        (", chunked", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
        ("", 400),
    ] {
        refused(&stead, &with(&format!("Transfer-Encoding: {value}\r\n")), status);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    refused(&stead, &with(twice), 400);
}

#[test]
fn security_04_encodings_in_http_10_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    refused(&stead, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn security_09_bare_line_ends_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    for request in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "GET / HTTP/1.1\r\rHost: a\r\n\r\n",
    ] {
        refused(&stead, request, 400);
    }
}

#[test]
fn security_10_bad_names_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    for line in [
        "Bad Name: x",
        "Name : x",
        ": x",
        "no colon",
        " Folded: x",
        "X: a\r\n folded",
        "B\u{0}d: x",
        "X@Y: z",
        "\tX: y",
    ] {
        refused(&stead, &with(&format!("{line}\r\n")), 400);
    }
}

#[test]
fn security_11_controls_in_values_are_400() {
    let folder = Folder::new();
    let stead = start(&folder);
    for value in ["a\u{0}b", "a\u{1}b", "a\u{7f}b", "\u{1b}[2J"] {
        refused(&stead, &with(&format!("X: {value}\r\n")), 400);
    }
    let fine = "GET / HTTP/1.1\r\nHost: a\r\nX: \t caf\u{e9}\tx \r\nConnection: close\r\n\r\n";
    assert!(exchange(stead.port("web"), fine).starts_with("HTTP/1.1 200 "));
}

#[test]
fn security_12_request_lines_have_one_form() {
    let folder = Folder::new();
    let stead = start(&folder);
    for (line, status) in [
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /", 400),
        ("G(T / HTTP/1.1", 400),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.2", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/3.0", 505),
        ("GET / XTTP/1.1", 400),
    ] {
        refused(&stead, &format!("{line}\r\nHost: a\r\n\r\n"), status);
    }
}

#[test]
fn security_13_targets_have_a_form() {
    let folder = Folder::new();
    let stead = start(&folder);
    for target in ["x", "/a#b", "/a\u{e9}", "/a\u{7f}", "*", "http://", "a:1"] {
        refused(&stead, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
}

#[test]
fn security_14_hosts_are_one_and_well_formed() {
    let folder = Folder::new();
    let stead = start(&folder);
    for host in ["a,b", "u@a", "a/b", "a:0", "a:65536", "a:b", "a b", "[::1", "a?b"] {
        refused(&stead, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    refused(&stead, "GET / HTTP/1.1\r\n\r\n", 400);
    refused(&stead, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused(&stead, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    let same = "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert!(exchange(stead.port("web"), same).starts_with("HTTP/1.1 200 "));
}

#[test]
fn security_16_nothing_behind_an_error_is_answered() {
    let folder = Folder::new();
    let stead = start(&folder);
    let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    let bad = "GET /bad HTTP/9.9\r\nHost: a\r\n\r\n";
    let answer = exchange(stead.port("web"), format!("{good}{good}{bad}{good}{good}"));
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)).collect();
    assert_eq!(statuses, ["200", "200", "505"], "{answer}");
}

#[test]
fn security_19_an_expectation_is_answered_once() {
    let folder = Folder::new();
    let stead = start(&folder);
    let mut connection = stead.connect("web");
    connection.send(with("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    // The handler needs no body: its answer comes at once, and the connection cannot be kept.
    let answer = connection.answer_head().unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.closes());
    refused(&stead, &with("Expect: miracles\r\n"), 417);
}

#[test]
fn security_35_what_is_too_large_has_its_status() {
    let folder = Folder::new();
    let stead = start(&folder);
    let (long, many) = ("x".repeat(5_000), "A: b\r\n".repeat(30));
    refused(&stead, &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2_000)), 414);
    refused(&stead, &with(&format!("X: {long}\r\n")), 431);
    refused(&stead, &with(&many), 431);
    // From the announced length alone, before a byte of the body.
    let mut connection = Connection::open(stead.port("web"));
    connection.send(with("Content-Length: 1025\r\n"));
    let answer = connection.answer("POST");
    assert_eq!((answer.status, answer.closes()), (413, true));
    let limits = "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\nConnection: close\r\n\r\n";
    let answer = exchange(stead.port("web"), format!("{limits}{}", "x".repeat(1024)));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_body_that_nobody_reads_and_that_breaks_a_limit_is_counted() {
    let folder = Folder::new();
    let config = r#"[log]
access = "off"
[server.web]
listen = ["127.0.0.1:0"]
limits = { body = "1KiB" }
timeouts = { body_idle = "200ms" }
[[server.web.route]]
path = "/"
respond = "answered"
"#;
    let stead = Stead::start(&folder, config);
    let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    let large = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    let stopped = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc".to_owned();
    for (request, reason) in [(large, "body_too_large"), (stopped, "body_idle_timeout")] {
        let mut connection = stead.connect("web");
        connection.send(request);
        assert_eq!(connection.answer("POST").status, 200, "{reason}");
        assert!(connection.rest().is_empty(), "closed: {reason}");
        assert_eq!(stead.outcome(reason), 1, "{reason}");
    }
    assert_eq!(stead.outcome("ok"), 2);
}
