//! Runs a decoder over input that arrives in pieces and collects what came out.

use stead_base::{HeadLimits, Limits, Reason};
use stead_http1::{
    Event, Fields, Framing, Method, RequestDecoder, RequestHead, ResponseDecoder, ResponseHead,
};

/// One request as a server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) complete: bool,
}

/// Everything one connection brought, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) requests: Vec<Request>,
    pub(crate) end: Result<(), Reason>,
}

/// One response as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) statuses: Vec<u16>,
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) excess: bool,
    pub(crate) switched: bool,
}

/// The limits of a server that configures none.
pub(crate) fn default_limits() -> HeadLimits {
    Limits::default().head()
}

/// Feeds a server's decoder with input that grows at each of `cuts`, then ends. Stops where a
/// server closes: after an error or a request that does not keep the connection.
pub(crate) fn requests(input: &[u8], cuts: &[usize], limits: HeadLimits) -> Requests {
    let mut decoder = RequestDecoder::new(limits, Some(1 << 20));
    let mut head = RequestHead::default();
    let mut pieces = Pieces::new(input, cuts);
    let mut requests: Vec<Request> = Vec::new();
    loop {
        let there = pieces.there();
        let step = match decoder.decode(there, &mut head) {
            Ok(step) => step,
            Err(reason) => return Requests { requests, end: Err(reason) },
        };
        let kept = head.keep_alive() && head.method() != Method::CONNECT;
        match (step.event, requests.last_mut()) {
            (Event::Head, _) => requests.push(request(&head)),
            (Event::Data(range), Some(request)) => request.body.extend_from_slice(&there[range]),
            (Event::Trailers, Some(request)) => request.trailers.clone_from(head.trailers()),
            (Event::End, Some(request)) => {
                request.complete = true;
                if !kept {
                    return Requests { requests, end: Ok(()) };
                }
            }
            (Event::Pending, _) => {
                if !pieces.grow() {
                    return Requests { requests, end: decoder.eof() };
                }
            }
            (event, None) => panic!("{event:?} before a head"),
        }
        pieces.consume(step.consumed);
    }
}

/// Feeds a client's decoder like [`requests`].
pub(crate) fn response(
    input: &[u8],
    cuts: &[usize],
    limits: HeadLimits,
    method: &Method,
) -> Result<Response, Reason> {
    let mut decoder = ResponseDecoder::new(limits, method);
    let mut head = ResponseHead::default();
    let mut pieces = Pieces::new(input, cuts);
    let mut statuses = Vec::new();
    let mut body = Vec::new();
    loop {
        let there = pieces.there();
        let step = decoder.decode(there, &mut head)?;
        let mut over = false;
        match step.event {
            Event::Head => statuses.push(head.status().as_u16()),
            Event::Data(range) => body.extend_from_slice(&there[range]),
            Event::Trailers => (),
            Event::End => over = true,
            Event::Pending if pieces.grow() => (),
            Event::Pending => {
                decoder.eof()?;
                over = true;
            }
        }
        pieces.consume(step.consumed);
        if over {
            return Ok(Response {
                statuses,
                fields: head.fields().clone(),
                framing: head.framing(),
                keep_alive: head.keep_alive(),
                body,
                trailers: head.trailers().clone(),
                excess: !pieces.is_empty(),
                switched: decoder.is_switched(),
            });
        }
    }
}

fn request(head: &RequestHead) -> Request {
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut text = format!(
        "{} {} {} host={} fields={} {:?}",
        head.method(),
        show(head.path()),
        head.version().as_str(),
        head.host().map_or("-".to_owned(), show),
        head.fields().len(),
        head.framing(),
    );
    let notes = [
        (head.query().is_some(), "query"),
        (head.scheme().is_some(), "absolute"),
        (head.keep_alive(), "keep"),
        (head.expects_continue(), "continue"),
        (head.upgrade().is_some(), "upgrade"),
        (head.fields().has_underscore(), "underscore"),
    ];
    for (_, note) in notes.iter().filter(|(holds, _)| *holds) {
        text.push(' ');
        text.push_str(note);
    }
    Request {
        head: text,
        method: head.method().to_string(),
        target: head.target().to_vec(),
        fields: head.fields().clone(),
        framing: head.framing(),
        body: Vec::new(),
        trailers: Fields::new(),
        complete: false,
    }
}

/// Input that is there from `from` to `to`, and more with each cut.
struct Pieces<'a> {
    input: &'a [u8],
    cuts: std::slice::Iter<'a, usize>,
    from: usize,
    to: usize,
}

impl<'a> Pieces<'a> {
    fn new(input: &'a [u8], cuts: &'a [usize]) -> Self {
        let mut pieces = Self { input, cuts: cuts.iter(), from: 0, to: 0 };
        pieces.grow();
        pieces
    }

    fn there(&self) -> &'a [u8] {
        &self.input[self.from..self.to]
    }

    fn is_empty(&self) -> bool {
        self.from == self.input.len()
    }

    fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.to - self.from, "consumed more than there was");
        self.from += bytes;
    }

    /// Whether there was more.
    fn grow(&mut self) -> bool {
        let before = self.to;
        while self.to == before && self.to < self.input.len() {
            let cut = self.cuts.next().copied().unwrap_or(self.input.len());
            self.to = cut.clamp(self.to, self.input.len());
        }
        self.to > before
    }
}
