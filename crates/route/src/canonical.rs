//! The one canonical form of a path, written once when a request's head has been parsed.
//!
//! Unreserved characters are decoded, other escapes kept with upper-case hex, characters that have
//! no place in a path (`"<>[]^{|}` and the backquote) escaped, dot segments resolved (RFC 3986
//! §5.2.4, §6.2.2); empty segments stay, and `%2F` is never a separator. `%00`, a backslash in
//! either form, a broken escape and overlong UTF-8 are refused. INVARIANT: the output begins with
//! `/`, is ASCII, holds no dot segment, and canonicalizing it again changes nothing.

use stead_base::Reason;

/// Writes the canonical form of a raw request path (what stands before `?`) into `out`, which is
/// cleared first. An empty path is `/`.
///
/// # Errors
/// [`Reason::BadPath`]; `out` then holds nothing of use.
///
/// ```
/// let mut path = String::new();
/// stead_route::canonicalize(b"/a/./%7Eme/../b%2fc", &mut path).unwrap();
/// assert_eq!(path, "/a/b%2Fc");
/// ```
pub fn canonicalize(path: &[u8], out: &mut String) -> Result<(), Reason> {
    out.clear();
    if is_plain(path)
        && let Ok(text) = std::str::from_utf8(path)
    {
        out.push_str(text);
        return Ok(());
    }
    match path {
        [] => out.push('/'),
        [b'/', segments @ ..] => rewrite(segments, out)?,
        _ => return Err(Reason::BadPath),
    }
    Ok(())
}

/// Decodes the escapes of canonical text once, into `out`, which is cleared first. The bytes may be
/// anything but NUL and need not be UTF-8. A `%` that begins no escape stays as it is.
pub fn decode(escaped: &str, out: &mut Vec<u8>) {
    out.clear();
    let mut rest = escaped.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if let Some(decoded) = hex_pair(*high, *low) => {
                out.push(decoded);
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
}

/// Whether a `/` hides in an escape; `files` answers 400 to such a path.
pub fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|w| w.eq_ignore_ascii_case(b"%2f"))
}

/// Whether a segment before the last is empty, as in `//a`; `files` answers 404 to such a path.
pub fn has_empty_segment(path: &str) -> bool {
    path.as_bytes().windows(2).any(|w| w == b"//")
}

/// The path with its leading slashes collapsed to one.
///
/// SECURITY: a `Location` that begins with `//` names another host; every path that we put into one
/// goes through here after its placeholders were filled.
pub fn one_leading_slash(path: &str) -> &str {
    let slashes = path.bytes().take_while(|b| *b == b'/').count();
    &path[slashes.saturating_sub(1)..]
}

/// What a segment of a pattern or path may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// `%` without two hexadecimal digits.
    Escape,
    /// `%00`.
    Nul,
    /// `\` or `%5C`.
    Backslash,
    /// A UTF-8 sequence longer than its character needs.
    Overlong,
    /// A control character, a space, `?`, `#`, or a byte beyond ASCII.
    Byte,
}

/// A fault and the bytes of the segment that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What to do with raw bytes beyond ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Requests: refuse.
    Refuse,
    /// Patterns: escape, so that people may write the character.
    Escape,
}

/// Appends the canonical form of one segment, dots decoded but not yet resolved.
pub(crate) fn write_segment(raw: &[u8], beyond: Beyond, out: &mut String) -> Result<(), Fault> {
    let mut at = 0;
    let mut before = 0; // the byte that the escape just before stands for, else 0
    while let Some(&byte) = raw.get(at) {
        let fault =
            |kind, bytes: usize| Err(Fault { kind, start: at, end: raw.len().min(at + bytes) });
        let mut escaped = 0;
        match byte {
            b'%' => {
                let decoded = match raw.get(at + 1..at + 3) {
                    Some(&[high, low]) => hex_pair(high, low),
                    _ => None,
                };
                match decoded {
                    None => return fault(FaultKind::Escape, 3),
                    Some(0) => return fault(FaultKind::Nul, 3),
                    Some(b'\\') => return fault(FaultKind::Backslash, 3),
                    Some(plain) if is_unreserved(plain) => out.push(char::from(plain)),
                    Some(byte) if is_overlong(before, byte) => {
                        return fault(FaultKind::Overlong, 3);
                    }
                    Some(byte) => {
                        push_escape(byte, out);
                        escaped = byte;
                    }
                }
                at += 2;
            }
            b'\\' => return fault(FaultKind::Backslash, 1),
            _ if is_path_byte(byte) => out.push(char::from(byte)),
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                push_escape(byte, out);
            }
            0x80.. if beyond == Beyond::Escape => push_escape(byte, out),
            _ => return fault(FaultKind::Byte, 1),
        }
        before = escaped;
        at += 1;
    }
    Ok(())
}

/// The general way: segment by segment, dot segments taken away as they appear.
fn rewrite(segments: &[u8], out: &mut String) -> Result<(), Reason> {
    out.reserve(segments.len() + 1);
    out.push('/');
    let mut segments = segments.split(|b| *b == b'/').peekable();
    while let Some(raw) = segments.next() {
        let start = out.len(); // just behind a slash
        write_segment(raw, Beyond::Refuse, out).map_err(|_| Reason::BadPath)?;
        match &out[start..] {
            "." => out.truncate(start),
            ".." => {
                let parent = out[..start - 1].rfind('/').map_or(1, |slash| slash + 1);
                out.truncate(parent);
            }
            _ if segments.peek().is_some() => out.push('/'),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a path is canonical and free of escapes, as most are.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    let mut faults = 0;
    for byte in path {
        let class = CLASSES[usize::from(*byte)];
        // A dot is at fault behind a slash: there, and only there, the bits meet.
        faults |= class & (OTHER | before << 1);
        before = class;
    }
    faults == 0 && path.first() == Some(&b'/')
}

/// `pchar` without escapes, or `/` (RFC 3986 §3.3).
const fn is_path_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & OTHER == 0
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether the escape `byte` makes UTF-8 overlong: 0xC0 and 0xC1 always do, others after `before`.
const fn is_overlong(before: u8, byte: u8) -> bool {
    let least = match before {
        0xE0 => 0xA0,
        0xF0 => 0x90,
        0xF8 => 0x88,
        0xFC => 0x84,
        _ => 0x80,
    };
    matches!(byte, 0xC0 | 0xC1) || (0x80 <= byte && byte < least)
}

pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

fn push_escape(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

const SLASH: u8 = 1;
const DOT: u8 = SLASH << 1;
/// No byte of a canonical path but for `%`.
const OTHER: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'/' => SLASH,
            b'.' => DOT,
            b'!' | b'$' | b'&'..=b';' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => 0,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests;
