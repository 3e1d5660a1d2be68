//! From what a route captured to a path beneath the root.
//!
//! The capture is canonical and still escaped; it is decoded once, here. Refused before any system
//! call: escaped slashes and NULs (400), empty and dot segments, and, unless `hidden` allows them,
//! dotfiles and what editors leave behind (404). `.well-known` may begin a path (RFC 8615).
//!
//! SECURITY: refusing by name is not what keeps a lookup inside the root; openat2(2) is.

/// Why a capture is no path to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It can be no file's name: 400.
    Bad,
    /// A segment names nothing: 404, without fallback.
    Empty,
    /// It must not be served: as if it did not exist.
    Hidden,
}

/// The path that a capture stands for; a last `/` stays, an empty one is the root.
pub(crate) fn path_of(capture: &str, allow_hidden: bool) -> Result<Vec<u8>, Refusal> {
    if stead_route::has_encoded_slash(capture) {
        return Err(Refusal::Bad);
    }
    let mut path = Vec::with_capacity(capture.len());
    stead_route::decode(capture, &mut path);
    if path.contains(&0) {
        return Err(Refusal::Bad);
    }
    let segments = || path.strip_suffix(b"/").unwrap_or(&path).split(|byte| *byte == b'/');
    // Canonical paths hold no dot segment, and decoding brings none back.
    if !path.is_empty() && segments().any(|segment| matches!(segment, b"" | b"." | b"..")) {
        return Err(Refusal::Empty);
    }
    let visible = segments()
        .enumerate()
        .all(|(index, segment)| !is_hidden(segment) || (index == 0 && segment == b".well-known"));
    if visible || allow_hidden { Ok(path) } else { Err(Refusal::Hidden) }
}

/// Whether a name is not for visitors: a dotfile, or what an editor or a patch left behind.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    let left_behind = |ending: &[u8]| {
        let start = name.len().saturating_sub(ending.len());
        name.len() > ending.len() && name[start..].eq_ignore_ascii_case(ending)
    };
    name.starts_with(b".")
        || name.ends_with(b"~")
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
        || LEFT_BEHIND.iter().any(|ending| left_behind(ending))
}

/// Vim's swap files, and copies that editors, patch and merge tools keep.
const LEFT_BEHIND: &[&[u8]] = &[b".swp", b".swo", b".swn", b".bak", b".orig", b".rej"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(capture: &str, expect: Result<&str, Refusal>) {
        assert_eq!(
            path_of(capture, false),
            expect.map(|path| path.as_bytes().to_vec()),
            "{capture}"
        );
    }

    #[test]
    fn captures_are_decoded_once() {
        check("", Ok(""));
        check("a/b.html", Ok("a/b.html"));
        check("a/", Ok("a/"));
        check("a%20b/%C3%A9", Ok("a b/\u{e9}"));
        check("%2541", Ok("%41"));
        check("a%3Fb", Ok("a?b"));
    }

    #[test]
    fn security_38_an_escaped_slash_or_nul_is_400() {
        check("a%2Fb", Err(Refusal::Bad));
        check("a%2fb", Err(Refusal::Bad));
        check("a%00b", Err(Refusal::Bad));
        check("%2Fetc/passwd", Err(Refusal::Bad));
    }

    #[test]
    fn security_39_dotfiles_and_editor_backups_are_hidden() {
        for hidden in [
            ".git/config",
            "a/.htpasswd",
            ".env",
            "...",
            "a/.b/",
            "a~",
            "b/%23a%23",
            "a.swp",
            "a.SWO",
            "a.bak",
            "a.html.orig",
            "a.rej",
            "old.bak/a",
            "a/.well-known/b",
            ".well-known/.key",
            ".bak",
        ] {
            check(hidden, Err(Refusal::Hidden));
            assert!(path_of(hidden, true).is_ok(), "{hidden}");
        }
        check(".well-known/acme-challenge/x", Ok(".well-known/acme-challenge/x"));
        check(".well-known", Ok(".well-known"));
        check("a.swpx", Ok("a.swpx"));
        check("%23", Ok("#"));
        check("~user", Ok("~user"));
    }

    #[test]
    fn security_43_empty_and_dot_segments_are_404() {
        for capture in ["/", "//", "/evil.com", "a//b", "a//", "%2E./a", "a/..", "./a", "../a"] {
            let refused = path_of(capture, true);
            assert_eq!(refused, Err(Refusal::Empty), "{capture}");
        }
    }
}
