//! Descriptors on the event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that the current event loop watches.
pub type Watched = AsyncFd<OwnedFd>;

/// Lets the current event loop watch `descriptor`.
///
/// # Errors
/// The descriptor back, with the reason.
pub fn watch(descriptor: OwnedFd, interest: Interest) -> Result<Watched, (OwnedFd, io::Error)> {
    // SAFETY: an `OwnedFd` stays open until it is dropped, names one descriptor only, and the
    // result owns it; nothing else can close it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    watched.map_err(tokio::io::unix::AsyncFdRegisterError::into_parts)
}
