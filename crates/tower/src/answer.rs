//! A service's response as an answer of Stead.
//!
//! A body of known size that comes in one piece leaves with its head in one write; any other is
//! polled frame by frame while the connection writes, and what is still to be read of the request
//! moves on meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::Frame;
use stead_core::{
    Body, BodyStream, Exchange, Frame as CoreFrame, Method, Response as Answer, Result, StatusCode,
};

use crate::BoxError;
use crate::body::plain;
use crate::inside::core_frame;
use crate::pump::Pump;
use crate::request::add_fields;
use crate::turn::Turns;

/// The answer to an exchange whose service gave `response`, and the response's emptied map.
pub(crate) fn answer<B>(
    exchange: &Exchange,
    response: Response<B>,
    pump: Pump,
    turns: &Turns,
    context: &mut Context<'_>,
) -> (Answer, HeaderMap)
where
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let (mut parts, body) = response.into_parts();
    let mut answer = exchange.respond(parts.status);
    add_fields(&mut answer.fields, &parts.headers);
    let len = body.size_hint().exact();
    answer.body = if *exchange.method() == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED
    {
        announced(&parts.headers, len)
    } else {
        // As under hyper: a length that the body does not know its handler may know.
        content(body, len.or_else(|| said_length(&parts.headers)), pump, turns, context)
    };
    parts.headers.clear();
    (answer, parts.headers)
}

/// The body of an answer: in one piece if it is one.
fn content<B>(
    body: B,
    len: Option<u64>,
    mut pump: Pump,
    turns: &Turns,
    context: &mut Context<'_>,
) -> Body
where
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let is_read = pump.is_read();
    if len == Some(0) && !is_read {
        return Body::Empty;
    }
    let mut body = Box::pin(body);
    let mut first = None;
    if let Some(len) = len.filter(|len| *len > 0) {
        first = match body.as_mut().poll_frame(context) {
            Poll::Ready(Some(frame)) => Some(plain(frame)),
            Poll::Ready(None) | Poll::Pending => None,
        };
        if !is_read && let Some(bytes) = whole(&mut first, len) {
            return Body::Bytes(bytes);
        }
    }
    Body::Stream(Box::new(Stream { body: Some(body), first, len, pump, turns: turns.clone() }))
}

/// The only frame of a body of `len` bytes, if this is it.
fn whole(first: &mut Option<Result<Frame<Bytes>>>, len: u64) -> Option<Bytes> {
    let bytes = first.as_ref()?.as_ref().ok()?.data_ref()?;
    if bytes.len() as u64 != len {
        return None;
    }
    first.take()?.ok()?.into_data().ok()
}

/// What an answer without body says of the length that it would have: what its own field says,
/// else what its body does, unless that is only empty because it must be.
fn announced(headers: &HeaderMap, len: Option<u64>) -> Body {
    let field = said_length(headers);
    match field.or(len) {
        Some(0) if field.is_some() => Body::Empty,
        Some(len) if len > 0 => Body::Stream(Box::new(Announced(Some(len)))),
        _ => Body::Stream(Box::new(Announced(None))),
    }
}

/// What `Content-Length` says, if it says one number.
fn said_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

/// A body that is announced and never sent.
struct Announced(Option<u64>);

impl BodyStream for Announced {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<CoreFrame>>> {
        Poll::Ready(None)
    }

    fn len(&self) -> Option<u64> {
        self.0
    }
}

/// A response's body, with what is still to be read of the request.
struct Stream<B> {
    /// Gone once it has ended.
    body: Option<Pin<Box<B>>>,
    first: Option<Result<Frame<Bytes>>>,
    len: Option<u64>,
    pump: Pump,
    turns: Turns,
}

impl<B: http_body::Body<Error: Into<BoxError>>> Stream<B> {
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(self.turns.turn(None, || body.as_mut().poll_frame(context)));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame.map(plain))
    }
}

impl<B: http_body::Body<Error: Into<BoxError>>> BodyStream for Stream<B> {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<CoreFrame>>> {
        loop {
            match self.poll_body(context) {
                Poll::Ready(Some(frame)) => return Poll::Ready(Some(frame.map(core_frame))),
                // The peer has all that was announced; whoever still reads the request may go on.
                Poll::Ready(None) if self.len.is_some() && self.pump.is_read() => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            ready!(self.pump.poll(context));
        }
    }

    fn len(&self) -> Option<u64> {
        self.len
    }
}
