//! Carries requests: workers, connections, exchanges, answers, the access log.
//!
//! A [`Fleet`] is the workers of a process. Each worker accepts on its own listeners, keeps its
//! connections in its own park, and makes a task of a connection only while there is something to
//! do. The HTTP/1.1 shell in `connection` joins the engine (`stead-http1`) to sockets.

#![forbid(unsafe_code)]

mod accept;
pub mod access_log;
mod account;
mod answer;
mod census;
mod chain;
mod client;
mod connection;
mod connection_limits;
mod errand;
mod events;
mod fleet;
mod guard;
mod handshake;
mod http2;
mod linger;
mod listener;
mod opening;
mod parting;
mod receive;
mod relief;
mod scope;
mod secure;
mod snapshot;
mod stalled;
mod state;
mod streams;
mod transport;
mod tunnel;
mod wire;
mod worker;

pub use census::Census;
pub use chain::{Decision, Verdict, decide};
pub use client::{ClientField, TrustedProxies};
pub use connection_limits::ConnectionLimits;
pub use errand::{Errand, Guest, Messenger};
pub use fleet::{Cutter, Fleet, FleetOptions};
pub use listener::{Listener, Opening};
pub use relief::weigh;
pub use scope::{ErrorPage, ErrorPages, Scope, Stack};
pub use snapshot::{Route, ScopeRef, Server, Site, Snapshot, Streams, UnknownHost};
