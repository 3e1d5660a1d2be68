//! What one head costs: `cargo run --release -p stead-http1 --example cost`.
//!
//! Prints nanoseconds for decoding typical request heads and for encoding the head of a fixed
//! answer: the best of many short rounds on one thread, buffers warm, so that what else runs on the
//! machine matters little. Under a tool that counts instructions, `cost 1` runs each once a round.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use stead_base::Limits;
use stead_http1::encode::{self, ResponseLine};
use stead_http1::{Event, Fields, Framing, RequestDecoder, RequestHead, StatusCode, Version, name};

const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

const TYPICAL: &[u8] = b"GET /docs/index.html?lang=en HTTP/1.1\r\nHost: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n\r\n";

const BROWSER: &[u8] = b"GET /docs/index.html?lang=en HTTP/1.1\r\nHost: www.example.com\r\n\
    Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;\
    q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nX-Trace-Hint: 1\r\n\r\n";

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn main() {
    let mut decoder = RequestDecoder::new(Limits::default().head(), None);
    let mut head = RequestHead::default();
    for (label, input) in [("1 field", SMALL), ("5 fields", TYPICAL), ("16 fields", BROWSER)] {
        let nanos = nanos_each(|| {
            let step = decoder.decode(black_box(input), &mut head).expect("a good head");
            assert!(step.event == Event::Head && decoder.finish_empty());
        });
        println!("decode a head, {label}, {} bytes: {nanos:.1} ns", input.len());
    }
    let mut fields = Fields::new();
    fields.append(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
    let line = ResponseLine {
        version: Version::Http11,
        status: StatusCode::OK,
        framing: Framing::Length(13),
        keep_alive: true,
        to_head: false,
    };
    let mut out = Vec::new();
    let nanos = nanos_each(|| {
        out.clear();
        let fields = black_box(&fields);
        encode::response_head(&mut out, black_box(&line), fields, Some(DATE), Some(b"stead"));
        black_box(&out);
    });
    println!("encode the head of a fixed answer, {} bytes: {nanos:.1} ns", out.len());
    let nanos = nanos_each(|| {
        fields.clear();
        fields.append(name::CONTENT_TYPE, black_box(b"text/plain; charset=utf-8"));
    });
    println!("set its one field: {nanos:.1} ns");
}

/// The best mean of the rounds.
fn nanos_each(mut work: impl FnMut()) -> f64 {
    const ROUNDS: u32 = 2_000;
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(1_000);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..times {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(times));
    }
    best
}
