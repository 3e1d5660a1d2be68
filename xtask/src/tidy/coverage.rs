//! Which test proves which rule of behaviour against hostile input.
//!
//! The rules are numbered; a test belongs to rule 7 if it is called `security_07_…`. `cargo xtask
//! gen` writes the table of both; a rule without a test is a finding.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::source::Source;
use super::{Finding, Tree};

/// The table, relative to the root.
pub(crate) const FILE: &str = "e2e/COVERAGE.md";

/// Checks that every rule has a test, and that every security test has a rule.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tests = tests(tree);
    let mut findings = Vec::new();
    for (number, _) in RULES {
        if !tests.contains_key(number) {
            let message = format!("rule {number} has no test `security_{number:02}_…`");
            findings.push(Finding::new(FILE, 0, message));
        }
    }
    for (number, places) in &tests {
        if !RULES.iter().any(|(rule, _)| rule == number) {
            let message = format!("there is no rule {number} (xtask/src/tidy/coverage.rs)");
            findings.extend(places.iter().map(|(_, path)| Finding::new(path, 0, &*message)));
        }
    }
    findings
}

/// The table as it should stand in [`FILE`].
pub(crate) fn table() -> Result<String> {
    Ok(table_of(&tests(&Tree::read()?)))
}

/// Rule, and for each of its tests the name and the file.
type Tests = BTreeMap<u32, Vec<(String, String)>>;

fn tests(tree: &Tree) -> Tests {
    let mut tests = Tests::new();
    for (path, source) in tree.rust() {
        if PLACES.iter().any(|place| path.starts_with(place)) {
            for (number, name) in security_tests(source) {
                tests.entry(number).or_default().push((name, shown(path)));
            }
        }
    }
    for places in tests.values_mut() {
        places.sort();
    }
    tests
}

fn security_tests(source: &Source) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let name = line.declared("fn").unwrap_or_default();
        let number = name.strip_prefix("security_").and_then(|rest| rest.split('_').next());
        let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
        let before = &source.lines[index.saturating_sub(ATTRIBUTE_LINES)..index];
        let is_test = |code: &str| code.contains("test]") || code.contains("test(");
        if before.iter().any(|line| is_test(&line.code)) {
            found.push((number, name.to_owned()));
        }
    }
    found
}

