//! Permissions of a file, in octal as chmod(1) writes them: `"0660"`.

use std::fmt;

use crate::scalar::Form;
use crate::schema::quoted;
use crate::value::Content;
use crate::{Config, Decoder, Schema, TextForm, Value};

/// Permission bits, 0 to 0o777.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u16);

const MODE: TextForm =
    TextForm::new("mode in octal", "0660").pattern("^((0o?)?[0-7]{3}|.*\\$\\{.*)$");

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        let digits = if text.len() > 3 { text.strip_prefix('0')? } else { text };
        let digits = digits.strip_prefix('o').unwrap_or(digits);
        let is_octal = digits.len() == 3 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        u16::from_str_radix(digits, 8).ok().filter(|_| is_octal).map(Self)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Config for Mode {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        if let Content::Integer(_) = value.content {
            // As written: TOML's `0o660` is 432.
            let written = decoder.sources().slice(value.span).trim_start_matches("0o");
            let help = quoted(meant(written).as_deref().unwrap_or(MODE.example));
            decoder.wrong_type(value, &Self::schema(), Some(format!("write `{help}`")));
            return None;
        }
        Form { form: MODE, parse: &Self::parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(MODE)
    }
}

/// Octal digits with more zeros than one, or without quotes.
fn meant(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    Mode::parse(&format!("0{digits:0>3}")).map(|mode| mode.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_digits_are_permissions() {
        for text in ["0660", "660", "0o660"] {
            assert_eq!(Mode::parse(text), Some(Mode(0o660)), "{text}");
        }
        for text in ["", "66", "06600", "0x66", "0o66", "1660", "668", "+66", "u=rw", "00660"] {
            assert_eq!(Mode::parse(text), None, "{text}");
        }
        assert_eq!(Mode(0o20).to_string(), "0020");
        assert_eq!(meant("00660").as_deref(), Some("0660"));
        assert_eq!(meant("666").as_deref(), Some("0666"));
        assert_eq!(meant("u=rw"), None);
    }
}
