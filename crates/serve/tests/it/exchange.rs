//! Byte-exact exchanges, as scripts: what a client sends, what must come back.
//!
//! A script is a file of `tests/exchange/`. Its lines, but for empty ones and `# …`:
//!
//! ```text
//! > GET / HTTP/1.1     sends the line and CRLF
//! < HTTP/1.1 200 OK    expects the line and CRLF
//! >| abc\r\n           sends exactly this
//! <| hello             expects exactly this
//! pause                lets the server run
//! finish               ends the client's side
//! closed               expects the end of the connection
//! open                 expects that a GET is answered
//! ```
//!
//! `\r`, `\n`, `\0`, `\t`, `\\` and `\xHH` mean bytes; `\{80*a}` is `a` 80 times. A `Date` must be
//! a date of 29 bytes, written `Date: *`. A script ends with `closed` or `open`.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use stead_base::Reason;
use stead_core::{Body, Error, Exchange, StatusCode, name};

use crate::client::Client;
use crate::handlers::{Count, Echo, Fixed, Make, Play, Step, Switch, Tell, text, wait};
use crate::harness::{Harness, Recipe};

/// What every script speaks to.
fn kitchen() -> Harness {
    let pieces = vec![Step::text("one"), Step::Yield, Step::text("two"), Step::text("three")];
    let with_trailers = vec![Step::text("body"), Step::Trailers("X-Sum", "42")];
    let broken = vec![Step::text("half"), Step::Fail];
    Recipe::default()
        .limits(|limits| limits.body = Some("100KB".parse().expect("a size")))
        .route("/hello", Fixed("hello"))
        .route("/tell/{*rest}", Tell)
        .route("/echo", Echo)
        .route("/count", Count)
        .route_for(&["POST"], "/post-only", Count)
        .route_for(&["GET"], "/get-only", Fixed("got"))
        .route("/no-content", Make(|e: &mut Exchange| e.respond(StatusCode::NO_CONTENT)))
        .route("/not-modified", Make(not_modified))
        .route("/empty", Make(|e: &mut Exchange| e.respond(StatusCode::OK)))
        .route("/refuse", Make(|e: &mut Exchange| e.respond(StatusCode::FORBIDDEN)))
        .route(
            "/late-refuse",
            wait(|e| Box::pin(async move { Ok(e.respond(StatusCode::FORBIDDEN)) })),
        )
        .route("/error", wait(|_| Box::pin(async { Err(Error::internal("as asked")) })))
        .route("/stream", Play(pieces.clone(), None))
        .route("/stream-of-11", Play(pieces, Some(11)))
        .route("/trailers", Play(with_trailers, None))
        .route("/broken", Play(broken, None))
        .route("/fields", Make(fields))
        .route("/chain", Make(chain))
        .route("/switch", Switch)
        .route("/interim", Make(|e: &mut Exchange| e.respond(StatusCode::PROCESSING)))
        .start()
}

fn not_modified(exchange: &mut Exchange) -> stead_core::Response {
    let mut answer = exchange.respond(StatusCode::NOT_MODIFIED);
    answer.fields.set(name::ETAG, b"\"x\"");
    answer
}

/// Fields that a handler may set, and those that only the connection writes.
fn fields(exchange: &mut Exchange) -> stead_core::Response {
    let mut answer = text(exchange, b"own");
    answer.fields.set(name::CONTENT_TYPE, b"text/plain");
    answer.fields.set(name::CONTENT_LENGTH, b"999");
    answer.fields.set(name::TRANSFER_ENCODING, b"chunked");
    answer.fields.set(name::CONNECTION, b"close");
    answer
}

fn chain(exchange: &mut Exchange) -> stead_core::Response {
    let parts = vec![Body::Bytes("ab".into()), Body::Empty, Body::Buffer(b"cd".to_vec())];
    exchange.respond(StatusCode::OK).with_body(Body::Chain(parts))
}

