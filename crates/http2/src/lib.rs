//! Counts what a peer does to an HTTP/2 connection, frame by frame, beneath the crate that speaks
//! the protocol.
//!
//! Pure: bytes and the time in, a verdict out (RFC 9113 §4.1, §10.5).

#![forbid(unsafe_code)]