fn table_of(tests: &Tests) -> String {
    let mut text = HEAD.to_owned();
    for (number, rule) in RULES {
        let places = tests.get(number).map(Vec::as_slice).unwrap_or_default();
        let cell: Vec<String> =
            places.iter().map(|(name, path)| format!("`{name}` ({path})")).collect();
        let cell = if cell.is_empty() { "none yet".to_owned() } else { cell.join("<br>") };
        let _ = writeln!(text, "| {number} | {rule} | {cell} |");
    }
    text
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

const PLACES: &[&str] = &["crates", "e2e", "fuzz"];

/// How far above a function its `#[test]` may stand.
const ATTRIBUTE_LINES: usize = 4;

const HEAD: &str = "\
# Behaviour against hostile input, and the tests that prove it

Written by `cargo xtask gen`; do not edit. The rules stand in `xtask/src/tidy/coverage.rs`. A test
belongs to a rule by its name: `security_07_…` to rule 7. Numbers that are missing here belong to
parts of Stead that do not exist yet. *Close* means: `Connection: close`, the answer flushed, our
side shut, what still arrives discarded (at most 256 KiB or 2 s), then closed.

| rule | behaviour | tests |
| --- | --- | --- |
";

/// Number and exact behaviour, as far as it applies to what exists.
const RULES: &[(u32, &str)] = &[
    (1, "`Content-Length` together with `Transfer-Encoding` in a request: 400, close"),
    (
        2,
        "several `Content-Length` values, equal or not, repeated or as a list; empty, signed, hexadecimal, with blanks or separators, or above 2^63-1: 400, close",
    ),
    (
        3,
        "`Transfer-Encoding` that is not exactly one final `chunked`: 501 for a single HTTP/1.1 field of bare tokens with one other than `chunked`, else 400; close",
    ),
    (4, "`Transfer-Encoding` in HTTP/1.0: 400, close"),
    (
        5,
        "a chunk size is 1 to 16 hexadecimal digits and nothing else; overflow included: 400, close",
    ),
    (6, "a chunk's size line or its bytes end in anything but CRLF: 400, close"),
    (
        7,
        "chunk extensions: at most 64 bytes a chunk and 4 KiB a body, no control bytes, quoted strings parsed, never forwarded; else 400",
    ),
    (
        8,
        "trailers obey the rules and limits of headers; framing, routing, authentication and cookie fields in them are dropped",
    ),
    (9, "a bare CR, or a line end of bare LF, in the head: 400"),
    (
        10,
        "a header name that is empty or no token, a blank before the colon, no colon, a blank before the first header, a folded line: 400, close",
    ),
    (
        11,
        "NUL, CR, LF or another control byte but HTAB in a header value: 400; bytes 0x80 to 0xFF pass unchanged; only SP and HTAB are trimmed",
    ),
    (
        12,
        "the request line has exactly two single spaces, a token of at most 32 bytes as method, and `HTTP/1.0` or `HTTP/1.1`, else 400; another major version: 505",
    ),
    (
        13,
        "the target has origin, absolute, authority (CONNECT) or asterisk (OPTIONS) form; a raw `#`, blank, control or non-ASCII byte: 400; in HTTP/2 a `#` and what follows it never reach us: what is routed, logged and forwarded is the path before it",
    ),
    (
        14,
        "HTTP/1.1 without `Host`, two of them, or one with user, path, comma, or a port of 0 or above 65535: 400; so is an absolute target whose authority differs",
    ),
    (
        15,
        "a body of GET, HEAD or DELETE is framed as announced and given on with its length, or refused; never stripped with its length kept",
    ),
    (
        16,
        "after an answer to an erroneous request the connection is closed; pipelined bytes behind it are discarded",
    ),
    (
        17,
        "a response obeys the same rules; a breach is an error and the connection is not used again, nor is one with bytes after a complete response",
    ),
    (
        18,
        "after a request for a protocol switch no further byte of the client goes on before the switch was agreed; if refused, they are the next request or the connection closes",
    ),
    (19, "at most 8 interim responses; `Expect: 100-continue` is answered exactly once"),
    (
        20,
        "pseudo-fields stand once and first; `:authority` and `Host` agree, `:path` begins with `/`, `:scheme` is the transport's unless the peer is trusted: stream error PROTOCOL_ERROR",
    ),
    (
        21,
        "blanks at the ends of a value, fields of one connection, `TE` other than `trailers`: stream error; upper case in a name, NUL, CR or LF in a value: connection error PROTOCOL_ERROR",
    ),
    (
        22,
        "`content-length` that differs from what DATA brings, or with END_STREAM on HEADERS: stream error, never forwarded as complete",
    ),
    (
        23,
        "a list of fields above `header_size`, 32 bytes counted for each, or with more than `header_count`, each crumb of a cookie counted: 431; far above: GOAWAY ENHANCE_YOUR_CALM",
    ),
    (
        24,
        "an HTTP/2 header block has at most 8 CONTINUATION frames and 64 KiB: GOAWAY ENHANCE_YOUR_CALM",
    ),
    (
        25,
        "more than 20 requests reset before their answer in a second, or 100 without an answered one between them; more than 100 streams that we must reset: GOAWAY ENHANCE_YOUR_CALM",
    ),
    (
        26,
        "a handler that runs counts against `http2_streams` though its stream was reset; one more: REFUSED_STREAM",
    ),
    (
        27,
        "more than 50 PING, SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE or unknown frames in a second without useful work: GOAWAY ENHANCE_YOUR_CALM; SETTINGS not acknowledged within 10 s: closed",
    ),
    (
        28,
        "a stream whose window stays closed for `write_idle`: RST_STREAM; what waits for a peer is at most 1 MiB a connection",
    ),
    (
        29,
        "bodies that nobody reads hold at most 64 KiB a stream and 256 KiB a connection: windows say so, beyond them FLOW_CONTROL_ERROR",
    ),
    (
        30,
        "a drain says GOAWAY with 2^31-1, after a round trip or 1 s with the last stream that is served",
    ),
    (
        33,
        "a TLS handshake that is not done `timeouts.tls_handshake` after its first byte ends; a head that is not complete `timeouts.header` after its first byte: 408; bodies slower than `body_idle`, `body_rate`, `write_idle` or `write_rate` are ended in both directions",
    ),
    (
        34,
        "a connection without a byte is closed after `timeouts.first_byte`, before there is any TLS",
    ),
    (
        35,
        "a head too long: 431; a target too long: 414; a body above its limit: 413, from its announced length before a byte is read, and while it streams",
    ),
    (
        36,
        "from three quarters of the places for connections or of the memory on, idle connections are kept for less and less time; from nine tenths on the longest idle are closed, and a newcomer takes the place of one; where nothing idle is left, first requests of connections get 503 with `Retry-After`, for want of memory all new requests and streams do, while exchanges under way, `health` and the admin socket go on",
    ),
    (
        37,
        "where the process or the system has no descriptor left: the longest idle connection makes room; without one keep serving, back off, keep a spare one, count",
    ),
    (
        38,
        "one canonical path for router, handler and log: unreserved characters decoded, other escapes kept in upper case, dot segments resolved, empty segments kept; `%00`, a backslash, an invalid escape, overlong UTF-8: 400; `%2F` is no separator: 400 on files",
    ),
    (
        39,
        "files are opened beneath their root and nowhere else: a symlink that leaves it, hidden files and editors' backups: 404; `/.well-known/` is allowed",
    ),
    (40, "a prefix matches whole segments: `/img` takes neither `/img../x` nor `/imgfoo`"),
    (
        41,
        "at most 16 ranges, overlapping ones merged; too many, or more than the file: 200 with all of it; none within the file: 416; `If-Range` compares strongly",
    ),
    (42, "a listing escapes names and is off unless asked for; devices and pipes: 404"),
    (
        43,
        "a `Location` that we build leaves this host only where the configured text names another: leading slashes collapse to one after placeholders are filled; files answer 404 to an empty segment",
    ),
    (44, "a field whose name holds an underscore is never taken for one with hyphens"),
    (
        45,
        "`X-Forwarded-*`, `Forwarded` and `X-Real-IP` of a peer that is not in `trusted_proxies` are taken out where some are named, and never believed; of one that is, only the configured one is",
    ),
    (
        46,
        "the client is the rightmost hop that is no trusted proxy; a malformed entry stops the walk; IPv6 addresses stand in brackets in `Forwarded`",
    ),
    (
        47,
        "a host that the certificate of the handshake does not cover, or that a `[tls]` entry with another policy for clients' certificates covers: 421; tickets are bound to their entry and its policy",
    ),
    (
        48,
        "a listener with `proxy_protocol` takes connections from the listed sources only, each with a whole and well-formed header within 5 s; lengths and TLVs fill it exactly",
    ),
    (
        50,
        "credentials are compared in constant time; an unknown name takes as long as a known one; failures are limited by address",
    ),
    (
        52,
        "an answer that sets a cookie, or that another site asked for with credentials and without \
         a click, is not compressed unless `secrets = true`; nor is what says `no-transform`, is \
         small, or is compressed already",
    ),
    (
        58,
        "a panic in a connection ends that connection, is counted, and poisons nothing; inputs that once reached new code are replayed",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "#[test]\nfn security_07_extensions() {}\nfn security_08_no_test() {}\n";

    #[test]
    fn a_test_is_a_function_with_the_attribute() {
        let source = Source::new(&TEST.replace("}\nfn", "}\n\n\n\n\nfn"));
        assert_eq!(security_tests(&source), [(7, "security_07_extensions".to_owned())]);
    }

    #[test]
    fn the_table_names_the_tests() {
        let tree = Tree::of(&[("crates/http1/src/chunk.rs", "#[test]\nfn security_07_a() {}\n")]);
        let table = table_of(&tests(&tree));
        assert!(table.contains("`security_07_a` (crates/http1/src/chunk.rs) |\n"), "{table}");
        assert_eq!(table.matches("none yet").count(), RULES.len() - 1);
    }

    #[test]
    fn a_test_without_a_rule_is_a_finding() {
        let tree = Tree::of(&[("e2e/tests/a.rs", "#[test]\nfn security_99_a() {}\n")]);
        assert!(check(&tree).iter().any(|finding| finding.message.contains("no rule 99")));
    }

    #[test]
    fn numbers_rise() {
        assert!(RULES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
