//! What may stand before the first request of a connection: a header of the PROXY protocol, the
//! `ClientHello` of TLS.
//!
//! Pure parsers of bounded input: bytes in; a value, "more is needed" or a reason out.

#![forbid(unsafe_code)]
