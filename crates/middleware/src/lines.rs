//! Files of lines that settings name: lists of networks, users with their passwords' hashes.
//!
//! Read once, when the component is built. Every wrong line is told with
//! its number, at the place of the configuration that names the file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use stead_config::{Diagnostic, Diagnostics, Spanned};

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
    let mut bytes = Vec::new();
    let read =
        File::open(&path.value).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("{} cannot be read: {error}", path.display());
        return Err(Diagnostic::error(path.span, message)
            .help("name a file that exists and that this user may read"));
    }
    if bytes.len() as u64 > BYTES_MAX {
        let message = format!("{} has more than {} MiB", path.display(), BYTES_MAX >> 20);
        return Err(Diagnostic::error(path.span, message).help("name a smaller file"));
    }
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("{} is no text in UTF-8", path.display());
        Diagnostic::error(path.span, message).help("name a text file")
    })
}
