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
//!
//! Middleware see the request on its way in and the answer on its way out; what they keep for one
//! exchange lies in a slot.
//!
//! ```
//! use stead::kinds::{
//!     BuildContext, Diagnostics, Exchange, Flow, Middleware, MiddlewareKind, Name,
//!     NamedMiddleware, Settings, Tick,
//! };
//!
//! /// Says how long each answer took: `took = {}`.
//! struct Took;
//!
//! struct Began(Tick);
//!
//! impl Middleware for Took {
//!     fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
//!         let now = exchange.worker().now();
//!         exchange.slots().put(Began(now));
//!         Flow::Continue
//!     }
//!
//!     fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
//!         let now = exchange.worker().now();
//!         let took = exchange.slots().find::<Began>().map(|began| now - began.0);
//!         if let (Some(took), Some(response)) = (took, exchange.response_mut()) {
//!             let text = format!("{} ms", took.as_millis());
//!             response.fields.set(Name::Other(b"X-Took"), text.as_bytes());
//!         }
//!         Flow::Continue
//!     }
//! }
//!
//! impl NamedMiddleware for Took {
//!     const KIND: MiddlewareKind =
//!         MiddlewareKind::new("took", |_, _| Ok(Box::new(Took))).summary("say how long it took");
//! }
//!
//! # fn example() -> Result<(), stead::StartError> {
//! // In the file: middleware = ["took"]
//! let stead = stead::Stead::from_config("stead.toml")?.middleware::<Took>();
//! # Ok(())
//! # }
//! ```
//!
//! `HandlerKind` and `MiddlewareKind` are [`Kind`]s: its methods add texts and settings. A whole
//! program is `examples/own_kinds.rs`.

#[doc(inline)]
pub use stead_base::Tick;
#[doc(inline)]
pub use stead_config::passed_on::Config;
#[doc(inline)]
pub use stead_config::{
    ByteSize, Decoder, Diagnostic, Diagnostics, Duration, Kind, Literal, Map, Network, Off,
    OneOrMany, Rate, Schema, Secret, Settings, Span, Spanned, Table, Template, Value,
};
#[doc(inline)]
pub use stead_core::{
    Body, BodyStream, BuildContext, Client, Connection, Error, Exchange, Fact, Fields, Flow, Frame,
    Handler, HandlerKind, Local, LocalKey, Method, Middleware, MiddlewareKind, Name, OpenFile,
    Peer, Pending, Process, Reason, Reply, RequestBody, Response, Result, Scheme, Slots,
    StatusCode, Text, Tunnel, TunnelIo, Version, Worker, check_field_name, check_field_value, name,
};

/// For the code that `#[derive(Config)]` writes.
#[doc(hidden)]
pub use stead_config as config;

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
