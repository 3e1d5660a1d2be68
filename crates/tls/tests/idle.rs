//! What an idle session holds. A program of its own, because it looks at the allocator of all.

#![cfg(target_env = "gnu")]
#![allow(dead_code, reason = "the parts that this program shares with `it` offer more")]

#[path = "it/peer.rs"]
mod peer;

use peer::{Authority, Peer, Pipe, chooser, options};

const NAME: &str = "shop.example.com";
const COUNT: usize = 1000;

/// Keys, counters, what is known of the handshake, and what the library will not let go of; the
/// allocator's own rounding is in it.
#[test]
fn an_idle_session_keeps_its_budget() {
    // SAFETY: reads counters of the allocator.
    let used = || unsafe { libc::mallinfo2() }.uordblks;
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let peer = Peer::new(&authority);
    let mut idle = Vec::with_capacity(2 * COUNT);
    let mut keep = |count| {
        for _ in 0..count {
            let session = chooser.open(Some(NAME.into())).expect("a session");
            let mut pipe = Pipe::new(peer.connect(NAME), session);
            pipe.run(100_000).expect("a handshake");
            pipe.write(b"GET / HTTP/1.1\r\n\r\n");
            pipe.run(100_000).expect("a request");
            pipe.seal(b"HTTP/1.1 204 No Content\r\n\r\n");
            pipe.run(100_000).expect("an answer");
            idle.push(pipe.session);
        }
    };
    keep(COUNT / 4);
    let before = used();
    keep(COUNT);
    let each = (used() - before) / COUNT;
    assert!(each <= 3840, "{each} bytes");
}
