//! TLS: certificates and keys, who is served with which, tickets, and the session of one
//! connection over buffers that the worker owns.
//!
//! An [`Entry`] is one `[tls.NAME]`, [`Issued`] what an authority issues while the process runs, a
//! [`Chooser`] the certificates of one listener, a [`Session`] one connection. rustls with
//! aws-lc-rs does the cryptography; its types stay in here.

#![forbid(unsafe_code)]

mod certificate;
mod chooser;
mod client;
mod entry;
mod issued;
mod names;
mod outgoing;
mod problem;
mod self_signed;
mod session;
mod tickets;
mod watch;

pub use chooser::{Chooser, Unserved};
pub use entry::{Clients, Counts, Entry, EntryOptions, Pem, PemSource, Version};
pub use issued::Issued;
pub use outgoing::Outgoing;
pub use problem::{Part, Problem};
pub use self_signed::{SELF_SIGNED, SelfSigned};
pub use session::{Broken, SEAL_BYTES_MAX, Session};
pub use watch::Watch;
