//! A body of any form as a stream, for the adapter to read.
//!
//! Files are read in pieces: what is in memory at once, what is not by the blocking pool, so that a
//! cold disk never stalls the worker. A file that changes meanwhile is cut before its last byte.
//!
//! INVARIANT: a body that ends before its announced length is an error, not an end.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use stead_base::Kind;
use stead_core::{Body, BodyStream, Error, Frame, OpenFile, Pending, Reason, Result, Worker};
use stead_sys::file;

/// What is left of a body.
pub(super) enum Source {
    Ended,
    Bytes(Bytes),
    File(Reader),
    Chain(Option<Box<Source>>, vec::IntoIter<Body>, Rc<Worker>),
    Stream(Box<dyn BodyStream>, Option<u64>),
}

/// Bytes read at once from memory, and by the blocking pool.
const PIECE_BYTES: u64 = 64 << 10;
const COLD_BYTES: u64 = 256 << 10;

impl Source {
    pub(super) fn new(body: Body, worker: &Rc<Worker>) -> Self {
        match body {
            Body::Empty | Body::Tunnel(_) => Self::Ended,
            Body::Buffer(buffer) => Self::Bytes(Bytes::from(buffer)),
            Body::Bytes(bytes) => Self::Bytes(bytes),
            Body::File { file, start, end } => {
                let worker = Rc::clone(worker);
                Self::File(Reader { file, offset: start, end, worker, reading: None })
            }
            Body::Chain(bodies) => Self::Chain(None, bodies.into_iter(), Rc::clone(worker)),
            Body::Stream(stream) => {
                let left = stream.len();
                Self::Stream(stream, left)
            }
        }
    }

    /// Whether a wait for the next piece is one for somebody else, not for our own disk.
    pub(super) fn waits_for_others(&self) -> bool {
        matches!(self, Self::Stream(..))
    }

    /// The next piece; `None` at the end.
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match self {
            Self::Ended => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Ended;
                Poll::Ready(Some(Ok(Frame::Bytes(bytes))))
            }
            Self::File(reader) => reader.poll_frame(context),
            Self::Chain(current, rest, worker) => loop {
                if let Some(source) = current
                    && let Some(frame) = ready!(source.poll_frame(context))
                {
                    return Poll::Ready(Some(frame));
                }
                let Some(body) = rest.next() else { return Poll::Ready(None) };
                *current = Some(Box::new(Self::new(body, worker)));
            },
            Self::Stream(stream, left) => {
                let frame = ready!(stream.poll_frame(context));
                Poll::Ready(check_length(frame, left))
            }
        }
    }
}

/// Compares a stream with the length that it announced.
fn check_length(frame: Option<Result<Frame>>, left: &mut Option<u64>) -> Option<Result<Frame>> {
    let cut = || Some(Err(Error::from(Reason::ResponseTruncated)));
    match (&frame, left) {
        (Some(Ok(Frame::Bytes(bytes))), Some(left)) => match left.checked_sub(bytes.len() as u64) {
            Some(less) => *left = less,
            None => return cut(),
        },
        (None | Some(Ok(Frame::Trailers(_))), Some(1..)) => return cut(),
        _ => {}
    }
    frame
}

/// A file on its way.
pub(super) struct Reader {
    file: Arc<OpenFile>,
    offset: u64,
    end: u64,
    worker: Rc<Worker>,
    reading: Option<Pending<io::Result<Vec<u8>>>>,
}

impl Reader {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        if self.offset >= self.end {
            return Poll::Ready(None);
        }
        let read = match &mut self.reading {
            Some(reading) => match ready!(std::pin::Pin::new(reading).poll(context)) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error))),
            },
            None => match self.read_cached() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.reading = Some(self.read_cold());
                    return self.poll_frame(context);
                }
                read => read,
            },
        };
        self.reading = None;
        Poll::Ready(Some(self.take(read)))
    }

    fn read_cached(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (self.end - self.offset).min(PIECE_BYTES) as usize];
        let count = file::read_at_cached(&*self.file, &mut bytes, self.offset)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn read_cold(&self) -> Pending<io::Result<Vec<u8>>> {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        let count = (self.end - offset).min(COLD_BYTES);
        self.worker.blocking(move || {
            file::will_need(&*file, offset, count);
            let mut bytes = vec![0; count as usize];
            let count = file::read_at(&*file, &mut bytes, offset)?;
            bytes.truncate(count);
            Ok(bytes)
        })
    }

    fn take(&mut self, read: io::Result<Vec<u8>>) -> Result<Frame> {
        let failed =
            |error| Error::new(Kind::System, Reason::FileError, "read a file").with_source(error);
        let bytes = read.map_err(failed)?;
        self.offset += bytes.len() as u64;
        let is_last = self.offset >= self.end;
        if bytes.is_empty() || (is_last && !self.file.is_unchanged().map_err(failed)?) {
            return Err(Reason::FileChanged.into());
        }
        Ok(Frame::Bytes(Bytes::from(bytes)))
    }
}
