//! Entity tags: what a file's are, and lists of them in a request.
//!
//! A tag is made from inode, size and modification time in nanoseconds, so that a file that was
//! replaced, rewritten or moved has another one; a coded sibling adds the name of its coding.
//! Source: RFC 9110 §8.8.3.

use std::fmt::Write;

use stead_sys::file::FileFacts;

/// The entity tag of one variant of a file, quotes and `W/` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Etag {
    text: String,
    weak: bool,
}

impl Etag {
    /// The tag of a file with these facts; `coding` is empty for the file as it is. A weak one says
    /// that the same tag may come to stand for other bytes.
    pub(crate) fn new(facts: &FileFacts, coding: &str, weak: bool) -> Self {
        let mut text = String::with_capacity(56);
        let prefix = if weak { "W/" } else { "" };
        let (inode, size, modified) = (facts.inode, facts.size, facts.modified);
        let dash = if coding.is_empty() { "" } else { "-" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{prefix}\"{inode:x}-{size:x}-{modified:x}{dash}{coding}\"");
        Self { text, weak }
    }

    /// The tag as it stands in a field.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether it is weak.
    pub(crate) fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whether both are the same and neither is weak.
    pub(crate) fn matches_strongly(&self, other: &[u8]) -> bool {
        !self.weak && self.as_bytes() == other
    }

    /// Whether both are the same but for a `W/`.
    pub(crate) fn matches_weakly(&self, other: &[u8]) -> bool {
        opaque(self.as_bytes()) == opaque(other)
    }
}

/// The tags of a list such as `"a", W/"b"`. Ends at the first that is malformed: a tag that cannot
/// be read matches nothing.
pub(crate) fn list(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = text {
            text = rest;
        }
        let len = tag_len(text)?;
        let (tag, rest) = text.split_at(len);
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        text = match rest.get(blanks..) {
            None | Some([]) => &[],
            Some([b',', after @ ..]) => after,
            Some(_) => return None,
        };
        Some(tag)
    })
}

/// Bytes of the tag that `text` begins with.
fn tag_len(text: &[u8]) -> Option<usize> {
    let start = if text.starts_with(b"W/") { 2 } else { 0 };
    let inner = text.get(start..)?.strip_prefix(b"\"")?;
    let len = inner.iter().take_while(|byte| matches!(byte, 0x21 | 0x23..=0x7E | 0x80..)).count();
    (inner.get(len) == Some(&b'"')).then_some(start + len + 2)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_sys::file::FileKind;

    const FACTS: FileFacts =
        FileFacts { kind: FileKind::Regular, device: 1, inode: 0x2f, size: 28, modified: 0xabc };

    #[test]
    fn a_tag_tells_inode_size_time_coding_and_strength() {
        let text = |etag: Etag| etag.text;
        assert_eq!(text(Etag::new(&FACTS, "", false)), "\"2f-1c-abc\"");
        assert_eq!(text(Etag::new(&FACTS, "br", false)), "\"2f-1c-abc-br\"");
        assert_eq!(text(Etag::new(&FACTS, "", true)), "W/\"2f-1c-abc\"");
        let (strong, weak) = (Etag::new(&FACTS, "", false), Etag::new(&FACTS, "", true));
        assert!(
            strong.matches_strongly(b"\"2f-1c-abc\"") && strong.matches_weakly(weak.as_bytes())
        );
        assert!(!weak.matches_strongly(weak.as_bytes()) && weak.matches_weakly(b"\"2f-1c-abc\""));
    }

    #[test]
    fn lists_keep_commas_inside_quotes_and_end_at_nonsense() {
        let tags = |text: &'static str| {
            list(text.as_bytes()).map(|tag| tag.escape_ascii().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(tags(r#""a", W/"b,c" ,,"""#), [r#"\"a\""#, r#"W/\"b,c\""#, r#"\"\""#]);
        assert_eq!(tags(r#""a" "b""#), Vec::<String>::new());
        assert_eq!(tags(r#""a", b, "c""#), [r#"\"a\""#]);
        for nonsense in ["", "a", "\"a", "w/\"a\"", "W/", ",", "\"a b\"", "*"] {
            assert_eq!(tags(nonsense), Vec::<String>::new(), "{nonsense}");
        }
    }
}
