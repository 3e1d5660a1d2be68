//! Which media types are worth compressing.
//!
//! Asked once an answer, before anything else of it is looked at. Source: RFC 9110 §8.3; the
//! suffixes are those of RFC 6838 §4.2.8.

use stead_config::{Diagnostic, Diagnostics, Spanned};
use stead_core::{Fields, name};

/// A list of media types.
pub(super) struct Types {
    /// `type/subtype`
    exact: Box<[Box<[u8]>]>,
    /// `type/`, of `type/*`
    groups: Box<[Box<[u8]>]>,
    /// `+suffix`, of `*+suffix`
    suffixes: Box<[Box<[u8]>]>,
    any: bool,
    event_stream: bool,
}

/// Text by another name, and binary formats that are not compressed by themselves.
const USUAL: &[&str] = &[
    "text/*",
    "*+json",
    "*+xml",
    "application/javascript",
    "application/json",
    "application/xml",
    "application/wasm",
    "application/x-javascript",
    "application/ecmascript",
    "application/graphql",
    "application/json-seq",
    "application/jsonl",
    "application/x-ndjson",
    "application/ndjson",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/yaml",
    "application/x-yaml",
    "application/x-sh",
    "application/x-tar",
    "application/x-web-app-manifest",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "application/x-font-otf",
    "font/ttf",
    "font/otf",
    "font/collection",
    "font/sfnt",
    "image/bmp",
    "image/x-ms-bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "model/gltf-binary",
    "model/obj",
    "model/stl",
];

/// Types that are compressed by nature: only their own name takes them in.
const PACKED: &[&[u8]] = &[
    b"audio/",
    b"video/",
    b"image/avif",
    b"image/gif",
    b"image/heic",
    b"image/heif",
    b"image/jpeg",
    b"image/jxl",
    b"image/png",
    b"image/webp",
    b"font/woff",
    b"font/woff2",
    b"application/font-woff",
    b"application/gzip",
    b"application/zip",
    b"application/zstd",
    b"application/pdf",
    b"application/x-7z-compressed",
    b"application/x-brotli",
    b"application/x-bzip2",
    b"application/x-gzip",
    b"application/x-rar-compressed",
    b"application/vnd.rar",
    b"application/x-xz",
    b"application/epub+zip",
    b"application/java-archive",
    b"application/vnd.openxmlformats-",
    b"application/vnd.oasis.opendocument.",
];

impl Types {
    /// The built-in list.
    pub(super) fn usual(event_stream: bool) -> Self {
        Self::sort(USUAL.iter().copied(), event_stream)
    }

    /// A list of patterns; what is no pattern is told.
    pub(super) fn build(
        patterns: &[Spanned<String>],
        event_stream: bool,
        wrong: &mut Diagnostics,
    ) -> Self {
        for pattern in patterns {
            if !is_pattern(pattern) {
                let message = format!("`{}` is no media type", pattern.value);
                let help = "write `text/html`, `text/*`, `*+json` or `*/*`";
                wrong.push(Diagnostic::error(pattern.span, message).help(help));
            }
        }
        Self::sort(patterns.iter().map(|pattern| pattern.as_str()), event_stream)
    }

    fn sort<'a>(patterns: impl Iterator<Item = &'a str>, event_stream: bool) -> Self {
        let (mut exact, mut groups, mut suffixes) = (Vec::new(), Vec::new(), Vec::new());
        let mut any = false;
        for pattern in patterns {
            if pattern == "*/*" {
                any = true;
            } else if let Some(group) = pattern.strip_suffix('*') {
                groups.push(group.as_bytes().into());
            } else if let Some(suffix) = pattern.strip_prefix('*') {
                suffixes.push(suffix.as_bytes().into());
            } else {
                exact.push(pattern.as_bytes().into());
            }
        }
        let (exact, groups, suffixes) = (exact.into(), groups.into(), suffixes.into());
        Self { exact, groups, suffixes, any, event_stream }
    }

    /// Whether the list takes in a `Content-Type`.
    pub(super) fn take(&self, content_type: &[u8]) -> bool {
        let essence = essence(content_type);
        if essence.eq_ignore_ascii_case(EVENT_STREAM) {
            return self.event_stream;
        }
        let is_group = |group: &[u8]| starts_with(essence, group);
        let is_suffix = |suffix: &[u8]| {
            let start = essence.len().checked_sub(suffix.len());
            start
                .and_then(|start| essence.get(start..))
                .is_some_and(|s| s.eq_ignore_ascii_case(suffix))
        };
        let is_exact = |exact: &[u8]| exact.eq_ignore_ascii_case(essence);
        let by_pattern = self.any
            || self.groups.iter().any(|group| is_group(group))
            || self.suffixes.iter().any(|suffix| is_suffix(suffix));
        (by_pattern && !PACKED.iter().any(|packed| starts_with(essence, packed)))
            || self.exact.iter().any(|exact| is_exact(exact))
    }
}

/// Whether an answer is a stream of events, of which each must arrive at once.
pub(super) fn is_event_stream(fields: &Fields) -> bool {
    let content_type = fields.get(name::CONTENT_TYPE).unwrap_or_default();
    essence(content_type).eq_ignore_ascii_case(EVENT_STREAM)
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

/// The type without its parameters.
fn essence(content_type: &[u8]) -> &[u8] {
    let end = content_type.iter().position(|byte| *byte == b';');
    content_type.get(..end.unwrap_or(content_type.len())).unwrap_or_default().trim_ascii()
}

fn starts_with(essence: &[u8], start: &[u8]) -> bool {
    essence.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn is_pattern(pattern: &str) -> bool {
    let is_word = |word: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !word.is_empty() && word.bytes().all(is_fine)
    };
    match (pattern.strip_prefix("*+"), pattern.split_once('/')) {
        (Some(suffix), None) => is_word(suffix),
        (None, Some((kind, subtype))) => {
            (is_word(kind) && (is_word(subtype) || subtype == "*")) || pattern == "*/*"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_list_takes_text_by_whatever_name_and_nothing_that_is_packed() {
        let usual = Types::usual(false);
        for text in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "text/javascript",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
            "image/x-icon",
        ] {
            assert!(usual.take(text.as_bytes()), "{text}");
        }
        for other in [
            "",
            "image/png",
            "video/mp4",
            "font/woff2",
            "application/zip",
            "application/octet-stream",
            "text",
            "json",
            "text/event-stream",
            "multipart/byteranges; boundary=x",
        ] {
            assert!(!usual.take(other.as_bytes()), "{other}");
        }
        assert!(Types::usual(true).take(b"text/event-stream;charset=utf-8"));
    }

    #[test]
    fn patterns_do_not_take_in_what_is_packed_but_names_do() {
        let any = Types::sort(["*/*", "image/PNG"].into_iter(), false);
        assert!(any.take(b"application/octet-stream") && any.take(b"image/png"));
        assert!(!any.take(b"image/jpeg") && !any.take(b"video/webm"));
    }
}
