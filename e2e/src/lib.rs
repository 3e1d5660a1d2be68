//! What the end-to-end tests stand on: the real binary, real peers and real clients.
//!
//! Every test owns what it starts: a folder of its own, a Stead with a runtime directory inside it,
//! ports from [`ports`]. What was started is ended when its owner is dropped, also by a failed
//! assertion, by its own process id. So tests run side by side and never meet.
//!
//! Nothing here knows a crate of Stead: what the tests check is what a user sees.

#![forbid(unsafe_code)]

pub mod answer;
pub mod authority;
pub mod binary;
pub mod both;
pub mod chromium;
pub mod client;
pub mod differences;
pub mod dns;
pub mod doc_tree;
pub mod folder;
pub mod haproxy;
pub mod nginx;
pub mod openssl;
pub mod pair;
pub mod pebble;
pub mod ports;
pub mod process;
pub mod stead;
pub mod wait;

pub use answer::Answer;
pub use authority::Authority;
pub use both::Both;
pub use client::Connection;
pub use doc_tree::DocTree;
pub use folder::Folder;
pub use nginx::Nginx;
pub use openssl::SClient;
pub use pebble::{Pebble, PebbleOptions};
pub use process::{Outcome, Running};
pub use stead::Stead;
pub use wait::until;
