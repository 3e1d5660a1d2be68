//! Integration tests of the connection: a real fleet on loopback, raw bytes from the client.

mod basics;
mod harness;
