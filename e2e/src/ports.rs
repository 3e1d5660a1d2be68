//! TCP ports that nobody listens on, each handed out once in this process.
//!
//! They lie below those that the system picks for connections, of which tests make thousands, and
//! begin elsewhere in each process, because every test may be one. A port is free again before the
//! test binds it, so another process may come first: whoever needs certainty lets the server pick
//! (port 0) or tries again.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below `net.ipv4.ip_local_port_range`, which begins at 32768.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// What a test usually needs, so that the next process begins behind it.
const STRIDE: u32 = 10;

/// A port that was free a moment ago and that no other test of this process was given.
///
/// # Errors
/// There is none left.
pub fn free() -> io::Result<u16> {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        if place >= COUNT {
            return Err(io::Error::other("every port was handed out"));
        }
        let begin = std::process::id().wrapping_mul(STRIDE) % COUNT;
        let port = (FIRST + (begin + place) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
}
