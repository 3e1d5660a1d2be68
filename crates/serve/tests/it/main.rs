//! Integration tests of the connection: a real fleet on loopback, raw bytes from the client.
//!
//! One behaviour a file. `harness` starts fleets, `client` speaks to them, `handlers` answers, and
//! `witness` watches over the honest.

mod basics;
mod client;
mod exchange;
mod expectations;
mod framing_rules;
mod handlers;
mod harness;
mod head_rules;
mod switches;
mod witness;
