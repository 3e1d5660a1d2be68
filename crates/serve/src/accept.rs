//! New connections: admitted, then opened.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use stead_base::Reason;
use stead_core::Peer;
use stead_net::{Accepted, Acceptor, Socket};

use crate::events;
use crate::opening;
use crate::state::State;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long a listener rests when there is no descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts on one listener until the listener breaks.
///
/// # Errors
/// The listener is broken; the others go on.
pub(crate) async fn accept(
    state: Rc<State>,
    acceptor: Rc<Acceptor>,
    listener: u16,
) -> io::Result<()> {
    let owner = state.owner(listener);
    let mut spare = spare_descriptor();
    let (mut is_short, mut made_room) = (false, false);
    loop {
        for _ in 0..ACCEPTS_PER_TURN {
            match next(&state, &acceptor, owner.private).await? {
                Accepted::Connection(descriptor, peer) => {
                    (is_short, made_room) = (false, false);
                    admit(&state, descriptor, peer, listener);
                    // Another listener may have taken the one that was given up here.
                    spare = spare.or_else(spare_descriptor);
                }
                Accepted::NoDescriptor => {
                    // One line for each time that it begins.
                    if !std::mem::replace(&mut is_short, true) {
                        events::lacks_descriptors(&owner.name);
                    }
                    state.worker.counters.accepts_without_descriptor.add(1);
                    // Once: it may be others who take what becomes free.
                    if !made_room && state.park.make_room_at_once(&*state) {
                        made_room = true;
                        continue;
                    }
                    drop(spare.take());
                    if owner.private {
                        accept_one(&state, &acceptor, listener);
                    } else {
                        refuse_one(&state, &acceptor, listener);
                    }
                    tokio::time::sleep(BACK_OFF).await;
                    spare = spare_descriptor();
                    made_room = false;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// The next connection. Where there is no room for it, it waits in the listener's queue: one that
/// was accepted already would be lost if the worker drained meanwhile.
async fn next(state: &State, acceptor: &Acceptor, is_private: bool) -> io::Result<Accepted> {
    loop {
        let waiting = poll_fn(|context| acceptor.poll_waiting(context)).await?;
        if !is_private {
            state.await_room().await;
        }
        if let Some(accepted) = waiting.accept()? {
            return Ok(accepted);
        }
    }
}

/// Serves one waiting connection with the descriptor that was held back.
fn accept_one(state: &State, acceptor: &Acceptor, listener: u16) {
    if let Ok(Some(Accepted::Connection(descriptor, peer))) = acceptor.try_accept() {
        admit(state, descriptor, peer, listener);
    }
}

/// Takes the connections that wait on a listener which is about to close: they came in time. No
/// more than a queue holds.
pub(crate) fn accept_waiting(state: &State, acceptor: &Acceptor, listener: u16) {
    for _ in 0..=u16::MAX {
        let Ok(Some(Accepted::Connection(descriptor, peer))) = acceptor.try_accept() else {
            return;
        };
        admit(state, descriptor, peer, listener);
    }
}

/// A descriptor held back, so that one connection can be told why it is not served.
fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Answers one waiting connection with the descriptor that was held back; the others wait in the
/// listener's queue.
fn refuse_one(state: &State, acceptor: &Acceptor, listener: u16) {
    if let Ok(Some(Accepted::Connection(descriptor, _))) = acceptor.try_accept() {
        refuse(state, &descriptor, listener);
    }
}

/// Tells a peer why it is not served, if it would understand. It is gone in any case, so that
/// nothing waits for it.
fn refuse(state: &State, descriptor: &OwnedFd, listener: u16) {
    state.worker.counters.outcome(Reason::DescriptorsExhausted);
    if state.is_mute(listener) {
        return;
    }
    let _ = send(descriptor, NO_DESCRIPTOR, SendFlags::NOSIGNAL);
    let _ = shutdown(descriptor, Shutdown::Write);
    // A close with unread input would destroy the answer.
    let _ = recv(descriptor, &mut [0_u8; 4096], RecvFlags::DONTWAIT);
}

const NO_DESCRIPTOR: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
    Retry-After: 1\r\nConnection: close\r\n\r\n";

fn admit(state: &State, descriptor: OwnedFd, peer: Peer, listener: u16) {
    let facts = state.listener(listener);
    let owner = state.server(facts.server);
    if owner.private && !is_own_user(&descriptor) {
        return;
    }
    let proxies = &facts.opening.proxy_protocol;
    let has_header = !proxies.is_empty();
    if has_header && !proxies.contains(peer.into()) {
        return shed(state, facts.server, peer, Reason::ProxySourceRefused);
    }
    let client = (!has_header).then_some(peer);
    if let Some(Err(reason)) = client.map(|client| owner.connections.admit_rate(client)) {
        return shed(state, facts.server, peer, reason);
    }
    if !owner.private && !state.take_place() {
        state.worker.counters.accepts_without_descriptor.add(1);
        return refuse(state, &descriptor, listener);
    }
    // What speaks a protocol of its own cannot be told why, and what speaks TLS only after much
    // work.
    let admitted = if state.is_mute(listener) && state.is_overloaded() {
        Err(Reason::Overloaded)
    } else {
        owner.connections.admit(&owner.scope.limits, client)
    };
    if let Err(reason) = admitted {
        if !owner.private {
            state.worker.process.connections.release(1);
        }
        return shed(state, facts.server, peer, reason);
    }
    state.remember(facts.server);
    let token = state.park.admit(peer, listener, owner.scope.timeouts.connection_age_max);
    if has_header {
        return opening::await_header(state, token, descriptor, peer, listener);
    }
    opening::begin(state, token, Socket::new(descriptor), peer, listener);
}

/// Closes a connection before anything was read of it.
fn shed(state: &State, server: u16, peer: Peer, reason: Reason) {
    state.worker.counters.outcome(reason);
    events::refused(&state.server(server).name, peer, reason);
}

/// Whether the other end of a unix socket is root or the user that we run as.
fn is_own_user(descriptor: &OwnedFd) -> bool {
    rustix::net::sockopt::socket_peercred(descriptor)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}
