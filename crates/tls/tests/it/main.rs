//! Sessions, entries and choosers beside a client of rustls.

mod peer;
mod sessions;
