//! The two streams of the command line, written without a panic where nobody reads them any more.
//!
//! `stead schema | head` ends quietly, and a server whose standard error was closed goes on.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes what was asked for, and a line end, to standard output.
///
/// # Errors
/// Nobody reads it any more, or the disk that it goes to is full.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a line to standard error, if anybody reads it.
pub(crate) fn tell(text: impl Display) {
    // Where it cannot be written it cannot be told either.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether an error only means that the reader of standard output has left.
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<io::Error>();
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
