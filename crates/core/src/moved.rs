//! The answer that sends a client to the same thing under its one address.
//!
//! SECURITY: the path begins with exactly one slash, so that without an origin it stays on this
//! host (SECURITY.md 43). Host, path and query went through the engine, which takes no control
//! character; the field's own check stands behind it. RFC 9110 §15.4.9 (308), §10.2.2 (`Location`).

use crate::{Exchange, Response, StatusCode, name};

/// 308 to `origin` (nothing for this host), the parts of a path, and the query that was asked for.
pub fn moved(exchange: &Exchange, origin: &[&[u8]], path: &[&str]) -> Response {
    let mut location = exchange.worker().buffer();
    for part in origin {
        location.extend_from_slice(part);
    }
    for (index, part) in path.iter().enumerate() {
        let part = if index == 0 { stead_route::one_leading_slash(part) } else { part };
        location.extend_from_slice(part.as_bytes());
    }
    if let Some(query) = exchange.head().query() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let mut response = exchange.respond(StatusCode::PERMANENT_REDIRECT);
    let set = response.fields.try_set(name::LOCATION.as_bytes(), &location);
    exchange.worker().reclaim_buffer(location);
    match set {
        Ok(()) => response,
        Err(reason) => exchange.refuse(reason),
    }
}
