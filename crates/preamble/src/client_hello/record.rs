//! Records of TLS, up to the end of the first handshake message (RFC 8446 §5.1, §4).
//!
//! The versions of records mean nothing, but for their first byte, which is 3 in all that is
//! deployed. A message in one record, as nearly all are, is lent; of several it is joined.

use std::borrow::Cow;

use super::{HELLO_BYTES_MAX, HelloError};

/// A complete handshake message.
pub(super) struct Message<'a> {
    /// Without its header.
    pub(super) body: Cow<'a, [u8]>,
    /// What it takes of the input.
    pub(super) bytes: usize,
}

/// How far complete records were walked over, so that what trickles in is not walked over again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    /// Bytes of them.
    pub(super) at: usize,
    /// The message's header, as far as they have it.
    header: [u8; HEADER],
    /// Bytes of the message in them.
    have: usize,
}

/// The `ClientHello` that `input` begins with; `None` if it is not complete.
pub(super) fn gather<'a>(
    walk: &mut Walk,
    input: &'a [u8],
) -> Result<Option<Message<'a>>, HelloError> {
    let bounded = input.get(..HELLO_BYTES_MAX).unwrap_or(input);
    let Some((bytes, body_bytes)) = walk.on(bounded)? else {
        if bounded.len() == HELLO_BYTES_MAX {
            return Err(HelloError::TooLarge);
        }
        return Ok(None);
    };
    let mut records = Records { rest: &bounded[..bytes] };
    let first = records.next().unwrap_or_default();
    let body = if first.len() == HEADER + body_bytes {
        Cow::Borrowed(&first[HEADER..])
    } else {
        let mut joined = Vec::with_capacity(HEADER + body_bytes);
        joined.extend_from_slice(first);
        records.for_each(|fragment| joined.extend_from_slice(fragment));
        joined.drain(..HEADER);
        Cow::Owned(joined)
    };
    Ok(Some(Message { body, bytes }))
}

impl Walk {
    /// How many bytes of the input the message takes, and how many its body has. Rules are checked
    /// in the order of the bytes, so that an error does not depend on what arrived behind it.
    fn on(&mut self, input: &[u8]) -> Result<Option<(usize, usize)>, HelloError> {
        loop {
            let rest = input.get(self.at..).unwrap_or_default();
            match rest {
                [] | [HANDSHAKE] | [HANDSHAKE, 3, ..] => {}
                _ if self.at == 0 => return check_other_protocol(rest).map(|()| None),
                _ => return Err(HelloError::Unexpected),
            }
            let Some(&[_, _, _, high, low]) = rest.first_chunk() else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes([high, low]));
            // Handshake records must not be empty, nor any record longer.
            if length == 0 {
                return Err(HelloError::Unexpected);
            }
            if length > FRAGMENT_MAX {
                return Err(HelloError::TooLarge);
            }
            let fragment = &rest[RECORD_HEADER..];
            let arrived = &fragment[..length.min(fragment.len())];
            let (mut header, have) = (self.header, self.have + arrived.len());
            for (slot, byte) in header.iter_mut().skip(self.have).zip(arrived) {
                *slot = *byte;
            }
            if let Some(body_bytes) = check_header(header, have)? {
                let end = HEADER + body_bytes;
                // Nothing can follow a ClientHello before its answer but other kinds of records.
                if self.have + length > end {
                    return Err(HelloError::Illegal);
                }
                if have == end {
                    return Ok(Some((self.at + RECORD_HEADER + length, body_bytes)));
                }
            }
            if arrived.len() < length {
                return Ok(None);
            }
            *self = Self { at: self.at + RECORD_HEADER + length, header, have };
        }
    }
}

/// Checks what arrived of the message's header; its body's length if all did.
fn check_header(header: [u8; HEADER], have: usize) -> Result<Option<usize>, HelloError> {
    let [kind, length @ ..] = header;
    if have > 0 && kind != CLIENT_HELLO {
        return Err(HelloError::Unexpected);
    }
    if have < HEADER {
        return Ok(None);
    }
    let body_bytes = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if RECORD_HEADER + HEADER + body_bytes > HELLO_BYTES_MAX {
        return Err(HelloError::TooLarge);
    }
    Ok(Some(body_bytes))
}

/// What a connection speaks that does not begin with a record of TLS; `Ok` until that is known.
fn check_other_protocol(start: &[u8]) -> Result<(), HelloError> {
    // A method of HTTP and a space; the preface of HTTP/2 begins so too.
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-' || *byte == b'_';
    let method = start.iter().take_while(|byte| is_method(byte)).count();
    match start {
        _ if method == start.len() && method <= METHOD_MAX => Ok(()),
        _ if (1..=METHOD_MAX).contains(&method) && start[method] == b' ' => {
            Err(HelloError::PlainHttp)
        }
        // RFC 5246 §E.2: two bytes of length with the high bit set, then the kind.
        [0x80..=0xff, _, CLIENT_HELLO, ..] => Err(HelloError::Ssl2),
        [0x80..=0xff] | [0x80..=0xff, _] => Ok(()),
        _ => Err(HelloError::NotTls),
    }
}

/// What records carry.
struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let ([_, _, _, high, low], rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (fragment, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(fragment)
    }
}

/// Bytes before a record's fragment.
const RECORD_HEADER: usize = 5;
/// The most bytes of a plaintext fragment.
const FRAGMENT_MAX: usize = 1 << 14;
/// Bytes before a handshake message's body.
const HEADER: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// The longest method that HTTP servers of ours know of.
const METHOD_MAX: usize = 32;
