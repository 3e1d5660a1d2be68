//! The account of an exchange: opened when its head is there or was refused, closed once.
//!
//! Closing counts the outcome and the bytes, writes the access record, and ends what middleware
//! hold for the exchange. A tunnel's account is closed with the tunnel. A refusal that cannot be
//! answered has nothing to close.

use std::time::Duration;

use stead_base::Reason;
use stead_core::StatusCode;
use stead_sys::clock;

use super::Connection;
use crate::access_log::Record;
use crate::chain::Routed;
use crate::events;
use crate::wire::Wire;

/// The facts of an exchange that the access log wants and nothing else keeps.
#[derive(Clone, Copy)]
pub(super) struct Account {
    started: Duration,
}

impl Connection {
    /// An exchange begins.
    pub(super) fn open_account(&self) -> Account {
        let started = match self.head_began {
            Some(began) => began,
            None if self.state.log.is_some() => clock::precise(),
            None => Duration::ZERO,
        };
        Account { started }
    }

    /// An exchange ended: counts it, logs it, and lets go of what was held for it.
    pub(super) fn close_account(
        &mut self,
        wire: &Wire,
        account: Account,
        routed: &Routed<'_>,
        // `None` where the peer was gone before there was one.
        status: Option<StatusCode>,
        reason: Reason,
        body_bytes: u64,
    ) {
        let closes = self.closes.take();
        let (consumed, produced) = wire.traffic();
        let (bytes_in, bytes_out) = (consumed - self.traffic.0, produced - self.traffic.1);
        self.traffic = (consumed, produced);
        if let Some(counters) = self.state.counters(self.server) {
            counters.requests.add(1);
            counters.outcome(reason);
            if let Some(closes) = closes {
                counters.outcome(closes);
            }
            let route = routed.route.map_or("", |route| &route.label);
            events::ended(&self.exchange, route, status, reason);
            counters.bytes_in.add(bytes_in);
            counters.bytes_out.add(bytes_out);
        }
        let server = self.state.server(self.server);
        let answer = self.answer_fields.take();
        let is_logged = server.scope(routed.place).access_log;
        if let Some(log) = self.state.log.as_ref().filter(|_| is_logged) {
            log.write(&Record {
                exchange: &self.exchange,
                site: server.site_name(routed.place.site()),
                route: routed.route.map_or("", |route| &route.label),
                status: status.map_or(0, |status| status.as_u16()),
                reason,
                closes,
                bytes_in,
                bytes_out,
                bytes_body: body_bytes,
                duration: clock::precise().saturating_sub(account.started),
                answer: answer.as_deref(),
            });
        }
        self.why = closes.or(Some(reason).filter(|reason| *reason != Reason::Ok));
        // What middleware hold for the exchange ends here, however long the close may take.
        self.exchange.slots().clear();
    }
}
