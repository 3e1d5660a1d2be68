//! TCP ports that nobody listens on, each handed out once in this process.
//!
//! The system picks one by binding port 0. It is free again before the test binds it, so another
//! process may come first: whoever needs certainty lets the server pick (port 0) or tries again.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};

static HANDED_OUT: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that was free a moment ago, on IPv4 and IPv6, and that no other test was given.
///
/// # Errors
/// The system has none left.
pub fn free() -> io::Result<u16> {
    loop {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let port = listener.local_addr()?.port();
        if HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
}
