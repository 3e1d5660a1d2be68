//! The handlers: what answers a request once its route is known.
//!
//! One file per kind, which holds its documentation, its settings, its code and its tests; its name
//! is the key in the configuration, the page in the reference and the word in the log. To add one,
//! write the file and add its name below.

#![forbid(unsafe_code)]

use stead_core::{HandlerKind, register};

register! { files, health, redirect, respond; HandlerKind }

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests;
