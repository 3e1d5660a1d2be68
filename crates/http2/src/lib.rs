//! Counts what a peer does to an HTTP/2 connection, frame by frame, beneath the crate that speaks
//! the protocol.
//!
//! Pure: bytes and the time in, a verdict out (RFC 9113 §4.1, §10.5). That crate hides what a flood
//! is made of; the [`Guard`] reads the nine bytes before each frame and nothing of what follows, so
//! that it costs a connection some hundred bytes and a frame some nanoseconds. Whoever carries the
//! connection says what became of requests, because only work excuses chatter. The rules of heads
//! (RFC 9113 §8) are with the head that they fill, in `stead-http1`.

#![forbid(unsafe_code)]

mod frames;
mod guard;
mod violation;
mod written;

pub use guard::{Guard, Untold};
pub use violation::{Kind, Violation};

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of the largest frame that we take: the least that the protocol allows.
pub const FRAME_BYTES_MAX: u32 = 16 << 10;
