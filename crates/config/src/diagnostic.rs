//! What is wrong with a configuration: collected, never only the first, and shown with its place.
//!
//! Messages begin in lower case, have no full stop, and the help says what to write instead.

use std::fmt;

use crate::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Stead starts, but this is probably not meant.
    Warning,
}

impl Severity {
    /// The word that a message begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` only where no text was read.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to write instead; stands after the carets.
    pub help: Option<String>,
    /// Other places that belong to it, with a few words each.
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Says what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to write instead where it is known.
    pub fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Shows another place.
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }
}

/// All that is wrong, and the places whose text must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    pub(crate) list: Vec<Diagnostic>,
    /// SECURITY: secrets written in the configuration; their text is masked wherever a line is
    /// shown.
    pub(crate) masked: Vec<Span>,
}

impl Diagnostics {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds those of another run.
    pub fn append(&mut self, other: Self) {
        self.list.extend(other.list);
        self.masked.extend(other.masked);
    }

    /// Adds what a later step found, but for what stands at or round a place that is known to be
    /// wrong: one mistake is one error, and what it hides is not missing.
    pub fn append_new(&mut self, found: Self) {
        let known = |outer: Span| {
            let inside = |inner: Span| {
                outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
            };
            let errors = self.list.iter().filter(|known| known.severity == Severity::Error);
            errors.filter_map(|known| known.span).any(inside)
        };
        let is_new = |found: &Diagnostic| !found.span.is_some_and(known);
        let new: Vec<Diagnostic> = found.list.into_iter().filter(is_new).collect();
        self.list.extend(new);
        self.masked.extend(found.masked);
    }

    /// In the order in which they were found; after [`crate::load`], in the order of the files.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many errors and warnings.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is neither an error nor a warning.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many of them are errors.
    pub fn error_count(&self) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Puts them in the order of the files and drops repetitions.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|diagnostic| diagnostic.span);
        let mut first_of_place = 0;
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(self.list.len());
        for diagnostic in std::mem::take(&mut self.list) {
            if kept.last().is_none_or(|last| last.span != diagnostic.span) {
                first_of_place = kept.len();
            }
            if !kept[first_of_place..].contains(&diagnostic) {
                kept.push(diagnostic);
            }
        }
        self.list = kept;
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], masked: Vec::new() }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The messages alone, for where no source text is at hand; [`Diagnostics::render`] shows the
/// lines.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.list.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{}: {}", diagnostic.severity.as_str(), diagnostic.message)?;
            if let Some(help) = &diagnostic.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
