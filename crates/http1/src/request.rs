//! Decodes requests: bytes in, events out, one message after another on a connection.
//!
//! A message is `Head`, then any number of `Data`, then `Trailers` if there are some, then `End`.
//! States and ways are in `LIFECYCLE.md`. Errors depend on the bytes only, never on how the input
//! was cut; after one the decoder stays failed, so that nothing behind it is read as a request.
//! RFC 9112 §2.2, §3, §6.

use http::Method;
use stead_base::{HeadLimits, Reason};

use crate::body::Body;
use crate::framing::{Framing, Version};
use crate::head::RequestHead;
use crate::lines::{FieldLines, Verdict};
use crate::scan::{self, LineEnd};
use crate::{Event, Step};

/// Decodes the requests of one connection.
///
/// ```
/// use stead_http1::{Event, RequestDecoder, RequestHead};
///
/// let mut decoder = RequestDecoder::new(stead_base::Limits::default().head(), Some(1 << 20));
/// let mut head = RequestHead::default();
/// let input = b"GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n";
/// let step = decoder.decode(input, &mut head)?;
/// assert_eq!((step.consumed, step.event), (input.len(), Event::Head));
/// assert_eq!((head.path(), head.query()), (&b"/a"[..], Some(&b"b"[..])));
/// assert_eq!(decoder.decode(b"", &mut head)?.event, Event::End);
/// assert!(decoder.is_idle());
/// # Ok::<(), stead_base::Reason>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestDecoder {
    limits: HeadLimits,
    body_bytes_max: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Between messages; an empty line may be skipped if none was.
    Start {
        skipped: Skipped,
    },
    /// In the request line, of whose bytes so many were searched.
    Line {
        clean: u32,
    },
    Fields(FieldLines),
    /// After the head, before anyone asked for the body.
    BodyStart(Framing),
    Body(Body),
    Failed(Reason),
}

/// How much of the one empty line before a request was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    Nothing,
    Cr,
    CrLf,
}

impl RequestDecoder {
    /// A decoder for a fresh connection; `body_bytes_max` is the limit of bodies that no route
    /// overrides.
    pub fn new(limits: HeadLimits, body_bytes_max: Option<u64>) -> Self {
        let state = State::Start { skipped: Skipped::Nothing };
        Self { limits, body_bytes_max: body_bytes_max.unwrap_or(u64::MAX), state }
    }

    /// Sets the limit of bodies in bytes, from now on; a route may do so between `Event::Head` and
    /// the next call. The server's limit must be set again after `Event::End`.
    pub fn set_body_max(&mut self, body_bytes_max: Option<u64>) {
        self.body_bytes_max = body_bytes_max.unwrap_or(u64::MAX);
    }

    /// Whether no message has begun since the last one ended: the connection may rest if the input
    /// is empty too. A skipped empty line is the beginning of one: more of them are refused.
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Start { skipped: Skipped::Nothing })
    }

    /// Whether a head has begun and is not complete.
    #[inline]
    pub fn head_started(&self) -> bool {
        matches!(
            self.state,
            State::Start { skipped: Skipped::Cr } | State::Line { .. } | State::Fields(_)
        )
    }

    /// Ends a message that has no body bytes, in place of the `decode` call that would say `End`.
    /// Does nothing in any other state, so it may be called after every `Event::Head`. Returns
    /// whether the message is over.
    #[inline]
    pub fn finish_empty(&mut self) -> bool {
        let empty = matches!(self.state, State::BodyStart(Framing::None | Framing::Length(0)));
        if empty {
            self.state = State::Start { skipped: Skipped::Nothing };
        }
        empty
    }

    /// Says what it means that the peer sends nothing more.
    ///
    /// # Errors
    /// `ClientClosedInHead` or `BodyTruncated` if it broke off, or the error met before.
    pub fn eof(&self) -> Result<(), Reason> {
        match &self.state {
            State::Start { .. } | State::BodyStart(Framing::None | Framing::Length(0)) => Ok(()),
            State::Line { .. } | State::Fields(_) => Err(Reason::ClientClosedInHead),
            State::BodyStart(_) | State::Body(_) => Err(Reason::BodyTruncated),
            State::Failed(reason) => Err(*reason),
        }
    }

    /// Decodes up to the next event. `input` is all that was received and not consumed; the caller
    /// drops `consumed` bytes of it before the next call. `head` must be the same from the first
    /// byte of a message to its end; it is cleared when one begins, and holds what was parsed after
    /// an error.
    ///
    /// # Errors
    /// The rule or limit that the peer broke. Every later call returns the same.
    pub fn decode(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Step, Reason> {
        let outcome = self.advance(input, head);
        if let Err(reason) = outcome {
            self.state = State::Failed(reason);
        }
        outcome
    }

    fn advance(&mut self, input: &[u8], head: &mut RequestHead) -> Result<Step, Reason> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match &mut self.state {
                State::Start { skipped } => {
                    let (next, used) = start(*skipped, rest)?;
                    at += used;
                    self.state = if let Some(skipped) = next {
                        State::Start { skipped }
                    } else {
                        head.clear();
                        State::Line { clean: 0 }
                    };
                    if rest.len() == used {
                        return Ok(Step::pending(at));
                    }
                }
                State::Line { clean } => match request_line(rest, clean, &self.limits, head)? {
                    Some(used) => {
                        at += used;
                        self.state = State::Fields(FieldLines::new(&self.limits, used as u32));
                    }
                    None => return Ok(Step::pending(at)),
                },
                State::Fields(lines) => {
                    let progress = read_fields(lines, rest, head)?;
                    at += progress.consumed;
                    if !progress.complete {
                        return Ok(Step::pending(at));
                    }
                    head.finish()?;
                    self.state = State::BodyStart(head.framing());
                    return Ok(Step { consumed: at, event: Event::Head });
                }
                State::BodyStart(framing) => {
                    if matches!(framing, Framing::Length(bytes) if *bytes > self.body_bytes_max) {
                        return Err(Reason::BodyTooLarge);
                    }
                    self.state = State::Body(Body::new(*framing, &self.limits));
                }
                State::Body(body) => {
                    let step = body.decode(rest, self.body_bytes_max, &mut head.trailers)?;
                    if step.event == Event::End {
                        self.state = State::Start { skipped: Skipped::Nothing };
                    }
                    return Ok(step);
                }
                State::Failed(reason) => return Err(*reason),
            }
        }
    }
}

