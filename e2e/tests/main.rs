//! All end-to-end tests in one program: one file a feature.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod acme;
mod activation;
mod browser;
mod changes;
mod chat;
mod check;
mod clients;
mod compress;
mod doc_tree;
mod drain_before;
mod files;
mod guards;
mod guide;
mod hints;
mod http2;
mod isolation;
mod keeping;
mod listen;
mod log;
mod middleware;
mod moving;
mod overload;
mod paths;
mod private_descriptors;
mod proxied;
mod ranges;
mod requests;
mod root_config;
mod signals;
mod sites;
mod start;
mod tls;
mod wget;
