//! What holds for an exchange once it is known who answers: for a route, or for what a site or a
//! server says where no route matches.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use stead_base::{Limits, Reason, Timeouts};
use stead_core::{Body, Exchange, Middleware, Response, name};

/// Middleware around one handler, outermost first.
pub type Stack = Box<[Arc<dyn Middleware>]>;

/// What a server, a site and a route inherit from each other, resolved.
pub struct Scope {
    /// What stands around the answer.
    pub middleware: Stack,
    /// Sizes and counts.
    pub limits: Limits,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// What our own errors look like.
    pub errors: ErrorPages,
    /// Whether exchanges are written to the access log.
    pub access_log: bool,
}

impl Default for Scope {
    /// No middleware, the default limits, no pages, logged.
    fn default() -> Self {
        Self {
            middleware: Box::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            errors: ErrorPages::default(),
            access_log: true,
        }
    }
}

impl Scope {
    /// Our own answer for `reason`, with its page, as the one of the exchange.
    pub(crate) fn refuse(&self, exchange: &mut Exchange, reason: Reason) {
        exchange.set_response(self.errors.dress(exchange.refuse(reason)));
    }
}

/// Pages in place of our own error answers, from the innermost level outward; in each, those for
/// one status come before those for a class.
#[derive(Clone, Default)]
pub struct ErrorPages(Vec<Arc<[ErrorPage]>>);

/// One page.
pub struct ErrorPage {
    /// The statuses that it is for.
    pub statuses: RangeInclusive<u16>,
    /// Its media type.
    pub content_type: String,
    /// Its text.
    pub body: Bytes,
}

impl ErrorPages {
    /// These pages before those of the levels outside.
    pub fn inside(&self, pages: Arc<[ErrorPage]>) -> Self {
        if pages.is_empty() {
            return self.clone();
        }
        Self(std::iter::once(pages).chain(self.0.iter().cloned()).collect())
    }

    /// Gives an error answer of our own its page; what a handler meant to say stays as it is.
    pub(crate) fn dress(&self, mut answer: Response) -> Response {
        if answer.reason == Reason::Ok || self.0.is_empty() {
            return answer;
        }
        let status = answer.status.as_u16();
        let mut levels = self.0.iter();
        let page =
            levels.find_map(|level| level.iter().find(|page| page.statuses.contains(&status)));
        if let Some(page) = page {
            answer.fields.set(name::CONTENT_TYPE, page.content_type.as_bytes());
            answer.body = Body::Bytes(page.body.clone());
        }
        answer
    }
}
