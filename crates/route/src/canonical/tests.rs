//! Tests of the canonical form.

use proptest::prelude::*;

use super::*;
use crate::canonical_pattern;

#[track_caller]
fn check(path: impl AsRef<[u8]>, expect: Result<&str, Reason>) {
    let path = path.as_ref();
    let mut out = "left over".to_owned();
    let result = canonicalize(path, &mut out).map(|()| out.as_str());
    assert_eq!(result, expect, "{}", String::from_utf8_lossy(path));
}

#[test]
fn unreserved_characters_are_decoded_and_other_escapes_kept_in_capitals() {
    check("/", Ok("/"));
    check("/index.html", Ok("/index.html"));
    check("/%41%7a%30%2D%2e%5f%7Eme", Ok("/Az0-._~me"));
    check("/a%20b%c3%a9%2fc%25", Ok("/a%20b%C3%A9%2Fc%25"));
    check("/%3a%40%21:@!$&'()*+,;=", Ok("/%3A%40%21:@!$&'()*+,;="));
    // Decoded once: what an escape of `%` uncovers is no escape.
    check("/%252e%252e/%2541", Ok("/%252e%252e/%2541"));
}

#[test]
fn characters_without_a_place_in_a_path_are_escaped() {
    check("/\"<>[]^`{|}", Ok("/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"));
    check("/%7b%7D", Ok("/%7B%7D"));
}