#[test]
fn every_script_plays() {
    let harness = kitchen();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchange");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("scripts")
        .map(|entry| entry.expect("a script").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 40, "{} scripts", paths.len());
    let mut failures = String::new();
    for path in &paths {
        if let Err(failure) = play(&harness, &read_script(path)) {
            failures.extend(["\n--- ", &path.display().to_string(), "\n", &failure, "\n"]);
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(harness.outcomes(Reason::HandlerPanic), 0);
}

fn read_script(path: &Path) -> String {
    let mut script = String::new();
    let file = fs::File::open(path).expect("open a script");
    file.take(64 << 10).read_to_string(&mut script).expect("a script in UTF-8");
    script
}

/// Plays one script; says what differs.
fn play(harness: &Harness, script: &str) -> Result<(), String> {
    let mut client = harness.connect();
    let (mut sends, mut expects) = (Vec::new(), Vec::new());
    let mut ended = false;
    for line in script.lines().chain(["pause"]) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is_send = word.starts_with('>');
        let is_expect = word.starts_with('<');
        if !is_send && !sends.is_empty() {
            // What was expected so far came before.
            send(&mut client, &mut sends)?;
        }
        if !is_expect && !line.is_empty() && !expects.is_empty() {
            expect(&mut client, &std::mem::take(&mut expects))?;
        }
        match word {
            "" | "#" => {}
            ">" => sends.extend([unescape(rest), b"\r\n".to_vec()].concat()),
            ">|" => sends.extend(unescape(rest)),
            "<" => expects.extend([unescape(rest), b"\r\n".to_vec()].concat()),
            "<|" => expects.extend(unescape(rest)),
            "pause" => std::thread::sleep(Duration::from_millis(20)),
            "finish" => client.finish(),
            "closed" => {
                ended = true;
                let rest = client.read_to_close();
                if !rest.is_empty() {
                    return Err(format!("before the end came {}", rest.escape_debug()));
                }
            }
            "open" => {
                ended = true;
                let answer = client.get("/hello");
                if answer.text() != "hello" {
                    return Err(format!("open, but answers {answer:?}"));
                }
            }
            other => return Err(format!("`{other}` is no word of a script")),
        }
    }
    if ended { Ok(()) } else { Err("it ends neither `closed` nor `open`".into()) }
}

fn send(client: &mut Client, bytes: &mut Vec<u8>) -> Result<(), String> {
    let sent = client.stream.write_all(&std::mem::take(bytes));
    sent.map_err(|error| format!("send: {error}"))
}

/// Reads as many bytes as are expected, dates masked, and compares.
fn expect(client: &mut Client, expected: &[u8]) -> Result<(), String> {
    const MASK: &[u8] = b"Date: *\r\n";
    let mut rest = expected;
    while !rest.is_empty() {
        let mask = rest.windows(MASK.len()).position(|bytes| bytes == MASK);
        let plain = &rest[..mask.unwrap_or(rest.len())];
        let found = client.take(plain.len());
        if found.as_deref() != Some(plain) {
            let found = found.unwrap_or_else(|| client.read_to_close().into_bytes());
            return Err(format!("expected {}\nfound    {}", shown(plain), shown(&found)));
        }
        rest = &rest[plain.len()..];
        if mask.is_some() {
            rest = &rest[MASK.len()..];
            let line = client.take(37).unwrap_or_default();
            if !(line.starts_with(b"Date: ") && line.ends_with(b" GMT\r\n")) {
                return Err(format!("expected a date\nfound    {}", shown(&line)));
            }
        }
    }
    Ok(())
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The bytes that a line of a script means.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.as_bytes().first().copied().expect("a letter after the backslash");
        rest = &after[1..];
        match code {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            b'{' => {
                let (repeat, after) = rest.split_once('}').expect("a closing brace");
                let (times, text) = repeat.split_once('*').expect("times * text");
                bytes.extend(text.repeat(times.parse().expect("a number")).into_bytes());
                rest = after;
            }
            other => panic!("no escape: {}", char::from(other)),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn escapes_mean_bytes() {
    assert_eq!(unescape(r"a\r\n\x00\\\{3*bc}d"), b"a\r\n\0\\bcbcbcd");
}
