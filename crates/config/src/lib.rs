//! Configuration of Stead: text, positions, typed values, and everything that is wrong, in one run.
//!
//! `stead.toml` and its includes are parsed into a positioned tree ([`Value`]), `${…}` is expanded,
//! and the tree is decoded by [`Config`] (our own derive) into plain data. All errors of all files
//! are collected as [`Diagnostics`], each with the characters it means and what to write instead.
//! Components declare their settings in their own files and decode them from [`Settings`]; this
//! crate learns of them only through a [`Vocabulary`]. Pure but for `files`: no clock, no socket,
//! no runtime type.

#![forbid(unsafe_code)]

extern crate self as stead_config;

mod acme;
mod address;
mod certificates;
mod check;
mod decode;
mod diagnostic;
#[doc(hidden)]
pub mod docs;
mod document;
mod expand;
mod files;
mod foreign;
mod frequency;
mod full;
mod json_schema;
mod kind;
mod load;
mod memory;
mod mode;
mod model;
mod near;
mod network;
mod nginx;
mod parse;
mod print;
mod reference;
mod render;
mod scalar;
mod schema;
mod secret;
mod settings;
mod span;
mod template;
mod value;

pub use std::time::Duration;

pub use address::{Address, Host};
pub use decode::{Config, Decoder, Fields, Rest};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::{Document, FILES_MAX, INCLUDE_DEPTH_MAX};
pub use expand::Environment;
pub use files::{Disk, FILE_BYTES_MAX, Files};
pub use full::full;
pub use json_schema::schema;
pub use kind::{Kind, KindFacts, Vocabulary};
pub use load::{Loaded, load};
pub use memory::MemoryBudget;
pub use mode::Mode;
pub use model::{
    AccessLog, Acme, AcmeBinding, AcmeKey, Always, CertificateNames, Configuration, DirectoryUrl,
    Drain, Email, ErrorPages, ErrorStatus, Escape, HandlerConfig, Level, Levels, Listen, Log,
    LogFormat, Matcher, MiddlewareConfig, MiddlewareRef, Module, Pattern, Placed, Process, Proxies,
    Redact, RouteConfig, RouteOwn, Sample, ScopeLimits, ScopeTimeouts, ServerConfig,
    ServerRedirect, SiteConfig, Switch, TcpKeepalive, TlsClients, TlsConfig, TlsVersion,
    UnknownHost, Workers, effective_middleware,
};
pub use network::{Origin, ProxyHeader, TrustedProxies};
pub use reference::{Page, reference};
pub use render::Color;
pub use scalar::{Map, Off, OneOrMany};
pub use schema::{Field, FieldSchema, PathPart, RestSchema, Schema, TableSchema, TextForm, Word};
pub use secret::Secret;
pub use settings::Settings;
pub use span::{FileId, Position, Sources, Span, Spanned};
pub use stead_base::{ByteSize, Frequency, Network, Rate};
pub use stead_derive::Config;
pub use template::{Piece, Template};
pub use value::{Content, Entry, Key, Literal, Table, Text, Value};

/// What the library passes on to programs: the trait with the derive that finds it there.
#[doc(hidden)]
pub mod passed_on {
    pub use stead_derive::LibraryConfig as Config;

    pub use crate::decode::Config;
}
