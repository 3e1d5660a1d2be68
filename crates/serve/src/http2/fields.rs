//! The head of an answer as the `http` crate's, which the protocol takes.
//!
//! PERF: a head like the one that is kept is a clone of it. Of others, names of the table are
//! clones that allocate nothing; values that tend to repeat are shared with the last answer that
//! had the same, and the rest shares one buffer.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use stead_core::{Fields, Name, Response};
use stead_http1::Known;
use stead_http1::encode::{self, ResponseLine};

/// What is kept of a worker's last answers.
#[derive(Default)]
pub(crate) struct Stamps {
    /// Of each known name one value.
    values: RefCell<Vec<Option<HeaderValue>>>,
    head: RefCell<Option<Head>>,
    /// The number of fields and the length of the last answer: a head is kept when they come twice
    /// in a row, not while every answer is another.
    last: Cell<(usize, Option<u64>)>,
}

/// A head that was sent, and what it was made of.
struct Head {
    fields: Fields,
    length: Option<u64>,
    date: [u8; 29],
    map: HeaderMap,
    bytes: u64,
}

/// Longer values are not kept.
const STAMP_BYTES_MAX: usize = 64;
/// Nor are longer heads.
const HEAD_BYTES_MAX: u64 = 512;

impl Stamps {
    /// The head of an answer that is the same as the one that is kept.
    fn known(&self, fields: &Fields, length: Option<u64>, date: &[u8]) -> Option<(HeaderMap, u64)> {
        let head = self.head.borrow();
        let head = head.as_ref()?;
        let is_same = head.length == length && head.date == date && head.fields == *fields;
        is_same.then(|| (head.map.clone(), head.bytes))
    }

    fn keep(&self, head: impl FnOnce() -> Head, bytes: u64, kind: (usize, Option<u64>)) {
        if self.last.replace(kind) == kind && bytes <= HEAD_BYTES_MAX {
            *self.head.borrow_mut() = Some(head());
        }
    }
}

/// Whether many answers have the same value. SECURITY: nothing that is for one client alone.
fn repeats(known: Known) -> bool {
    use Known as K;
    matches!(
        known,
        K::Date
            | K::Server
            | K::ContentType
            | K::ContentLength
            | K::ContentEncoding
            | K::CacheControl
            | K::Vary
            | K::AcceptRanges
    )
}

/// The fields of one head on their way to the `http` crate's.
struct Writer<'a> {
    map: HeaderMap,
    stamps: &'a Stamps,
    /// What is in no stamp.
    values: BytesMut,
    /// Bytes of all values, at most.
    bytes: usize,
}

impl<'a> Writer<'a> {
    fn new(fields: &Fields, stamps: &'a Stamps) -> Self {
        let bytes = fields.iter().map(|(_, value)| value.len()).sum();
        let map = HeaderMap::with_capacity(fields.len() + OWN_FIELDS);
        Self { map, stamps, values: BytesMut::new(), bytes }
    }

    fn append(&mut self, name: Name<'_>, value: &[u8]) {
        let (name, value) = match name {
            Name::Known(known) => (NAMES.get(known as usize).cloned(), self.stamped(known, value)),
            Name::Other(name) => (HeaderName::from_bytes(name).ok(), self.value(value)),
        };
        // What the `http` crate takes for no field is no field of ours either.
        if let (Some(name), Some(value)) = (name, value) {
            self.map.append(name, value);
        }
    }

    fn stamped(&mut self, known: Known, value: &[u8]) -> Option<HeaderValue> {
        if value.len() > STAMP_BYTES_MAX || !repeats(known) {
            return self.value(value);
        }
        let mut stamps = self.stamps.values.borrow_mut();
        if stamps.is_empty() {
            stamps.resize(Known::ALL.len(), None);
        }
        let stamp = stamps.get_mut(known as usize)?;
        if stamp.as_ref().is_none_or(|stamp| stamp.as_bytes() != value) {
            *stamp = HeaderValue::from_bytes(value).ok();
        }
        stamp.clone()
    }

    fn value(&mut self, value: &[u8]) -> Option<HeaderValue> {
        if self.values.capacity() < value.len() {
            self.values = BytesMut::with_capacity(self.bytes.max(value.len()));
        }
        self.values.put_slice(value);
        HeaderValue::from_maybe_shared(self.values.split().freeze()).ok()
    }
}

