//! An exchange's request as the `http` crate's: what a service receives.
//!
//! The URI is the canonical path, the one that Stead's router and log see too, with the query as it
//! was sent; the host is in its field. Values share one buffer, so that a head is copied once.

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use stead_core::{Exchange, Fields, Name, Reason, Version};
use stead_http1::name::Known;

use crate::ConnectInfo;
use crate::body::Body;
use crate::pump::Pump;

/// The request, and what feeds its body. Its fields are put into `map`, which is empty.
///
/// # Errors
/// The target holds a byte that a URI of the `http` crate cannot.
pub(crate) fn request(
    exchange: &mut Exchange,
    mut map: HeaderMap,
) -> Result<(http::Request<Body>, Pump), Reason> {
    let (target, values) = target_and_values(exchange);
    let target = PathAndQuery::from_maybe_shared(target).map_err(|_| Reason::BadTarget)?;
    fill(&mut map, exchange.fields(), values);
    let (pump, body) = Pump::start(exchange);
    let mut request = http::Request::new(body);
    *request.method_mut() = exchange.method().clone();
    *request.uri_mut() = target.into();
    *request.version_mut() = match exchange.version() {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
        Version::Http2 => http::Version::HTTP_2,
    };
    *request.headers_mut() = map;
    introduce(request.extensions_mut(), exchange);
    Ok((request, pump))
}

/// Puts what is known of the connection beside a request.
pub(crate) fn introduce(extensions: &mut http::Extensions, exchange: &Exchange) {
    extensions.insert(ConnectInfo::of(exchange));
    let tls = exchange.connection().tls.as_ref();
    if let Some(certificate) = tls.and_then(|tls| tls.client.clone()) {
        extensions.insert(certificate);
    }
}

/// Fields as a map.
pub(crate) fn header_map(fields: &Fields) -> HeaderMap {
    let mut values = BytesMut::with_capacity(value_bytes(fields));
    push_values(&mut values, fields);
    let mut map = HeaderMap::new();
    fill(&mut map, fields, values.freeze());
    map
}

/// The target, and the values of all fields one after the other: two parts of one buffer.
fn target_and_values(exchange: &Exchange) -> (Bytes, Bytes) {
    let fields = exchange.fields();
    let target_len = exchange.path().len() + exchange.query().map_or(0, |query| query.len() + 1);
    let mut text = BytesMut::with_capacity(target_len + value_bytes(fields));
    put_target(&mut text, exchange);
    push_values(&mut text, fields);
    let mut values = text.freeze();
    (values.split_to(target_len), values)
}

/// Writes the path as rewritten, with the query.
pub(crate) fn put_target(text: &mut impl BufMut, exchange: &Exchange) {
    text.put_slice(exchange.path().as_bytes());
    if let Some(query) = exchange.query() {
        text.put_slice(b"?");
        text.put_slice(query);
    }
}

fn value_bytes(fields: &Fields) -> usize {
    fields.iter().map(|(_, value)| value.len()).sum()
}

fn push_values(text: &mut BytesMut, fields: &Fields) {
    fields.iter().for_each(|(_, value)| text.extend_from_slice(value));
}

/// Fills a map with fields whose values are `values`. What cannot be a field is left out: the
/// engine lets nothing of the sort in.
fn fill(map: &mut HeaderMap, fields: &Fields, mut values: Bytes) {
    map.reserve(fields.len());
    for (name, value) in fields.iter() {
        let value = values.split_to(value.len());
        let name = match name {
            Name::Known(known) => NAMES.get(known as usize).cloned(),
            Name::Other(name) => HeaderName::from_bytes(name).ok(),
        };
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
            map.append(name, value);
        }
    }
}

/// The known names as those of the `http` crate: their clones allocate nothing and count nothing.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let lower = |known: &Known| &*known.as_str().to_ascii_lowercase().leak();
    Known::ALL.iter().map(|known| HeaderName::from_static(lower(known))).collect()
});

/// Adds a map to fields. The `http` crate lets nothing in that is no field of HTTP/1.1: names are
/// tokens, and values hold no control.
pub(crate) fn add_fields(fields: &mut Fields, map: &HeaderMap) {
    for (name, value) in map {
        fields.append(Name::from_bytes(name.as_str().as_bytes()), value.as_bytes().trim_ascii());
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
