//! Decodes the body that a head announced; shared by requests and responses.
//!
//! Between a message's head and its end. Content is never copied: events point into the input.
//! RFC 9112 §6.3.

use stead_base::{HeadLimits, Reason};

use crate::chunked::Chunked;
use crate::fields::Fields;
use crate::{Event, Framing, Step};

/// Where the decoding of one body stands.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// Until the connection ends.
    Close,
}

impl Body {
    #[inline]
    pub(crate) fn new(framing: Framing, limits: &HeadLimits) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(bytes) => Self::Length(bytes),
            Framing::Chunked => Self::Chunked(Chunked::new(limits)),
            Framing::Close => Self::Close,
        }
    }

    /// The next piece, the trailers, or the end.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        body_bytes_max: u64,
        trailers: &mut Fields,
    ) -> Result<Step, Reason> {
        match self {
            Self::Length(0) => Ok(Step { consumed: 0, event: Event::End }),
            Self::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                Ok(Step::content(len))
            }
            Self::Close => Ok(Step::content(input.len())),
            Self::Chunked(chunked) => chunked.decode(input, body_bytes_max, trailers),
        }
    }
}
