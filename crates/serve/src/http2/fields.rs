//! The head of an answer as the `http` crate's, which the protocol takes.
//!
//! PERF: a head that comes again and again is a clone of the one before (2 % of a small answer). Of
//! others, names of the table are clones that allocate nothing; values that tend to repeat are
//! shared with the last answer that had the same, the rest of one head shares one buffer.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
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
    /// The digest of the last answer's head: one is kept when it comes twice in a row.
    last: Cell<u64>,
}

/// A head that was sent, and what it was made of.
struct Head {
    fields: Fields,
    length: Option<u64>,
    date: [u8; 29],
    digest: u64,
    map: HeaderMap,
    bytes: u64,
}

/// Longer heads are not kept.
const HEAD_BYTES_MAX: usize = 512;

impl Stamps {
    /// The head of an answer that is the same as the one that is kept.
    fn known(
        &self,
        fields: &Fields,
        length: Option<u64>,
        date: &[u8; 29],
    ) -> Option<(HeaderMap, u64)> {
        let head = self.head.borrow();
        let head = head.as_ref()?;
        if head.length != length || head.date != *date || head.fields != *fields {
            return None;
        }
        self.last.set(head.digest);
        Some((head.map.clone(), head.bytes))
    }

    /// Keeps a head that came twice. SECURITY: no cookie, which is for one client alone.
    fn keep(
        &self,
        fields: &Fields,
        length: Option<u64>,
        date: [u8; 29],
        (map, bytes): (&HeaderMap, u64),
    ) {
        let mut hasher = DefaultHasher::new();
        length.hash(&mut hasher);
        let mut text = 0;
        for (name, value) in fields.iter() {
            name.as_bytes().hash(&mut hasher);
            value.hash(&mut hasher);
            text += name.as_bytes().len() + value.len();
        }
        let digest = hasher.finish();
        let came_before = self.last.replace(digest) == digest;
        if !came_before || text > HEAD_BYTES_MAX || fields.contains(stead_core::name::SET_COOKIE) {
            return;
        }
        let mut kept = Fields::new();
        for (name, value) in fields.iter() {
            kept.append(name, value);
        }
        let map = map.clone();
        *self.head.borrow_mut() = Some(Head { fields: kept, length, date, digest, map, bytes });
    }
}

/// Longer values are not kept.
const STAMP_BYTES_MAX: usize = 64;

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
    stamps.keep(fields, length, date, (&map, bytes));
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

    /// The head of an answer with these fields.
    fn head(stamps: &Stamps, more: (Name<'_>, &str), length: u64, date: u8) -> HeaderMap {
        let mut answer = Response::new(StatusCode::OK);
        answer.fields.append(Name::Other(b"X-Own"), b"own");
        answer.fields.append(more.0, more.1.as_bytes());
        let line = ResponseLine {
            version: Version::Http2,
            status: answer.status,
            framing: Framing::Length(length),
            keep_alive: true,
            to_head: false,
        };
        let (map, _) = of_answer(&answer, &line, stamps, [date; 29]);
        assert_eq!(map.len(), 5);
        assert_eq!(map["x-own"], "own");
        assert_eq!(map["server"], "stead");
        assert_eq!(map["content-length"], *length.to_string());
        assert_eq!(map["date"].as_bytes(), [date; 29]);
        let name = std::str::from_utf8(more.0.as_bytes()).unwrap().to_ascii_lowercase();
        assert_eq!(map[&name], more.1);
        map
    }

    /// Whether two heads are one: a value that is in no stamp is in the same place.
    fn is_same(one: &HeaderMap, other: &HeaderMap) -> bool {
        one["x-own"].as_bytes().as_ptr() == other["x-own"].as_bytes().as_ptr()
    }

    #[test]
    fn a_head_that_comes_again_is_a_clone_and_no_other() {
        let (stamps, kind) = (Stamps::default(), name::CONTENT_TYPE);
        let others = [((kind, "a/c"), 1), ((kind, "a/b"), 2), ((name::VARY, "a/b"), 1)];
        let first = head(&stamps, (kind, "a/b"), 1, b'1');
        let second = head(&stamps, (kind, "a/b"), 1, b'1');
        assert!(!is_same(&first, &second), "it came once");
        for (more, length) in others {
            assert!(is_same(&second, &head(&stamps, (kind, "a/b"), 1, b'1')), "it is kept");
            assert!(!is_same(&second, &head(&stamps, more, length, b'1')), "{more:?}");
        }
        // What comes by turns takes nobody's place, and the next second its own.
        assert!(is_same(&second, &head(&stamps, (kind, "a/b"), 1, b'1')));
        let later = head(&stamps, (kind, "a/b"), 1, b'2');
        assert!(!is_same(&second, &later));
        assert!(is_same(&later, &head(&stamps, (kind, "a/b"), 1, b'2')));
    }

    #[test]
    fn no_head_is_kept_that_has_a_cookie_or_is_long() {
        let long = "a".repeat(HEAD_BYTES_MAX);
        for more in [(name::SET_COOKIE, "a=b"), (name::VARY, &*long)] {
            let stamps = Stamps::default();
            for _ in 0..4 {
                head(&stamps, more, 1, b'1');
            }
            assert!(stamps.head.borrow().is_none(), "{more:?}");
        }
    }
}
