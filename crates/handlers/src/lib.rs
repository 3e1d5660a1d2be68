//! The handlers: what answers a request once its route is known.
//!
//! One file per kind, which holds its documentation, its settings, its code and its tests; its name
//! is the key in the configuration, the page in the reference and the word in the log. To add one,
//! write the file and add its name below.

#![forbid(unsafe_code)]

mod docs;

use stead_core::HandlerKind;

/// Turns names of files into modules and into the list of kinds.
macro_rules! register {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// Every kind of handler, sorted by name.
        pub const KINDS: &[HandlerKind] = &[$($name::KIND),*];
    };
}

register! { files, health, redirect, respond }

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests;
