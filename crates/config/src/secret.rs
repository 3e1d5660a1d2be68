//! Strings that are never shown: passwords, tokens, keys.
//!
//! SECURITY: a secret has no `Display`, its `Debug` is a placeholder, and where a message shows the
//! line on which it was written, its characters are masked.

use std::fmt;
use std::path::PathBuf;

use crate::value::Content;
use crate::{Config, Decoder, Schema, TextForm, Value};

/// A secret: the text itself, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Text(String),
    File(PathBuf),
}

#[derive(stead_derive::Config)]
struct SecretFile {
    /// The file that holds it; one line end at its end is dropped.
    file: PathBuf,
}

impl Secret {
    /// The secret; `read` gives the text of a file.
    ///
    /// # Errors
    /// What `read` failed with.
    pub fn reveal<E>(
        &self,
        read: impl FnOnce(&std::path::Path) -> Result<String, E>,
    ) -> Result<String, E> {
        match &self.0 {
            Place::Text(text) => Ok(text.clone()),
            Place::File(path) => {
                let text = read(path)?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
        }
    }

    /// The file that holds it, if it is not in the configuration.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Place::Text(_) => None,
            Place::File(path) => Some(path),
        }
    }
}

impl Config for Secret {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        if let Content::Table(_) = &value.content {
            return SecretFile::decode(value, decoder).map(|at| Self(Place::File(at.file)));
        }
        decoder.mask(value.span);
        let text = crate::scalar::text(value, &Self::schema(), decoder)?;
        Some(Self(Place::Text(text.value.clone())))
    }

    fn schema() -> Schema {
        Schema::OneOf(vec![Schema::Text(TextForm::SECRET), SecretFile::schema()])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn a_secret_is_revealed_only_on_request() {
        let settings = Settings::parse("token = 'hunter2'").unwrap();
        let secret: Secret = settings.decode().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.reveal(|_| Err(())), Ok("hunter2".to_owned()));
        let settings = Settings::parse("token = { file = 'run/token' }").unwrap();
        let secret: Secret = settings.decode().unwrap();
        let read = |path: &std::path::Path| Ok::<_, ()>(format!("{}\r\n", path.display()));
        assert_eq!(secret.reveal(read), Ok("run/token".to_owned()));
    }
}
