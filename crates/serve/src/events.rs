//! What Stead's own log tells of connections and exchanges.
//!
//! PERF: where nobody asked for it, each of these is one load and one comparison. Nothing here is
//! chosen by a peer but its address and its method, which is a token.

use std::io;

use stead_base::{Error, Reason};
use stead_core::{Exchange, Fill, Level, Peer, Scarcity, StatusCode};

/// A connection was taken.
pub(crate) fn opened(server: &str, peer: Peer) {
    tracing::debug!("server {server}: connection from {peer} opened");
}

/// A connection was closed before anything was read of it.
pub(crate) fn refused(server: &str, peer: Peer, reason: Reason) {
    tracing::debug!("server {server}: connection from {peer} refused: {}", meaning(reason));
}

/// A TLS handshake came to nothing. What the peer sent is not shown, only what is wrong with it.
pub(crate) fn handshake_failed(exchange: &Exchange, reason: Reason, why: &str) {
    let (server, peer) = (&exchange.connection().server, exchange.connection().peer);
    tracing::debug!("server {server}: TLS with {peer}: {}: {why}", reason.code());
}

/// A connection that was a task ended.
pub(crate) fn closed(server: &str, peer: Peer, requests: u32, why: Option<Reason>) {
    let why = why.map_or("it was done", meaning);
    tracing::debug!(
        "server {server}: connection from {peer} closed, requests since it rested {requests}: {why}"
    );
}

/// A connection that rested was closed.
pub(crate) fn closed_at_rest(server: &str, peer: Peer, why: Option<Reason>) {
    let why = why.map_or("the peer closed it", meaning);
    tracing::debug!("server {server}: connection from {peer} closed at rest: {why}");
}

/// An exchange ended. Its target lets a subscriber tell these from what happens less often.
pub(crate) fn ended(exchange: &Exchange, route: &str, status: Option<StatusCode>, reason: Reason) {
    // The path is left to the access log, which redacts it.
    tracing::debug!(
        target: "stead_serve::exchanges",
        "server {}: {} {} for {}, route {route:?}: {} {}",
        exchange.connection().server,
        exchange.client(),
        exchange.method(),
        exchange.given_request_id().unwrap_or("a request without name"),
        status.map_or(0, |status| status.as_u16()),
        reason.code(),
    );
}

/// A handler or middleware failed.
pub(crate) fn failed(exchange: &Exchange, error: &Error) {
    let server = &exchange.connection().server;
    tracing::debug!("server {server}: {} {error}", error.reason().code());
}

/// A worker listens.
pub(crate) fn listens(server: &str, worker: usize) {
    tracing::debug!("server {server}: worker {worker} accepts");
}

/// There is no descriptor for a connection that waits.
pub(crate) fn lacks_descriptors(server: &str) {
    tracing::warn!(
        "server {server}: no descriptor is left, connections wait: raise the limit of open files"
    );
}

/// The budgets of the process ask for something else than before.
pub(crate) fn level(before: Level, after: Level, fill: Fill) {
    let (level, of, percent) = (after.as_str(), fill.of.as_str(), fill.percent);
    let meaning = match after {
        Level::Calm => "nothing gives way any longer",
        Level::Tight => "idle connections are kept for less time",
        Level::Scarce => "the longest idle connections are closed",
        Level::Overloaded if fill.of == Scarcity::Memory => {
            "nothing idle is left, new requests get 503"
        }
        Level::Overloaded => "nothing idle is left, new connections get 503",
    };
    if after > before && after > Level::Tight {
        tracing::warn!("{level}: {of} at {percent} %: {meaning}");
    } else {
        tracing::info!("{level}: {of} at {percent} %: {meaning}");
    }
}

/// A listener is broken.
pub(crate) fn listener_failed(server: &str, error: &io::Error) {
    tracing::error!("a listener of server {server} failed: {error}");
}

fn meaning(reason: Reason) -> &'static str {
    reason.facts().meaning
}
