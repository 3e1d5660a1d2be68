//! A directory as a page or as JSON.
//!
//! Read and written on the blocking pool: a directory may be large and cold. Only what a request
//! for it would be answered with is listed: no hidden names, no devices, no links that leave the
//! root. At most [`ENTRIES_MAX`] names; the listing says when there are more.
//!
//! SECURITY: names come from whoever may write files. They are escaped for HTML and JSON, and links
//! begin with `./` and keep only unreserved characters unescaped, so that no name becomes a scheme,
//! another host or a script (SECURITY.md 42).

use std::cmp::Reverse;
use std::fmt::Write;
use std::io;

use stead_core::{Fields, name};
use stead_http1::weights;
use stead_sys::file::{self, FileFacts, FileKind};

use super::names;
use super::tree::{Root, Tree};

/// Names in one listing.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// Bytes of all names in one listing: written, a byte takes up to eight.
const NAME_BYTES_MAX: usize = 512 << 10;

/// What a listing looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page for people.
    Html,
    /// For programs.
    Json,
}

impl Form {
    /// JSON where `Accept` names `application/json`, and no HTML with more weight. Wildcards mean a
    /// page.
    pub(crate) fn wanted(fields: &Fields) -> Self {
        let (mut json, mut html) = (0, 0);
        for (kind, weight) in fields.values(name::ACCEPT).flat_map(weights::elements) {
            if kind.eq_ignore_ascii_case(b"application/json") {
                json = json.max(weight);
            } else if kind.eq_ignore_ascii_case(b"text/html") {
                html = html.max(weight);
            }
        }
        if json > 0 && json >= html { Self::Json } else { Self::Html }
    }

    /// Its `Content-Type`.
    pub(crate) const fn media_type(self) -> &'static [u8] {
        match self {
            Self::Html => b"text/html; charset=utf-8",
            Self::Json => b"application/json",
        }
    }
}

/// Nothing in a listing runs or loads anything, whatever a name does to the page.
pub(crate) const CONTENT_SECURITY_POLICY: &[u8] = b"default-src 'none'; style-src 'unsafe-inline'";

/// A directory's content.
struct Listing {
    entries: Vec<Listed>,
    /// Whether there are more than fit.
    cut: bool,
}

struct Listed {
    name: Vec<u8>,
    facts: FileFacts,
}

/// What a listing is written for.
pub(crate) struct Page<'a> {
    /// The directory beneath the root, with its last slash; empty for the root itself.
    pub(crate) path: &'a [u8],
    /// The request's canonical path, for the title.
    pub(crate) title: &'a str,
    /// How to write it.
    pub(crate) form: Form,
}

/// Reads a directory and writes its listing.
///
/// # Errors
/// Whatever reading the directory fails with; entries that vanish meanwhile are left out.
pub(crate) fn list(tree: &Tree, root: &Root, page: &Page<'_>) -> io::Result<Vec<u8>> {
    let listing = read(tree, root, page.path)?;
    let mut title = Vec::new();
    stead_route::decode(page.title, &mut title);
    let title = String::from_utf8_lossy(&title);
    Ok(match page.form {
        Form::Html => html(&listing, &title, !page.path.is_empty()),
        Form::Json => json(&listing, &title),
    })
}

fn read(tree: &Tree, root: &Root, path: &[u8]) -> io::Result<Listing> {
    let directory = root.open_directory(path)?;
    let mut listing = Listing { entries: Vec::new(), cut: false };
    let mut name_bytes = 0;
    file::names(&directory, |name| {
        if !tree.hidden && names::is_hidden(name) || !is_reachable(name) {
            return true;
        }
        name_bytes += name.len();
        if listing.entries.len() == ENTRIES_MAX || name_bytes > NAME_BYTES_MAX {
            listing.cut = true;
            return false;
        }
        // Looked at from the root, so that a link that leaves it is as absent as it is to a
        // request.
        if let Ok(facts) = root.facts_of(&[path, name].concat())
            && facts.kind != FileKind::Other
        {
            listing.entries.push(Listed { name: name.to_vec(), facts });
        }
        true
    })?;
    listing.entries.sort_by_cached_key(|entry| {
        (Reverse(entry.is_directory()), entry.name.to_ascii_lowercase(), entry.name.clone())
    });
    Ok(listing)
}

/// Whether a request can name it: the canonical form refuses some bytes in any form.
fn is_reachable(name: &[u8]) -> bool {
    stead_route::canonicalize(format!("/{}", escape_uri(name)).as_bytes(), &mut String::new())
        .is_ok()
}

impl Listed {
    fn is_directory(&self) -> bool {
        self.facts.kind == FileKind::Directory
    }

    fn slash(&self) -> &'static str {
        if self.is_directory() { "/" } else { "" }
    }

    fn modified_seconds(&self) -> i64 {
        i64::try_from(self.facts.modified.div_euclid(1_000_000_000)).unwrap_or(0)
    }
}

