//! The account of an exchange: opened when its head is there or was refused, closed once.
//!
//! Closing counts the outcome and the bytes, writes the access record, and ends what middleware
//! hold for the exchange. A tunnel's account is closed with the tunnel. A refusal that cannot be
//! answered has nothing to close.

use std::time::Duration;

use stead_base::Reason;
use stead_core::StatusCode;

use super::Connection;
use crate::account::{self, Ended};
use crate::chain::Routed;
use crate::wire::Wire;

/// The facts of an exchange that the access log wants and nothing else keeps.
#[derive(Clone, Copy)]
pub(super) struct Account {
    started: Duration,
}

impl Connection {
    /// An exchange begins.
    pub(super) fn open_account(&self) -> Account {
        Account { started: self.head_began.unwrap_or_else(|| account::begin(&self.state)) }
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
            counters.bytes_in.add(bytes_in);
            counters.bytes_out.add(bytes_out);
        }
        let answer = self.answer_fields.take();
        let ended = Ended {
            exchange: &self.exchange,
            routed,
            status,
            reason,
            closes,
            bytes_in,
            bytes_out,
            bytes_body: body_bytes,
            started: account.started,
            answer: answer.as_deref(),
        };
        account::close(&self.state, self.server, &ended);
        self.why = closes.or(Some(reason).filter(|reason| *reason != Reason::Ok));
        // What middleware hold for the exchange ends here, however long the close may take.
        self.exchange.slots().clear();
    }
}
