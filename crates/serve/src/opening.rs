//! What comes before the first byte of an admitted connection: the PROXY header where its listener
//! wants one. What comes between that byte and the first request, such as a handshake, is the
//! task's ([`crate::connection`], [`crate::handshake`]).
//!
//! Until the header is there a connection is a task and counts for its server, but for no address:
//! its client is not known. From [`begin`] on the client is the connection's peer, for limits, logs
//! and all that is further in, and the socket stands at the first byte behind the header.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use stead_base::{Reason, Tick};
use stead_core::Peer;
use stead_net::{Socket, Token, Wait, step_towards};
use stead_preamble::{PROXY_BYTES_MAX, ProxyHeader, parse_proxy_header};

use crate::events;
use crate::state::State;
use crate::streams;
use crate::transport::Transport;

/// From accept to the last byte of a PROXY header: proxies send it at once (SECURITY.md 48).
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// Begins a connection whose peer is its client: reads once, then it rests or becomes a task.
pub(crate) fn begin(state: &State, token: Token, mut socket: Socket, peer: Peer, listener: u16) {
    let server = state.listener(listener).server;
    let owner = state.server(server);
    if !owner.private {
        events::opened(&owner.name, peer);
    }
    if owner.streams.is_some() {
        state.park.remove(token);
        if let Some(descriptor) = socket.into_descriptor() {
            streams::spawn(state, descriptor, peer, server);
        }
        return;
    }
    let mut input = state.worker.buffer();
    input.reserve(4 << 10);
    match socket.try_read(&mut input) {
        Ok(1..) => state.spawn(token, Transport::new(socket), input),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            state.worker.reclaim_buffer(input);
            let limit = owner.scope.timeouts.first_byte;
            let wait = state.at_rest(server, Wait::FirstByte);
            let parked = socket
                .into_descriptor()
                .is_some_and(|fd| state.park.rest(token, fd, wait, limit, None).is_ok());
            if !parked {
                state.park.remove(token);
                state.forget(server, peer);
            }
        }
        Ok(0) | Err(_) => {
            state.worker.reclaim_buffer(input);
            state.park.remove(token);
            state.forget(server, peer);
        }
    }
}

/// Begins a connection whose proxy says first who its client is.
pub(crate) fn await_header(
    state: &State,
    token: Token,
    descriptor: OwnedFd,
    peer: Peer,
    listener: u16,
) {
    let Some(state) = state.this.upgrade() else { return };
    let unknown =
        Unknown { server: state.listener(listener).server, state, token, is_known: false };
    tokio::task::spawn_local(async move {
        let mut socket = Socket::new(descriptor);
        match unknown.read_header(&mut socket).await {
            Ok(header) => unknown.introduce(socket, peer, header, listener),
            Err(reason) => unknown.refuse(peer, reason),
        }
    });
}

/// A connection that counts for its server, until this is dropped or the client is known.
struct Unknown {
    state: Rc<State>,
    token: Token,
    server: u16,
    is_known: bool,
}

impl Unknown {
    /// The whole header.
    ///
    /// # Errors
    /// Why the connection ends; no reason where the peer went without a word.
    async fn read_header(&self, socket: &mut Socket) -> Result<ProxyHeader, Option<Reason>> {
        let ends = self.state.worker.now() + HEADER_WITHIN;
        let mut input = Vec::new();
        let header = poll_fn(|context| {
            if input.capacity() == 0 {
                input = self.state.worker.buffer();
                input.reserve(PROXY_BYTES_MAX);
            }
            let polled = poll_header(socket, context, &mut input);
            if polled.is_pending() {
                if input.is_empty() {
                    self.state.worker.reclaim_buffer(std::mem::take(&mut input));
                }
                return self.poll_limits(context, ends);
            }
            polled
        })
        .await;
        self.state.worker.reclaim_buffer(input);
        header
    }

    fn poll_limits<T>(&self, context: &Context<'_>, ends: Tick) -> Poll<Result<T, Option<Reason>>> {
        if self.state.drains_new(self.server) {
            return Poll::Ready(Err(Some(Reason::Drained)));
        }
        let now = self.state.worker.now();
        if now >= ends {
            return Poll::Ready(Err(Some(Reason::ProxyHeaderTimeout)));
        }
        self.state.park.arm(self.token, Wait::Task, step_towards(ends - now), context.waker());
        Poll::Pending
    }

    /// The client is known: it is admitted like one that came by itself.
    fn introduce(mut self, socket: Socket, proxy: Peer, header: ProxyHeader, listener: u16) {
        let client = header.client.map_or(proxy, Peer::Tcp);
        let owner = self.state.server(self.server);
        let limits = &owner.scope.limits;
        let admitted = owner.connections.admit_rate(client);
        let admitted = admitted.and_then(|()| owner.connections.admit_client(limits, client));
        if let Err(reason) = admitted {
            return self.refuse(client, Some(reason));
        }
        self.state.park.set_peer(self.token, client);
        if header.over_tls {
            self.state.park.set_proxied_tls(self.token);
        }
        self.is_known = true;
        begin(&self.state, self.token, socket, client, listener);
    }

    fn refuse(&self, peer: Peer, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.state.outcome(self.server, reason);
            events::refused(&self.state.names[usize::from(self.server)], peer, reason);
        }
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        if !self.is_known {
            self.state.park.remove(self.token);
            self.state.forget_unknown(self.server);
        }
    }
}

/// Takes the header off the socket, and nothing behind it: what follows may be TLS, or belong to
/// whoever takes the connection whole.
fn poll_header(
    socket: &mut Socket,
    context: &mut Context<'_>,
    input: &mut Vec<u8>,
) -> Poll<Result<ProxyHeader, Option<Reason>>> {
    loop {
        let before = input.len();
        let (took, header) = match std::task::ready!(socket.poll_peek(context, input)) {
            Ok(0) if before == 0 => return Poll::Ready(Err(None)),
            Ok(0) => return Poll::Ready(Err(Some(Reason::BadProxyHeader))),
            Err(_) => return Poll::Ready(Err(None)),
            Ok(count) => match parse_proxy_header(input) {
                Ok(None) => (count, None),
                Ok(Some(header)) => (header.bytes - before, Some(header)),
                Err(error) => return Poll::Ready(Err(Some(error.reason()))),
            },
        };
        if socket.discard(took).is_err() {
            return Poll::Ready(Err(None));
        }
        if let Some(header) = header {
            return Poll::Ready(Ok(header));
        }
    }
}
