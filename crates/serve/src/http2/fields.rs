//! The head of an answer as the `http` crate's, which the protocol takes.
//!
//! PERF: names of the table are clones that allocate nothing; the values of one head share one
//! buffer; date and server are made once a second and once.

use std::cell::RefCell;
use std::sync::LazyLock;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use stead_core::{Fields, Name, Response, Worker};
use stead_http1::Known;
use stead_http1::encode::{self, ResponseLine};

/// Values that many answers share.
#[derive(Default)]
pub(crate) struct Stamps(RefCell<Option<([u8; 29], HeaderValue)>>);

impl Stamps {
    fn date(&self, worker: &Worker) -> HeaderValue {
        let date = worker.date();
        let mut known = self.0.borrow_mut();
        match &*known {
            Some((text, value)) if *text == date => value.clone(),
            _ => {
                let value = HeaderValue::from_bytes(&date);
                let value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
                *known = Some((date, value.clone()));
                value
            }
        }
    }
}

/// The fields of an answer, and about how many bytes they are.
pub(super) fn of_answer(
    answer: &Response,
    line: &ResponseLine,
    stamps: &Stamps,
    worker: &Worker,
) -> (HeaderMap, u64) {
    let mut map = HeaderMap::with_capacity(answer.fields.len() + 3);
    let (mut has_date, mut has_server) = (false, false);
    let mut values = BytesMut::with_capacity(value_bytes(&answer.fields) + LENGTH_DIGITS);
    let mut bytes = 0;
    for (name, value) in encode::end_to_end(&answer.fields) {
        has_date |= name == stead_core::name::DATE;
        has_server |= name == stead_core::name::SERVER;
        bytes += name.as_bytes().len() + value.len();
        append(&mut map, name, value, &mut values);
    }
    if let Some(length) = line.stated_length() {
        let mut digits = itoa::Buffer::new();
        let name = Name::Known(Known::ContentLength);
        append(&mut map, name, digits.format(length).as_bytes(), &mut values);
    }
    if !has_server {
        map.append(http::header::SERVER, HeaderValue::from_static("stead"));
    }
    if !has_date {
        map.append(http::header::DATE, stamps.date(worker));
    }
    (map, bytes as u64 + OWN_BYTES)
}

/// Trailers; what frames, routes or authenticates is dropped.
pub(super) fn of_trailers(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    let mut values = BytesMut::with_capacity(value_bytes(fields));
    for (name, value) in fields.iter() {
        match name {
            Name::Known(known) if !known.is_allowed_in_trailers() => {}
            _ => append(&mut map, name, value, &mut values),
        }
    }
    map
}

fn append(map: &mut HeaderMap, name: Name<'_>, value: &[u8], values: &mut BytesMut) {
    values.put_slice(value);
    let value = HeaderValue::from_maybe_shared(values.split().freeze());
    let name = match name {
        Name::Known(known) => NAMES.get(known as usize).cloned(),
        Name::Other(name) => HeaderName::from_bytes(name).ok(),
    };
    // What the `http` crate takes for no field is no field of ours either.
    if let (Some(name), Ok(value)) = (name, value) {
        map.append(name, value);
    }
}

fn value_bytes(fields: &Fields) -> usize {
    fields.iter().map(|(_, value)| value.len()).sum()
}

/// Digits of the longest length.
const LENGTH_DIGITS: usize = 20;
/// About what status, date, server and length are long.
const OWN_BYTES: u64 = 70;

/// The known names as those of the `http` crate.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let lower = |known: &Known| &*known.as_str().to_ascii_lowercase().leak();
    Known::ALL.iter().map(|known| HeaderName::from_static(lower(known))).collect()
});
