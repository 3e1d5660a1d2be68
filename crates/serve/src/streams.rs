//! Connections that a server takes whole: no engine, no park, no deadline of ours.
//!
//! They count like any other, against limits and in a drain, until what took them is done.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use stead_core::Peer;

use crate::guard::{Panicked, poll_guarded};
use crate::state::State;

/// Hands an admitted connection over.
pub(crate) fn spawn(state: &State, descriptor: OwnedFd, peer: Peer, server: u16) {
    let Some(state) = state.this.upgrade() else { return };
    let held = Held { state, peer, server };
    tokio::task::spawn_local(async move {
        let Some(streams) = &held.state.server(server).streams else { return };
        // Taking may panic as well as what follows it.
        let mut taking = pin!(async { streams.take(descriptor, peer).await });
        let ended = poll_fn(|context| match poll_guarded(taking.as_mut(), context) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        });
        if let Err(Panicked) = ended.await {
            held.state.worker.counters.panics.add(1);
        }
    });
}

/// A connection that counts until this is dropped.
struct Held {
    state: Rc<State>,
    peer: Peer,
    server: u16,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.forget(self.server, self.peer);
    }
}
