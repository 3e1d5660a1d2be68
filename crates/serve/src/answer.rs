//! An answer on its way to the peer.
//!
//! Small bodies ride in the output buffer with their head, so that one write carries both, and
//! several pipelined answers if there are. Files go by `sendfile`, and what is not in memory is
//! read in by the blocking pool first, so that a cold disk never stalls the worker.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use stead_base::Reason;
use stead_core::{
    Body, BodyStream, Exchange, Fields, Frame, Method, OpenFile, Response, StatusCode, name,
};
use stead_http1::Framing;
use stead_http1::encode::{self, Promise, ResponseLine};
use stead_sys::file;
use stead_tls::SEAL_BYTES_MAX;

use crate::receive::Receiver;
use crate::wire::{TURN_BYTES, Wire};

/// Bodies up to this ride with their head.
const COPY_MAX: usize = 16 << 10;
/// Output is sent once it has grown past this, also if more requests are waiting.
pub(crate) const OUTPUT_MAX: usize = 64 << 10;

/// Bytes of a file for one `sendfile`. PERF: the call holds the socket's lock, and while it does,
/// what the peer acknowledges queues up. 100 KB files beside nginx: 0.35 with 64 KiB a call, 0.49
/// with 32,
/// 0.98 with 128, 0.82 with 256.
const SEND_BYTES: u64 = 64 << 10;

/// Writes the head of `response` to the output buffer; says how the body must follow.
pub(crate) fn write_head(
    wire: &mut Wire,
    exchange: &Exchange,
    response: &Response,
    keep_alive: bool,
) -> Promise {
    let date = wire.state.worker.date();
    let line = ResponseLine {
        version: exchange.version(),
        status: response.status,
        framing: framing_of(response.status, &response.body),
        keep_alive,
        to_head: *exchange.method() == Method::HEAD,
    };
    encode::response_head(wire.output(), &line, &response.fields, Some(&date), SERVER)
}

/// A 304 without body says nothing of the length that a 200 would have: it is not zero
/// (RFC 9110 §8.6).
pub(crate) fn framing_of(status: StatusCode, body: &Body) -> Framing {
    match body.len() {
        Some(0) if status == StatusCode::NOT_MODIFIED => Framing::None,
        length => length.map_or(Framing::Chunked, Framing::Length),
    }
}

