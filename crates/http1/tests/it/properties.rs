//! Events do not depend on how the input was cut, and what is written reads back.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stead_base::HeadLimits;
use stead_http1::encode::{self, RequestLine, ResponseLine};
use stead_http1::{Fields, Framing, Known, Method, StatusCode, Version};

use crate::corpus::messages;
use crate::exchange::{default_limits, requests, response};

/// Small enough that random messages pass them now and then.
const TIGHT: HeadLimits = HeadLimits { head_bytes_max: 120, field_count_max: 4, uri_bytes_max: 24 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn cuts_do_not_change_what_requests_are_read(
        (input, cuts) in (corpus_mix(), vec(any::<Index>(), 0..12)).prop_map(place),
        limits in limits(),
    ) {
        prop_assert_eq!(requests(&input, &cuts, limits), requests(&input, &[], limits));
    }

    #[test]
    fn cuts_do_not_change_what_a_soup_of_pieces_says(
        (input, cuts) in (soup(REQUEST_PIECES), vec(any::<Index>(), 0..12)).prop_map(place),
        limits in limits(),
    ) {
        let whole = requests(&input, &[], limits);
        prop_assert_eq!(&requests(&input, &cuts, limits), &whole);
        let every: Vec<usize> = (1..input.len()).collect();
        prop_assert_eq!(&requests(&input, &every, limits), &whole);
    }

    #[test]
    fn cuts_do_not_change_what_response_is_read(
        (input, cuts) in (soup(RESPONSE_PIECES), vec(any::<Index>(), 0..12)).prop_map(place),
        limits in limits(),
        method in select(vec![Method::GET, Method::HEAD, Method::CONNECT]),
    ) {
        let cut = response(&input, &cuts, limits, &method);
        prop_assert_eq!(cut, response(&input, &[], limits, &method));
    }

    #[test]
    fn a_written_request_reads_back(message in message(), cuts in vec(any::<Index>(), 0..6)) {
        let mut wire = Vec::new();
        let method = Method::from_bytes(message.method.as_bytes()).expect("a token");
        let line = RequestLine {
            method: &method,
            target: message.target.as_bytes(),
            host: Some(b"a.example:81"),
            framing: message.framing(),
            keep_alive: message.keep_alive,
            upgrade: None,
        };
        encode::request_head(&mut wire, &line, &message.fields());
        message.write_body(&mut wire);
        let (wire, cuts) = place((wire, cuts));
        let found = requests(&wire, &cuts, default_limits());
        prop_assert_eq!(found.end, Ok(()));
        prop_assert_eq!(found.requests.len(), 1);
        let request = &found.requests[0];
        prop_assert_eq!(&request.method, &message.method);
        prop_assert_eq!(&request.target, message.target.as_bytes());
        prop_assert_eq!(request.framing, message.framing());
        prop_assert_eq!(own(&request.fields), message.fields());
        prop_assert_eq!(&request.body, &message.body());
        prop_assert_eq!(&request.trailers, &message.trailers());
        prop_assert_eq!(request.head.contains(" keep"), message.keep_alive);
        prop_assert!(request.complete);
    }

    #[test]
    fn a_written_response_reads_back(
        message in message(),
        status in 200_u16..600,
        version in select(vec![Version::Http10, Version::Http11]),
        to_head: bool,
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let mut wire = Vec::new();
        let line = ResponseLine {
            version,
            status: StatusCode::from_u16(status).expect("in range"),
            framing: message.framing(),
            keep_alive: message.keep_alive,
            to_head,
        };
        let promise = encode::response_head(&mut wire, &line, &message.fields(), None, None);
        match promise.framing {
            Framing::None => (),
            Framing::Close => wire.extend_from_slice(&message.body()),
            Framing::Length(_) | Framing::Chunked => message.write_body(&mut wire),
        }
        let has_body = promise.framing != Framing::None;
        let (wire, cuts) = place((wire, cuts));
        let method = if to_head { Method::HEAD } else { Method::GET };
        let found = response(&wire, &cuts, default_limits(), &method);
        let found = found.expect("our own response");
        prop_assert_eq!(&found.statuses, &[status]);
        prop_assert_eq!(own(&found.fields), message.fields());
        prop_assert_eq!(found.body, if has_body { message.body() } else { Vec::new() });
        let trailers = promise.framing == Framing::Chunked;
        let trailers = if trailers { message.trailers() } else { Fields::new() };
        prop_assert_eq!(found.trailers, trailers);
        prop_assert_eq!(found.keep_alive, promise.keep_alive);
        prop_assert!(!found.excess);
    }
}