#[test]
fn dot_segments_are_resolved_and_empty_ones_kept() {
    for (path, expect) in [
        ("", "/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/b/../..", "/"),
        ("/a/b/c/./../../g", "/a/g"),
        ("//a", "//a"),
        ("/a//b", "/a//b"),
        ("/a//..", "/a/"),
        ("/a//../b", "/a/b"),
        ("/a/..//b", "//b"),
        ("//..", "/"),
        ("/a/", "/a/"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/.c./d..", "/a/..b/.c./d.."),
    ] {
        check(path, Ok(expect));
    }
}

#[test]
fn a_path_begins_with_a_slash_and_holds_no_query_space_control_or_raw_utf8() {
    for path in ["*", "a", "a/b", "/a?b", "/a#b", "/a b", "/a\tb", "/a\0", "/a\x7f", "/é"] {
        check(path, Err(Reason::BadPath));
    }
    check(b"/\xff", Err(Reason::BadPath));
}

#[test]
fn security_38_bad_escapes_nul_backslash_and_overlong_utf8_are_refused() {
    for path in [
        "/%",
        "/%4",
        "/a%",
        "/%zz",
        "/%4g",
        "/%%41",
        "/% 41",
        "/%+1",
        "/%-1",
        "/%00",
        "/a%00.html",
        "/\\",
        "/a\\..\\b",
        "/%5c",
        "/%5C..%5C",
        "/%c0%af",
        "/%C0%2F",
        "/%c1%9c",
        "/%C0",
        "/%e0%80%af",
        "/%e0%9f%bf",
        "/%E0%C0%AF",
        "/%f0%80%80%af",
        "/%F0%8F%BF%BF",
        "/%f8%80%80%80%af",
        "/%fc%80%80%80%80%af",
    ] {
        check(path, Err(Reason::BadPath));
    }
    // Well formed, at the edges; and other bytes that are no UTF-8 at all, which a file may bear.
    check("/%c2%80%e0%a0%80%f0%90%80%80", Ok("/%C2%80%E0%A0%80%F0%90%80%80"));
    check("/%E0a%80", Ok("/%E0a%80"));
    check("/%e9t%E9%ff", Ok("/%E9t%E9%FF"));
}

#[test]
fn security_38_escaped_dots_are_dots_and_escaped_slashes_never_separate() {
    check("/a/%2e%2e/b", Ok("/b"));
    check("/a/.%2E/b", Ok("/b"));
    check("/a/%2e/b", Ok("/a/b"));
    check("/a/..%2fb", Ok("/a/..%2Fb"));
    check("/a%2f..%2fb", Ok("/a%2F..%2Fb"));
    check("/%2e%2e%2f", Ok("/..%2F"));
    assert!(has_encoded_slash("/a%2Fb") && has_encoded_slash("/%2f"));
    assert!(!has_encoded_slash("/a/b%252F/%2") && !has_encoded_slash(""));
}

#[test]
fn security_43_leading_slashes_collapse_and_empty_segments_are_seen() {
    for (path, expect) in [
        ("//evil.com", "/evil.com"),
        ("///a//b", "/a//b"),
        ("/a", "/a"),
        ("/", "/"),
        ("", ""),
        ("a", "a"),
    ] {
        assert_eq!(one_leading_slash(path), expect);
    }
    assert!(has_empty_segment("//evil.com") && has_empty_segment("/old//evil.com"));
    assert!(!has_empty_segment("/old/evil.com/") && !has_empty_segment("/"));
}

#[test]
fn captures_are_decoded_once() {
    let mut out = b"left over".to_vec();
    for (escaped, expect) in [
        ("", &b""[..]),
        ("a%20b", b"a b"),
        ("%C3%A9", "é".as_bytes()),
        ("%2541", b"%41"),
        ("%E9", b"\xE9"),
        ("%", b"%"),
        ("%4", b"%4"),
        ("%zz%41", b"%zzA"),
    ] {
        decode(escaped, &mut out);
        assert_eq!(out, expect, "{escaped}");
    }
}

/// Bytes that mean something to the canonical form, and any others.
fn path() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"/",
        b"//",
        b".",
        b"..",
        b"/./",
        b"/../",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%25",
        b"%41",
        b"%c3%a9",
        b"%C0",
        b"%E0",
        b"%80",
        b"%A0",
        b"a",
        b"Z9",
        b"|",
        b"{",
        b"%",
        b"\\",
        b"\xC3\xA9",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut out = String::new();
        let _ = canonicalize(&bytes, &mut out);
        let mut decoded = Vec::new();
        decode(&String::from_utf8_lossy(&bytes), &mut decoded);
        prop_assert!(decoded.len() <= bytes.len() * 3);
    }

    #[test]
    fn canonical_is_canonical(path in path()) {
        let (mut once, mut twice) = (String::new(), String::new());
        if canonicalize(&path, &mut once).is_ok() {
            prop_assert_eq!(canonicalize(once.as_bytes(), &mut twice), Ok(()));
            prop_assert_eq!(&once, &twice);
        }
    }

    #[test]
    fn canonical_paths_hold_only_what_is_allowed(path in path()) {
        let mut out = String::new();
        if canonicalize(&path, &mut out).is_ok() {
            prop_assert!(out.starts_with('/'));
            prop_assert!(!out.split('/').any(|segment| matches!(segment, "." | "..")), "{}", out);
            let mut bytes = out.bytes();
            while let Some(byte) = bytes.next() {
                let allowed = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
                prop_assert!(allowed || byte == b'%', "{}", out);
                if byte == b'%' {
                    let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
                    prop_assert!(!pair.iter().any(u8::is_ascii_lowercase), "{}", out);
                    let byte = hex_pair(pair[0], pair[1]).unwrap();
                    let wrong = byte.is_ascii_alphanumeric() || b"-._~\0\\".contains(&byte);
                    prop_assert!(!wrong, "{}", out);
                }
            }
        }
    }

    /// The fast way and the general one agree.
    #[test]
    fn a_plain_path_is_rewritten_to_itself(path in "/[a-z/.~:@%]{0,12}") {
        if is_plain(path.as_bytes()) {
            let mut out = String::new();
            prop_assert_eq!(rewrite(&path.as_bytes()[1..], &mut out), Ok(()));
            prop_assert_eq!(out, path);
        }
    }

    /// Patterns go through the same function as requests.
    #[test]
    fn a_pattern_without_captures_is_a_path(path in path()) {
        let mut out = String::new();
        if let Ok(text) = str::from_utf8(&path) && !text.contains(['{', '}']) && text.is_ascii() {
            let pattern = canonical_pattern(text);
            match canonicalize(&path, &mut out) {
                Ok(()) => prop_assert_eq!(pattern.unwrap(), out),
                Err(_) => prop_assert!(pattern.is_err()),
            }
        }
    }
}
