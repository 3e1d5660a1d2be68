//! Every kind that a configuration can name.

use stead_config::Vocabulary;
use stead_core::HandlerKind;

/// The kinds, as the configuration needs to know them.
pub fn vocabulary() -> Vocabulary {
    Vocabulary::new().with_handlers(stead_handlers::KINDS)
}

/// The handler kind of a name.
pub fn handler(name: &str) -> Option<&'static HandlerKind> {
    stead_handlers::KINDS.iter().find(|kind| kind.name == name)
}
