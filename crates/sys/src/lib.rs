//! System calls, each behind a safe function: the only crate with `unsafe`.
//!
//! What `rustix` offers safely is used as it is; what it lacks goes through `libc` here, one call a
//! function. Nothing here decides anything.

pub mod clock;
pub mod event;
pub mod file;
pub mod memory;
pub mod passed;
pub mod socket;
pub mod table;
