//! What became of an exchange: counted, told to Stead's own log, written to the access log.
//!
//! Called once for each exchange, whatever protocol carried it.

use std::time::Duration;

use stead_base::Reason;
use stead_core::{Exchange, Fields, StatusCode};
use stead_sys::clock;

use crate::access_log::Record;
use crate::chain::Routed;
use crate::events;
use crate::state::State;

/// An exchange that ended.
pub(crate) struct Ended<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) routed: &'a Routed<'a>,
    /// `None` where the peer was gone before there was one.
    pub(crate) status: Option<StatusCode>,
    pub(crate) reason: Reason,
    /// Why the connection was not kept after the answer, where that was our doing.
    pub(crate) closes: Option<Reason>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_body: u64,
    /// As [`begin`] said.
    pub(crate) started: Duration,
    /// The answer's fields, where the log wants them.
    pub(crate) answer: Option<&'a Fields>,
}

/// When an exchange begins, if anybody will ask.
pub(crate) fn begin(state: &State) -> Duration {
    if state.log.is_some() { clock::precise() } else { Duration::ZERO }
}

/// Counts and logs an exchange.
pub(crate) fn close(state: &State, server: u16, ended: &Ended<'_>) {
    let route = ended.routed.route.map_or("", |route| &route.label);
    if let Some(counters) = state.counters(server) {
        counters.requests.add(1);
        counters.outcome(ended.reason);
        if let Some(closes) = ended.closes {
            counters.outcome(closes);
        }
        events::ended(ended.exchange, route, ended.status, ended.reason);
    }
    let place = ended.routed.place;
    let server = state.server(server);
    let is_logged = server.scope(place).access_log;
    if let Some(log) = state.log.as_ref().filter(|_| is_logged) {
        log.write(&Record {
            exchange: ended.exchange,
            site: server.site_name(place.site()),
            route,
            status: ended.status.map_or(0, |status| status.as_u16()),
            reason: ended.reason,
            closes: ended.closes,
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
            bytes_body: ended.bytes_body,
            duration: clock::precise().saturating_sub(ended.started),
            answer: ended.answer,
        });
    }
}
