//! What is wrong with the files of a `[tls.NAME]`: what `stead check` shows where they are named.

use std::fmt;

/// Which file a problem is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `certificate`.
    Certificate,
    /// `key`.
    Key,
    /// `clients.ca`.
    Clients,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub part: Part,
    /// What is wrong; lower case, without a full stop.
    pub message: String,
    /// What to write or do instead.
    pub help: String,
}

impl Problem {
    pub(crate) fn new(part: Part, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { part, message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}
