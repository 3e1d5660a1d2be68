//! Answers with a service of the program that Stead is a part of.
//!
//! # What
//! `service = "api"` hands the requests of a route to the service that the program gave under this
//! name. The kind exists only in programs that give one.
//!
//! # Why
//! So that a configuration places code beside files, redirects and proxies, with its own limits,
//! middleware and log.
//!
//! # Example
//! ```toml
//! service = "api"
//! ```
//!
//! # Limits
//! The service sees the whole canonical path, whatever the route's pattern.
//!
//! # RFC
//! None of its own.

use stead_config::{Config, Diagnostics, Settings, Spanned};
use stead_core::{BuildContext, Handler, HandlerKind};

/// The kind `service`.
pub(crate) const KIND: HandlerKind = HandlerKind::new("service", build)
    .summary("answer with a service of the program")
    .example(r#"service = "api""#)
    .settings::<ServiceConfig>();

/// Settings of `service`.
#[derive(Config)]
#[config(shorthand = "name")]
struct ServiceConfig {
    /// The name that the program gave the service.
    name: Spanned<String>,
}

/// The name in a route's settings.
pub(crate) fn name(settings: &Settings) -> Result<Spanned<String>, Diagnostics> {
    settings.decode::<ServiceConfig>().map(|config| config.name)
}

/// Services are looked up where the program's own are known, not here.
fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics> {
    Err(settings.error("this program gives no services"))
}
