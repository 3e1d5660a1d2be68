//! A tree of files, asked for in every way.
