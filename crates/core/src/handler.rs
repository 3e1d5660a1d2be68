//! What answers a request.

use std::future::Future;
use std::pin::Pin;

use crate::{Exchange, Response, Result};

/// Answers requests of one route. One value serves all workers at once.
pub trait Handler: Send + Sync {
    /// Answers `exchange`.
    ///
    /// # Cancel safety
    /// The future is dropped when the connection breaks, `timeouts.request` is over, or a drain
    /// takes too long, and, unless [`Self::serves_half_closed`], when the peer ended its side.
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a>;

    /// Whether this handler itself answers `method`; where it does not, the answer is 405. Routes
    /// without `methods` ask it, so that `files` takes GET and HEAD only.
    fn methods(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Whether a peer that ended its own side (a FIN) still waits for this handler's answer. Where
    /// not, it counts as gone: the future, or the body that is being sent, is dropped.
    fn serves_half_closed(&self) -> bool {
        true
    }
}

/// A handler's answer: at once, so that what need not wait allocates nothing, or later.
pub enum Reply<'a> {
    /// The answer.
    Ready(Response),
    /// The answer, when this future is done.
    Wait(Pin<Box<dyn Future<Output = Result<Response>> + 'a>>),
}

impl<'a> Reply<'a> {
    /// An answer that takes a future.
    pub fn wait(future: impl Future<Output = Result<Response>> + 'a) -> Self {
        Self::Wait(Box::pin(future))
    }
}
