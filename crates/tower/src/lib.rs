//! The tower edge: services of `tower` answer requests of Stead.
//!
//! An [`App`] is made of any service that takes `http::Request<Body>`. Where it is built into a
//! route it becomes a handler: each worker has a clone of its own, each request a clone of that. A
//! request's body reaches the service through a channel of one slot that the connection's task
//! feeds; the answer's body is polled by the connection as the peer takes it. A request that asks
//! for a protocol switch goes through a connection of `hyper` in memory, because only hyper can
//! make what its users' extractors need (`switch`).
//!
//! INVARIANT: everything at this edge is `Send`; nothing of the exchange leaves its worker.

#![forbid(unsafe_code)]

mod answer;
mod app;
mod body;
mod channel;
mod connect_info;
mod inside;
mod outside;
mod pair;
mod pump;
mod request;
mod service;
mod shared;
mod switch;
mod turn;

pub use app::{App, Facts, IntoApp, OfApp, OfMake, OfService};
pub use body::Body;
pub use connect_info::ConnectInfo;
pub use inside::{Feeder, Inside, respond};

/// An error of somebody else's.
///
/// ```
/// # use stead_tower as stead;
/// use stead::{Body, BoxError};
///
/// async fn parse(_: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
///     let number: u32 = "7".parse()?;
///     Ok(http::Response::new(number.to_string().into()))
/// }
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
