//! A client of HTTP/2 that writes its frames by hand, the wrong ones too.
//!
//! It asks for a header table of no size, so that a status is found in an answer without a decoder.

use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use stead_base::Reason;
use stead_core::{Body, Exchange, Response, StatusCode};

use crate::client::Client;
use crate::handlers::{Calls, Count, Counted, Echo, Fixed, Make, Play, Step, Tell};
use crate::harness::{Harness, Recipe};

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;

pub(crate) const NO_ERROR: u32 = 0x0;
pub(crate) const PROTOCOL_ERROR: u32 = 0x1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 0x3;
pub(crate) const SETTINGS_TIMEOUT: u32 = 0x4;
pub(crate) const STREAM_CLOSED: u32 = 0x5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 0x6;
pub(crate) const REFUSED_STREAM: u32 = 0x7;
pub(crate) const CANCEL: u32 = 0x8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection.
pub(crate) struct Http2 {
    pub(crate) client: Client,
}

/// One frame of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) content: Vec<u8>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answer { status: u16, body: Vec<u8> },
    Reset(u32),
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// A header block in which nothing is indexed.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name.as_bytes());
        text(&mut block, value.as_bytes());
    }
    block
}

/// A string without Huffman's code (RFC 7541 §5.1, §5.2).
fn text(block: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..=126 => block.push(length as u8),
        length => {
            block.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text);
}

/// The pseudo-fields of a request, and more.
pub(crate) fn fields<'a>(
    method: &'a str,
    path: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut fields =
        vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    fields.extend_from_slice(more);
    fields
}

/// A request without body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let block = block(&fields("GET", path, &[]));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// The head of a request whose body follows.
pub(crate) fn post(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&fields("POST", path, more)))
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;

impl Http2 {
    /// A connection whose settings are exchanged.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(Client::connect(address), &[])
    }

    /// The same with further settings.
    pub(crate) fn with(client: Client, settings: &[u8]) -> Self {
        let mut http2 = Self::silent(client, settings);
        http2.expect_settings();
        http2.client.send(frame(SETTINGS, ACK, 0, &[]));
        http2
    }

    /// One that sent its preface and has not acknowledged ours.
    pub(crate) fn silent(mut client: Client, settings: &[u8]) -> Self {
        let settings = [&setting(HEADER_TABLE_SIZE, 0)[..], settings].concat();
        client.send([PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat());
        Self { client }
    }

    fn expect_settings(&mut self) {
        let first = self.frame().expect("the server's settings");
        assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0));
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes);
    }

    /// Sends what the server may not want any more.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        use std::io::Write;
        self.client.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next frame; `None` where the connection has ended.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let head = self.client.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let content = self.client.take(length)?;
        Some(Frame { kind: head[3], flags: head[4], stream, content })
    }

    /// The next frame of one of these kinds.
    pub(crate) fn frame_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// How a stream ends, whatever comes on others.
    pub(crate) fn end(&mut self, stream: u32) -> End {
        self.try_end(stream).expect("the end of a stream")
    }

    pub(crate) fn try_end(&mut self, stream: u32) -> Option<End> {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let frame = self.frame_of(&[HEADERS, DATA, RST_STREAM, GOAWAY])?;
            if frame.kind == GOAWAY {
                assert_eq!(code(&frame.content[4..]), NO_ERROR, "GOAWAY: {frame:?}");
                continue;
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                RST_STREAM => return Some(End::Reset(code(&frame.content))),
                DATA => body.extend_from_slice(&frame.content),
                _ if status < 200 => status = self::status(&frame.content),
                // Trailers.
                _ => {}
            }
            if frame.flags & END_STREAM != 0 {
                return Some(End::Answer { status, body });
            }
        }
    }

    /// A GET on a stream, and its answer.
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> End {
        self.send(get(stream, path));
        self.end(stream)
    }

    /// Asserts that the server says why it ends the connection, and ends it.
    pub(crate) fn expect_go_away(&mut self, expected: u32) -> Frame {
        let said = loop {
            let frame = self.frame_of(&[GOAWAY]).expect("GOAWAY");
            if code(&frame.content[4..]) != NO_ERROR || expected == NO_ERROR {
                break frame;
            }
        };
        assert_eq!(code(&said.content[4..]), expected, "{said:?}");
        while self.frame().is_some() {}
        said
    }
}

