//! What a request's head must look like: SECURITY.md 9 to 14, on the wire.

use stead_base::Reason;

use crate::witness::Witness;

#[test]
fn security_09_lines_end_in_crlf() {
    let mut witness = Witness::new();
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        witness.sees_refused(head, Reason::BadLineEnd);
    }
}

#[test]
fn security_10_a_header_is_a_token_and_a_colon() {
    let mut witness = Witness::new();
    for line in ["X Y: b", ": b", "X : b", "X\t: b", "X", "X(y): b", "X\u{e4}: b", "X\"y\": b"] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        witness.sees_refused(head, Reason::BadHeaderName);
    }
    for line in [" Host: a", "\tHost: a"] {
        let head = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        witness.sees_refused(head, Reason::FoldedHeader);
    }
    let folded = "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n";
    witness.sees_refused(folded, Reason::FoldedHeader);
}

#[test]
fn security_11_a_value_holds_no_control() {
    let mut witness = Witness::new();
    for control in (0..0x20).filter(|byte| !b"\t\r\n".contains(byte)).chain([0x7f]) {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\nX: b", &[control][..], b"c\r\n\r\n"].concat();
        witness.sees_refused(head, Reason::BadHeaderValue);
    }
    let head = b"GET /tell/ HTTP/1.1\r\nHost: a\r\nX-Tell: \t \x80b\tc\xa0\xff \t\r\n\r\n";
    let answer = witness.sees_served(head);
    assert_eq!(answer.text(), r"GET /tell/ - a \x80b\tc\xa0\xff");
}

#[test]
fn security_12_a_request_line_is_three_words() {
    let mut witness = Witness::new();
    let method = "M".repeat(33);
    for (line, reason) in [
        ("GET  / HTTP/1.1", Reason::BadRequestLine),
        ("GET /  HTTP/1.1", Reason::BadRequestLine),
        (" GET / HTTP/1.1", Reason::BadRequestLine),
        ("GET / HTTP/1.1 ", Reason::BadRequestLine),
        ("GET /", Reason::BadRequestLine),
        ("GET", Reason::BadRequestLine),
        ("GET / HTTP/1.10", Reason::BadVersion),
        ("GET / http/1.1", Reason::BadVersion),
        ("GET / HTTP/1.2", Reason::BadVersion),
        ("GET / HTTP/1", Reason::BadVersion),
        ("GET / HTTP/2.0", Reason::UnsupportedVersion),
        ("GET / HTTP/3.0", Reason::UnsupportedVersion),
        ("G(T / HTTP/1.1", Reason::BadMethod),
        ("G\u{e4}T / HTTP/1.1", Reason::BadMethod),
        (&format!("{method} / HTTP/1.1"), Reason::BadMethod),
    ] {
        witness.sees_refused(format!("{line}\r\nHost: a\r\n\r\n"), reason);
    }
    let method = &method[1..];
    let answer = witness.sees_served(format!("{method} /tell/ HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(answer.text(), format!("{method} /tell/ - a -"));
}

#[test]
fn security_13_a_target_has_one_of_four_forms() {
    let mut witness = Witness::new();
    for target in ["*", "a", "a:443", "ftp://a/", "http:/a", "/a#b", "/\u{e9}", "?x", "http:a"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        witness.sees_refused(head, Reason::BadTarget);
    }
    witness.sees_refused("GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", Reason::BadTarget);
    let connect = "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n";
    witness.sees_refused(connect, Reason::BadTarget);
    let answer = witness.sees_served("GET http://a/tell/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "GET /tell/ - a -");
}

#[test]
fn security_14_a_host_stands_once_and_is_a_host() {
    let mut witness = Witness::new();
    witness.sees_refused("GET / HTTP/1.1\r\n\r\n", Reason::MissingHost);
    for host in ["u@a", "a/b", "a,b", "a:0", "a:65536", "a b", "", "a:", "[::1", "a:80:80"] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        witness.sees_refused(head, Reason::BadHost);
    }
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        witness.sees_refused(head, Reason::BadHost);
    }
    for host in ["a.example:8080", "[::1]:1", "127.0.0.1", "a_b"] {
        let answer = witness.sees_served(format!("GET /tell/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.text(), format!("GET /tell/ - {host} -"));
    }
}