/// Whether whoever answered says `Connection: close` (RFC 9112 §9.6). The field itself is written
/// anew.
pub(crate) fn asks_for_close(fields: &Fields) -> bool {
    let said = fields.iter().filter(|(name, _)| *name == name::CONNECTION);
    let mut options = said.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// What `Server` says.
const SERVER: Option<&[u8]> = Some(b"stead");

/// Writes the body of an answer whose head is in the output buffer.
///
/// # Errors
/// Why the answer was cut: the connection must be closed.
pub(crate) async fn write_body(
    wire: &mut Wire,
    receiver: &mut Receiver,
    body: Body,
    framing: Framing,
) -> Result<u64, Reason> {
    match body {
        _ if framing == Framing::None => Ok(0),
        Body::Empty | Body::Tunnel(_) => Ok(0),
        Body::Buffer(buffer) => {
            let result = write_bytes(wire, &buffer).await;
            wire.state.worker.reclaim_buffer(buffer);
            result
        }
        Body::Bytes(bytes) => write_bytes(wire, &bytes).await,
        // PERF: boxed, so that every connection's task is not as large as the rarest of these.
        Body::File { file, start, end } => Box::pin(write_file(wire, &file, start, end)).await,
        Body::Chain(bodies) => Box::pin(write_chain(wire, bodies)).await,
        Body::Stream(stream) => Box::pin(write_stream(wire, receiver, stream, framing)).await,
    }
}

async fn write_bytes(wire: &mut Wire, bytes: &[u8]) -> Result<u64, Reason> {
    if bytes.len() <= COPY_MAX {
        wire.output().extend_from_slice(bytes);
        return Ok(bytes.len() as u64);
    }
    // Head and body in one call, without copying the body.
    wire.flush_with(bytes).await?;
    Ok(bytes.len() as u64)
}

async fn write_chain(wire: &mut Wire, bodies: Vec<Body>) -> Result<u64, Reason> {
    let mut written = 0;
    for body in bodies {
        written += match body {
            Body::Buffer(buffer) => write_bytes(wire, &buffer).await?,
            Body::Bytes(bytes) => write_bytes(wire, &bytes).await?,
            Body::File { file, start, end } => write_file(wire, &file, start, end).await?,
            Body::Empty => 0,
            // A promise of `Body::Chain` is broken: better a cut answer than a wrong one.
            Body::Chain(_) | Body::Stream(_) | Body::Tunnel(_) => {
                return Err(Reason::ResponseTruncated);
            }
        };
    }
    Ok(written)
}

async fn write_file(
    wire: &mut Wire,
    file: &Arc<OpenFile>,
    start: u64,
    end: u64,
) -> Result<u64, Reason> {
    if start >= end {
        // Nothing would follow what `flush` announces.
        return Ok(0);
    }
    if wire.transport.is_secure() {
        return write_sealed(wire, file, start, end).await;
    }
    wire.flush(true).await?;
    let (mut offset, mut is_resident) = (start, true);
    while offset < end {
        let turn = (end - offset).min(TURN_BYTES);
        is_resident &= read_in(wire, file, offset, turn).await?;
        let turn_end = offset + turn;
        while offset < turn_end {
            let left = turn_end - offset;
            if turn_end == end && !file.is_unchanged().unwrap_or(false) {
                return Err(Reason::FileChanged);
            }
            let sent = poll_fn(|context| {
                let sent = wire.transport.poll_send_file(
                    context,
                    std::os::fd::AsFd::as_fd(&**file),
                    offset,
                    left.min(SEND_BYTES) as usize,
                );
                match sent {
                    Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Reason::ClientClosed)),
                    Poll::Pending => wire.poll_slow(context),
                }
            })
            .await?;
            if sent == 0 {
                return Err(Reason::FileChanged);
            }
            offset += sent as u64;
            wire.bytes_out += sent as u64;
            wire.settle();
            wire.end_turn().await;
        }
    }
    if is_resident && start == 0 && end == file.facts().size {
        file.set_resident(wire.state.worker.now());
    }
    Ok(end - start)
}

/// A file that must be encrypted is read into the output, behind what is there: so the head and all
/// of a small file leave in one call.
async fn write_sealed(
    wire: &mut Wire,
    file: &Arc<OpenFile>,
    start: u64,
    end: u64,
) -> Result<u64, Reason> {
    let (mut offset, mut is_resident) = (start, true);
    while offset < end {
        let turn_end = end.min(offset + TURN_BYTES);
        is_resident &= read_in(wire, file, offset, turn_end - offset).await?;
        while offset < turn_end {
            let room = SEAL_BYTES_MAX.saturating_sub(wire.output.len()).max(COPY_MAX);
            let piece = (turn_end - offset).min(room as u64);
            if offset + piece == end && !file.is_unchanged().unwrap_or(false) {
                return Err(Reason::FileChanged);
            }
            read_piece(wire.output(), file, offset, piece as usize)?;
            offset += piece;
            if wire.output.len() > COPY_MAX {
                wire.flush(offset < end).await?;
                wire.end_turn().await;
            }
        }
    }
    if is_resident && start == 0 && end == file.facts().size {
        file.set_resident(wire.state.worker.now());
    }
    Ok(end - start)
}

/// Appends exactly `count` bytes of a file.
fn read_piece(
    output: &mut Vec<u8>,
    file: &OpenFile,
    offset: u64,
    count: usize,
) -> Result<(), Reason> {
    let (start, mut filled) = (output.len(), 0);
    output.resize(start + count, 0);
    while filled < count {
        let read = file::read_at(file, &mut output[start + filled..], offset + filled as u64);
        match read {
            Ok(read @ 1..) => filled += read,
            failed => {
                output.truncate(start + filled);
                return Err(failed.map_or(Reason::FileError, |_| Reason::FileChanged));
            }
        }
    }
    Ok(())
}

