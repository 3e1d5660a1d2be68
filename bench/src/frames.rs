//! The client's half of an HTTP/2 connection that asks for one thing at a time.
//!
//! As little as checks and idle connections need: requests by the static table, answers with their
//! status, length and body looked at, settings and pings acknowledged. Source: RFC 9113 §4, §6;
//! RFC 7541 §6.

use anyhow::{Result, bail, ensure};

use crate::answer::Expected;

/// State of one connection.
#[derive(Default)]
pub struct Frames {
    /// Beginning of a frame that has not come completely.
    partial: Vec<u8>,
    body: Vec<u8>,
    streams: u32,
    /// The stream whose answer is due.
    due: Option<u32>,
    has_status: bool,
    /// Acknowledgements that are to be sent.
    replies: Vec<u8>,
}

impl Frames {
    /// The bytes of the next request; those of the first begin the connection.
    pub fn request(&mut self, secure: bool, host: &str, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.streams == 0 {
            bytes.extend_from_slice(PREFACE);
            frame(&mut bytes, SETTINGS, 0, 0, &[]);
        }
        let stream = 2 * self.streams + 1;
        self.streams += 1;
        self.due = Some(stream);
        self.has_status = false;
        let mut block = vec![METHOD_GET, if secure { SCHEME_HTTPS } else { SCHEME_HTTP }];
        literal(&mut block, AUTHORITY, host);
        literal(&mut block, PATH, path);
        frame(&mut bytes, HEADERS, END_STREAM | END_HEADERS, stream, &block);
        bytes
    }

    /// Takes what came and returns how many answers ended in it, at most one.
    ///
    /// # Errors
    /// An answer that is not the expected one, or an end of the connection or its stream.
    pub fn feed(&mut self, expected: &Expected, bytes: &[u8]) -> Result<u64> {
        self.partial.extend_from_slice(bytes);
        let came = std::mem::take(&mut self.partial);
        let mut rest = &came[..];
        let mut ended = 0;
        while let Some((head, payload, behind)) = split(rest)? {
            ended += u64::from(self.take(expected, head, payload)?);
            rest = behind;
        }
        self.partial.extend_from_slice(rest);
        Ok(ended)
    }

    /// What must be sent now because of what came.
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    /// True when the frame ended the answer.
    fn take(&mut self, expected: &Expected, head: Head, payload: &[u8]) -> Result<bool> {
        match head.kind {
            HEADERS | DATA => {
                ensure!(self.due == Some(head.stream), "a frame of stream {}", head.stream);
                ensure!(head.flags & (PADDED | PRIORITY) == 0, "padding is not read here");
                if head.kind == DATA {
                    self.body.extend_from_slice(payload);
                } else if !self.has_status {
                    ensure!(is_ok(payload), "not a 200: {payload:x?}");
                    self.has_status = true;
                }
                if head.flags & END_STREAM == 0 {
                    return Ok(false);
                }
                self.end_answer(expected)?;
                Ok(true)
            }
            SETTINGS if head.flags & ACK == 0 => {
                frame(&mut self.replies, SETTINGS, ACK, 0, &[]);
                Ok(false)
            }
            PING if head.flags & ACK == 0 => {
                frame(&mut self.replies, PING, ACK, 0, payload);
                Ok(false)
            }
            RST_STREAM => bail!("the server reset a stream: {payload:?}"),
            GOAWAY => bail!("the server ends the connection: {payload:?}"),
            _ => Ok(false),
        }
    }

    fn end_answer(&mut self, expected: &Expected) -> Result<()> {
        ensure!(self.has_status, "an answer without a head");
        let length = self.body.len() as u64;
        ensure!(length == expected.body_bytes, "{length} bytes of {}", expected.body_bytes);
        if let Some(body) = &expected.body {
            ensure!(self.body == *body, "the body differs");
        }
        self.body = Vec::new();
        self.due = None;
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// A frame's head and payload, and what is behind it.
type Split<'a> = (Head, &'a [u8], &'a [u8]);

/// The first frame of `bytes`, if it is complete.
fn split(bytes: &[u8]) -> Result<Option<Split<'_>>> {
    let Some((head, rest)) = bytes.split_first_chunk::<9>() else { return Ok(None) };
    let [a, b, c, kind, flags, stream @ ..] = *head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    ensure!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
    let head = Head { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff };
    Ok(rest.split_at_checked(length).map(|(payload, behind)| (head, payload, behind)))
}

/// Whether a block of fields begins with `:status: 200`, perhaps behind a change of the table.
fn is_ok(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&STATUS_200)
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A field that no table keeps, its name from the static one, its value below 127 bytes.
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    block.extend_from_slice(&[name, value.len().min(126) as u8]);
    block.extend_from_slice(value.as_bytes());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// Indices of the static table.
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const METHOD_GET: u8 = 0x82;
const SCHEME_HTTP: u8 = 0x86;
const SCHEME_HTTPS: u8 = 0x87;
const STATUS_200: u8 = 0x88;
/// What a server may send to a client that has not asked for more.
const FRAME_BYTES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(&mut bytes, SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        frame(&mut bytes, PING, 0, 0, b"12345678");
        frame(&mut bytes, HEADERS, END_HEADERS, 1, &[status]);
        frame(&mut bytes, DATA, END_STREAM, 1, body);
        bytes
    }

    #[test]
    fn an_answer_is_read_in_any_pieces() {
        let expected = Expected::exactly(b"hello");
        for piece in [1, 7, 1000] {
            let mut frames = Frames::default();
            assert!(frames.request(false, "localhost", "/").starts_with(PREFACE));
            let mut ended = 0;
            for bytes in answer(STATUS_200, b"hello").chunks(piece) {
                ended += frames.feed(&expected, bytes).unwrap();
            }
            assert_eq!(ended, 1);
            let replies = frames.take_replies();
            assert_eq!((replies.len(), replies[3], replies[12]), (9 + 17, SETTINGS, PING));
            assert!(!frames.request(false, "localhost", "/").starts_with(PREFACE));
        }
    }

    #[test]
    fn whatever_is_wrong_is_an_error() {
        let expected = Expected::exactly(b"hello");
        let fails = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.request(true, "localhost", "/");
            frames.feed(&expected, bytes).is_err()
        };
        assert!(fails(&answer(0x8d, b"hello")));
        assert!(fails(&answer(STATUS_200, b"hallo")));
        assert!(fails(&answer(STATUS_200, b"hell")));
        let mut goaway = Vec::new();
        frame(&mut goaway, GOAWAY, 0, 0, &[0; 8]);
        assert!(fails(&goaway));
        assert!(fails(&[0xff; 9]));
    }
}