/// The fields of an answer, and about how many bytes they are.
pub(super) fn of_answer(
    answer: &Response,
    line: &ResponseLine,
    stamps: &Stamps,
    date: [u8; 29],
) -> (HeaderMap, u64) {
    let (fields, length) = (&answer.fields, line.stated_length());
    if let Some(known) = stamps.known(fields, length, &date) {
        return known;
    }
    let mut writer = Writer::new(fields, stamps);
    let (mut has_date, mut has_server) = (false, false);
    let mut bytes = OWN_BYTES;
    for (name, value) in encode::end_to_end(fields) {
        has_date |= name == stead_core::name::DATE;
        has_server |= name == stead_core::name::SERVER;
        bytes += (name.as_bytes().len() + value.len()) as u64;
        writer.append(name, value);
    }
    if let Some(length) = length {
        let mut digits = itoa::Buffer::new();
        writer.append(Name::Known(Known::ContentLength), digits.format(length).as_bytes());
    }
    if !has_server {
        writer.map.append(http::header::SERVER, HeaderValue::from_static("stead"));
    }
    if !has_date {
        writer.append(stead_core::name::DATE, &date);
    }
    let map = writer.map;
    let head = || Head { fields: fields.clone(), length, date, map: map.clone(), bytes };
    stamps.keep(head, bytes, (fields.len(), length));
    (map, bytes)
}

/// Trailers; what frames, routes or authenticates is dropped.
pub(super) fn of_trailers(fields: &Fields, stamps: &Stamps) -> HeaderMap {
    let mut writer = Writer::new(fields, stamps);
    for (name, value) in fields.iter() {
        match name {
            Name::Known(known) if !known.is_allowed_in_trailers() => {}
            _ => writer.append(name, value),
        }
    }
    writer.map
}

/// Length, server and date.
const OWN_FIELDS: usize = 3;
/// About what status, date, server and length are long.
const OWN_BYTES: u64 = 70;

/// The known names as those of the `http` crate.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let lower = |known: &Known| &*known.as_str().to_ascii_lowercase().leak();
    Known::ALL.iter().map(|known| HeaderName::from_static(lower(known))).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use stead_core::{StatusCode, Version, name};
    use stead_http1::Framing;

    fn head(stamps: &Stamps, kind: &str, length: u64, date: u8) -> String {
        let mut answer = Response::new(StatusCode::OK);
        answer.fields.append(name::CONTENT_TYPE, kind.as_bytes());
        answer.fields.append(name::CONNECTION, b"close");
        let line = ResponseLine {
            version: Version::Http2,
            status: answer.status,
            framing: Framing::Length(length),
            keep_alive: true,
            to_head: false,
        };
        let (map, bytes) = of_answer(&answer, &line, stamps, [date; 29]);
        let [kind, stated, server, date] =
            ["content-type", "content-length", "server", "date"].map(|name| &map[name]);
        assert_eq!(map.len(), 4);
        format!("{kind:?} {stated:?} {server:?} {:?} {bytes}", date.as_bytes().first())
    }

    #[test]
    fn a_head_is_kept_only_for_the_same_answer() {
        let answers = [("a/b", 1, b'1'), ("a/c", 1, b'1'), ("a/c", 2, b'1'), ("a/c", 2, b'2')];
        let expected = answers
            .map(|(kind, length, date)| format!("{kind:?} \"{length}\" \"stead\" Some({date}) 85"));
        let stamps = Stamps::default();
        for _ in 0..3 {
            for ((kind, length, date), expected) in answers.iter().zip(&expected) {
                for _ in 0..3 {
                    assert_eq!(head(&stamps, kind, *length, *date), *expected);
                }
                assert!(stamps.head.borrow().is_some(), "the second of a kind is kept");
            }
        }
        let long = "a".repeat(600);
        for _ in 0..3 {
            head(&stamps, &long, 3, b'3');
        }
        let head = stamps.head.borrow();
        assert!(head.as_ref().is_some_and(|head| head.length == Some(2)), "too long to be kept");
    }
}
