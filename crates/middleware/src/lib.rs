//! The middleware: what stands around handlers.
//!
//! One file per kind, which holds its documentation, its settings, its code and its tests; its name
//! is the word in the configuration, the page in the reference and the word in the log. To add one,
//! write the file and add its name below.

#![forbid(unsafe_code)]

use stead_core::{MiddlewareKind, register};

register! {
    allow, basic_auth, cache_control, compress, concurrency_limit, cors, deny, headers, hsts,
    maintenance, rate_limit, request_id, rewrite, secure_headers, strip_prefix, trailing_slash,
    www; MiddlewareKind
}

mod escape;
mod guests;
mod keys;
mod lines;
mod media_range;
mod passwords;
mod vary;

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests;
