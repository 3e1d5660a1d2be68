//! Something around handlers: sees requests in order and answers in reverse.

use std::future::Future;
use std::pin::Pin;

use crate::{Exchange, Response, Result};

/// One step around a handler. Both methods do nothing unless overridden.
pub trait Middleware: Send + Sync {
    /// Sees the request before the handler does; may answer in its place.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let _ = exchange;
        Flow::Continue
    }

    /// Sees the answer ([`Exchange::response`]) before it is written. Runs for every middleware
    /// whose `request` ran, in reverse order, also on errors and protocol switches; not on the
    /// answers to a panic and to `timeouts.request`, which cut this line short. What must be
    /// released in any case belongs into a slot ([`Exchange::slots`]).
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let _ = exchange;
        Flow::Continue
    }
}

/// What happens next.
pub enum Flow<'a> {
    /// On to the next one.
    Continue,
    /// This is the answer: inner middleware and the handler are skipped, or, in the response
    /// phase, it replaces the answer so far.
    Respond(Response),
    /// As the future says, when it is done: `None` to go on.
    Wait(Pin<Box<dyn Future<Output = Result<Option<Response>>> + 'a>>),
}
