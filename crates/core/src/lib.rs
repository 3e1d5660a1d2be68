//! The contract: what a handler and a middleware implement, and what they receive.
//!
//! A request lives here as an [`Exchange`]: middleware see it in order, a handler answers it, the
//! same middleware see the answer in reverse. No sockets, and of TLS only what a handshake agreed
//! on; outside this workspace only types of `http` and `bytes` appear in the public API.
//!
//! INVARIANT: handlers and middleware are `Send + Sync` and shared by all workers; everything that
//! belongs to one exchange, futures included, stays on its worker and is not `Send`.

#![forbid(unsafe_code)]

mod blocking;
mod body;
mod build;
mod challenges;
mod configured;
mod counters;
mod exchange;
mod file;
mod gcra;
mod handler;
mod key;
mod local;
mod middleware;
mod moved;
mod origins;
mod pace;
mod pressure;
mod process;
mod response;
mod shared;
mod slots;
mod text;
mod tls;
mod tunnel;
mod worker;

pub use blocking::{Blocking, Job, Pending};
pub use body::{Body, BodyStream, Frame};
pub use build::{BuildContext, HandlerKind, MiddlewareKind};
pub use challenges::Challenges;
pub use configured::{check_field_name, check_field_value};
pub use counters::{Counter, Counters};
pub use exchange::{BodyPipe, Client, Connection, Exchange, Peer, RequestBody, Scheme};
pub use file::{OpenFile, OpenFiles};
pub use gcra::{Allowances, Standing, Verdict};
pub use handler::{Handler, Reply};
pub use key::{Key, KeyHasher, Secrets};
pub use local::{Local, LocalKey, LocalKeys};
pub use middleware::{Flow, Middleware};
pub use moved::moved;
pub use origins::Origins;
pub use pace::{Pace, Turn};
pub use pressure::{Fill, Level, Memory, Pressure, SCARCE, Scarcity, TIGHT};
pub use process::{Budget, Phase, Process};
pub use response::Response;
pub use shared::Shared;
pub use slots::Slots;
pub use stead_base::{Error, Reason, Result};
pub use stead_http1::{Fields, Method, Name, StatusCode, Version, name};
pub use text::{Fact, Part, Text, push_parameter};
pub use tls::{ClientCertificate, Protocol, Shown, TlsFact, TlsFacts};
pub use tunnel::{Tunnel, TunnelIo};
pub use worker::{BUFFER_BYTES_MAX, Worker};
