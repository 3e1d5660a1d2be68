//! Stead, the steady web server, as a library: from a configuration to running servers.
//!
//! ```text
//! check: text → Configuration → Snapshot, all errors at once
//! start: Snapshot → every address bound → workers accept → ready
//! ```
//!
//! [`command::check`] touches nothing that runs; [`command::start`] binds every address before the
//! first byte is served, or returns all that stands in the way. Neither sets a signal handler or a
//! logger.

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

pub use bind::BindError;
pub use start::{Address, StartError};

pub mod command {
    //! What the command `stead` is made of: checks, starts, explains, and asks one that runs.

    pub use stead_net::{InheritError, Inherited, Keepalive, ListenOptions};
    pub use stead_serve::Cutter;

    pub use crate::admin::{Control, LogLevels};
    pub use crate::check::{Checked, check, check_files};
    pub use crate::client::{admin_process, admin_request};
    pub use crate::explain::{Explanation, Question, explain};
    pub use crate::registry::{handler, vocabulary};
    pub use crate::runtime::{Leftovers, Runtime, RuntimeError, default_name};
    pub use crate::start::{StartOptions, Started, start};
}
