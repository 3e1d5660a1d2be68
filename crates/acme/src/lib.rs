//! Certificates from an ACME authority (RFC 8555): ordered, proved, stored, renewed.
//!
//! One certificate per host: a name that cannot be proved holds up no other, and a site that grows
//! does not order its old names again. [`Authority::run`] is the work of a background thread and
//! opens only its own sockets; what it learns reaches the listeners through a [`Front`], and what
//! it must remember lies in a [`Store`] that processes may share.
//!
//! Hosts are proved by the challenges HTTP-01 (RFC 8555 §8.3) and TLS-ALPN-01 (RFC 8737); when to
//! renew is asked of the authority where it tells (RFC 9773). A directory is the authority's in
//! here (RFC 8555 §7.1.1); what lies on the disk is a folder.

#![forbid(unsafe_code)]

mod account;
mod aside;
mod attempt;
mod authority;
mod certificate;
mod challenge;
mod ending;
mod failure;
mod front;
mod https_client;
mod record;
mod report;
mod schedule;
mod settings;
mod step;
mod store;
mod tries;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use certificate::{Certificate, CertificateError};
pub use challenge::{Challenge, ChallengeKind};
pub use front::Front;
pub use report::{Condition, Report};
pub use settings::{Binding, KeyType, Roots, RootsError, Settings};
pub use store::Store;
