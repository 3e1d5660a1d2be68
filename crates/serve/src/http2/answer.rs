//! The answer of one stream on its way to the protocol.
//!
//! Bytes are handed over only as far as the peer's windows are open and the protocol holds little:
//! a peer that takes nothing waits here, under `write_idle` and `write_rate`, not in memory.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use stead_base::Reason;
use stead_core::{Body, BodyStream, Frame, OpenFile};
use stead_http1::Framing;
use stead_sys::file;

use super::carrier::Piece;
use super::fields;
use super::receive::Receiver;
use super::session::Held;
use super::stream::Stream;
use crate::stalled::Stall;

/// The way out of one stream, once its head was sent.
pub(super) type Out = SendStream<Piece>;

impl Stream {
    /// Writes a body to its end.
    ///
    /// # Errors
    /// Why it was cut.
    pub(super) async fn write_body(
        &mut self,
        out: &mut Out,
        receiver: &mut Receiver,
        body: Body,
        framing: Framing,
    ) -> Result<(), Reason> {
        match body {
            Body::Empty | Body::Tunnel(_) => self.end(out),
            Body::Buffer(buffer) => self.write_buffer(out, buffer, true).await,
            Body::Bytes(bytes) => self.write_bytes(out, bytes, true).await,
            // PERF: boxed, so that no stream is as large as the rarest of these.
            Body::File { file, start, end } => {
                Box::pin(self.write_file(out, &file, start, end, true)).await?;
                self.end(out)
            }
            Body::Chain(bodies) => Box::pin(self.write_chain(out, bodies)).await,
            Body::Stream(stream) => {
                Box::pin(self.write_stream(out, receiver, stream, framing)).await
            }
        }
    }

    /// Hands over the last bytes with the end; both wait where the upload is not over: a client
    /// that has as many bytes as it was promised need not look for the end.
    fn send_last(&mut self, out: &mut Out, piece: Piece) -> Result<(), Reason> {
        if self.holds_last {
            self.last = Some(piece);
            return Ok(());
        }
        out.send_data(piece, !self.holds_end).map_err(|_| CLOSED)
    }

    fn end(&self, out: &mut Out) -> Result<(), Reason> {
        if self.holds_end {
            return Ok(());
        }
        out.send_data(Piece::bytes(&self.session, Bytes::new(), None), true).map_err(|_| CLOSED)
    }

    /// PERF: a small body goes as it is, in the worker's buffer, where the window is open.
    async fn write_buffer(
        &mut self,
        out: &mut Out,
        buffer: Vec<u8>,
        is_last: bool,
    ) -> Result<(), Reason> {
        let count = buffer.len();
        if count > 0 && count <= WHOLE_MAX && self.session.has_room() {
            out.reserve_capacity(count);
            if out.capacity() >= count {
                self.count(count);
                let piece = Piece::buffer(&self.session, buffer, self.held.as_ref());
                if is_last {
                    return self.send_last(out, piece);
                }
                return out.send_data(piece, false).map_err(|_| CLOSED);
            }
        }
        Box::pin(self.write_bytes(out, Bytes::from(buffer), is_last)).await
    }

    async fn write_bytes(
        &mut self,
        out: &mut Out,
        mut bytes: Bytes,
        is_last: bool,
    ) -> Result<(), Reason> {
        while !bytes.is_empty() {
            let room = self.room(out, bytes.len()).await?;
            let next = bytes.split_to(room.min(bytes.len()));
            let piece = Piece::bytes(&self.session, next, self.held.as_ref());
            self.count(room);
            if is_last && bytes.is_empty() {
                return self.send_last(out, piece);
            }
            out.send_data(piece, false).map_err(|_| CLOSED)?;
        }
        if is_last { self.end(out) } else { Ok(()) }
    }

    async fn write_chain(&mut self, out: &mut Out, bodies: Vec<Body>) -> Result<(), Reason> {
        for body in bodies {
            match body {
                Body::Buffer(buffer) => self.write_buffer(out, buffer, false).await?,
                Body::Bytes(bytes) => self.write_bytes(out, bytes, false).await?,
                Body::File { file, start, end } => {
                    self.write_file(out, &file, start, end, false).await?;
                }
                Body::Empty => {}
                // A promise of `Body::Chain` is broken: better a cut answer than a wrong one.
                Body::Chain(_) | Body::Stream(_) | Body::Tunnel(_) => {
                    return Err(Reason::ResponseTruncated);
                }
            }
        }
        self.end(out)
    }

