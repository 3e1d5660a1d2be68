//! All end-to-end tests in one program: one file a feature.

#![forbid(unsafe_code)]

mod start;
