//! All end-to-end tests in one program: one file a feature.

#![forbid(unsafe_code)]

mod browser;
mod check;
mod doc_tree;
mod ranges;
mod signals;
mod start;
mod wget;
