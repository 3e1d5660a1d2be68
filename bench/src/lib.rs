//! The parts of `stead-bench`.
//!
//! [`session`] is one invocation; the groups [`http`] and others use it to run [`server`]s under
//! the [`loader`], each answer checked by [`answer`]; [`procfs`] tells what a server cost;
//! [`record`] is what stays, [`table`] shows it. Nothing here is a library for others.

#![forbid(unsafe_code)]

pub mod abuse;
pub mod answer;
pub mod certificate;
pub mod channel;
pub mod clients;
pub mod cold;
pub mod compress;
pub mod crowd;
pub mod frames;
pub mod h2load;
pub mod http;
pub mod http2;
pub mod idle;
pub mod latency;
pub mod loader;
pub mod machine;
pub mod million;
pub mod outside;
pub mod pace;
pub mod plot;
pub mod procfs;
pub mod reading;
pub mod record;
pub mod report;
pub mod server;
pub mod session;
pub mod span;
pub mod table;
pub mod tls;
pub mod writes;
pub mod wrk;
