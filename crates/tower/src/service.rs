//! A tower service as a handler.
//!
//! 1. the worker's clone of the service is cloned once more, as `tower` asks;
//! 2. the exchange becomes an `http::Request`, its body a channel;
//! 3. the service is called; while it works the request's body moves on;
//! 4. its response becomes an answer.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::Poll;

use http::{HeaderMap, Request, Response};
use stead_core::{Error, Exchange, Handler, LocalKey, Reply, Response as Answer, Result};
use stead_http1::Framing;
use tower_service::Service;

use crate::answer::answer;
use crate::app::Facts;
use crate::request::request;
use crate::shared::lock;
use crate::switch::switch;
use crate::turn::Turns;
use crate::{Body, BoxError, ConnectInfo};

/// Makes the service for one request.
pub(crate) trait Make: Clone + Send + 'static {
    type Service: Service<Request<Body>, Response = Response<Self::Body>, Error: Into<BoxError>>
        + 'static;
    type Body: http_body::Body<Error: Into<BoxError>> + 'static;

    /// The service for a request from `peer`.
    fn make(&self, peer: SocketAddr) -> impl Future<Output = Result<Self::Service, BoxError>>;
}

/// Every request gets a clone of one service.
#[derive(Clone)]
pub(crate) struct One<S>(pub(crate) S);

impl<S, B> Make for One<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    type Service = S;
    type Body = B;

    async fn make(&self, _: SocketAddr) -> Result<S, BoxError> {
        Ok(self.0.clone())
    }
}

/// Every request gets a service of its own.
#[derive(Clone)]
pub(crate) struct Many<M>(pub(crate) M);

impl<M, S, B> Make for Many<M>
where
    M: Service<SocketAddr, Response = S> + Clone + Send + 'static,
    M::Error: Into<BoxError>,
    S: Service<Request<Body>, Response = Response<B>> + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    type Service = S;
    type Body = B;

    async fn make(&self, peer: SocketAddr) -> Result<S, BoxError> {
        let mut maker = self.0.clone();
        poll_fn(|context| maker.poll_ready(context)).await.map_err(Into::into)?;
        maker.call(peer).await.map_err(Into::into)
    }
}

/// Answers with a service.
pub(crate) struct ServiceHandler<M> {
    /// What each worker's own clone is made from.
    prototype: Mutex<M>,
    here: LocalKey<Here<M>>,
    route: String,
}

/// What a worker holds of a service: no counter that workers would share is touched per request.
pub(crate) struct Here<M> {
    pub(crate) make: M,
    pub(crate) route: Rc<str>,
    /// The emptied map of the last response, for the next request.
    spare: Cell<HeaderMap>,
}

/// A map with room for more fields is not kept.
const SPARE_FIELDS_MAX: usize = 64;

impl<M> Here<M> {
    pub(crate) fn keep(&self, map: HeaderMap) {
        if map.capacity() <= SPARE_FIELDS_MAX {
            self.spare.set(map);
        }
    }
}

impl<M: Make> ServiceHandler<M> {
    pub(crate) fn new(make: M, facts: &Facts<'_>) -> Self {
        Self { prototype: Mutex::new(make), here: facts.keys.next(), route: facts.route.to_owned() }
    }

    fn here(&self, exchange: &Exchange) -> Rc<Here<M>> {
        exchange.worker().local.value(&self.here, || Here {
            make: lock(&self.prototype).clone(),
            route: Rc::from(&*self.route),
            spare: Cell::default(),
        })
    }
}

impl<M: Make> Handler for ServiceHandler<M> {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let here = self.here(exchange);
        let head = exchange.head();
        // Whoever asks for a protocol switch and sends a body gets no switch: what follows the body
        // could be either.
        let is_bodiless = matches!(head.framing(), Framing::None | Framing::Length(0));
        if head.upgrade().is_some() && is_bodiless {
            return Reply::wait(switch(here, exchange));
        }
        Reply::wait(serve(here, exchange))
    }

    /// As under hyper: a closed browser tab ends what it asked for.
    fn serves_half_closed(&self) -> bool {
        false
    }
}

async fn serve<M: Make>(here: Rc<Here<M>>, exchange: &mut Exchange) -> Result<Answer> {
    let (request, mut pump) = match request(exchange, here.spare.take()) {
        Ok(parts) => parts,
        Err(reason) => return Ok(exchange.refuse(reason)),
    };
    let turns = Turns::new(exchange, &here.route);
    let mut service = ready_service(&here, exchange).await?;
    // PERF: the call and its first poll are one turn: 6 readings of the clock became 2.
    let mut began = Some(turns.begin());
    let mut called = pin!(service.call(request));
    let answered = poll_fn(|context| {
        let turn = began.take().unwrap_or_else(|| turns.begin());
        let polled = loop {
            if let Poll::Ready(response) = called.as_mut().poll(context) {
                let pump = std::mem::take(&mut pump);
                let answer = |response| answer(exchange, response, pump, &turns, context);
                break Poll::Ready(response.map(answer).map_err(failed));
            }
            if pump.poll(context).is_pending() {
                break Poll::Pending;
            }
        };
        turns.end(turn, Some(exchange.routed_path()));
        polled
    });
    let (answer, map) = answered.await?;
    here.keep(map);
    Ok(answer)
}

/// A service for this request that is ready to be called.
pub(crate) async fn ready_service<M: Make>(
    here: &Here<M>,
    exchange: &Exchange,
) -> Result<M::Service> {
    let peer = ConnectInfo::of(exchange).address();
    let mut service = here.make.make(peer).await.map_err(failed)?;
    poll_fn(|context| service.poll_ready(context)).await.map_err(failed)?;
    Ok(service)
}

/// A service's own error: 500, with its text in our log.
pub(crate) fn failed(error: impl Into<BoxError>) -> Error {
    let error = Error::internal("a service failed").with_source(error);
    tracing::error!("{error}");
    error
}
