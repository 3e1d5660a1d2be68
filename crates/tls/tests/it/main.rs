//! Sessions, entries and choosers beside a client of rustls.

mod issued;
mod peer;
mod sessions;
mod watch;
