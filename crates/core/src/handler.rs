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
    /// takes too long. A peer that only ended its own side (a FIN) still waits for the answer.
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a>;

    /// Whether this handler itself answers `method`; where it does not, the answer is 405. Routes
    /// without `methods` ask it, so that `files` takes GET and HEAD only.
    fn methods(&self) -> Option<&'static [&'static str]> {
        None
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
