//! Stead, the steady web server, as a library: axum and tower services on many small connections.
//!
//! - [`serve`] stands in place of `axum::serve`: one changed line.
//! - [`Stead`] runs several [`Server`]s in one process, made in code or by a configuration, and
//!   gives a [`Running`].
//! - [`kinds`] is what handlers and middleware of one's own are made with.
//!
//! Every address is bound before the first byte is served, or all that stands in the way is
//! returned. Neither `serve` nor [`Stead::start`] sets a signal handler, a logger or a panic hook.
//!
//! Services run on Stead's workers, one event loop each, beside the connections: one that computes
//! for more than 50 ms at a time is logged, and belongs on a runtime of its own
//! ([`App::on_runtime`]).

#![forbid(unsafe_code)]

mod acme;
mod additions;
mod address;
mod admin;
mod background;
mod bind;
mod budgets;
mod call;
mod certificates;
mod check;
mod client;
mod compile;
mod errors;
mod explain;
pub mod kinds;
mod log;
mod memory;
mod off_thread;
mod ranges;
mod registry;
mod running;
mod runtime;
mod scopes;
mod server;
mod service;
mod serving;
mod signals;
mod stacks;
mod start;
mod state;
mod status;
#[allow(clippy::module_inception, reason = "a file is named after its main type")]
mod stead;
mod tcp;
mod tls;
mod trusted_proxies;

pub use address::Address;
pub use call::CallError;
pub use errors::{KindError, ServerError, StartError};
pub use running::Running;
pub use server::{Listen, Server};
pub use serving::{Serve, serve};
#[doc(inline)]
pub use stead_base::{ByteSize, Error, Frequency, Limits, Rate, Reason, Timeouts};
#[doc(inline)]
pub use stead_config::ProxyHeader;
#[doc(inline)]
pub use stead_core::{Client, ClientCertificate, Peer, Scheme};
#[doc(inline)]
pub use stead_net::AcquireError;
#[doc(inline)]
pub use stead_tower::{App, Body, BoxError, ConnectInfo, IntoApp};
pub use tcp::Ending;
pub use tls::Tls;
pub use trusted_proxies::TrustedProxies;

pub use crate::bind::BindError;
pub use crate::stead::Stead;

pub mod command {
    //! What the command `stead` is made of: checks, starts, explains, and asks one that runs.
    //! Programs have no need of it.
    //!
    //! ```no_run
    //! use std::path::Path;
    //!
    //! let checked = stead::command::check(Path::new("stead.toml"));
    //! println!("{} errors", checked.diagnostics.error_count());
    //! ```

    pub use stead_net::{InheritError, Inherited, Keepalive, ListenOptions};
    pub use stead_serve::Cutter;

    pub use crate::admin::{Control, LogLevels};
    pub use crate::budgets::MemoryLimit;
    pub use crate::check::{Checked, check, check_files};
    pub use crate::client::{admin_process, admin_request};
    pub use crate::explain::{Explanation, Question, explain};
    pub use crate::registry::{handler, vocabulary};
    pub use crate::runtime::{Leftovers, Runtime, RuntimeError, default_name};
    pub use crate::start::{StartOptions, Started, start};
    pub use crate::state::state_directory;
}

/// The pages of the guide that hold Rust: each block is compiled, and run where it may be.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/library.md")]
    struct Library;

    #[doc = include_str!("../../../docs/guide/coming-from-axum.md")]
    struct ComingFromAxum;
}
