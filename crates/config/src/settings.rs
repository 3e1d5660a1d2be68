//! The settings of one component, positioned and not yet decoded.
//!
//! `load` hands them on as they stand; the component's own file decodes them into its own type, so
//! that this crate knows no component and a component parses no text.

use std::sync::Arc;

use crate::decode::Decoder;
use crate::value::{Content, Table};
use crate::{Config, Diagnostic, Diagnostics, Sources, Span, Value, Vocabulary};

/// What a configuration says to one component.
#[derive(Clone, Debug)]
pub struct Settings {
    name: String,
    value: Value,
    sources: Arc<Sources>,
    /// Decode what is right of them: what is wrong is known.
    is_partial: bool,
}

/// Equal settings build equal components: the same values, and relative paths from the same place.
impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let directory =
            |settings: &Self| settings.sources.directory(settings.value.span.file).to_owned();
        self.name == other.name && self.value == other.value && directory(self) == directory(other)
    }
}

static NO_KINDS: Vocabulary = Vocabulary::new();

impl Settings {
    pub(crate) fn new(name: impl Into<String>, value: Value, sources: Arc<Sources>) -> Self {
        Self { name: name.into(), value, sources, is_partial: false }
    }

    /// Reads `name = value` out of a piece of TOML, as a test or an example writes it. No
    /// environment variable is set.
    ///
    /// # Errors
    /// The text is no TOML, or holds not exactly one key.
    pub fn parse(text: &str) -> Result<Self, Diagnostics> {
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", text);
        let (mut root, mut diagnostics) = crate::parse::parse(&sources, file);
        crate::expand::expand(&mut root, &sources, &|_| None, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let span = Span::new(file, 0..text.len());
        let mut entries = root.into_entries().into_iter();
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Ok(Self::new(entry.key.name, entry.value, Arc::new(sources))),
            _ => Err(Diagnostic::error(span, "write exactly one key, the name of the kind").into()),
        }
    }

    /// No settings at all, for a component named without any; `span` is where it is named.
    pub(crate) fn empty(name: &str, span: Span, sources: Arc<Sources>) -> Self {
        Self::new(name, Value::new(Content::Table(Table::new()), span), sources)
    }

    /// Decodes the settings into the component's own type.
    ///
    /// # Errors
    /// All that is wrong with them, each with its place.
    pub fn decode<T: Config>(&self) -> Result<T, Diagnostics> {
        let mut decoder = Decoder::new(&self.sources, &NO_KINDS, self.name.as_str());
        let outcome = T::decode(&self.value, &mut decoder);
        let diagnostics = decoder.finish();
        match outcome {
            Some(value) if self.is_partial || !diagnostics.has_errors() => Ok(value),
            _ => Err(diagnostics),
        }
    }

    /// Builds a component out of the settings. Where some of them cannot be decoded, `build` sees
    /// the others once more, so that what only building can find out comes in the same run.
    ///
    /// # Errors
    /// All that is wrong, found by decoding and by building.
    pub fn build<T>(
        &self,
        build: impl Fn(&Self) -> Result<T, Diagnostics>,
    ) -> Result<T, Diagnostics> {
        let mut errors = match build(self) {
            Ok(built) => return Ok(built),
            Err(errors) => errors,
        };
        if let Err(more) = build(&Self { is_partial: true, ..self.clone() }) {
            errors.append_new(more);
        }
        Err(errors)
    }

    /// The name of the kind.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The undecoded value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the settings stand.
    pub fn span(&self) -> Span {
        self.value.span
    }

    /// The files that they stand in.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// An error at the settings as a whole, for what only building can find out.
    pub fn error(&self, message: impl Into<String>) -> Diagnostics {
        Diagnostic::error(self.span(), message).into()
    }
}
