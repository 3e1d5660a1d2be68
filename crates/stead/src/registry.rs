//! Every kind that a configuration can name.

use stead_config::Vocabulary;
use stead_core::{HandlerKind, MiddlewareKind};

/// The kinds, as the configuration needs to know them.
pub fn vocabulary() -> Vocabulary {
    Vocabulary::new().with_handlers(stead_handlers::KINDS).with_middleware(stead_middleware::KINDS)
}

/// The handler kind of a name.
pub fn handler(name: &str) -> Option<&'static HandlerKind> {
    stead_handlers::KINDS.iter().find(|kind| kind.name == name)
}

/// The middleware kind of a name.
pub(crate) fn middleware(name: &str) -> Option<&'static MiddlewareKind> {
    stead_middleware::KINDS.iter().find(|kind| kind.name == name)
}
