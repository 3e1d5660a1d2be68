//! What kinds of a program's own are made with: the contract of handlers and middleware, and the
//! types of their settings.
//!
//! A kind is a type with its settings, beside the built-in ones: given to
//! [`Stead::middleware`](crate::Stead::middleware) or [`Stead::handler`](crate::Stead::handler),
//! its name can stand in the configuration, with errors at the character like any other.
//!
//! ```
//! use stead::kinds::{
//!     BuildContext, Config, Diagnostics, Exchange, Handler, HandlerKind, NamedHandler, Reply,
//!     Settings, StatusCode,
//! };
//!
//! /// Answers with the length of the path: `path_length = { unit = "bytes" }`.
//! struct PathLength {
//!     unit: String,
//! }
//!
//! /// Settings of `path_length`.
//! #[derive(Config)]
//! struct PathLengthConfig {
//!     /// What is behind the number.
//!     #[config(default = "bytes")]
//!     unit: String,
//! }
//!
//! impl Handler for PathLength {
//!     fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
//!         let text = format!("{} {}\n", exchange.path().len(), self.unit);
//!         Reply::Ready(exchange.respond(StatusCode::OK).with_body(text.into_bytes()))
//!     }
//! }
//!
//! impl NamedHandler for PathLength {
//!     const KIND: HandlerKind = HandlerKind::new("path_length", build)
//!         .summary("answer with the length of the path")
//!         .example(r#"path_length = { unit = "bytes" }"#)
//!         .settings::<PathLengthConfig>();
//! }
//!
//! fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics> {
//!     let config: PathLengthConfig = settings.decode()?;
//!     Ok(Box::new(PathLength { unit: config.unit }))
//! }
//!
//! # fn example() -> Result<(), stead::StartError> {
//! let stead = stead::Stead::from_config("stead.toml")?.handler::<PathLength>();
//! # Ok(())
//! # }
//! ```

#[doc(inline)]
pub use stead_config::{
    ByteSize, Config, Diagnostic, Diagnostics, Map, Off, Rate, Secret, Settings, Spanned,
};
#[doc(inline)]
pub use stead_core::{
    Body, BodyStream, BuildContext, Exchange, Fields, Flow, Frame, Handler, HandlerKind, LocalKey,
    Method, Middleware, MiddlewareKind, Name, Peer, Reply, RequestBody, Response, Result,
    StatusCode, Worker, name,
};

/// A handler that a configuration can name.
///
/// ```
/// use stead::kinds::{Exchange, Handler, HandlerKind, NamedHandler, Reply, StatusCode};
///
/// struct Empty;
///
/// impl Handler for Empty {
///     fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
///         Reply::Ready(exchange.respond(StatusCode::NO_CONTENT))
///     }
/// }
///
/// impl NamedHandler for Empty {
///     const KIND: HandlerKind = HandlerKind::new("empty", |_, _| Ok(Box::new(Empty)));
/// }
/// ```
pub trait NamedHandler: Handler {
    /// Its name, texts, settings and builder.
    const KIND: HandlerKind;
}

/// Middleware that a configuration can name.
///
/// ```
/// use std::time::Duration;
///
/// use stead::kinds::{Exchange, Flow, Middleware, MiddlewareKind, NamedMiddleware};
///
/// /// Makes every request wait: what does not wait answers [`Flow::Continue`].
/// struct Slow;
///
/// impl Middleware for Slow {
///     fn request<'a>(&'a self, _: &'a mut Exchange) -> Flow<'a> {
///         Flow::Wait(Box::pin(async {
///             tokio::time::sleep(Duration::from_millis(100)).await;
///             Ok(None)
///         }))
///     }
/// }
///
/// impl NamedMiddleware for Slow {
///     const KIND: MiddlewareKind = MiddlewareKind::new("slow", |_, _| Ok(Box::new(Slow)));
/// }
/// ```
pub trait NamedMiddleware: Middleware {
    /// Its name, texts, settings and builder.
    const KIND: MiddlewareKind;
}
