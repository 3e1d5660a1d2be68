//! The straight line of one exchange: route, middleware in order, handler, middleware in reverse.
//!
//! Nothing here reads or writes a socket. The caller polls [`run`] and pumps bodies meanwhile.

use stead_base::{Reason, Result};
use stead_core::{Exchange, Flow, Reply, Response, StatusCode, name};
use stead_http1::Form;
use stead_route::{Captures, Found, RouteRef, Router};

use crate::snapshot::{Route, Server};

/// What the router said of an exchange.
pub(crate) struct Routed<'a> {
    /// The route, where one matches.
    pub(crate) route: Option<&'a Route>,
    /// The site's position, where one serves the host.
    pub(crate) site: Option<usize>,
    /// The answer where no route matches.
    pub(crate) answer: Option<Response>,
}

impl Routed<'_> {
    /// For an exchange that never reached the router.
    pub(crate) fn none() -> Self {
        Self { route: None, site: None, answer: None }
    }

    /// For an exchange that is answered before the router sees it.
    pub(crate) fn answered(answer: Response) -> Self {
        Self { route: None, site: None, answer: Some(answer) }
    }
}

/// Finds what answers the exchange.
pub(crate) fn route<'a>(
    server: &'a Server,
    router: &Router,
    exchange: &mut Exchange,
) -> Routed<'a> {
    if exchange.head().form() == Form::Asterisk {
        // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
        let answer = exchange.respond(StatusCode::NO_CONTENT);
        return Routed::answered(answer);
    }
    if let Err(reason) = exchange.canonicalize_path() {
        return refused(exchange, None, reason, None);
    }
    let (head, path, captures) = exchange.route_parts();
    let Decision { site, verdict } = decide(server, router, &Request { head, path }, captures);
    match verdict {
        Verdict::Route(route, _) => Routed { route: Some(route), site, answer: None },
        Verdict::NotFound => refused(exchange, site, Reason::NoRoute, None),
        Verdict::MethodNotAllowed { allow } => {
            refused(exchange, site, Reason::MethodNotAllowed, Some(&allow))
        }
        Verdict::Options { allow } => {
            Routed { route: None, site, answer: Some(options(exchange, &allow)) }
        }
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
    /// 404.
    NotFound,
    /// 405 with `Allow`.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// 204 with `Allow`.
    Options {
        /// The value of `Allow`.
        allow: String,
    },
}

/// Asks the router, and the route's handler about the method.
pub fn decide<'a>(
    server: &'a Server,
    router: &Router,
    request: &impl stead_route::Request,
    captures: &mut Captures,
) -> Decision<'a> {
    let lookup = router.find(request, captures);
    let verdict = match lookup.found {
        Found::Route(place) => match server.route(place) {
            Some(route) => by_method(route, place, request.method()),
            None => Verdict::NotFound,
        },
        Found::NotFound => Verdict::NotFound,
        Found::MethodNotAllowed { allow } => Verdict::MethodNotAllowed { allow: allow.to_string() },
        Found::Options { allow } => Verdict::Options { allow: allow.to_string() },
    };
    Decision { site: lookup.site, verdict }
}

/// A handler that answers only some methods may stand behind a route that takes every one.
fn by_method<'a>(route: &'a Route, place: RouteRef, method: &str) -> Verdict<'a> {
    match route.handler.methods() {
        Some(methods) if !methods.contains(&method) => {
            let allow = format!("{}, OPTIONS", methods.join(", "));
            if method == "OPTIONS" {
                Verdict::Options { allow }
            } else {
                Verdict::MethodNotAllowed { allow }
            }
        }
        _ => Verdict::Route(route, place),
    }
}

fn refused<'a>(
    exchange: &Exchange,
    site: Option<usize>,
    reason: Reason,
    allow: Option<&str>,
) -> Routed<'a> {
    let mut answer = exchange.refuse(reason);
    if let Some(allow) = allow {
        answer.fields.set(name::ALLOW, allow.as_bytes());
    }
    Routed { route: None, site, answer: Some(answer) }
}

fn options(exchange: &Exchange, allow: &str) -> Response {
    let mut answer = exchange.respond(StatusCode::NO_CONTENT);
    answer.fields.set(name::ALLOW, allow.as_bytes());
    answer
}

/// Runs middleware and handler; afterwards the exchange holds the answer.
pub(crate) async fn run(route: &Route, exchange: &mut Exchange) {
    let mut ran = 0;
    let mut answer = None;
    for middleware in &route.middleware {
        ran += 1;
        match settle(middleware.request(exchange)).await {
            Ok(None) => {}
            Ok(Some(response)) => {
                answer = Some(response);
                break;
            }
            Err(error) => {
                answer = Some(exchange.refuse(error.reason()));
                break;
            }
        }
    }
    let answer = match answer {
        Some(answer) => answer,
        None => match call(route, exchange).await {
            Ok(answer) => answer,
            Err(error) => exchange.refuse(error.reason()),
        },
    };
    exchange.set_response(answer);
    for middleware in route.middleware[..ran].iter().rev() {
        match settle(middleware.response(exchange)).await {
            Ok(None) => {}
            Ok(Some(response)) => exchange.set_response(response),
            Err(error) => {
                let answer = exchange.refuse(error.reason());
                exchange.set_response(answer);
            }
        }
    }
}

async fn call(route: &Route, exchange: &mut Exchange) -> Result<Response> {
    match route.handler.call(exchange) {
        Reply::Ready(response) => Ok(response),
        Reply::Wait(future) => future.await,
    }
}

async fn settle(flow: Flow<'_>) -> Result<Option<Response>> {
    match flow {
        Flow::Continue => Ok(None),
        Flow::Respond(response) => Ok(Some(response)),
        Flow::Wait(future) => future.await,
    }
}

/// What the router asks of a request.
struct Request<'a> {
    head: &'a stead_http1::RequestHead,
    path: &'a str,
}

impl stead_route::Request for Request<'_> {
    fn method(&self) -> &str {
        self.head.method().as_str()
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
