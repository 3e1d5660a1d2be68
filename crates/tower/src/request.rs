//! An exchange's request as the `http` crate's: what a service receives.
//!
//! The URI is the canonical path, the one that Stead's router and log see too, with the query as it
//! was sent; the host is in its field. Values share one buffer, so that a head is copied once.

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use stead_core::{Exchange, Fields, Name, Reason, Version};

use crate::ConnectInfo;
use crate::app::Extend;
use crate::body::Body;
use crate::pump::Pump;

/// The request, and what feeds its body.
///
/// # Errors
/// The target holds a byte that a URI of the `http` crate cannot.
pub(crate) fn request(
    exchange: &mut Exchange,
    extend: Extend,
) -> Result<(http::Request<Body>, Pump), Reason> {
    let uri = uri(exchange)?;
    let (pump, body) = Pump::start(exchange);
    let mut request = http::Request::new(body);
    *request.method_mut() = exchange.method().clone();
    *request.uri_mut() = uri;
    *request.version_mut() = match exchange.version() {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
    };
    *request.headers_mut() = header_map(exchange.fields());
    introduce(request.extensions_mut(), exchange, extend);
    Ok((request, pump))
}

/// Puts what is known of the connection beside a request.
pub(crate) fn introduce(extensions: &mut http::Extensions, exchange: &Exchange, extend: Extend) {
    let info = ConnectInfo::of(exchange);
    extensions.insert(info);
    extend(&info, extensions);
}

fn uri(exchange: &Exchange) -> Result<Uri, Reason> {
    let (path, query) = (exchange.path(), exchange.query());
    let mut text = BytesMut::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    text.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        text.extend_from_slice(b"?");
        text.extend_from_slice(query);
    }
    let target = PathAndQuery::from_maybe_shared(text.freeze()).map_err(|_| Reason::BadTarget)?;
    Ok(Uri::from(target))
}

/// Fields as a map. What cannot be a field is left out: the engine lets nothing of the sort in.
pub(crate) fn header_map(fields: &Fields) -> HeaderMap {
    let bytes: usize = fields.iter().map(|(_, value)| value.len()).sum();
    let mut values = BytesMut::with_capacity(bytes);
    fields.iter().for_each(|(_, value)| values.extend_from_slice(value));
    let mut values: Bytes = values.freeze();
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        let value = values.split_to(value.len());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// Adds a map to fields. What is no field of HTTP/1.1 is left out: the `http` crate lets nothing of
/// the sort in.
pub(crate) fn add_fields(fields: &mut Fields, map: &HeaderMap) {
    for (name, value) in map {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        match Name::from_bytes(name) {
            // PERF: a known name needs no look at its bytes.
            known @ Name::Known(_) if value.iter().all(|byte| matches!(byte, b' '..=b'~')) => {
                fields.append(known, value);
            }
            _ => drop(fields.try_append(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_both_ways() {
        let mut fields = Fields::new();
        for (name, value) in [("Host", "a"), ("X-One", "1"), ("set-cookie", "a=1"), ("Empty", "")] {
            fields.try_append(name.as_bytes(), value.as_bytes()).expect("a field");
        }
        fields.try_append(b"set-cookie", b"\xff\tb").expect("bytes above ASCII pass");
        let map = header_map(&fields);
        assert_eq!(map.get_all("set-cookie").iter().count(), 2);
        let mut back = Fields::new();
        add_fields(&mut back, &map);
        let sorted = |fields: &Fields| {
            let lower = |name: Name<'_>| name.as_bytes().to_ascii_lowercase();
            let mut all: Vec<_> =
                fields.iter().map(|(name, value)| (lower(name), value.to_vec())).collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&back), sorted(&fields));
    }
}
