//! The one runtime error: what went wrong, whose doing, and whether another try is safe.

use std::error::Error as StdError;
use std::fmt;

use crate::{Reason, Side};

/// What went wrong, in the few kinds that code decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer closed, reset, or broke off in the middle.
    Closed,
    /// Something took longer than its limit.
    Timeout,
    /// The peer broke the protocol or a limit.
    Protocol,
    /// The system refused: a file, a socket, memory.
    System,
    /// Our own code failed: a handler's error, a broken promise.
    Internal,
}

/// Whether the same work may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may: nothing was done.
    Yes,
    /// It may not: it could be done twice.
    No,
    /// It may if the connection had served before: then the peer closed it as it was reused.
    IfReused,
}

/// A runtime error. Boxed, so that a `Result` stays two words.
///
/// ```
/// # use stead_base as stead;
/// use stead::{Error, Reason};
///
/// let error = Error::internal("ask the database").with_source("it is away");
/// assert_eq!(error.to_string(), "ask the database: it is away");
/// assert_eq!(error.reason(), Reason::HandlerError);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    reason: Reason,
    retry: Retry,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with our error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that ends the exchange with `reason`; `context` says in a few words what
    /// was being done.
    pub fn new(kind: Kind, reason: Reason, context: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason,
            retry: Retry::No,
            context: context.into(),
            source: None,
        }))
    }

    /// A handler's or middleware's own failure: 500.
    pub fn internal(context: impl Into<String>) -> Self {
        Self::new(Kind::Internal, Reason::HandlerError, context)
    }

    /// Adds the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says whether another try is safe; `Retry::No` unless told.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The outcome of the exchange that ends with this error.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// Whose doing it was.
    pub fn side(&self) -> Side {
        self.0.reason.side()
    }

    /// Whether the same work may be tried again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether a limit of time was hit.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Whether the peer that sent the request is to blame.
    pub fn is_client_fault(&self) -> bool {
        self.side() == Side::Client
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::new(Kind::Protocol, reason, reason.facts().meaning)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}: {self}", self.0.kind, self.0.reason.code())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_tells_its_cause() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let error = Error::new(Kind::System, Reason::FileError, "open a.txt")
            .with_source(std::io::Error::from_raw_os_error(5));
        assert!(error.to_string().starts_with("open a.txt: "));
        assert!(!error.is_client_fault() && !error.is_timeout());
        assert_eq!(error.retry(), Retry::No);
    }
}
