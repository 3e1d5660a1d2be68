//! Responses: the same events whatever the pieces, and written anew they are read the same.
//!
//! The first byte of the input chooses the request's method, which decides whether a body follows.

use stead_base::Reason;
use stead_http1::encode::{self, ResponseLine};
use stead_http1::{Event, Framing, Method, ResponseDecoder, ResponseHead, Step, Version};

use crate::request::{LIMITS, WIDER};
use crate::transcript::{Decoder, check_pieces, fields};

/// Any bytes as what an upstream answers to one request.
pub fn response(input: &[u8]) {
    let Some((&first, answer)) = input.split_first() else { return };
    let methods = [Method::GET, Method::HEAD, Method::CONNECT];
    let method = &methods[usize::from(first) % methods.len()];
    check_pieces(|| Responses::new(method), answer);
}

struct Responses {
    decoder: ResponseDecoder,
    head: ResponseHead,
    method: Method,
}

impl Responses {
    fn new(method: &Method) -> Self {
        let decoder = ResponseDecoder::new(LIMITS, method);
        Self { decoder, head: ResponseHead::default(), method: method.clone() }
    }
}

impl Decoder for Responses {
    fn decode(&mut self, input: &[u8]) -> Result<Step, Reason> {
        self.decoder.decode(input, &mut self.head)
    }

    fn head(&mut self) -> String {
        if !self.head.is_informational() && !self.decoder.is_switched() {
            check_written_anew(&self.head, &self.method);
        }
        shown(&self.head)
    }

    fn trailers(&self) -> String {
        fields(self.head.trailers())
    }

    fn eof(&mut self) -> Result<(), Reason> {
        self.decoder.eof()
    }

    fn goes_on(&self) -> bool {
        assert!(self.decoder.is_complete() || self.decoder.is_switched());
        false
    }
}

fn shown(head: &ResponseHead) -> String {
    format!(
        "{} {} {:?} {:?} {} {:?} {}",
        head.version().as_str(),
        head.status(),
        head.framing(),
        head.content_length(),
        head.keep_alive(),
        head.upgrade().map(<[u8]>::escape_ascii).map(|protocol| protocol.to_string()),
        fields(head.fields()),
    )
}

/// What was parsed, encoded as our own answer, is parsed to the same again.
fn check_written_anew(head: &ResponseHead, method: &Method) {
    let line = ResponseLine {
        version: Version::Http11,
        status: head.status(),
        framing: head.content_length().map_or(head.framing(), Framing::Length),
        keep_alive: head.keep_alive(),
        to_head: *method == Method::HEAD,
    };
    let mut bytes = Vec::new();
    let promise = encode::response_head(&mut bytes, &line, head.fields(), None, None);
    let mut decoder = ResponseDecoder::new(WIDER, method);
    let mut again = ResponseHead::default();
    let step = decoder.decode(&bytes, &mut again);
    let whole = Ok(Step { consumed: bytes.len(), event: Event::Head });
    assert_eq!(step, whole, "what we wrote is refused: {}", bytes.escape_ascii());
    assert_eq!(again.status(), head.status());
    assert_eq!(again.framing(), head.framing(), "{}", bytes.escape_ascii());
    assert_eq!(promise.framing, head.framing(), "{}", bytes.escape_ascii());
    assert_eq!(again.keep_alive(), promise.keep_alive, "{}", bytes.escape_ascii());
}
