//! Chunked bodies: held against a second, slower reader of the same rules.
//!
//! The input is what follows the head of a chunked request. The model reads the grammar of RFC 9112
//! §7.1 from a complete input, without the limits on extensions; where it says "malformed" the
//! engine must, and where both read a body it must be the same one.

use stead_http1::encode;

use crate::request::Requests;
use crate::transcript::{Entry, Pieces, check_pieces, transcript};

/// Any bytes as a chunked body and what follows it.
pub fn chunked(input: &[u8]) {
    let mut bytes = HEAD.to_vec();
    bytes.extend_from_slice(input);
    let entries = check_pieces(Requests::new, &bytes);
    assert!(matches!(entries.first(), Some(Entry::Head(_))), "{entries:?}");
    let body = first_body(&entries);
    match (&body, model(input)) {
        (Some(body), Some(expected)) => assert_eq!(*body, expected, "another body"),
        (Some(_), None) => panic!("accepted, yet malformed: {}", input.escape_ascii()),
        (None, _) => {}
    }
    if let Some(body) = body {
        check_written_anew(&body);
    }
}

/// The content of the first message if it came to its end.
fn first_body(entries: &[Entry]) -> Option<Vec<u8>> {
    let end = entries.iter().position(|entry| *entry == Entry::End)?;
    let mut body = Vec::new();
    for entry in &entries[..end] {
        if let Entry::Content(content) = entry {
            body.extend_from_slice(content);
        }
    }
    Some(body)
}

/// The content, read chunk by chunk; `None` if malformed or incomplete.
fn model(mut input: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = take_line(&mut input)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if digits > 16 || !matches!(line.get(digits), None | Some(b';' | b' ' | b'\t')) {
            return None;
        }
        if size == 0 {
            break;
        }
        body.extend_from_slice(input.get(..size)?);
        input = input.get(size..)?.strip_prefix(b"\r\n")?;
    }
    while !take_line(&mut input)?.is_empty() {}
    Some(body)
}

fn take_line<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &input[..end];
    *input = &input[end + 2..];
    (!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))).then_some(line)
}

fn check_written_anew(body: &[u8]) {
    let mut bytes = HEAD.to_vec();
    for piece in body.chunks(7) {
        encode::chunk_head(&mut bytes, piece.len());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(encode::CHUNK_END);
    }
    encode::last_chunk(&mut bytes, None);
    let entries = transcript(&mut Requests::new(), &bytes, Pieces::Whole);
    assert_eq!(first_body(&entries).as_deref(), Some(body), "written anew");
}

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
