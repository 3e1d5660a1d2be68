//! What compression changes in the fields of a message.
//!
//! In the response phase, once it is decided that an answer is, or could be, compressed; and in the
//! request phase for `If-Match`. Source: RFC 9110 §8.8.3, §12.5.5, §13.1.1, §15.4.5; RFC 9530.

use stead_core::{Exchange, Fields, Name, name};
use stead_http1::Known;
use stead_http1::coding::Coding;

/// Says that the content is in `coding`: what described the content as it was is taken out, and a
/// strong validator becomes a weak one, because another run may give other bytes.
pub(super) fn mark(fields: &mut Fields, coding: Coding) {
    fields.retain(|name, _| !describes_bytes(name));
    fields.set(name::CONTENT_ENCODING, coding.token().as_bytes());
    weaken(fields);
}

fn describes_bytes(name: Name<'_>) -> bool {
    match name {
        Name::Known(known) => matches!(known, Known::ContentLength | Known::AcceptRanges),
        Name::Other(_) => DIGESTS.contains(&name),
    }
}

const DIGESTS: &[Name<'static>] = &[
    Name::Other(b"Content-MD5"),
    Name::Other(b"Digest"),
    Name::Other(b"Content-Digest"),
    Name::Other(b"Repr-Digest"),
];

fn weaken(fields: &mut Fields) {
    if let Some(etag) = fields.get(name::ETAG)
        && etag.starts_with(b"\"")
    {
        let weak = [b"W/", etag].concat();
        fields.set(name::ETAG, &weak);
    }
}

/// Says that the answer depends on `Accept-Encoding`.
pub(super) fn vary(fields: &mut Fields) {
    crate::vary::add(fields, b"Accept-Encoding");
}

/// A 304 says what the 200 would have said: `Vary`, and the weak validator to whom holds the
/// compressed answer, so that caches know which of theirs is meant (RFC 9111 §4.3.4).
pub(super) fn mark_not_modified(exchange: &mut Exchange) {
    let etag = exchange.response().and_then(|response| response.fields.get(name::ETAG));
    let weak = etag.filter(|etag| etag.starts_with(b"\"")).map(|etag| [b"W/", etag].concat());
    let holds_weak = weak.is_some_and(|weak| {
        let mut held = exchange.fields().values(name::IF_NONE_MATCH);
        held.any(|value| value.windows(weak.len()).any(|window| window == weak))
    });
    if let Some(response) = exchange.response_mut() {
        vary(&mut response.fields);
        if holds_weak {
            weaken(&mut response.fields);
        }
    }
}

/// Gives the tags of `If-Match` their strong form back: whoever changes what it read compressed
/// names the weak tag that we made, which would never match (RFC 9110 §13.1.1).
pub(super) fn strengthen_if_match(fields: &mut Fields) {
    let is_weak = |value: &[u8]| value.windows(3).any(|window| window == b"W/\"");
    if !fields.values(name::IF_MATCH).any(is_weak) {
        return;
    }
    let mut strong = Vec::new();
    for value in fields.values(name::IF_MATCH) {
        if !strong.is_empty() {
            strong.extend_from_slice(b", ");
        }
        push_strong(value, &mut strong);
    }
    fields.set(name::IF_MATCH, &strong);
}

fn push_strong(mut value: &[u8], strong: &mut Vec<u8>) {
    let mut is_quoted = false;
    while let [first, rest @ ..] = value {
        if !is_quoted && value.starts_with(b"W/\"") {
            value = value.get(2..).unwrap_or_default();
            continue;
        }
        is_quoted ^= *first == b'"';
        strong.push(*first);
        value = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append(Name::Other(name.as_bytes()), value.as_bytes());
        }
        fields
    }

    #[test]
    fn what_described_the_bytes_is_taken_out() {
        let mut fields = fields(&[
            ("etag", "\"x\""),
            ("content-length", "9"),
            ("accept-ranges", "bytes"),
            ("content-md5", "x"),
            ("repr-digest", "x"),
            ("last-modified", "y"),
        ]);
        mark(&mut fields, Coding::Gzip);
        let left: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value)).collect();
        let left: Vec<_> = left.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(
            left,
            [("ETag", &b"W/\"x\""[..]), ("Last-Modified", b"y"), ("Content-Encoding", b"gzip")]
        );
        mark(&mut fields, Coding::Gzip);
        assert_eq!(fields.get(name::ETAG), Some(&b"W/\"x\""[..]), "weakened once");
    }

    #[test]
    fn if_match_gets_its_strong_form_back() {
        let strong = |value: &str| {
            let mut fields = fields(&[("if-match", value)]);
            strengthen_if_match(&mut fields);
            fields.get(name::IF_MATCH).map(|value| value.escape_ascii().to_string())
        };
        assert_eq!(strong("W/\"a\", \"W/\", W/\"b\"").as_deref(), Some(r#"\"a\", \"W/\", \"b\""#));
        assert_eq!(strong("*").as_deref(), Some("*"));
        assert_eq!(strong("nonsense W/").as_deref(), Some("nonsense W/"));
    }
}
