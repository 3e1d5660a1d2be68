//! Certificates from an ACME authority (RFC 8555): ordered, proved, stored, renewed.

#![forbid(unsafe_code)]
