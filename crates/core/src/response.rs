//! An answer on its way out.

use crate::{Body, Fields, Reason, StatusCode};

/// An answer: status, fields, body. The framing fields (`Content-Length`, `Transfer-Encoding`,
/// `Connection`) and `Date` are written by the connection from what the body is; fields of these
/// names set here are not sent. `Connection: close` ends the connection after the answer.
///
/// Made by [`Exchange::respond`](crate::Exchange::respond), which lends the storage.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Body,
    /// The outcome that log and counters show; [`Reason::Ok`] unless something failed.
    pub reason: Reason,
}

impl Response {
    /// An answer with storage of its own.
    pub fn new(status: StatusCode) -> Self {
        Self::with_fields(status, Fields::new())
    }

    pub(crate) fn with_fields(status: StatusCode, fields: Fields) -> Self {
        Self { status, fields, body: Body::Empty, reason: Reason::Ok }
    }

    /// The same answer with this body.
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The same answer with this outcome.
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }
}
