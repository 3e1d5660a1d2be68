//! The parts of `stead-bench`.
//!
//! [`session`] is one invocation; the groups [`http`] and others use it to run [`server`]s under
//! the [`loader`], each answer checked by [`answer`]; [`procfs`] tells what a server cost;
//! [`record`] is what stays, [`table`] shows it. Nothing here is a library for others.

#![forbid(unsafe_code)]

pub mod answer;
pub mod clients;
pub mod cold;
pub mod compress;
pub mod crowd;
pub mod http;
pub mod idle;
pub mod latency;
pub mod loader;
pub mod machine;
pub mod outside;
pub mod pace;
pub mod plot;
pub mod procfs;
pub mod reading;
pub mod record;
pub mod report;
pub mod server;
pub mod session;
pub mod table;
pub mod wrk;
