//! The media type of a file, by the ending of its name.
//!
//! Looked up when a file is opened, not on each request. Text types carry `charset=utf-8`; XML and
//! JSON do not, because they say or fix their encoding themselves (RFC 7303 §3, RFC 8259 §11), but
//! SVG does, as browsers show it like a page. A name without a known ending is
//! `application/octet-stream`, so that nothing unknown runs in a browser. Source: the IANA media
//! type registry, RFC 9239 for `text/javascript`.

/// What a file is whose ending says nothing.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// Endings with their types: the built-in table, and those of the configuration before it.
#[derive(Debug, Default)]
pub(crate) struct Types {
    /// Sorted by ending.
    own: Vec<(String, String)>,
}

impl Types {
    /// The table with `own` before it; endings without their dot, in any case.
    pub(crate) fn new(own: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut own: Vec<_> =
            own.into_iter().map(|(ending, kind)| (ending.to_ascii_lowercase(), kind)).collect();
        own.sort();
        Self { own }
    }

    /// The type of the file at `path`.
    pub(crate) fn of(&self, path: &[u8]) -> &str {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return UNKNOWN };
        let mut buffer = [0; ENDING_BYTES_MAX];
        let ending = &name[dot + 1..];
        let Some(lower) = buffer.get_mut(..ending.len()) else { return UNKNOWN };
        lower.copy_from_slice(ending);
        lower.make_ascii_lowercase();
        self.find(lower).unwrap_or(UNKNOWN)
    }

    fn find(&self, ending: &[u8]) -> Option<&str> {
        let own = self.own.binary_search_by(|(other, _)| other.as_bytes().cmp(ending));
        if let Ok(index) = own {
            return self.own.get(index).map(|(_, kind)| kind.as_str());
        }
        let index = TABLE.binary_search_by(|(other, _)| other.as_bytes().cmp(ending)).ok()?;
        TABLE.get(index).map(|(_, kind)| *kind)
    }
}

/// The media type of the file at `path`, by the built-in table.
pub fn media_type(path: &[u8]) -> String {
    Types::default().of(path).to_owned()
}

/// Whether `text` can stand in a `Content-Type`: `type/subtype`, perhaps with parameters.
pub(crate) fn is_media_type(text: &str) -> bool {
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    let named = kind.trim_end().split_once('/').is_some_and(|(a, b)| token(a) && token(b));
    named && parameters.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
}

/// No ending in use is longer.
pub(crate) const ENDING_BYTES_MAX: usize = 24;

/// Sorted by ending, in lower case.
static TABLE: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("3gpp", "video/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("ai", "application/postscript"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("cur", "image/x-icon"),
    ("deb", "application/vnd.debian.binary-package"),
    ("der", "application/x-x509-ca-cert"),
    ("dll", "application/octet-stream"),
    ("dmg", "application/octet-stream"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("ear", "application/java-archive"),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("exe", "application/octet-stream"),
    ("flac", "audio/flac"),
    ("flv", "video/x-flv"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("img", "application/octet-stream"),
    ("ini", "text/plain; charset=utf-8"),
    ("iso", "application/octet-stream"),
    ("jar", "application/java-archive"),
    ("jfif", "image/jpeg"),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("kar", "audio/midi"),
    ("kml", "application/vnd.google-earth.kml+xml"),
    ("kmz", "application/vnd.google-earth.kmz"),
    ("log", "text/plain; charset=utf-8"),
    ("m2ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("markdown", "text/markdown; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("msi", "application/octet-stream"),
    ("ndjson", "application/x-ndjson"),
    ("odg", "application/vnd.oasis.opendocument.graphics"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-x509-ca-cert"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("rar", "application/vnd.rar"),
    ("rpm", "application/x-redhat-package-manager"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("so", "application/octet-stream"),
    ("stl", "model/stl"),
    ("svg", "image/svg+xml; charset=utf-8"),
    ("swf", "application/x-shockwave-flash"),
    ("tar", "application/x-tar"),
    ("text", "text/plain; charset=utf-8"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("torrent", "application/x-bittorrent"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("war", "application/java-archive"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("wmv", "video/x-ms-wmv"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("xsd", "application/xml"),
    ("xsl", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_lower_case_and_well_formed() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (ending, kind) in TABLE {
            assert!(ending.len() <= ENDING_BYTES_MAX && *ending == ending.to_lowercase());
            assert!(is_media_type(kind), "{kind}");
            assert!(!kind.starts_with("text/") || kind.ends_with("; charset=utf-8"), "{kind}");
        }
    }

    #[test]
    fn the_last_ending_of_the_last_segment_counts() {
        let types = Types::default();
        let check =
            |path: &str, expect: &str| assert_eq!(types.of(path.as_bytes()), expect, "{path}");
        check("a/b.html", "text/html; charset=utf-8");
        check("INDEX.HTM", "text/html; charset=utf-8");
        check("app.min.js", "text/javascript; charset=utf-8");
        check("a.json", "application/json");
        check("a.svg", "image/svg+xml; charset=utf-8");
        check("a.tar.gz", "application/gzip");
        check("a.woff2", "font/woff2");
        check("a.html/readme", UNKNOWN);
        check("", UNKNOWN);
        check("a.", UNKNOWN);
        check(".nojekyll", UNKNOWN);
        check("a.an-ending-longer-than-any-known", UNKNOWN);
    }

    #[test]
    fn own_types_come_first() {
        let own = [("HTML", "text/html"), ("rs", "text/plain")];
        let types = Types::new(own.map(|(ending, kind)| (ending.to_owned(), kind.to_owned())));
        assert_eq!(types.of(b"a.html"), "text/html");
        assert_eq!(types.of(b"a.rs"), "text/plain");
        assert_eq!(types.of(b"a.css"), "text/css; charset=utf-8");
    }

    #[test]
    fn media_types_are_told_from_nonsense() {
        assert!(is_media_type("text/html; charset=utf-8") && is_media_type("image/svg+xml"));
        for nonsense in
            ["", "text", "text/", "/html", "text/html\r\nx: y", "te xt/html", "a/b; \u{e9}"]
        {
            assert!(!is_media_type(nonsense), "{nonsense}");
        }
    }
}
