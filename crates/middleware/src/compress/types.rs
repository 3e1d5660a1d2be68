//! Which media types are worth compressing.
//!
//! Asked once an answer, before anything else of it is looked at. What is compressed by nature is
//! not compressed again, unless the list has its own name. Source: RFC 9110 §8.3.

use stead_config::{Diagnostics, Spanned};
use stead_core::{Fields, name};

use crate::media_range::{MediaRange, essence, starts_with};

/// A list of media types.
pub(super) struct Types {
    ranges: Box<[MediaRange]>,
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
        let ranges = USUAL.iter().filter_map(|text| MediaRange::of(text)).collect();
        Self { ranges, event_stream }
    }

    /// The list of a configuration; what is no media type is told.
    pub(super) fn build(
        list: &[Spanned<String>],
        event_stream: bool,
        wrong: &mut Diagnostics,
    ) -> Self {
        let parse = |text| MediaRange::parse(text).map_err(|error| wrong.push(error)).ok();
        Self { ranges: list.iter().filter_map(parse).collect(), event_stream }
    }

    /// Whether the list takes in a `Content-Type`.
    pub(super) fn take(&self, content_type: &[u8]) -> bool {
        let essence = essence(content_type);
        if essence.eq_ignore_ascii_case(EVENT_STREAM) {
            return self.event_stream;
        }
        let is_packed = || PACKED.iter().any(|packed| starts_with(essence, packed));
        let takes = |range: &MediaRange| range.takes(essence) && (range.is_exact() || !is_packed());
        self.ranges.iter().any(takes)
    }
}

/// Whether an answer is a stream of events, of which each must arrive at once.
pub(super) fn is_event_stream(fields: &Fields) -> bool {
    let content_type = fields.get(name::CONTENT_TYPE).unwrap_or_default();
    essence(content_type).eq_ignore_ascii_case(EVENT_STREAM)
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

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
    fn every_one_of_the_usual_list_is_read() {
        assert_eq!(Types::usual(false).ranges.len(), USUAL.len());
    }

    #[test]
    fn patterns_do_not_take_in_what_is_packed_but_names_do() {
        let ranges = ["*/*", "image/PNG"].into_iter().filter_map(MediaRange::of);
        let any = Types { ranges: ranges.collect(), event_stream: false };
        assert!(any.take(b"application/octet-stream") && any.take(b"image/png"));
        assert!(!any.take(b"image/jpeg") && !any.take(b"video/webm"));
    }
}