pub(crate) fn code(content: &[u8]) -> u32 {
    u32::from_be_bytes(content[..4].try_into().expect("four bytes"))
}

/// The statuses of the static table.
const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// The status of a header block: its first field, from the static table or spelt out.
pub(crate) fn status(block: &[u8]) -> u16 {
    let mut block = block;
    while block[0] & 0xe0 == 0x20 {
        // The size of the table.
        block = &block[1..];
    }
    match block[0] {
        index @ 0x88..=0x8e => INDEXED[usize::from(index - 0x88)],
        0x08 | 0x48 | 0x18 => {
            let length = usize::from(block[1] & 0x7f);
            let text = &block[2..2 + length];
            if block[1] & 0x80 == 0 { digits(text.iter().copied()) } else { huffman(text) }
        }
        other => panic!("a status that begins with {other:#x}"),
    }
}

fn digits(digits: impl Iterator<Item = u8>) -> u16 {
    digits.fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
}

/// Three digits in Huffman's code (RFC 7541 Appendix B).
fn huffman(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let take = |count: usize| bits[at..at + count].iter().fold(0, |all, bit| all << 1 | bit);
        let (digit, count) = match take(5) {
            small @ 0..=2 => (small, 5),
            _ => (take(6) - 0b01_1001 + 3, 6),
        };
        at += count;
        status = status * 10 + u16::from(digit);
    }
    status
}

pub(crate) fn answer(status: u16, body: &str) -> End {
    End::Answer { status, body: body.as_bytes().to_vec() }
}

/// A server with something of everything.
pub(crate) fn recipe() -> Recipe {
    Recipe::default()
        .route("/", Fixed("hello"))
        .route("/echo", Echo)
        .route("/count", Count)
        .route("/tell", Tell)
        .route("/hang", Play(vec![Step::text("begun"), Step::Hang], None))
        .route("/large", Make(large()))
}

/// Four megabytes, of which no copy is made: many answers of these cost little.
fn large() -> impl Fn(&mut Exchange) -> Response + Send + Sync {
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    move |exchange| {
        let body = Counted { piece: piece.clone(), pieces: 4, asked: Calls::default() };
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(body)))
    }
}

/// A connection that asks honestly beside an attack.
pub(crate) struct Neighbour {
    http2: Http2,
    stream: u32,
}

impl Neighbour {
    pub(crate) fn of(harness: &Harness) -> Self {
        let mut neighbour = Self { http2: Http2::connect(harness.address), stream: 1 };
        neighbour.asks();
        neighbour
    }

    /// Asks and is answered.
    pub(crate) fn asks(&mut self) {
        assert_eq!(self.http2.get(self.stream, "/"), answer(200, "hello"));
        self.stream += 2;
    }
}

/// What an attack ends in: GOAWAY with a code, counted, and nothing for its neighbour to notice.
pub(crate) fn check_attack(
    recipe: Recipe,
    reason: Reason,
    code: u32,
    attack: impl FnOnce(&mut Http2),
) {
    let harness = recipe.start();
    let mut neighbour = Neighbour::of(&harness);
    let mut attacker = Http2::connect(harness.address);
    attack(&mut attacker);
    attacker.expect_go_away(code);
    neighbour.asks();
    harness.expect_outcomes(reason, 1);
    drop(attacker);
    harness.expect_open(1);
}

/// A connection to a server of [`recipe`] alone.
pub(crate) fn alone(recipe: Recipe) -> (Harness, Http2) {
    let harness = recipe.start();
    let http2 = Http2::connect(harness.address);
    (harness, http2)
}

/// A client on a socket of its own.
pub(crate) fn raw(address: SocketAddr) -> Client {
    Client::from(TcpStream::connect(address).expect("connect"))
}
