//! Header fields that a configuration sets: names and values that may stand in a message.

use stead_config::{Diagnostic, Spanned};
use stead_http1::{Fields, Known, Name};

use crate::Reason;

/// Checks a field's name.
///
/// # Errors
/// It is no token, or Stead itself writes the field.
pub fn check_field_name(field: &Spanned<String>) -> Result<(), Diagnostic> {
    if let Name::Known(known) = Name::from_bytes(field.as_bytes())
        && OURS.contains(&known)
    {
        let message = format!("`{}` is written by Stead itself", known.as_str());
        return Err(Diagnostic::error(field.span, message).help("take it out"));
    }
    match Fields::new().try_append(field.as_bytes(), b"") {
        Ok(()) => Ok(()),
        Err(_) => Err(Diagnostic::error(field.span, "this is no header name")
            .help("write letters, digits and `-`")),
    }
}

/// Checks a field's value.
///
/// # Errors
/// It holds a control character.
pub fn check_field_value(value: &Spanned<String>) -> Result<(), Diagnostic> {
    match Fields::new().try_append(b"x", value.as_bytes()) {
        Err(Reason::BadHeaderValue) => {
            Err(Diagnostic::error(value.span, "a header's value holds a control character")
                .help("write one line of text"))
        }
        _ => Ok(()),
    }
}

/// Fields that say where a message ends, or that the connection writes.
const OURS: &[Known] = &[
    Known::Connection,
    Known::ContentLength,
    Known::Date,
    Known::KeepAlive,
    Known::TransferEncoding,
    Known::Trailer,
    Known::Upgrade,
];