/// Writing to a string cannot fail, so results of `write!` are dropped here and below.
fn html(listing: &Listing, title: &str, has_parent: bool) -> Vec<u8> {
    let title = escape_html(title);
    let mut page = String::with_capacity(1_024 + listing.entries.len() * 160);
    let _ =
        write!(page, "{HEAD}<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n");
    if has_parent {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in &listing.entries {
        let (href, slash) = (escape_uri(&entry.name), entry.slash());
        let name = escape_html(&String::from_utf8_lossy(&entry.name));
        let size = if entry.is_directory() { String::new() } else { size_text(entry.facts.size) };
        let date = date_text(entry.modified_seconds());
        let (day, minute) = (&date[..10], &date[11..16]);
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{href}{slash}\"><bdi>{name}</bdi>{slash}</a></td>\
             <td>{size}</td><td>{day} {minute}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    if listing.cut {
        let count = listing.entries.len();
        let _ = writeln!(page, "<p>Only the first {count} names are shown.</p>");
    }
    page.push_str("</body>\n</html>\n");
    page.into_bytes()
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <style>\n\
    :root { color-scheme: light dark }\n\
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }\n\
    h1 { font-size: 1.25rem; overflow-wrap: anywhere }\n\
    table { border-collapse: collapse; width: 100% }\n\
    td { padding: .3rem .5rem; border-top: 1px solid #8884; overflow-wrap: anywhere }\n\
    td + td { white-space: nowrap; text-align: right; opacity: .75 }\n\
    @media (max-width: 32rem) { td:last-child { display: none } }\n\
    </style>\n";

fn json(listing: &Listing, title: &str) -> Vec<u8> {
    let mut text = String::with_capacity(64 + listing.entries.len() * 120);
    let _ = write!(text, "{{\"path\":{},\"entries\":[", escape_json(title));
    for (index, entry) in listing.entries.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let name = escape_json(&String::from_utf8_lossy(&entry.name));
        let (href, slash) = (escape_uri(&entry.name), entry.slash());
        let kind = if entry.is_directory() { "directory" } else { "file" };
        let modified = date_text(entry.modified_seconds());
        let _ = write!(
            text,
            "{comma}\n{{\"name\":{name},\"href\":\"./{href}{slash}\",\"kind\":\"{kind}\",\
             \"modified\":\"{modified}\""
        );
        if !entry.is_directory() {
            let _ = write!(text, ",\"size\":{}", entry.facts.size);
        }
        text.push('}');
    }
    let _ = writeln!(text, "],\"complete\":{}}}", !listing.cut);
    text.into_bytes()
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A control character shows nothing and may not stand in a page.
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    escaped.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            // Angle brackets and the line separators too: whoever puts this into a page is safe.
            '<' | '>' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped.push('"');
    escaped
}

/// Escapes everything but unreserved characters (RFC 3986 §2.3).
fn escape_uri(name: &[u8]) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(*byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

/// A size in three digits or so: `1.2 MB`.
fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1_000.0, 0);
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1_000.0;
        unit += 1;
    }
    let decimals = usize::from(size < 9.95);
    format!("{size:.decimals$} {}", UNITS[unit])
}

/// A moment as RFC 3339 in UTC, always 20 characters. Source of the calendar: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date_text(seconds: i64) -> String {
    let seconds = seconds.clamp(0, 253_402_300_799);
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_listing_is_json_only_where_json_is_named() {
        let is_json = |accept: &str| {
            let mut fields = Fields::new();
            fields.append(name::ACCEPT, accept.as_bytes());
            Form::wanted(&fields) == Form::Json
        };
        for accept in ["application/json", "application/json, */*", "Application/JSON"] {
            assert!(is_json(accept), "{accept}");
        }
        assert!(is_json("text/html;q=0.5, application/json"));
        assert!(!is_json("*/*") && !is_json("") && !is_json("application/json;q=0"));
        assert!(!is_json("text/html, application/json;q=0.9"));
        assert_eq!(Form::wanted(&Fields::new()), Form::Html);
    }

    fn listing(names: &[&str]) -> Listing {
        let facts = FileFacts {
            kind: FileKind::Regular,
            device: 0,
            inode: 0,
            size: 1_234_567,
            modified: 1_000_000_000_000_000_000,
        };
        let listed = |name: &&str| Listed { name: name.as_bytes().to_vec(), facts };
        Listing { entries: names.iter().map(listed).collect(), cut: false }
    }

    #[test]
    fn security_42_names_are_escaped() {
        let evil = ["<script>alert(1)</script>", "javascript:alert(1)", "a\"b'&c", "//evil.com"];
        let listing = listing(&evil);
        let page = String::from_utf8(html(&listing, "/<b>/", true)).unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("\"b'"));
        assert!(page.contains("href=\"./javascript%3Aalert%281%29\""));
        assert!(page.contains("href=\"./%2F%2Fevil.com\""));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        let text = String::from_utf8(json(&listing, "/\u{7}\"/")).unwrap();
        assert!(text.contains(r#""name":"a\"b'&c""#) && text.contains(r#""path":"/\u0007\"/""#));
        assert!(text.contains(r"\u003cscript\u003e"));
    }

    #[test]
    fn a_listing_has_sizes_dates_and_a_note_when_cut() {
        let mut listing = listing(&["a.txt"]);
        listing.cut = true;
        let page = String::from_utf8(html(&listing, "/", false)).unwrap();
        assert!(page.contains("<td>1.2 MB</td><td>2001-09-09 01:46</td>"), "{page}");
        assert!(page.contains("first 1 names") && !page.contains("../"));
        let text = String::from_utf8(json(&listing, "/")).unwrap();
        let expect = "{\"path\":\"/\",\"entries\":[\n{\"name\":\"a.txt\",\"href\":\"./a.txt\",\
            \"kind\":\"file\",\"modified\":\"2001-09-09T01:46:40Z\",\"size\":1234567}],\
            \"complete\":false}\n";
        assert_eq!(text, expect);
    }

    #[test]
    fn sizes_and_dates_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(date_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(date_text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date_text(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(date_text(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(date_text(i64::MIN), "1970-01-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn any_name_stays_text(name in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
            let escaped = escape_html(&name);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let json = escape_json(&name);
            prop_assert!(json.bytes().all(|byte| byte >= 0x20));
            let mut decoded = Vec::new();
            let uri = escape_uri(name.as_bytes());
            prop_assert!(uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
            stead_route::decode(&uri, &mut decoded);
            prop_assert_eq!(decoded, name.as_bytes());
        }
    }
}
