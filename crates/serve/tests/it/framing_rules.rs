//! How long a request is: SECURITY.md 1 to 8, 15 and 16, on the wire.

use stead_base::Reason;

use crate::witness::Witness;

/// A POST to the route that reads its body.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

#[test]
fn security_01_length_and_encoding_together_are_refused() {
    let mut witness = Witness::new();
    let body = "0\r\n\r\n";
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Content-Length: x\r\nTransfer-Encoding: gzip",
    ] {
        witness.sees_refused(post(fields, body), Reason::LengthAndEncoding);
    }
}

#[test]
fn security_02_a_length_is_one_plain_number() {
    let mut witness = Witness::new();
    for length in
        ["", "+1", "-1", "0x1", "1_0", "1 0", "1,1", "1, 2", "9223372036854775808", "1.0", "a"]
    {
        let message = post(&format!("Content-Length: {length}"), "x");
        witness.sees_refused(message, Reason::BadContentLength);
    }
    for fields in
        ["Content-Length: 1\r\nContent-Length: 1", "Content-Length: 1\r\nContent-Length: 2"]
    {
        witness.sees_refused(post(fields, "x"), Reason::BadContentLength);
    }
    assert_eq!(witness.sees_served(post("Content-Length: 0005", "12345")).text(), "5");
}

#[test]
fn security_03_an_encoding_is_one_final_chunked() {
    let mut witness = Witness::new();
    for coding in ["xchunked", "gzip, chunked", "identity", "chunked, gzip"] {
        let message = post(&format!("Transfer-Encoding: {coding}"), "0\r\n\r\n");
        witness.sees_refused(message, Reason::UnsupportedTransferEncoding);
    }
    for coding in ["", ",chunked", "chunked,", "chunked;q=1", "chunked, chunked", "\"chunked\""] {
        let message = post(&format!("Transfer-Encoding: {coding}"), "0\r\n\r\n");
        witness.sees_refused(message, Reason::BadTransferEncoding);
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    ] {
        witness.sees_refused(post(fields, "0\r\n\r\n"), Reason::BadTransferEncoding);
    }
    assert_eq!(witness.sees_served(post("Transfer-Encoding: Chunked", "0\r\n\r\n")).text(), "0");
}

#[test]
fn security_04_http_10_has_no_encoding() {
    let mut witness = Witness::new();
    for coding in ["chunked", "gzip"] {
        let message = format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        witness.sees_refused(message, Reason::BadTransferEncoding);
    }
}

#[test]
fn security_05_a_chunk_size_is_hex_digits_only() {
    let mut witness = Witness::new();
    for size in ["", "0x1", "+1", "-1", " 1", "1 ", "\t1", "1\t", "g", "1_0", "00000000000000001"] {
        let message = chunked(&format!("{size}\r\nx\r\n0\r\n\r\n"));
        witness.sees_refused(message, Reason::BadChunk);
    }
    for body in
        ["FFFFFFFFFFFFFFFF\r\nx", "8000000000000000\r\nx", "1\r\nx\r\n7FFFFFFFFFFFFFFF\r\nx"]
    {
        witness.sees_refused(chunked(body), Reason::BadChunk);
    }
}

#[test]
fn security_06_chunk_lines_and_data_end_in_crlf() {
    let mut witness = Witness::new();
    for body in [
        "1\nx\r\n0\r\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx\r0\r\n\r\n",
        "1\r\nxab0\r\n\r\n",
        "1\r\nx\rX0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
    ] {
        witness.sees_refused(chunked(body), Reason::BadChunk);
    }
    witness.sees_refused(chunked("0\r\n\n"), Reason::BadTrailer);
}

#[test]
fn security_07_chunk_extensions_are_limited_and_dropped() {
    let mut witness = Witness::new();
    let of = |bytes: usize| format!(";{}", "e".repeat(bytes - 1));
    let served = chunked(&format!("1{}\r\nx\r\n0;a=\"b;c\"\r\n\r\n", of(64)));
    assert_eq!(witness.sees_served(served).text(), "1");
    let long = chunked(&format!("1{}\r\nx\r\n0\r\n\r\n", of(65)));
    witness.sees_refused(long, Reason::ChunkExtensionTooLong);
    let many = chunked(&format!("1{}\r\nx\r\n", of(64)).repeat(65));
    witness.sees_refused(many, Reason::ChunkExtensionTooLong);
    for bad in ["1;a=\0\r\nx\r\n", "1;a=\"\n\"\r\nx\r\n", "1;\r\nx\r\n"] {
        witness.sees_refused(chunked(bad), Reason::BadChunk);
    }
}

#[test]
fn security_08_trailers_obey_the_rules_of_a_head() {
    let mut witness = Witness::new();
    let served = "0\r\nX-Sum: 1\r\nHost: b\r\nCookie: c\r\nTE: d\r\nTransfer-Encoding: e\r\n\r\n";
    assert_eq!(witness.sees_served(chunked(served)).text(), "0 X-Sum=1");
    for bad in ["X : 1", " X: 1", "X", ": 1", "X: \0"] {
        witness.sees_refused(chunked(&format!("0\r\n{bad}\r\n\r\n")), Reason::BadTrailer);
    }
    let many = "X: 1\r\n".repeat(101);
    witness.sees_refused(chunked(&format!("0\r\n{many}\r\n")), Reason::BadTrailer);
    let large = format!("0\r\nX: {}\r\n\r\n", "y".repeat(33 << 10));
    witness.sees_refused(chunked(&large), Reason::BadTrailer);
}

#[test]
fn security_15_any_method_may_have_a_body_and_its_length_counts() {
    let mut witness = Witness::new();
    for method in ["GET", "DELETE", "OPTIONS", "PUT"] {
        let fixed = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /");
        assert_eq!(witness.sees_served(fixed).text(), "5", "{method}");
        let chunks =
            format!("{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = "3\r\nGET\r\n0\r\n\r\n";
        assert_eq!(witness.sees_served(chunks + body).text(), "3", "{method}");
    }
    // A body that the handler leaves alone is passed over all the same.
    let body = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = body.len();
    let unread =
        format!("GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    assert_eq!(witness.sees_served(unread).text(), "hello");
}

#[test]
fn security_16_nothing_behind_an_error_is_looked_at() {
    let mut witness = Witness::new();
    let behind = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2_000);
    let bad = format!("GET / HTTP/1.1\r\nHost : a\r\n\r\n{behind}");
    witness.sees_refused(bad, Reason::BadHeaderName);
    let in_body = chunked(&format!("1\r\nxx\r\n0\r\n\r\n{behind}"));
    witness.sees_refused(in_body, Reason::BadChunk);
}
