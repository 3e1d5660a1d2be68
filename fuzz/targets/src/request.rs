//! Requests: the same events whatever the pieces, and written anew they are read the same.

use stead_base::{HeadLimits, Reason};
use stead_http1::encode::{self, RequestLine};
use stead_http1::{Event, RequestDecoder, RequestHead, Step};

use crate::transcript::{Decoder, Entry, check_pieces, fields};

/// Any bytes as what a client sends on one connection.
pub fn request(input: &[u8]) {
    let entries = check_pieces(Requests::new, input);
    for pair in entries.windows(2) {
        let ended = matches!(pair[0], Entry::Broken(_));
        assert!(!ended, "read on after an error: {entries:?}");
    }
}

/// The engine's decoder, with limits near enough for a fuzzer to reach them.
pub(crate) struct Requests {
    decoder: RequestDecoder,
    head: RequestHead,
}

impl Requests {
    pub(crate) fn new() -> Self {
        let decoder = RequestDecoder::new(LIMITS, Some(BODY_BYTES_MAX));
        Self { decoder, head: RequestHead::default() }
    }
}

impl Decoder for Requests {
    fn decode(&mut self, input: &[u8]) -> Result<Step, Reason> {
        self.decoder.decode(input, &mut self.head)
    }

    fn head(&mut self) -> String {
        check_written_anew(&self.head);
        shown(&self.head)
    }

    fn trailers(&self) -> String {
        fields(self.head.trailers())
    }

    fn eof(&mut self) -> Result<(), Reason> {
        self.decoder.eof()
    }

    fn goes_on(&self) -> bool {
        true
    }
}

fn shown(head: &RequestHead) -> String {
    format!(
        "{} {} {} {:?} {:?} {} {} {:?} {}",
        head.method(),
        head.target().escape_ascii(),
        head.version().as_str(),
        head.host().map(<[u8]>::escape_ascii).map(|host| host.to_string()),
        head.framing(),
        head.keep_alive(),
        head.expects_continue(),
        head.upgrade().map(<[u8]>::escape_ascii).map(|offer| offer.to_string()),
        fields(head.fields()),
    )
}

/// What was parsed, encoded as a forwarded request, is parsed to the same again: no second reader
/// can see another message than we did.
fn check_written_anew(head: &RequestHead) {
    // HTTP/1.0 without Host cannot be written as HTTP/1.1.
    let Some(host) = head.host() else { return };
    let line = RequestLine {
        method: head.method(),
        target: head.target(),
        host: Some(host),
        framing: head.framing(),
        keep_alive: true,
        upgrade: None,
    };
    let mut bytes = Vec::new();
    encode::request_head(&mut bytes, &line, head.fields());
    let mut decoder = RequestDecoder::new(WIDER, None);
    let mut again = RequestHead::default();
    let step = decoder.decode(&bytes, &mut again);
    let whole = Ok(Step { consumed: bytes.len(), event: Event::Head });
    assert_eq!(step, whole, "what we wrote is refused: {}", bytes.escape_ascii());
    assert_eq!(again.method(), head.method());
    assert_eq!(again.target(), head.target());
    assert_eq!(again.path(), head.path());
    assert_eq!(again.query(), head.query());
    assert_eq!(again.host(), head.host());
    assert_eq!(again.framing(), head.framing(), "{}", bytes.escape_ascii());
}

pub(crate) const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 1024, field_count_max: 16, uri_bytes_max: 256 };

/// Room for what we add when we write a head.
pub(crate) const WIDER: HeadLimits =
    HeadLimits { head_bytes_max: 8192, field_count_max: 64, uri_bytes_max: 512 };

const BODY_BYTES_MAX: u64 = 1024;
