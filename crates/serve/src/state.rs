//! What all connections of one worker share.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use stead_base::Reason;
use stead_core::{Counters, Peer, Worker};
use stead_net::{Closed, Held, Left, Park, Socket, Token, Wait, Wake};
use stead_route::Router;

use crate::access_log::WorkerLog;
use crate::connection::Connection;
use crate::events;
use crate::http2::Stamps;
use crate::listener::ListenerFacts;
use crate::relief::Relief;
use crate::snapshot::{Server, Snapshot};
use crate::transport::Transport;

/// One worker's park, snapshot and log.
pub(crate) struct State {
    pub(crate) worker: Rc<Worker>,
    pub(crate) park: Park,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The listeners, as records and tasks name them.
    pub(crate) listeners: Arc<[ListenerFacts]>,
    /// The servers' routers: tables shared, search memory this worker's own.
    pub(crate) routers: Vec<Router>,
    /// The servers' names, for exchanges to hold without touching a shared counter.
    pub(crate) names: Vec<Rc<str>>,
    pub(crate) log: Option<WorkerLog>,
    pub(crate) draining: Cell<bool>,
    /// The drain took too long: exchanges end where they are.
    pub(crate) cut: Cell<bool>,
    /// Open connections of servers that are not private: what a drain waits for.
    pub(crate) open_public: Cell<usize>,
    /// Those of them that are tunnels.
    pub(crate) tunnels: Cell<usize>,
    /// The drain waits for first requests no longer.
    pub(crate) first_requests_over: Cell<bool>,
    /// Nothing but tunnels was left in the process, and they had their time.
    pub(crate) tunnels_cut: Cell<bool>,
    /// What the process's budgets ask of this worker.
    pub(crate) relief: Relief,
    /// Values that answers of HTTP/2 share.
    pub(crate) stamps: Stamps,
    pub(crate) this: Weak<State>,
}

impl State {
    pub(crate) fn router(&self, server: u16) -> &Router {
        &self.routers[usize::from(server)]
    }

    pub(crate) fn server(&self, index: u16) -> &Server {
        &self.snapshot.servers[usize::from(index)]
    }

    /// What is known of a listener.
    pub(crate) fn listener(&self, listener: u16) -> &ListenerFacts {
        &self.listeners[usize::from(listener)]
    }

    /// Whose listener it is.
    pub(crate) fn owner(&self, listener: u16) -> &Server {
        self.server(self.listener(listener).server)
    }

    /// Whether connections of a server must end. Private ones stay: who watches a drain asks them.
    pub(crate) fn drains(&self, server: u16) -> bool {
        self.draining.get() && !self.server(server).private
    }

    /// Whether connections of a server that have not asked for anything yet must end, too.
    pub(crate) fn drains_new(&self, server: u16) -> bool {
        self.cut.get() || self.drains(server) && self.first_requests_over.get()
    }

    /// Where a server's connections and exchanges count. Private ones do not: who asks what Stead
    /// does is not what it does.
    pub(crate) fn counters(&self, server: u16) -> Option<&Counters> {
        (!self.server(server).private).then_some(&self.worker.counters)
    }

    /// A connection was admitted.
    pub(crate) fn remember(&self, server: u16) {
        if let Some(counters) = self.counters(server) {
            counters.connections_accepted.add(1);
            counters.connections_open.add(1);
            self.open_public.set(self.open_public.get() + 1);
        }
    }

    /// Whether every connection that a drain waits for is a tunnel.
    pub(crate) fn has_only_tunnels(&self) -> bool {
        self.open_public.get() <= self.tunnels.get()
    }

    /// An exchange or a connection of a server ended so.
    pub(crate) fn outcome(&self, server: u16, reason: Reason) {
        if let Some(counters) = self.counters(server) {
            counters.outcome(reason);
        }
    }

    /// Makes a task of a connection that has something to read.
    pub(crate) fn spawn(&self, token: Token, transport: Transport, input: Vec<u8>) {
        if let Some(state) = self.this.upgrade() {
            tokio::task::spawn_local(Connection::task(state, token, transport, input));
        }
    }

    /// A connection was closed: undoes its admission.
    pub(crate) fn forget(&self, server: u16, peer: Peer) {
        let owner = self.server(server);
        owner.connections.release_client(&owner.scope.limits, peer);
        self.forget_unknown(server);
    }

    /// A connection was closed before it was known whose it is.
    pub(crate) fn forget_unknown(&self, server: u16) {
        self.server(server).connections.release();
        if let Some(counters) = self.counters(server) {
            counters.connections_open.subtract(1);
            self.worker.process.connections.release(1);
            self.open_public.set(self.open_public.get().saturating_sub(1));
        }
    }
}

impl Drop for State {
    /// Connections that rest when a worker panics or is cut end with it; their server must not go
    /// on counting them.
    fn drop(&mut self) {
        self.set_dry(false);
        self.park.clear(|listener, peer| {
            let owner = self.owner(listener);
            owner.connections.release_client(&owner.scope.limits, peer);
            owner.connections.release();
            if !owner.private {
                self.worker.counters.connections_open.subtract(1);
                self.worker.process.connections.release(1);
            }
        });
    }
}

impl Wake for State {
    fn wake(&self, token: Token, descriptor: OwnedFd, held: Option<Held>) {
        let transport = Transport::resume(Socket::new(descriptor), held);
        self.spawn(token, transport, self.worker.buffer());
    }

    fn closed(&self, why: Closed, listener: u16, peer: Peer, left: Left) {
        if let (Some(descriptor), Some(held)) = (left.descriptor, left.held)
            && why != Closed::Peer
        {
            // Who was told that nothing more comes knows that nothing is missing.
            Transport::resume(Socket::new(descriptor), Some(held)).end(&self.worker);
        }
        let server = self.listener(listener).server;
        self.forget(server, peer);
        let reason = match why {
            Closed::Peer => None,
            Closed::Drain => Some(Reason::Drained),
            Closed::Age => Some(Reason::ConnectionAge),
            Closed::Pressure => Some(Reason::IdlePressure),
            Closed::Deadline(Wait::FirstByte) => Some(Reason::FirstByteTimeout),
            Closed::Deadline(_) => Some(Reason::IdleTimeout),
        };
        let Some(counters) = self.counters(server) else { return };
        if let Some(reason) = reason {
            counters.outcome(reason);
        }
        events::closed_at_rest(&self.names[usize::from(server)], peer, reason);
    }
}
