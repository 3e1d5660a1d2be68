//! Tests of several kinds together, in one program.

#![forbid(unsafe_code)]

mod idle;