/// Makes sure that the worker does not sleep on the disk when it sends these bytes. Whether they
/// were looked at and found in memory.
async fn read_in(
    wire: &Wire,
    file: &Arc<OpenFile>,
    offset: u64,
    count: u64,
) -> Result<bool, Reason> {
    let worker = &wire.state.worker;
    if file.is_resident(worker.now()) {
        // Not looked at, so it says nothing new.
        return Ok(false);
    }
    // The last page of a chunk tells: the kernel reads ahead in order.
    let last = offset + count - 1;
    if file::is_resident(&**file, last).map_err(|_| Reason::FileError)? {
        return Ok(true);
    }
    let file = Arc::clone(file);
    let reading = worker.blocking(move || touch(&file, offset, count));
    match reading.await {
        Ok(Ok(())) => Ok(false),
        _ => Err(Reason::FileError),
    }
}

/// Has the kernel read bytes into the page cache, and waits until they are there. PERF: one byte of
/// each piece is enough to wait for it; copying all of them would take the worker's core.
fn touch(file: &OpenFile, offset: u64, count: u64) -> std::io::Result<()> {
    const PIECE: u64 = 64 << 10;
    file::will_need(file, offset, count);
    let end = offset + count;
    let mut last = (offset + PIECE).min(end) - 1;
    loop {
        let read = file::read_at(file, &mut [0], last)?;
        if read == 0 || last + 1 >= end {
            return Ok(());
        }
        last = (last + PIECE).min(end - 1);
    }
}

async fn write_stream(
    wire: &mut Wire,
    receiver: &mut Receiver,
    mut stream: Box<dyn BodyStream>,
    framing: Framing,
) -> Result<u64, Reason> {
    let mut written = 0;
    loop {
        let frame = next_frame(wire, receiver, &mut *stream).await?;
        match frame {
            Some(Frame::Bytes(bytes)) if bytes.is_empty() => {}
            Some(Frame::Bytes(bytes)) => {
                written += bytes.len() as u64;
                write_piece(wire, &bytes, framing, written).await?;
            }
            Some(Frame::Trailers(trailers)) => {
                return end_stream(wire, framing, written, Some(&trailers));
            }
            None => return end_stream(wire, framing, written, None),
        }
    }
}

/// The end of a stream's body, if it is all that was announced.
fn end_stream(
    wire: &mut Wire,
    framing: Framing,
    written: u64,
    trailers: Option<&Fields>,
) -> Result<u64, Reason> {
    match framing {
        Framing::Chunked => encode::last_chunk(wire.output(), trailers),
        Framing::Length(length) if written < length => return Err(Reason::ResponseTruncated),
        _ => {}
    }
    Ok(written)
}

async fn write_piece(
    wire: &mut Wire,
    bytes: &Bytes,
    framing: Framing,
    written: u64,
) -> Result<(), Reason> {
    match framing {
        Framing::Chunked => {
            let before = wire.output().len();
            encode::chunk_head(wire.output(), bytes.len());
            let head = wire.output.len() - before;
            wire.frame_body(head);
            write_bytes(wire, bytes).await?;
            wire.output().extend_from_slice(encode::CHUNK_END);
            wire.frame_body(encode::CHUNK_END.len());
        }
        Framing::Length(length) if written > length => return Err(Reason::ResponseTruncated),
        _ => {
            write_bytes(wire, bytes).await?;
        }
    }
    if wire.output.len() > OUTPUT_MAX {
        wire.flush(true).await?;
        wire.end_turn().await;
    }
    Ok(())
}

/// The stream's next frame. Meanwhile what is written so far leaves, and the request's body, which
/// the stream may be waiting for, moves on.
async fn next_frame(
    wire: &mut Wire,
    receiver: &mut Receiver,
    stream: &mut dyn BodyStream,
) -> Result<Option<Frame>, Reason> {
    poll_fn(|context| {
        loop {
            match stream.poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    receiver.settle(wire);
                    return Poll::Ready(Ok(Some(frame)));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.reason())),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(_)) = wire.poll_flush(context, false) {
                return Poll::Ready(Err(Reason::ClientClosed));
            }
            if let Err(reason) = ready!(receiver.poll_beside(wire, context)) {
                return Poll::Ready(Err(reason));
            }
        }
    })
    .await
}
