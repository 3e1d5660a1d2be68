//! Connections that a server takes whole: no engine, no park, no deadline of ours.
//!
//! They count like any other, against limits and in a drain, until what took them is done.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
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
        let owner = held.state.server(held.server);
        let Some(streams) = &owner.streams else { return };
        let mut taking = None;
        let mut descriptor = Some(descriptor);
        poll_fn(|context| {
            // Taking may panic as well as what follows it.
            let mut step = std::pin::pin!(poll_fn(|context| {
                if let Some(descriptor) = descriptor.take() {
                    taking = Some(streams.take(descriptor, peer));
                }
                taking.as_mut().map_or(Poll::Ready(()), |taking| taking.as_mut().poll(context))
            }));
            match poll_guarded(step.as_mut(), context) {
                Ok(polled) => polled,
                Err(Panicked) => {
                    held.state.worker.counters.panics.add(1);
                    Poll::Ready(())
                }
            }
        })
        .await;
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