    /// Copies a file through the worker's buffers, as far as the peer takes it.
    async fn write_file(
        &mut self,
        out: &mut Out,
        file: &Arc<OpenFile>,
        start: u64,
        end: u64,
        is_last: bool,
    ) -> Result<(), Reason> {
        let mut offset = start;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let room = self.room(out, left).await?;
            let mut buffer = self.session.state.worker.buffer();
            buffer.resize(room, 0);
            let buffer = self.read(file, buffer, offset).await?;
            let is_end = offset + buffer.len() as u64 == end;
            let is_whole = !is_end || file.is_unchanged().unwrap_or(false);
            if buffer.is_empty() || !is_whole {
                return Err(Reason::FileChanged);
            }
            offset += buffer.len() as u64;
            self.count(buffer.len());
            let piece = Piece::buffer(&self.session, buffer, self.held.as_ref());
            if is_last && is_end && self.holds_last {
                return self.send_last(out, piece);
            }
            out.send_data(piece, false).map_err(|_| CLOSED)?;
        }
        Ok(())
    }

    /// Fills a buffer with what is in memory, else has it read on the blocking pool.
    async fn read(
        &self,
        file: &Arc<OpenFile>,
        mut buffer: Vec<u8>,
        offset: u64,
    ) -> Result<Vec<u8>, Reason> {
        let count = match file::read_at_cached(&**file, &mut buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let file = Arc::clone(file);
                let reading = self.session.state.worker.blocking(move || {
                    let count = file::read_at(&*file, &mut buffer, offset)?;
                    buffer.truncate(count);
                    io::Result::Ok(buffer)
                });
                return match reading.await {
                    Ok(Ok(buffer)) => Ok(buffer),
                    _ => Err(Reason::FileError),
                };
            }
            result => result.map_err(|_| Reason::FileError)?,
        };
        buffer.truncate(count);
        Ok(buffer)
    }

    async fn write_stream(
        &mut self,
        out: &mut Out,
        receiver: &mut Receiver,
        mut stream: Box<dyn BodyStream>,
        framing: Framing,
    ) -> Result<(), Reason> {
        let length = match framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        let mut trailers = None;
        while let Some(frame) = self.next_frame(out, receiver, &mut *stream).await? {
            match frame {
                Frame::Bytes(bytes) => {
                    let sent = self.body_bytes + bytes.len() as u64;
                    if length.is_some_and(|length| sent > length) {
                        return Err(Reason::ResponseTruncated);
                    }
                    let is_last = self.holds_last && Some(sent) == length;
                    self.write_bytes(out, bytes, is_last).await?;
                }
                Frame::Trailers(fields) => {
                    trailers = Some(fields::of_trailers(&fields, &self.session.state.stamps));
                    break;
                }
            }
        }
        if length.is_some_and(|length| self.body_bytes < length) {
            return Err(Reason::ResponseTruncated);
        }
        match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => {
                self.holds_end = false;
                if let Some(last) = self.last.take() {
                    out.send_data(last, false).map_err(|_| CLOSED)?;
                }
                out.send_trailers(trailers).map_err(|_| CLOSED)
            }
            None => self.end(out),
        }
    }

    /// The stream's next frame. Meanwhile the request's body moves on, which it may be waiting for.
    /// SECURITY: what is made to order is not made for a peer that keeps its window shut: it would
    /// be held, and what makes it would be too.
    async fn next_frame(
        &mut self,
        out: &mut Out,
        receiver: &mut Receiver,
        stream: &mut dyn BodyStream,
    ) -> Result<Option<Frame>, Reason> {
        if stream.is_made_to_order() {
            self.room(out, 1).await?;
        }
        poll_fn(|context| {
            loop {
                match stream.poll_frame(context) {
                    Poll::Ready(None) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Ok(Some(frame))),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.reason())),
                    Poll::Pending => {}
                }
                if out.poll_reset(context).is_ready() {
                    return Poll::Ready(Err(CLOSED));
                }
                match self.poll_beside(receiver, context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Waits until some of `wanted` bytes, at least one, may be handed over: how many.
    async fn room(&mut self, out: &mut Out, wanted: usize) -> Result<usize, Reason> {
        let held = Rc::clone(self.held.get_or_insert_default());
        poll_fn(|context| self.poll_room(out, &held, wanted, context)).await
    }

    fn poll_room(
        &mut self,
        out: &mut Out,
        held: &Held,
        wanted: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, Reason>> {
        if let Some(reason) = self.is_over() {
            return Poll::Ready(Err(reason));
        }
        if out.poll_reset(context).is_ready() {
            return Poll::Ready(Err(CLOSED));
        }
        let is_ours = !self.session.has_room_for(held);
        if is_ours {
            // Others may use what the connection's window has for us.
            out.reserve_capacity(0);
        } else {
            let wanted = wanted.min(self.session.step().saturating_sub(held.get()));
            out.reserve_capacity(wanted);
            let mut room = out.capacity();
            if room == 0
                && let Poll::Ready(Some(Ok(assigned))) = out.poll_capacity(context)
            {
                room = assigned;
            }
            if room > 0 {
                let room = room.min(wanted);
                self.settle(room);
                return Poll::Ready(Ok(room));
            }
        }
        Stall::note(&mut self.stall, &self.session.state, context.waker());
        match self.judge_writing(is_ours) {
            Ok(due) => self.wait(context, due, is_ours.then(|| Rc::clone(held))),
            Err(reason) => Poll::Ready(Err(reason)),
        }
    }

    /// The wait is over: what may be handed over now is what the peer has taken.
    fn settle(&mut self, room: usize) {
        self.stall = None;
        let own = self.body_bytes + room as u64 - self.seen.own;
        self.writing.settle_at(self.seen.moved + own, self.session.now());
    }

    fn count(&mut self, bytes: usize) {
        self.body_bytes += bytes as u64;
        self.permit.handed_over(bytes);
        self.session.worked(|guard| guard.sent(bytes));
    }
}

/// Bytes of memory that a body holds which nobody shares. Bytes that others have too cost nothing
/// more, and a file only what is on its way.
pub(super) fn whole_bytes(body: &Body) -> usize {
    match body {
        Body::Buffer(buffer) => buffer.capacity(),
        Body::Bytes(bytes) if bytes.is_unique() => bytes.len(),
        Body::Chain(bodies) => bodies.iter().map(whole_bytes).sum(),
        _ => 0,
    }
}

/// Whether a body holds a file open.
pub(super) fn holds_file(body: &Body) -> bool {
    match body {
        Body::File { .. } => true,
        Body::Chain(bodies) => bodies.iter().any(holds_file),
        _ => false,
    }
}

const CLOSED: Reason = Reason::ClientClosed;
/// Bodies up to this are handed over whole.
const WHOLE_MAX: usize = 16 << 10;
