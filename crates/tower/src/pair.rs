//! Two ends of a connection in memory: hyper holds one, the exchange's task the other.
//!
//! Bytes lie in a buffer each way, which is freed whenever it is empty. Either way ends by itself,
//! as the two ways of a socket do.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::shared::{lock, remember, wake};

/// Bytes that lie in one way before its writer has to wait.
const WAY_BYTES_MAX: usize = 16 << 10;

/// A pair of ends, each `Send`.
pub(crate) fn pair() -> (End, End) {
    let (one, two) = (Arc::<Mutex<Way>>::default(), Arc::<Mutex<Way>>::default());
    (
        End { incoming: Arc::clone(&one), outgoing: Arc::clone(&two) },
        End { incoming: two, outgoing: one },
    )
}

/// One end. Dropping it ends both its ways.
pub(crate) struct End {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
}

/// Bytes from one end to the other.
#[derive(Default)]
struct Way {
    bytes: Vec<u8>,
    /// What of `bytes` was read.
    start: usize,
    /// Its writer will write no more.
    is_ended: bool,
    /// Its writer's own connection broke: an error follows the bytes, not an end.
    is_broken: bool,
    /// Its reader will read no more.
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    /// How many bytes there is room for; `None` where nobody will read them.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<Option<usize>> {
        let mut way = lock(&self.outgoing);
        if way.is_abandoned {
            return Poll::Ready(None);
        }
        match WAY_BYTES_MAX.saturating_sub(way.bytes.len() - way.start) {
            0 => {
                remember(&mut way.writer, context);
                Poll::Pending
            }
            room => {
                // It is told too when nobody reads any more.
                remember(&mut way.writer, context);
                Poll::Ready(Some(room))
            }
        }
    }

    /// Adds bytes, also beyond the room.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut way = lock(&self.outgoing);
        way.make_room(bytes.len());
        way.bytes.extend_from_slice(bytes);
        wake(way.reader.take(), way);
    }

    /// No more will be written.
    pub(crate) fn end(&self) {
        let mut way = lock(&self.outgoing);
        way.is_ended = true;
        wake(way.reader.take(), way);
    }

    /// What is written is all there is, and not all there should be.
    pub(crate) fn break_off(&self) {
        let mut way = lock(&self.outgoing);
        way.is_broken = true;
        wake(way.reader.take(), way);
    }

    /// Hands the bytes that are there to `take`, which says how many it took; `None` at their end.
    pub(crate) fn poll_bytes<T>(
        &self,
        context: &Context<'_>,
        take: impl FnOnce(&[u8]) -> (usize, T),
    ) -> Poll<Option<T>> {
        let mut way = lock(&self.incoming);
        if way.start == way.bytes.len() {
            if way.is_ended {
                return Poll::Ready(None);
            }
            remember(&mut way.reader, context);
            return Poll::Pending;
        }
        let (count, result) = take(&way.bytes[way.start..]);
        way.start += count;
        if way.start == way.bytes.len() {
            way.bytes = Vec::new();
            way.start = 0;
        }
        if count > 0 {
            wake(way.writer.take(), way);
        }
        Poll::Ready(Some(result))
    }
}

impl Read for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if lock(&self.incoming).breaks() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let read = self.poll_bytes(context, |bytes| {
            let count = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..count]);
            (count, ())
        });
        // Nothing put is the end.
        read.map(|_| Ok(()))
    }
}

impl Way {
    /// SECURITY: a reader that is never quite done frees nothing otherwise. Moved only where no
    /// more is left than was read, so that a byte is moved once at most.
    fn make_room(&mut self, count: usize) {
        let is_full = self.bytes.capacity() - self.bytes.len() < count;
        if is_full && self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    fn breaks(&self) -> bool {
        self.is_broken && self.start == self.bytes.len()
    }
}

impl Write for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.poll_room(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Ready(Some(room)) => {
                let count = room.min(bytes.len());
                self.write(&bytes[..count]);
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end();
        let mut way = lock(&self.incoming);
        way.is_abandoned = true;
        way.bytes = Vec::new();
        way.start = 0;
        wake(way.writer.take(), way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: &End) -> Poll<Option<Vec<u8>>> {
        let context = Context::from_waker(Waker::noop());
        end.poll_bytes(&context, |bytes| (bytes.len(), bytes.to_vec()))
    }

    fn room(end: &End) -> Poll<Option<usize>> {
        end.poll_room(&Context::from_waker(Waker::noop()))
    }

    /// Once, what was read stayed in memory until the reader had caught up: a peer that read a
    /// little slower than a service sent made the process grow by all that was ever sent.
    #[test]
    fn a_reader_that_never_catches_up_holds_no_more_than_the_room() {
        let (one, two) = pair();
        let context = Context::from_waker(Waker::noop());
        let (mut sent, mut seen) = (0_u32, 0_u32);
        for _ in 0..1000 {
            while let Poll::Ready(Some(4..)) = room(&one) {
                one.write(&sent.to_be_bytes());
                sent += 1;
            }
            let taken = two.poll_bytes(&context, |bytes| {
                let taken = &bytes[..bytes.len() / 8 * 4];
                (taken.len(), taken.to_vec())
            });
            let Poll::Ready(Some(taken)) = taken else { panic!("there is always more") };
            for word in taken.chunks_exact(4) {
                assert_eq!(word, seen.to_be_bytes());
                seen += 1;
            }
        }
        assert!(seen > 1_000_000);
        assert!(lock(&two.incoming).bytes.capacity() <= 4 * WAY_BYTES_MAX);
    }

    #[test]
    fn a_way_takes_what_it_has_room_for_and_ends_by_itself() {
        let (one, two) = pair();
        assert!(read(&two).is_pending());
        one.write(&[7; WAY_BYTES_MAX]);
        assert!(room(&one).is_pending());
        assert_eq!(read(&two), Poll::Ready(Some(vec![7; WAY_BYTES_MAX])));
        assert_eq!(room(&one), Poll::Ready(Some(WAY_BYTES_MAX)));
        one.write(b"last");
        one.end();
        assert_eq!(read(&two), Poll::Ready(Some(b"last".to_vec())));
        assert_eq!(read(&two), Poll::Ready(None));
        two.write(b"still open");
        assert_eq!(read(&one), Poll::Ready(Some(b"still open".to_vec())));
        drop(one);
        assert_eq!((read(&two), room(&two)), (Poll::Ready(None), Poll::Ready(None)));
    }
}
