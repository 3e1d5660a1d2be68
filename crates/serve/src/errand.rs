//! Work that another thread has a worker do, with what the worker's connections have: the way in
//! for calls without a socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use stead_base::Reason;
use stead_core::{Connection, Exchange, Peer, Response, Scheme, Worker};
use tokio::sync::Notify;

use crate::chain::{self, Inner};
use crate::guard::{Panicked, poll_guarded};
use crate::state::State;

/// Work for a worker.
pub type Errand = Box<dyn FnOnce(Guest) + Send>;

/// Errands that may wait for one worker.
const WAITING_MAX: usize = 1024;

/// The errands of one worker, in order.
#[derive(Default)]
pub(crate) struct Errands {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Errand>,
    is_closed: bool,
}

impl Errands {
    /// Has the worker do `errand` soon; whether it will.
    pub(crate) fn send(&self, errand: Errand) -> bool {
        let mut queue = self.queue();
        if queue.is_closed || queue.waiting.len() >= WAITING_MAX {
            return false;
        }
        queue.waiting.push_back(errand);
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// Does errands until it is dropped.
    pub(crate) async fn serve(&self, state: Rc<State>) {
        loop {
            let next = self.queue().waiting.pop_front();
            match next {
                Some(errand) => errand(Guest(Rc::clone(&state))),
                None => self.arrived.notified().await,
            }
        }
    }

    /// Drops what waits and takes no more: whoever sent it learns that nothing will come.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.is_closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(waiting);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends errands to the workers of a fleet; also once it has ended, in vain.
#[derive(Clone)]
pub struct Messenger(pub(crate) Arc<[Arc<Errands>]>);

impl Messenger {
    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.len()
    }

    /// Has one of the workers do `errand` soon, the `n`th counted round; whether it will.
    pub fn send(&self, n: usize, errand: Errand) -> bool {
        self.0.get(n % self.0.len().max(1)).is_some_and(|errands| errands.send(errand))
    }
}

/// An errand on its worker.
pub struct Guest(Rc<State>);

impl Guest {
    /// The worker.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.0.worker
    }

    pub(crate) fn state(&self) -> &State {
        &self.0
    }

    /// Runs `future` on the worker until it is done or the worker ends.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(future);
    }

    /// An exchange with a server that no connection carries.
    pub fn exchange(&self, server: u16, peer: Peer) -> Exchange {
        let server = Rc::clone(&self.0.names[usize::from(server)]);
        let connection = Connection { peer, scheme: Scheme::Http, tls: None, server };
        Exchange::new(Rc::clone(&self.0.worker), connection)
    }

    /// Answers an exchange whose head is complete: route, middleware, handler.
    pub async fn answer(&self, server: u16, exchange: &mut Exchange) -> Response {
        let owner = self.0.server(server);
        owner.trusted_proxies.introduce(exchange);
        let routed = chain::route(owner, self.0.router(server), exchange);
        if let Some(reason) = routed.closes {
            return exchange.refuse(reason);
        }
        let scope = owner.scope(routed.place);
        let inner = match (routed.answer, routed.route) {
            (Some(answer), _) if routed.is_bare => return answer,
            (Some(answer), _) => Inner::Answer(Box::new(answer)),
            (None, Some(route)) => Inner::Route(route),
            (None, None) => return exchange.refuse(Reason::NoRoute),
        };
        let outcome = {
            let mut chain = std::pin::pin!(chain::run(scope, inner, exchange));
            poll_fn(|context| match poll_guarded(chain.as_mut(), context) {
                Ok(polled) => polled.map(Ok),
                Err(panicked) => Poll::Ready(Err(panicked)),
            })
            .await
        };
        if let Err(Panicked) = outcome {
            self.0.worker.counters.panics.add(1);
            return scope.errors.dress(exchange.refuse(Reason::HandlerPanic));
        }
        exchange.take_response().unwrap_or_else(|| exchange.refuse(Reason::HandlerError))
    }
}
