//! From a path to a typed configuration and everything that is wrong with it.
//!
//! Reads and merges the files, expands `${…}`, decodes, lets every kind look at its settings, and
//! checks what must hold between values. Nothing stops at the first error: where a part of the text
//! could not be read, the rest is still looked at, and only what may be missing because of that part
//! goes unreported.

use std::path::Path;
use std::sync::Arc;

use crate::document::{Document, Read};
use crate::{
    Config, Configuration, Decoder, Diagnostic, Diagnostics, Environment, Files, Sources, Span,
    Vocabulary,
};

/// What loading gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` if there is an error.
    pub configuration: Option<Configuration>,
    /// The merged tree that it was decoded from.
    pub document: Document,
    /// The files that were read.
    pub sources: Arc<Sources>,
    /// All errors and warnings, in the order of the files.
    pub diagnostics: Diagnostics,
}

/// Loads the configuration at `path` with all that it includes.
///
/// `files` reads, `environment` gives the variables of `${NAME}`, `vocabulary` the kinds that exist.
pub fn load(
    path: &Path,
    files: &dyn Files,
    environment: &Environment<'_>,
    vocabulary: &Vocabulary,
) -> Loaded {
    let Read { document, mut diagnostics, broken, gaps } = Document::read(path, files, environment);
    let sources = document.sources.clone();
    let mut decoder = Decoder::new(&sources, vocabulary, "the configuration");
    if gaps {
        decoder.expect_gaps();
    }
    let configuration = Configuration::decode(&document.root, &mut decoder);
    if let (Some(configuration), Some(root)) = (&configuration, document.root.as_table()) {
        crate::check::check(configuration, root, &mut decoder);
    }
    let mut found = decoder.finish();
    found.list.retain(|found| !follows(found, &diagnostics, &broken, &sources));
    diagnostics.append(found);
    diagnostics.sort();
    let configuration = configuration.filter(|_| !diagnostics.has_errors());
    Loaded { configuration, document, sources, diagnostics }
}

/// Whether an error only follows from one of the text: it stands on a line that could not be read,
/// or at a string that could not be expanded.
fn follows(found: &Diagnostic, earlier: &Diagnostics, broken: &[Span], sources: &Sources) -> bool {
    let Some(span) = found.span else { return false };
    let line = |span: Span| (span.file, sources.position(span.file, span.start).line);
    let within =
        |inner: Span| inner.file == span.file && span.start <= inner.start && inner.end <= span.end;
    let unread = || broken.iter().any(|broken| line(*broken) == line(span));
    let unknown = found.message.starts_with("unknown key");
    (!unknown && unread()) || earlier.iter().filter_map(|known| known.span).any(within)
}
