//! TLS: certificates and keys, who is served with which, tickets, and the session of one
//! connection over buffers that the worker owns.
//!
//! rustls with aws-lc-rs; its types stay in here.

#![forbid(unsafe_code)]
