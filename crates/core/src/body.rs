//! Bodies of answers, owned by whoever holds them.
//!
//! A body says what it is, not how it is sent: the connection picks one write for small bytes,
//! `sendfile` for files, chunks for streams of unknown length.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::{Fields, OpenFile, Result, Tunnel};

/// The body of an answer.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// Bytes in a buffer that goes back to the worker's pool once sent
    /// ([`Worker::buffer`](crate::Worker::buffer)).
    Buffer(Vec<u8>),
    /// Shared bytes.
    Bytes(Bytes),
    /// Bytes `start..end` of an open file.
    File {
        /// The file; its size and times are looked at again before the last byte leaves.
        file: Arc<OpenFile>,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Bodies one after another; streams and tunnels must not be among them.
    Chain(Vec<Body>),
    /// Frames as they come.
    Stream(Box<dyn BodyStream>),
    /// No body: with status 101 the connection becomes a tunnel.
    Tunnel(Box<dyn Tunnel>),
}

impl Body {
    /// Its length in bytes; `None` where only its end tells.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Tunnel(_) => Some(0),
            Self::Buffer(buffer) => Some(buffer.len() as u64),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File { start, end, .. } => Some(end - start),
            Self::Chain(bodies) => bodies.iter().map(Self::len).sum(),
            Self::Stream(stream) => stream.len(),
        }
    }

    /// Whether its length is known to be zero.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(buffer: Vec<u8>) -> Self {
        Self::Buffer(buffer)
    }
}

/// A piece of a streamed body.
#[derive(Debug)]
pub enum Frame {
    /// Some bytes.
    Bytes(Bytes),
    /// The fields after the body; the last frame.
    Trailers(Fields),
}

/// A body that comes in pieces. It is asked for the next piece only when the last one was taken:
/// that is the backpressure.
pub trait BodyStream {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The body is broken off: the peer sees a cut connection, never a complete answer.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>>;

    /// Whether the next piece is made when it is asked for, at a cost, and there is one for sure:
    /// then it is asked for once the peer takes something, where that can be known before.
    fn is_made_to_order(&self) -> bool {
        false
    }

    /// Bytes still to come, where known; then the answer has a `Content-Length`.
    fn len(&self) -> Option<u64> {
        None
    }

    /// Whether nothing is to come, where known.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}
