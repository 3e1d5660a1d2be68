//! From an entry to an answer: conditions, ranges, redirects.
//!
//! The last step of a request, without system calls. A plain GET copies the variant's ready-made
//! fields and points at its content; everything rarer is built here. Source: RFC 9110 §13.2.2, §14,
//! §15.3.7, §15.4.5.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;

use stead_core::{Body, Exchange, Fields, Method, Name, Reason, Response, StatusCode, moved, name};
use stead_http1::Known;

use super::conditional::Verdict;
use super::entry::Variant;
use super::range::{self, ByteSpan, Ranges};

/// The answer with a file, or with the part of it that the request's conditions and ranges leave.
/// `boundary` is text that no file contains but by a chance of 2^-64.
pub(crate) fn file(exchange: &Exchange, variant: &Variant, boundary: &RandomState) -> Response {
    if is_plain(exchange.fields()) {
        return whole(exchange, variant);
    }
    match variant.validators().evaluate(exchange.fields()) {
        Verdict::Failed => exchange.refuse(Reason::PreconditionFailed),
        Verdict::NotModified => not_modified(exchange, variant),
        Verdict::Send => match ranges(exchange, variant) {
            Ranges::Whole => whole(exchange, variant),
            Ranges::Unsatisfiable => unsatisfiable(exchange, variant),
            Ranges::One(span) => one(exchange, variant, span),
            Ranges::Several(spans) => several(exchange, variant, &spans, boundary),
        },
    }
}

/// Whether the last segment is that of the path which the client asked for. Where middleware put
/// another one there, a slash behind the client's path would lead to the same directory for ever.
pub(crate) fn is_named_by_client(exchange: &Exchange) -> bool {
    fn last(path: &str) -> Option<&str> {
        path.rsplit('/').next()
    }
    last(exchange.routed_path()) == last(exchange.path())
}

/// The answer to a directory without its slash. SECURITY: the path alone, and never two slashes at
/// its start, so that it stays on this host (SECURITY.md 43).
pub(crate) fn redirect_to_directory(exchange: &Exchange) -> Response {
    moved(exchange, &[], &[exchange.routed_path(), "/"])
}

/// Whether a request has neither conditions nor ranges, as most have not.
fn is_plain(fields: &Fields) -> bool {
    !fields.iter().any(|(name, _)| {
        matches!(
            name,
            Name::Known(
                Known::IfMatch
                    | Known::IfModifiedSince
                    | Known::IfNoneMatch
                    | Known::IfRange
                    | Known::IfUnmodifiedSince
                    | Known::Range
            )
        )
    })
}

/// What `Range` asks for, where it counts: on GET, once, and if `If-Range` holds.
fn ranges(exchange: &Exchange, variant: &Variant) -> Ranges {
    let fields = exchange.fields();
    let mut values = fields.values(name::RANGE);
    match (values.next(), values.next()) {
        (Some(value), None)
            if exchange.method() == Method::GET && variant.validators().allow_range(fields) =>
        {
            range::parse(value, variant.size())
        }
        _ => Ranges::Whole,
    }
}

fn whole(exchange: &Exchange, variant: &Variant) -> Response {
    let mut response = exchange.respond(StatusCode::OK);
    response.fields.extend_from(variant.fields());
    response.body = variant.body();
    response
}

/// Carries what a cache needs to update what it holds (RFC 9110 §15.4.5).
fn not_modified(exchange: &Exchange, variant: &Variant) -> Response {
    let mut response = exchange.respond(StatusCode::NOT_MODIFIED);
    for (name, value) in variant.fields().iter() {
        if matches!(name, Name::Known(Known::Etag | Known::LastModified | Known::Vary)) {
            response.fields.append(name, value);
        }
    }
    response
}

fn unsatisfiable(exchange: &Exchange, variant: &Variant) -> Response {
    let mut response = exchange.refuse(Reason::RangeNotSatisfiable);
    let content_range = format!("bytes */{}", variant.size());
    response.fields.set(name::CONTENT_RANGE, content_range.as_bytes());
    response
}

fn one(exchange: &Exchange, variant: &Variant, span: ByteSpan) -> Response {
    let mut response = exchange.respond(StatusCode::PARTIAL_CONTENT);
    response.fields.extend_from(variant.fields());
    let mut content_range = exchange.worker().buffer();
    write_content_range(&mut content_range, span, variant.size());
    response.fields.set(name::CONTENT_RANGE, &content_range);
    exchange.worker().reclaim_buffer(content_range);
    response.body = variant.slice(span);
    response
}

/// `multipart/byteranges` (RFC 9110 §14.6).
fn several(
    exchange: &Exchange,
    variant: &Variant,
    spans: &[ByteSpan],
    boundary: &RandomState,
) -> Response {
    // Keyed by what only this process knows, and new in each answer: an earlier one tells nothing.
    let boundary = boundary.hash_one(exchange.worker().next_number());
    let boundary = format!("{boundary:016x}");
    let media_type = variant.fields().get(name::CONTENT_TYPE).unwrap_or_default();
    let mut parts = Vec::with_capacity(2 * spans.len() + 1);
    for (index, span) in spans.iter().enumerate() {
        let mut head = exchange.worker().buffer();
        let line_end = if index == 0 { "" } else { "\r\n" };
        // Writing to a buffer cannot fail.
        let _ = write!(head, "{line_end}--{boundary}\r\nContent-Type: ");
        head.extend_from_slice(media_type);
        head.extend_from_slice(b"\r\nContent-Range: ");
        write_content_range(&mut head, *span, variant.size());
        head.extend_from_slice(b"\r\n\r\n");
        parts.push(Body::Buffer(head));
        parts.push(variant.slice(*span));
    }
    parts.push(Body::Buffer(format!("\r\n--{boundary}--\r\n").into_bytes()));
    let mut response = exchange.respond(StatusCode::PARTIAL_CONTENT);
    response.fields.extend_from(variant.fields());
    let kind = format!("multipart/byteranges; boundary={boundary}");
    response.fields.set(name::CONTENT_TYPE, kind.as_bytes());
    response.body = Body::Chain(parts);
    response
}

fn write_content_range(out: &mut Vec<u8>, span: ByteSpan, size: u64) {
    // Writing to a buffer cannot fail.
    let _ = write!(out, "bytes {}-{}/{size}", span.start, span.end.saturating_sub(1));
}
