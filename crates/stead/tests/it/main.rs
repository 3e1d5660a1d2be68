//! The library as programs use it: real axum, real clients over TCP.

mod client;
mod harness;
mod hello;

use client::Client;
use harness::{serve, serving};
