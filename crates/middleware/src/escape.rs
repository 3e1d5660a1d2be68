//! Escapes of paths (RFC 3986 §2.1).

/// Configured text as a request would have it: what is not visible ASCII is escaped, so that people
/// may write the character.
pub(crate) fn to_ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' => escaped.push(char::from(byte)),
            _ => triplet(byte).into_iter().for_each(|byte| escaped.push(char::from(byte))),
        }
    }
    escaped
}

/// Appends text of any kind so that it stays within its segment: all but unreserved characters are
/// escaped.
pub(crate) fn push_segment(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(*byte),
            byte => out.extend_from_slice(&triplet(*byte)),
        }
    }
}

fn triplet(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}
