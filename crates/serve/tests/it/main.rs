//! Integration tests of the connection: a real fleet on loopback, raw bytes from the client.
//!
//! One behaviour a file. `harness` starts fleets, `client` speaks to them, `handlers` answers.

mod basics;
mod client;
mod exchange;
mod handlers;
mod harness;
