//! Decodes responses: the client side, for proxies and checks.
//!
//! As strict as the request side and by the same code; whatever an upstream breaks is one reason,
//! answered with 502, and its connection must not be used again. A message is up to eight interim
//! `Head`s, one final `Head`, `Data`, `Trailers` if there are some, and `End`. RFC 9112 §4, §6.3,
//! §9.2.

use http::{Method, StatusCode};
use stead_base::{HeadLimits, Reason};

use crate::body::Body;
use crate::fields::Fields;
use crate::framing::{Framing, Marks, Version};
use crate::lines::{FieldLines, Verdict};
use crate::name;
use crate::scan::{self, LineEnd};
use crate::{Event, Step};

/// The head of one response. Cleared heads keep their memory.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    version: Version,
    status: StatusCode,
    marks: Marks,
    framing: Framing,
    fields: Fields,
    trailers: Fields,
}

impl ResponseHead {
    /// Forgets the response and keeps the memory.
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.status = StatusCode::OK;
        self.marks = Marks::default();
        self.framing = Framing::None;
        self.fields.clear();
        self.trailers.clear();
    }

    /// Gives memory back beyond `bytes_max` bytes of text; for pools of reused heads.
    pub fn shrink_to(&mut self, bytes_max: usize) {
        self.fields.shrink_to(bytes_max);
        self.trailers.shrink_to(bytes_max);
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The status, 100 to 599. Its phrase is not kept.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether another head follows: every 1xx but 101.
    pub fn is_informational(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to change. Framing and connection of this head stay as they were parsed.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// The trailers, complete after `Event::Trailers`.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// How the body that follows is delimited; `None` for none, whatever length was stated.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The stated length, also of a body that does not follow (HEAD, 304).
    pub fn content_length(&self) -> Option<u64> {
        self.marks.content_length()
    }

    /// Whether the upstream keeps the connection after this response. Excess bytes behind it, or an
    /// error, forbid its use all the same.
    pub fn keep_alive(&self) -> bool {
        let switched = self.status == StatusCode::SWITCHING_PROTOCOLS;
        self.framing != Framing::Close && !switched && self.marks.keep_alive(self.version)
    }

    /// The protocol that a 101 switches to.
    pub fn upgrade(&self) -> Option<&[u8]> {
        if self.marks.lists_upgrade() { self.fields.get(name::UPGRADE) } else { None }
    }
}

/// Decodes the response to one request at a time.
#[derive(Clone, Debug)]
pub struct ResponseDecoder {
    limits: HeadLimits,
    request: Request,
    /// Interim heads so far.
    interim: u8,
    state: State,
}

/// What of the request decides about the response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Head,
    Connect,
    Other,
}

#[derive(Clone, Debug)]
enum State {
    /// In the status line, of whose bytes so many were searched.
    Line {
        clean: u32,
    },
    Fields(FieldLines),
    Body(Body),
    End,
    /// What follows is not HTTP/1.1.
    Switched,
    Failed,
}

impl ResponseDecoder {
    /// A decoder for the response to a request by `method`; `limits.uri_bytes_max` has no meaning.
    pub fn new(limits: HeadLimits, method: &Method) -> Self {
        Self { limits, request: Request::of(method), interim: 0, state: State::Line { clean: 0 } }
    }

    /// Begins the response to the next request on the same connection.
    pub fn restart(&mut self, method: &Method) {
        *self = Self::new(self.limits, method);
    }

    /// Whether a byte of the response was seen.
    pub fn has_begun(&self) -> bool {
        self.interim > 0 || !matches!(self.state, State::Line { clean: 0 })
    }

    /// Whether the response is over. Input that is not consumed then is excess, and the connection
    /// must not be used again.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Whether the protocol was switched (101, or 2xx to CONNECT): what is not consumed belongs to
    /// the tunnel.
    pub fn is_switched(&self) -> bool {
        matches!(self.state, State::Switched)
    }

    /// Takes note that the upstream sends nothing more: the end of a close-delimited body.
    ///
    /// # Errors
    /// `BadUpstreamResponse` if the response was not complete.
    pub fn eof(&mut self) -> Result<(), Reason> {
        match self.state {
            State::Body(Body::Close | Body::Length(0)) => {
                self.state = State::End;
                Ok(())
            }
            State::End | State::Switched => Ok(()),
            _ => {
                self.state = State::Failed;
                Err(Reason::BadUpstreamResponse)
            }
        }
    }

