//! The library as programs use it: real axum, real clients over TCP.

mod bodies;
mod call;
mod client;
mod configured;
mod encrypted;
mod extractors;
mod harness;
mod hello;
mod http2;
mod layers;
mod pairs;
mod proxies;
mod runtimes;
mod several;
mod streams;
mod tcp;
mod turns;
mod websocket;

use client::{Client, eventually};
use harness::serve;
