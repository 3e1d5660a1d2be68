//! Sockets: listeners are acquired here, connections rest here, deadlines run out here.
//!
//! [`acquire`] is the one place that obtains listening sockets. [`Park`] holds every connection's
//! record, parked or active, and the one list of deadlines of its worker. [`Socket`] is a
//! connection's descriptor, known to the event loop only once it had to wait.

#![forbid(unsafe_code)]

mod accept;
mod acquire;
mod holder;
mod inherit;
mod options;
mod park;
mod progress;
mod record;
mod socket;

pub use accept::{Accepted, Acceptor, Waiting};
pub use acquire::{AcquireError, Acquired, Bind, Listening, acquire, acquire_with, adopt};
pub use holder::{Holder, holder_of};
pub use inherit::{InheritError, Inherited, UnusedSocket};
pub use options::{Keepalive, ListenOptions, backlog_max};
pub use park::{Closed, Collect, FOR_EVER, Left, Park, Wake, step_towards};
pub use progress::{Pace, Progress};
pub use record::{Held, Token, Wait};
pub use socket::Socket;
