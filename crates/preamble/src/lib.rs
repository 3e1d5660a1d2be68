//! What may stand before the first request of a connection: a header of the PROXY protocol, the
//! `ClientHello` of TLS.
//!
//! Pure parsers of bounded input: bytes in; a value, "more is needed" or an error out. Each is
//! given all bytes since the connection began, as often as more arrive. What it says depends on
//! these bytes only, never on how they were cut: an error is met at the first byte that breaks a
//! rule, and stays.

#![forbid(unsafe_code)]

mod client_hello;
mod proxy;
mod reader;

pub use client_hello::{
    ClientHello, HELLO_BYTES_MAX, HelloError, HelloReader, Protocols, parse_client_hello,
};
pub use proxy::{PROXY_BYTES_MAX, ProxyError, ProxyHeader, parse_proxy_header};
