//! Moves a request's body from its connection to its reader, in the connection's own task.

use std::task::{Context, Poll, ready};

use http_body::Frame;
use stead_core::{BodyStream, Exchange, Frame as CoreFrame, RequestBody};
use stead_http1::Framing;

use crate::body::Body;
use crate::channel::{Reader, Sender, channel};
use crate::request::header_map;

/// One request's body on its way; nothing where there is none or nobody reads it.
#[derive(Default)]
pub(crate) struct Pump(Option<(Sender, RequestBody)>);

impl Pump {
    /// Takes the exchange's body; gives what the service reads.
    pub(crate) fn start(exchange: &mut Exchange) -> (Self, Body) {
        let len = match exchange.head().framing() {
            Framing::None | Framing::Length(0) => return (Self(None), Body::empty()),
            Framing::Length(len) => Some(len),
            Framing::Chunked | Framing::Close => None,
        };
        let (sender, receiver) = channel(len);
        (Self(Some((sender, exchange.take_body()))), Body::channel(receiver))
    }

    /// Moves on while others wait; ready when the reader has something new, or is gone.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((sender, body)) = &mut self.0 else { return Poll::Pending };
        if ready!(sender.poll_reader(context)) == Reader::IsGone {
            self.0 = None;
            return Poll::Ready(());
        }
        match ready!(body.poll_frame(context)) {
            Some(Ok(CoreFrame::Bytes(bytes))) => sender.push(Frame::data(bytes)),
            Some(Ok(CoreFrame::Trailers(fields))) => {
                sender.push(Frame::trailers(header_map(&fields)));
            }
            None => self.finish(Ok(())),
            Some(Err(error)) => self.finish(Err(error)),
        }
        Poll::Ready(())
    }

    /// Whether somebody may still read: otherwise the body is given up here.
    pub(crate) fn is_read(&mut self) -> bool {
        if self.0.as_ref().is_some_and(|(sender, _)| sender.is_abandoned()) {
            self.0 = None;
        }
        self.0.is_some()
    }

    fn finish(&mut self, end: stead_core::Result<()>) {
        if let Some((sender, _)) = self.0.take() {
            sender.finish(end);
        }
    }
}
