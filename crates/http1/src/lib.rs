//! The HTTP/1.1 engine: bytes in, events and bytes out; no sockets, no clock.
//!
//! `RequestDecoder` and `ResponseDecoder` take apart what arrives, `encode` writes heads and
//! chunks. The caller owns buffers and connections. Messages are read strictly (RFC 9112 with every
//! choice that two programs could make differently refused) and framing is always written anew from
//! what was parsed. Heads of HTTP/2 are filled here too ([`RequestHead::fill_http2`]): a head is
//! fixed once it is parsed, and nobody else can write to one. Reused heads keep their memory:
//! nothing is allocated per message once warm.

#![forbid(unsafe_code)]

use std::ops::Range;

mod body;
mod chunked;
pub mod coding;
pub mod encode;
mod fields;
mod framing;
mod head;
mod lines;
pub mod name;
mod request;
mod response;
mod scan;
mod target;
pub mod weights;

pub use fields::Fields;
pub use framing::{Framing, Version};
pub use head::{Http2Request, RequestHead, http2_trailers};
pub use http::{Method, StatusCode};
pub use name::{Known, Name};
pub use request::RequestDecoder;
pub use response::{ResponseDecoder, ResponseHead};
pub use target::Form;

/// What one call of a decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes at the start of the input that the caller must drop before the next call.
    pub consumed: usize,
    /// What happened in them.
    pub event: Event,
}

/// An event in a message's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// More input is needed; something may have been consumed nevertheless.
    Pending,
    /// The head is complete.
    Head,
    /// Content: a range of the input, never empty, within the consumed bytes.
    Data(Range<usize>),
    /// The head's trailers are complete, and there is at least one.
    Trailers,
    /// The message is over; the next call begins another.
    End,
}

impl Step {
    #[inline]
    fn pending(consumed: usize) -> Self {
        Self { consumed, event: Event::Pending }
    }

    /// The first `len` bytes are content.
    #[inline]
    fn content(len: usize) -> Self {
        let event = if len == 0 { Event::Pending } else { Event::Data(0..len) };
        Self { consumed: len, event }
    }
}