    /// Decodes up to the next event, as [`crate::RequestDecoder::decode`] does. After the protocol
    /// was switched it says `End` and consumes nothing.
    ///
    /// # Errors
    /// `BadUpstreamResponse` for every broken rule or limit, and for input after the end.
    pub fn decode(&mut self, input: &[u8], head: &mut ResponseHead) -> Result<Step, Reason> {
        self.advance(input, head).map_err(|_| {
            self.state = State::Failed;
            Reason::BadUpstreamResponse
        })
    }

    fn advance(&mut self, input: &[u8], head: &mut ResponseHead) -> Result<Step, Reason> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match &mut self.state {
                State::Line { clean } => match status_line(rest, clean, &self.limits, head)? {
                    Some(used) => {
                        at += used;
                        self.state = State::Fields(FieldLines::new(&self.limits, used as u32));
                    }
                    None => return Ok(Step::pending(at)),
                },
                State::Fields(lines) => {
                    let marks = &mut head.marks;
                    let progress = lines.read(rest, &mut head.fields, |known, value| {
                        if let Some(known) = known {
                            marks.note(known, value);
                        }
                        Ok(Verdict::Keep)
                    })?;
                    at += progress.consumed;
                    if !progress.complete {
                        return Ok(Step::pending(at));
                    }
                    self.state = self.after_head(head)?;
                    return Ok(Step { consumed: at, event: Event::Head });
                }
                State::Body(body) => {
                    let step = body.decode(rest, u64::MAX, &mut head.trailers)?;
                    if step.event == Event::End {
                        self.state = State::End;
                    }
                    return Ok(step);
                }
                State::Switched => return Ok(Step { consumed: 0, event: Event::End }),
                State::End if rest.is_empty() => {
                    return Ok(Step { consumed: 0, event: Event::End });
                }
                State::End | State::Failed => return Err(Reason::BadUpstreamResponse),
            }
        }
    }

    /// What follows a complete head (RFC 9112 §6.3).
    fn after_head(&mut self, head: &mut ResponseHead) -> Result<State, Reason> {
        let stated = head.marks.stated_framing(head.version)?;
        let status = head.status;
        if head.is_informational() {
            self.interim += 1;
            let allowed = self.interim <= INTERIM_MAX;
            return if allowed {
                Ok(State::Line { clean: 0 })
            } else {
                Err(Reason::BadUpstreamResponse)
            };
        }
        let tunnel = self.request == Request::Connect && status.is_success();
        if tunnel || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(State::Switched);
        }
        let bodiless = self.request == Request::Head || matches!(status.as_u16(), 204 | 304);
        head.framing = if bodiless { Framing::None } else { stated.unwrap_or(Framing::Close) };
        Ok(State::Body(Body::new(head.framing, &self.limits)))
    }
}

impl Request {
    fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Reads the status line into `head`; returns its bytes with CRLF once it is complete.
fn status_line(
    rest: &[u8],
    clean: &mut u32,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Reason> {
    let within = |bytes: usize| {
        let fits = bytes <= limits.head_bytes_max as usize;
        if fits { Ok(bytes) } else { Err(Reason::BadUpstreamResponse) }
    };
    match scan::line_end(rest, *clean as usize) {
        LineEnd::At(end) => {
            let used = within(end + 2)?;
            head.clear();
            parse_status_line(rest.get(..end).unwrap_or_default(), head)?;
            Ok(Some(used))
        }
        LineEnd::Partial(end) => {
            *clean = within(end)? as u32;
            Ok(None)
        }
        LineEnd::Bad(_) => Err(Reason::BadUpstreamResponse),
    }
}

/// `VERSION SP STATUS [SP PHRASE]`. The blank before an empty phrase is often forgotten and cannot
/// be misread, so it may be missing.
fn parse_status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), Reason> {
    let (version, rest) = line.split_at_checked(8).ok_or(Reason::BadUpstreamResponse)?;
    head.version = Version::parse(version)?;
    let [b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', phrase @ ..] = rest else {
        return Err(Reason::BadUpstreamResponse);
    };
    head.status = StatusCode::from_bytes(&[*a, *b, *c]).map_err(|_| Reason::BadUpstreamResponse)?;
    if matches!(phrase, [] | [b' ', ..]) { Ok(()) } else { Err(Reason::BadUpstreamResponse) }
}

/// How many interim heads one response may have; more is no honest upstream.
const INTERIM_MAX: u8 = 8;

#[cfg(test)]
mod tests;