/// Skips one empty line. `None` if a request line begins; and how many bytes were used.
#[inline]
fn start(skipped: Skipped, rest: &[u8]) -> Result<(Option<Skipped>, usize), Reason> {
    match (skipped, rest) {
        (_, []) => Ok((Some(skipped), 0)),
        (Skipped::Nothing, [b'\r', b'\n', ..]) => Ok((Some(Skipped::CrLf), 2)),
        (Skipped::Nothing, [b'\r']) => Ok((Some(Skipped::Cr), 1)),
        (Skipped::Cr, [b'\n', ..]) => Ok((Some(Skipped::CrLf), 1)),
        (Skipped::Cr, _) | (Skipped::Nothing, [b'\r' | b'\n', ..]) => Err(Reason::BadLineEnd),
        (Skipped::CrLf, [b'\r' | b'\n', ..]) => Err(Reason::BadRequestLine),
        _ => Ok((None, 0)),
    }
}

/// Reads the request line into `head`; returns its bytes with CRLF once it is complete.
#[inline]
fn request_line(
    rest: &[u8],
    clean: &mut u32,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Option<usize>, Reason> {
    match scan::line_end(rest, *clean as usize) {
        LineEnd::At(end) => {
            let line = rest.get(..end).unwrap_or_default();
            check_line_limits(line, limits)?;
            if end + 2 > limits.head_bytes_max as usize {
                return Err(Reason::HeaderTooLarge);
            }
            parse_request_line(line, head)?;
            Ok(Some(end + 2))
        }
        LineEnd::Partial(end) => {
            check_line_limits(rest.get(..end).unwrap_or_default(), limits)?;
            *clean = end as u32;
            Ok(None)
        }
        LineEnd::Bad(at) => {
            let line = rest.get(..at).unwrap_or_default();
            check_line_limits(line, limits)?;
            Err(match rest.get(at) {
                Some(b'\r' | b'\n') => Reason::BadLineEnd,
                _ if line.contains(&b' ') => Reason::BadTarget,
                _ => Reason::BadMethod,
            })
        }
    }
}

/// Checks what can be said of a line before its end has come. Limits are passed at a certain byte:
/// the first one that was passed speaks, however much of the line is there.
#[inline]
fn check_line_limits(line: &[u8], limits: &HeadLimits) -> Result<(), Reason> {
    let head_bytes_max = limits.head_bytes_max as usize;
    let within = line.get(..head_bytes_max).unwrap_or(line);
    let method_end = scan::find(b' ', within.get(..=METHOD_BYTES_MAX).unwrap_or(within));
    match method_end {
        None if within.len() > METHOD_BYTES_MAX => return Err(Reason::BadMethod),
        None => (),
        Some(end) => {
            let target = within.get(end + 1..).unwrap_or_default();
            let beyond = target.get(..=limits.uri_bytes_max as usize);
            if beyond.is_some_and(|target| !target.contains(&b' ')) {
                return Err(Reason::UriTooLong);
            }
        }
    }
    if line.len() > head_bytes_max { Err(Reason::HeaderTooLarge) } else { Ok(()) }
}

/// `METHOD SP TARGET SP VERSION`, with exactly two blanks.
#[inline]
fn parse_request_line(line: &[u8], head: &mut RequestHead) -> Result<(), Reason> {
    let (method, rest) = split_at_blank(line).ok_or(Reason::BadRequestLine)?;
    let (target, version) = split_at_blank(rest).ok_or(Reason::BadRequestLine)?;
    if method.is_empty() || target.is_empty() || version.contains(&b' ') {
        return Err(Reason::BadRequestLine);
    }
    let method = parse_method(method)?;
    let version = Version::parse(version)?;
    head.begin(method, target, version)
}

#[inline]
fn split_at_blank(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = scan::find(b' ', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[inline]
fn parse_method(method: &[u8]) -> Result<Method, Reason> {
    match method {
        b"GET" => Ok(Method::GET),
        b"HEAD" => Ok(Method::HEAD),
        b"POST" => Ok(Method::POST),
        _ if scan::is_token(method) => Method::from_bytes(method).map_err(|_| Reason::BadMethod),
        _ => Err(Reason::BadMethod),
    }
}

#[inline]
fn read_fields(
    lines: &mut FieldLines,
    rest: &[u8],
    head: &mut RequestHead,
) -> Result<crate::lines::Progress, Reason> {
    let mut fields = head.take_fields();
    let progress = lines.read(rest, &mut fields, |known, value| {
        known.map_or(Ok(()), |known| head.note(known, value))?;
        Ok(Verdict::Keep)
    });
    head.put_fields(fields);
    progress
}

/// Longer than any registered method; what comes after it is no method.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests;
