//! Files of lines that settings name: lists of networks, users with their passwords' hashes.
//!
//! Read once, when the component is built. Every wrong line is told with
//! its number, at the place of the configuration that names the file.

use std::io::ErrorKind;
use std::path::PathBuf;

use stead_config::{Diagnostic, Diagnostics, Spanned};
use stead_disk::read_regular;

/// Bytes of such a file: about two million networks.
const BYTES_MAX: u64 = 32 << 20;
/// Wrong lines of one file that are told one by one.
const WRONG_MAX: usize = 20;

/// What is wrong with a line, and what to write instead.
pub(crate) struct WrongLine {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads a file and gives each line, without its end, to `parse`, which gives nothing for a comment
/// or an empty line.
///
/// # Errors
/// The file cannot be read, or all that is wrong with its lines.
pub(crate) fn parse<T>(
    path: &Spanned<PathBuf>,
    mut parse: impl FnMut(&str) -> Result<Option<T>, WrongLine>,
) -> Result<Vec<T>, Diagnostics> {
    let text = read(path)?;
    let (mut values, mut wrong, mut wrong_count) = (Vec::new(), Diagnostics::new(), 0);
    for (index, line) in text.lines().enumerate() {
        match parse(line) {
            Ok(value) => values.extend(value),
            Err(line) => {
                wrong_count += 1;
                if wrong_count <= WRONG_MAX {
                    let message = format!("{}:{}: {}", path.display(), index + 1, line.message);
                    wrong.push(Diagnostic::error(path.span, message).help(line.help));
                }
            }
        }
    }
    if wrong_count > WRONG_MAX {
        let message =
            format!("{}: {} more lines are wrong", path.display(), wrong_count - WRONG_MAX);
        wrong.push(Diagnostic::error(path.span, message).help("correct those above first"));
    }
    if wrong_count > 0 { Err(wrong) } else { Ok(values) }
}

fn read(path: &Spanned<PathBuf>) -> Result<String, Diagnostic> {
    let bytes = read_regular(path, BYTES_MAX).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        Diagnostic::error(path.span, message).help(what_to_name(error.kind()))
    })?;
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("{} is no text in UTF-8", path.display());
        Diagnostic::error(path.span, message).help("name a text file")
    })
}

/// What to write where a file cannot be read.
pub(crate) fn what_to_name(error: ErrorKind) -> &'static str {
    match error {
        ErrorKind::FileTooLarge => "name a smaller file",
        ErrorKind::InvalidInput | ErrorKind::IsADirectory => "name a regular file",
        _ => "name a file that exists and that this user may read",
    }
}
