//! The head of an answer as the `http` crate's, which the protocol takes.
//!
//! PERF: names of the table are clones that allocate nothing; values that tend to repeat are shared
//! with the last answer that had the same, the others of one head share one buffer.

use std::cell::RefCell;
use std::sync::LazyLock;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use stead_core::{Fields, Name, Response, Worker};
use stead_http1::Known;
use stead_http1::encode::{self, ResponseLine};

/// The values of a worker's last answers: of each known name one.
#[derive(Default)]
pub(crate) struct Stamps(RefCell<Vec<Option<HeaderValue>>>);

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
        let mut stamps = self.stamps.0.borrow_mut();
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
    worker: &Worker,
) -> (HeaderMap, u64) {
    let mut writer = Writer::new(&answer.fields, stamps);
    let (mut has_date, mut has_server) = (false, false);
    let mut bytes = 0;
    for (name, value) in encode::end_to_end(&answer.fields) {
        has_date |= name == stead_core::name::DATE;
        has_server |= name == stead_core::name::SERVER;
        bytes += name.as_bytes().len() + value.len();
        writer.append(name, value);
    }
    if let Some(length) = line.stated_length() {
        let mut digits = itoa::Buffer::new();
        writer.append(Name::Known(Known::ContentLength), digits.format(length).as_bytes());
    }
    if !has_server {
        writer.map.append(http::header::SERVER, HeaderValue::from_static("stead"));
    }
    if !has_date {
        writer.append(stead_core::name::DATE, &worker.date());
    }
    (writer.map, bytes as u64 + OWN_BYTES)
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