/// A message to be written.
#[derive(Clone, Debug)]
struct Message {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
    chunked: bool,
    trailers: Vec<(String, Vec<u8>)>,
    keep_alive: bool,
}

impl Message {
    fn framing(&self) -> Framing {
        if self.chunked { Framing::Chunked } else { Framing::Length(self.body().len() as u64) }
    }

    fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    fn fields(&self) -> Fields {
        fields(&self.fields)
    }

    fn trailers(&self) -> Fields {
        if self.chunked { fields(&self.trailers) } else { Fields::new() }
    }

    fn write_body(&self, wire: &mut Vec<u8>) {
        if !self.chunked {
            return wire.extend_from_slice(&self.body());
        }
        for chunk in self.chunks.iter().filter(|chunk| !chunk.is_empty()) {
            encode::chunk_head(wire, chunk.len());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(encode::CHUNK_END);
        }
        encode::last_chunk(wire, Some(&self.trailers()));
    }
}

fn message() -> impl Strategy<Value = Message> {
    let name = "[a-zA-Z!#$%&'*+.^_`|~-][a-zA-Z0-9-]{0,20}";
    // A field that is not ours to write: any name but those of framing, connection and routing.
    let field = (name, value())
        .prop_filter("an ordinary field", |(name, _)| Known::from_bytes(name.as_bytes()).is_none());
    let known = (select(vec!["Accept", "ETag", "X-Request-ID", "Link"]), value())
        .prop_map(|(name, value)| (name.to_owned(), value));
    let field = prop_oneof![field, known].boxed();
    (
        select(vec!["GET", "POST", "DELETE", "PROPFIND", "X-LONG-METHOD-NAME"]),
        "/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]{0,40}(\\?[a-z=&/?]{0,20})?",
        vec(field.clone(), 0..8),
        vec(vec(any::<u8>(), 0..40), 0..5),
        any::<bool>(),
        vec(field, 0..3),
        any::<bool>(),
    )
        .prop_map(|(method, target, fields, chunks, chunked, trailers, keep_alive)| {
            let method = method.to_owned();
            Message { method, target, fields, chunks, chunked, trailers, keep_alive }
        })
}

/// Any value that blanks at its ends do not change.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\t'), 0x20_u8..=0x7E, 0x80_u8..=0xFF];
    vec(byte, 0..40).prop_map(|value| value.trim_ascii().to_vec())
}

fn fields(entries: &[(String, Vec<u8>)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in entries {
        fields.try_append(name.as_bytes(), value).expect("a field");
    }
    fields
}

/// Without what the encoder adds.
fn own(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.retain(|name, _| {
        use stead_http1::name::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
        ![CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&name)
    });
    fields
}

/// One or two messages of the corpus, perhaps with a byte changed.
fn corpus_mix() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = messages().into_iter().map(|(_, message)| message).collect();
    let change = proptest::option::of((any::<Index>(), select(ODD_BYTES.to_vec())));
    (vec(select(all), 1..3), change).prop_map(|(parts, change)| {
        let mut input = parts.concat();
        if let Some((at, byte)) = change {
            let at = at.index(input.len());
            input[at] = byte;
        }
        input
    })
}

/// Pieces of messages in any order.
fn soup(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    vec(select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn limits() -> impl Strategy<Value = HeadLimits> {
    select(vec![TIGHT, default_limits()])
}

fn place((input, cuts): (Vec<u8>, Vec<Index>)) -> (Vec<u8>, Vec<usize>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    cuts.sort_unstable();
    (input, cuts)
}

const ODD_BYTES: &[u8] = b"\0\t\n\r \"#,:;0;a\x7f\x80\xff";

const REQUEST_PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "X: 1\r\n",
    "GET ",
    "/aaaaaaaaaaaaaaa",
    " HTTP/1.1",
    "\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    "Host: a",
    "\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "hello",
    "3;a=\"b\"\r\nabc\r\n",
    "MMMMMMMMMMMMMMMMMMMM",
    "\0",
];

const RESPONSE_PIECES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 204 \r\n",
    "HTTP/1.1 103 x\r\n\r\n",
    "HTTP/1.1 101 x\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "X: 1\r\n",
    "HTTP/1.1",
    " 200",
    "\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "hello",
    "\0",
];
