//! What a component receives when it is built from its settings.

use std::sync::Arc;

use stead_config::{Diagnostics, Kind, Settings};

use crate::local::LocalKeys;
use crate::{Handler, LocalKey, Middleware, Process};

/// A registered kind of handler.
pub type HandlerKind =
    Kind<fn(&Settings, &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics>>;

/// A registered kind of middleware.
pub type MiddlewareKind =
    Kind<fn(&Settings, &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics>>;

/// What a component may ask for while it is built. A position among `captures` is what
/// [`Exchange::capture`](crate::Exchange::capture) takes.
pub struct BuildContext<'a> {
    /// Names that the route's pattern captures, in order.
    pub captures: &'a [String],
    /// The position of the pattern's wildcard, if it has one.
    pub wildcard: Option<usize>,
    /// The process that will carry the component.
    pub process: &'a Arc<Process>,
    /// Places for worker-local state.
    pub keys: &'a LocalKeys,
}

impl BuildContext<'_> {
    /// A place for a `T` on each worker.
    pub fn local<T>(&self) -> LocalKey<T> {
        self.keys.next()
    }
}
