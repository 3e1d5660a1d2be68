//! The straight line of one exchange: route, middleware in order, handler, middleware in reverse.
//!
//! Nothing here reads or writes a socket. The caller polls [`run`] and pumps bodies meanwhile.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use stead_base::{Error, Reason, Result};
use stead_core::{Body, Exchange, Flow, Reply, Response, Scheme, StatusCode, name};
use stead_http1::{Form, Framing};
use stead_route::{Captures, Found, RouteRef, Router};

use crate::events;
use crate::guard::{Panicked, poll_guarded};
use crate::scope::Scope;
use crate::snapshot::{Route, ScopeRef, Server, UnknownHost};
use crate::state::State;

/// What the router said of an exchange.
pub(crate) struct Routed<'a> {
    /// The route, where one matches.
    pub(crate) route: Option<&'a Route>,
    /// Where what holds is found.
    pub(crate) place: ScopeRef,
    /// The answer where no handler is to be asked.
    pub(crate) answer: Option<Response>,
    /// Why there is no answer at all.
    pub(crate) closes: Option<Reason>,
    /// Whether the answer goes out as it is, with no middleware around it.
    pub(crate) is_bare: bool,
}

impl Routed<'_> {
    /// For an exchange that never reached the router.
    pub(crate) fn none() -> Self {
        Self { route: None, place: ScopeRef::SERVER, answer: None, closes: None, is_bare: false }
    }

    /// Whether it is answered however much there is to do: who asks whether the server is well, who
    /// watches over it, and who looks at a proof before a certificate is issued.
    fn is_vital(&self, server: &Server) -> bool {
        server.private || self.is_bare || self.route.is_some_and(|route| route.kind == "health")
    }

    /// For an exchange that is answered before the router sees it.
    pub(crate) fn answered(answer: Response) -> Self {
        Self { answer: Some(answer), ..Self::none() }
    }
}

/// Finds what answers the exchange.
pub(crate) fn route<'a>(
    server: &'a Server,
    router: &Router,
    exchange: &mut Exchange,
) -> Routed<'a> {
    if exchange.is_misdirected() {
        return Routed::answered(exchange.refuse(Reason::MisdirectedRequest));
    }
    if exchange.head().form() == Form::Asterisk {
        // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
        let answer = exchange.respond(StatusCode::NO_CONTENT);
        return Routed::answered(answer);
    }
    if let Err(reason) = exchange.canonicalize_path() {
        return Routed::answered(exchange.refuse(reason));
    }
    if let Some(answer) = challenge(exchange) {
        return Routed { is_bare: true, ..Routed::answered(answer) };
    }
    let scheme = exchange.scheme();
    let (head, path, captures) = exchange.route_parts();
    let request = Request { head, path, method: head.method().as_str() };
    let Decision { site, verdict } = decide(server, router, scheme, &request, captures);
    let mut place = ScopeRef::of_site(site);
    let answer = match verdict {
        Verdict::Route(route, found) => {
            let place = ScopeRef::of_route(found);
            return Routed { route: Some(route), place, ..Routed::none() };
        }
        // At the server: what a site asks, such as a password, must not be sent in the clear.
        Verdict::Redirect(route) => return Routed { route: Some(route), ..Routed::none() },
        Verdict::NotFound => exchange.refuse(Reason::NoRoute),
        Verdict::UnknownHost => match server.unknown_host {
            UnknownHost::Close => {
                return Routed { closes: Some(Reason::UnknownHost), ..Routed::none() };
            }
            _ => exchange.refuse(Reason::UnknownHost),
        },
        Verdict::MethodNotAllowed { allow, route } => {
            place = route.map_or(place, ScopeRef::of_route);
            let answer = exchange.refuse(Reason::MethodNotAllowed);
            with_allow(answer, &allow)
        }
        Verdict::Options { allow, route } => {
            let route = preflighted(server, router, scheme, &request, captures).or(route);
            place = route.map_or(place, ScopeRef::of_route);
            with_allow(exchange.respond(StatusCode::NO_CONTENT), &allow)
        }
    };
    let route = place.route().and_then(|found| server.route(found));
    Routed { route, place, ..Routed::answered(answer) }
}

/// Whether a request is refused ([`Reason::Overloaded`]) because the process has run short and
/// nothing idle is left to close: where it takes some of what there is too little of. Of memory
/// every request takes some; of places for connections only one of a `new` connection, of which
/// nothing was served yet.
#[inline]
pub(crate) fn sheds(
    state: &State,
    server: &Server,
    routed: &Routed<'_>,
    new: impl FnOnce() -> bool,
) -> bool {
    state.is_overloaded() && !routed.is_vital(server) && (state.lacks_memory() || new())
}

