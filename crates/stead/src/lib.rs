//! Stead, the steady web server, as a library: from a configuration to running servers.
//!
//! ```text
//! check: text → Configuration → Snapshot, all errors at once
//! start: Snapshot → every address bound → workers accept → ready
//! ```
//!
//! [`check`] touches nothing that runs; [`Stead::start`] binds every address before the first byte
//! is served, or returns all that stands in the way. Neither sets a signal handler or a logger.

#![forbid(unsafe_code)]

mod admin;
mod bind;
mod check;
mod client;
mod compile;
mod explain;
mod log;
mod registry;
mod runtime;
mod scopes;
mod stacks;
mod start;
mod status;

pub use admin::{Control, LogLevels};
pub use bind::BindError;
pub use check::{Checked, check, check_files};
pub use client::{admin_process, admin_request};
pub use explain::{Explanation, Question, explain};
pub use registry::{handler, vocabulary};
pub use runtime::{Leftovers, Runtime, RuntimeError, default_name};
pub use start::{Address, StartError, StartOptions, Stead};
pub use stead_net::{InheritError, Inherited, Keepalive, ListenOptions};
pub use stead_serve::Cutter;
