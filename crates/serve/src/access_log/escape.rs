//! What a request carries, made harmless for a line of the log.
//!
//! SECURITY: no byte of a request reaches the log as a control character, or as the end of a field
//! or of a line.

use std::io::Write;

use stead_base::is_unseen;

/// A JSON string. Bytes that are no UTF-8 become U+FFFD.
#[inline]
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    json(out, text);
    out.push(b'"');
}

/// The inside of a JSON string.
#[inline]
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        json_slowly(out, text);
    }
}

#[cold]
fn json_slowly(out: &mut Vec<u8>, text: &[u8]) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            other if is_unseen(other) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether nothing in `text` needs escaping in JSON: printable ASCII without quote and backslash.
///
/// PERF: eight bytes at a time (`hasless` and `haszero` of S. E. Anderson, "Bit Twiddling Hacks"):
/// nine short values a record made half of its cost byte by byte.
fn is_plain(text: &[u8]) -> bool {
    let special = |word: u64| {
        let below_blank = word.wrapping_sub(ONES * 0x20);
        below_blank | word | has(word, 0x7f) | has(word, b'"') | has(word, b'\\')
    };
    !any(text, special)
}

/// Whether `text` holds one of two bytes. May say so of a text that does not, never the other way
/// round.
pub(super) fn may_hold(text: &[u8], one: u8, other: u8) -> bool {
    any(text, |word| has(word, one) | has(word, other))
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Has a high bit set where a byte of `word` is `byte`, and perhaps above such a one.
fn has(word: u64, byte: u8) -> u64 {
    let differing = word ^ (ONES * u64::from(byte));
    differing.wrapping_sub(ONES) & !differing
}

/// Whether `look` sets a high bit for some eight bytes of the text; a short one has blanks before.
#[inline]
fn any(text: &[u8], look: impl Fn(u64) -> u64) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        let word = text.iter().fold(ONES * 0x20, |word, byte| word << 8 | u64::from(*byte));
        return look(word) & HIGH != 0;
    };
    // The last eight are looked at as such, some of them twice.
    let mut found = look(u64::from_le_bytes(*last));
    for word in text.as_chunks::<8>().0 {
        found |= look(u64::from_le_bytes(*word));
    }
    found & HIGH != 0
}

/// For a quoted field of `common` and `combined`: quotes, backslashes and all that is not printable
/// ASCII become `\xHH`, as Apache and nginx write it.
pub(super) fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, |byte| matches!(byte, b'"' | b'\\'));
}

/// For an unquoted word: blanks too.
pub(super) fn plain(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, |byte| matches!(byte, b' ' | b'\\'));
}

/// For a field that `end` ends: what may not stand inside becomes `\xHH`. A field that no mark ends
/// is one word.
pub(super) fn field(out: &mut Vec<u8>, text: &[u8], end: Option<u8>) {
    let end = end.filter(u8::is_ascii_punctuation).unwrap_or(b' ');
    escape(out, text, |byte| matches!(byte, b'"' | b'\\') || byte == end);
}

fn escape(out: &mut Vec<u8>, text: &[u8], is_special: impl Fn(u8) -> bool) {
    for &byte in text {
        if matches!(byte, 0x20..=0x7e) && !is_special(byte) {
            out.push(byte);
        } else {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Vec<u8>, &[u8]), input: &[u8], expect: &str) {
        let mut out = Vec::new();
        write(&mut out, input);
        assert_eq!(String::from_utf8_lossy(&out), expect);
    }

    #[test]
    fn no_control_character_can_forge_a_line() {
        check(quoted, b"a\r\nb", r#""a\u000d\u000ab""#);
        check(quoted, b"\"\\", r#""\"\\""#);
        check(quoted, b"\xff", "\"\u{fffd}\"");
        check(quoted, "\u{202e}x".as_bytes(), r#""\u202ex""#);
        check(escaped, b"\"\n\x1b[2J", r"\x22\x0A\x1B[2J");
        check(plain, b"a b", r"a\x20b");
    }

    #[test]
    fn words_find_what_single_bytes_find() {
        let is_special = |byte: u8| !matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'~'; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), !is_special(byte), "{byte:#x} at {at}");
                    assert!(may_hold(&text, byte, b'='), "{byte:#x} at {at}");
                }
            }
            assert!(is_plain(&vec![b'!'; length]) && !may_hold(&vec![b'a'; length], b'=', b'%'));
        }
    }

    #[test]
    fn a_field_does_not_hold_what_ends_it() {
        let ended = |end: Option<u8>| move |out: &mut Vec<u8>, text: &[u8]| field(out, text, end);
        check(ended(Some(b'"')), b"a \"b] c", r"a \x22b] c");
        check(ended(Some(b']')), b"a \"b] c", r"a \x22b\x5D c");
        check(ended(Some(b' ')), b"a b", r"a\x20b");
        check(ended(Some(b'm')), b"m b\n", r"m\x20b\x0A");
        check(ended(None), b"a b\t", r"a\x20b\x09");
    }
}