/// What an authority asks for before it issues a certificate (RFC 8555 §8.3), whatever the server
/// does with everybody else: redirects, asks for passwords, serves no such host. Only as long as an
/// order is under way, and only what belongs to it.
fn challenge(exchange: &Exchange) -> Option<Response> {
    let text = exchange.worker().process.challenges.text(exchange.path())?;
    if !matches!(exchange.head().method().as_str(), "GET" | "HEAD") {
        return None;
    }
    let mut body = exchange.worker().buffer();
    body.extend_from_slice(text.as_bytes());
    let mut answer = exchange.respond(StatusCode::OK).with_body(body);
    answer.fields.set(name::CONTENT_TYPE, b"application/octet-stream");
    Some(answer)
}

/// The route that a browser asks about before it dares: its middleware know the answer (Fetch,
/// "CORS-preflight fetch").
fn preflighted(
    server: &Server,
    router: &Router,
    scheme: Scheme,
    request: &Request<'_>,
    captures: &mut Captures,
) -> Option<RouteRef> {
    let asked = request.head.fields().get(name::ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = std::str::from_utf8(asked).ok()?;
    match decide(server, router, scheme, &Request { method, ..*request }, captures).verdict {
        Verdict::Route(_, route) => Some(route),
        _ => None,
    }
}

/// What a server does with a request, before anything of it runs.
pub struct Decision<'a> {
    /// The site's position, where one serves the host.
    pub site: Option<usize>,
    /// Who answers.
    pub verdict: Verdict<'a>,
}

/// Who answers a request.
pub enum Verdict<'a> {
    /// This route, at this place.
    Route(&'a Route, RouteRef),
    /// The server sends whoever came in the clear to TLS.
    Redirect(&'a Route),
    /// 404.
    NotFound,
    /// As `unknown_host` of the server says.
    UnknownHost,
    /// 405 with `Allow`.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
        /// The route, where it is the handler that does not take the method.
        route: Option<RouteRef>,
    },
    /// 204 with `Allow`.
    Options {
        /// The value of `Allow`.
        allow: String,
        /// The route, where it is the handler that leaves the question to us.
        route: Option<RouteRef>,
    },
}

/// Asks the router, and the route's handler about the method.
pub fn decide<'a>(
    server: &'a Server,
    router: &Router,
    scheme: Scheme,
    request: &impl stead_route::Request,
    captures: &mut Captures,
) -> Decision<'a> {
    let lookup = router.find(request, captures);
    let is_strange = lookup.site.is_none() && !server.sites.is_empty();
    let redirect = server.redirect.as_ref().filter(|_| scheme == Scheme::Http);
    let verdict = match (lookup.found, redirect) {
        _ if is_strange && server.unknown_host != UnknownHost::Routes => Verdict::UnknownHost,
        (_, Some(redirect)) => Verdict::Redirect(redirect),
        (Found::Route(place), None) => match server.route(place) {
            Some(route) => by_method(route, place, request.method()),
            None => Verdict::NotFound,
        },
        (Found::NotFound, None) => Verdict::NotFound,
        (Found::MethodNotAllowed { allow }, None) => {
            Verdict::MethodNotAllowed { allow: allow.to_string(), route: None }
        }
        (Found::Options { allow }, None) => {
            Verdict::Options { allow: allow.to_string(), route: None }
        }
    };
    Decision { site: lookup.site, verdict }
}

/// A handler that answers only some methods may stand behind a route that takes every one: what is
/// said of the others is said by that route, with its middleware, pages and log.
fn by_method<'a>(route: &'a Route, place: RouteRef, method: &str) -> Verdict<'a> {
    match route.handler.methods() {
        Some(methods) if !methods.contains(&method) => {
            let (allow, route) = (format!("{}, OPTIONS", methods.join(", ")), Some(place));
            if method == "OPTIONS" {
                Verdict::Options { allow, route }
            } else {
                Verdict::MethodNotAllowed { allow, route }
            }
        }
        _ => Verdict::Route(route, place),
    }
}

fn with_allow(mut answer: Response, allow: &str) -> Response {
    answer.fields.set(name::ALLOW, allow.as_bytes());
    answer
}

/// Whether a request says that its body is longer than it may be.
pub(crate) fn exceeds(scope: &Scope, framing: Framing) -> bool {
    match (framing, scope.limits.body) {
        (Framing::Length(length), Some(limit)) => length > limit.0,
        _ => false,
    }
}

