//! A body on its way from one task to another: one slot, filled only when its reader asks.
//!
//! Used for requests, whose reader may live on another thread than their connection, and for the
//! answers of services on another runtime. The reader asks by polling; the writer waits for that,
//! so that what nobody reads is never taken from its source.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use stead_base::{Error, Kind, Reason};

use crate::shared::{lock, remember, wake};

/// A channel for a body of `len` bytes, where that is known.
pub(crate) fn channel(len: Option<u64>) -> (Sender, Receiver) {
    let slot = Arc::<Mutex<Slot>>::default();
    (Sender(Arc::clone(&slot)), Receiver { slot, left: len })
}

/// The writing end. Dropped before [`Sender::finish`], the body breaks off.
pub(crate) struct Sender(Arc<Mutex<Slot>>);

/// The reading end.
pub(crate) struct Receiver {
    slot: Arc<Mutex<Slot>>,
    left: Option<u64>,
}

#[derive(Default)]
struct Slot {
    frame: Option<Frame<Bytes>>,
    /// How the body ended; taken by the reader after the last frame.
    end: Option<Result<(), Error>>,
    is_ended: bool,
    is_wanted: bool,
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What the reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// It waits for a frame.
    Waits,
    /// It will never ask again.
    IsGone,
}

impl Sender {
    /// Ready when the reader waits for a frame, or is gone.
    pub(crate) fn poll_reader(&self, context: &Context<'_>) -> Poll<Reader> {
        let mut slot = lock(&self.0);
        if slot.is_abandoned {
            return Poll::Ready(Reader::IsGone);
        }
        if slot.is_wanted && slot.frame.is_none() {
            return Poll::Ready(Reader::Waits);
        }
        remember(&mut slot.writer, context);
        Poll::Pending
    }

    /// Ready when the reader will never ask again.
    pub(crate) fn poll_gone(&self, context: &Context<'_>) -> Poll<()> {
        let mut slot = lock(&self.0);
        if slot.is_abandoned {
            return Poll::Ready(());
        }
        remember(&mut slot.writer, context);
        Poll::Pending
    }

    /// Whether the reader will never ask again.
    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.0).is_abandoned
    }

    /// Hands the reader a frame. INVARIANT: it waits for one ([`Self::poll_reader`]).
    pub(crate) fn push(&self, frame: Frame<Bytes>) {
        let mut slot = lock(&self.0);
        debug_assert!(slot.frame.is_none(), "one frame at a time");
        slot.frame = Some(frame);
        slot.is_wanted = false;
        wake(slot.reader.take(), slot);
    }

    /// Ends the body.
    pub(crate) fn finish(self, end: Result<(), Error>) {
        lock(&self.0).finish(end);
        // The drop that follows wakes the reader, and finds the body ended.
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        let broken = Error::new(Kind::Closed, Reason::ClientClosed, "the exchange is over");
        slot.finish(Err(broken));
        wake(slot.reader.take(), slot);
    }
}

impl Slot {
    fn finish(&mut self, end: Result<(), Error>) {
        if !self.is_ended {
            self.end = Some(end);
            self.is_ended = true;
        }
    }
}

impl Body for Receiver {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut slot = lock(&self.slot);
        if let Some(frame) = slot.frame.take() {
            drop(slot);
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = self.left.map(|left| left.saturating_sub(bytes));
            return Poll::Ready(Some(Ok(frame)));
        }
        if slot.is_ended {
            let end = slot.end.take();
            return Poll::Ready(end.and_then(|end| end.err().map(Err)));
        }
        slot.is_wanted = true;
        remember(&mut slot.reader, context);
        wake(slot.writer.take(), slot);
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let slot = lock(&self.slot);
        slot.is_ended && slot.frame.is_none() && !matches!(slot.end, Some(Err(_)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.is_abandoned = true;
        slot.frame = None;
        wake(slot.writer.take(), slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(receiver: &mut Receiver) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(receiver).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn asked(sender: &Sender) -> Poll<Reader> {
        sender.poll_reader(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_frame_moves_only_when_asked_for() {
        let (sender, mut receiver) = channel(Some(5));
        assert!(asked(&sender).is_pending());
        assert!(poll(&mut receiver).is_pending());
        assert_eq!(asked(&sender), Poll::Ready(Reader::Waits));
        sender.push(Frame::data(Bytes::from_static(b"hello")));
        assert!(asked(&sender).is_pending(), "the slot is full");
        assert_eq!(receiver.size_hint().exact(), Some(5));
        let Poll::Ready(Some(Ok(frame))) = poll(&mut receiver) else { panic!("a frame") };
        assert_eq!(frame.into_data().expect("bytes"), "hello");
        assert_eq!(receiver.size_hint().exact(), Some(0));
        sender.finish(Ok(()));
        assert!(receiver.is_end_stream());
        assert!(matches!(poll(&mut receiver), Poll::Ready(None)));
    }

    #[test]
    fn each_end_sees_that_the_other_is_gone() {
        let (sender, receiver) = channel(None);
        drop(receiver);
        assert_eq!(asked(&sender), Poll::Ready(Reader::IsGone));
        let (sender, mut receiver) = channel(None);
        drop(sender);
        assert!(!receiver.is_end_stream(), "a body that breaks off is not complete");
        assert!(matches!(poll(&mut receiver), Poll::Ready(Some(Err(_)))));
        assert!(matches!(poll(&mut receiver), Poll::Ready(None)), "the error comes once");
    }
}