/// Asks whoever is to answer; afterwards the exchange holds the answer. `beside` moves the body of
/// the request on meanwhile, and is asked again each time that it is ready.
///
/// # Errors
/// Why nobody is left to answer.
pub(crate) async fn ask(
    state: &State,
    exchange: &mut Exchange,
    routed: &mut Routed<'_>,
    scope: &Scope,
    beside: impl FnMut(&mut Context<'_>) -> Poll<Result<(), Reason>>,
) -> Result<(), Reason> {
    let inner = match (routed.route, routed.answer.take()) {
        (_, Some(answer)) if routed.is_bare || scope.middleware.is_empty() => {
            exchange.set_response(scope.errors.dress(answer));
            return Ok(());
        }
        (_, Some(answer)) => Inner::Answer(Box::new(answer)),
        (Some(route), None) => Inner::Route(route),
        (None, None) => return Err(Reason::HandlerError),
    };
    match run_beside(scope, inner, exchange, beside).await {
        Err(reason @ (Reason::HandlerPanic | Reason::RequestTimeout)) => {
            if reason == Reason::HandlerPanic {
                state.worker.counters.panics.add(1);
            }
            scope.refuse(exchange, reason);
            Ok(())
        }
        ran => ran,
    }
}

/// Runs middleware and handler, moving the request's body on meanwhile.
async fn run_beside(
    scope: &Scope,
    inner: Inner<'_>,
    exchange: &mut Exchange,
    mut beside: impl FnMut(&mut Context<'_>) -> Poll<Result<(), Reason>>,
) -> Result<(), Reason> {
    let mut chain = pin!(run(scope, inner, exchange));
    poll_fn(|context| {
        loop {
            match poll_guarded(chain.as_mut(), context) {
                Ok(Poll::Ready(())) => return Poll::Ready(Ok(())),
                Ok(Poll::Pending) => {}
                Err(Panicked) => return Poll::Ready(Err(Reason::HandlerPanic)),
            }
            if let Err(reason) = ready!(beside(context)) {
                return Poll::Ready(Err(reason));
            }
        }
    })
    .await
}

/// A tunnel must have been asked for, come with 101, and begin where the request ended; no other
/// interim status is an answer. Anything else is the handler's error.
pub(crate) fn check(exchange: &mut Exchange, is_received: bool) {
    let is_right = exchange.response().is_some_and(|answer| match answer.body {
        Body::Tunnel(_) => {
            answer.status == StatusCode::SWITCHING_PROTOCOLS
                && exchange.head().upgrade().is_some()
                && is_received
        }
        _ => !answer.status.is_informational(),
    });
    if !is_right {
        exchange.set_response(exchange.refuse(Reason::HandlerError));
    }
}

/// Runs middleware and what they stand around; afterwards the exchange holds the answer.
pub(crate) async fn run(scope: &Scope, inner: Inner<'_>, exchange: &mut Exchange) {
    let mut ran = 0;
    let mut is_answered = false;
    for middleware in &scope.middleware {
        ran += 1;
        let early = match middleware.request(exchange) {
            // PERF: the usual one, told apart before a future has to hold what might be an answer.
            Flow::Continue => continue,
            flow => match settle(flow).await {
                Ok(None) => continue,
                Ok(Some(response)) => response,
                Err(error) => refuse(exchange, &error),
            },
        };
        exchange.set_response(scope.errors.dress(early));
        is_answered = true;
        break;
    }
    if !is_answered {
        let answer = match inner {
            Inner::Answer(answer) => *answer,
            Inner::Route(route) => {
                let answered = match route.handler.call(exchange) {
                    Reply::Ready(answer) => Ok(answer),
                    Reply::Wait(answering) => answering.await,
                };
                answered.unwrap_or_else(|error| refuse(exchange, &error))
            }
        };
        exchange.set_response(scope.errors.dress(answer));
    }
    for middleware in scope.middleware[..ran].iter().rev() {
        match middleware.response(exchange) {
            Flow::Continue => {}
            flow => match settle(flow).await {
                Ok(None) => {}
                Ok(Some(response)) => exchange.set_response(scope.errors.dress(response)),
                Err(error) => {
                    let answer = refuse(exchange, &error);
                    exchange.set_response(scope.errors.dress(answer));
                }
            },
        }
    }
}

fn refuse(exchange: &Exchange, error: &Error) -> Response {
    events::failed(exchange, error);
    exchange.refuse(error.reason())
}

/// What middleware stand around.
pub(crate) enum Inner<'a> {
    /// The handler of a route.
    Route(&'a Route),
    /// Our own answer where no route matches. PERF: boxed, because every connection's task has
    /// room for it, and few ever need it.
    Answer(Box<Response>),
}

async fn settle(flow: Flow<'_>) -> Result<Option<Response>> {
    match flow {
        Flow::Continue => Ok(None),
        Flow::Respond(response) => Ok(Some(response)),
        Flow::Wait(future) => future.await,
    }
}

/// What the router asks of a request.
#[derive(Clone, Copy)]
struct Request<'a> {
    head: &'a stead_http1::RequestHead,
    path: &'a str,
    method: &'a str,
}

impl stead_route::Request for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> Option<&[u8]> {
        self.head.host_name()
    }

    fn path(&self) -> &str {
        self.path
    }

    fn header(&self, name: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let name = stead_core::Name::from_bytes(name.as_bytes());
        self.head.fields().values(name).any(each)
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }
}
