//! From a path to a typed configuration and everything that is wrong with it.
//!
//! Reads and merges the files, expands `${…}`, decodes, lets every kind look at its settings, and
//! checks what must hold between values. Nothing stops at the first error: where a part of the text
//! could not be read, the rest is still looked at, and only what may be missing because of that
//! part goes unreported.

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
    /// Where there is an error, what could be decoded all the same: only to look for more errors
    /// in. What is wrong in it was reported, and repeats are dropped by [`Diagnostics::sort`].
    pub partial: Option<Configuration>,
    /// The merged tree that it was decoded from.
    pub document: Document,
    /// The files that were read.
    pub sources: Arc<Sources>,
    /// All errors and warnings, in the order of the files.
    pub diagnostics: Diagnostics,
}

/// Loads the configuration at `path` with all that it includes.
///
/// `files` reads, `environment` gives the variables of `${NAME}`, `vocabulary` the kinds that
/// exist.
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
    let (configuration, partial) =
        if diagnostics.has_errors() { (None, configuration) } else { (configuration, None) };
    Loaded { configuration, partial, document, sources, diagnostics }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_right_is_kept_beside_what_is_wrong() {
        let text =
            "[server.a]\nlisten = [\":1\"]\ntimeouts = { idle = 3 }\n[server.b]\nlisten = 5\n";
        let files = BTreeMap::from([(PathBuf::from("stead.toml"), text.to_owned())]);
        let loaded = load(Path::new("stead.toml"), &files, &|_| None, &Vocabulary::new());
        assert!(loaded.configuration.is_none());
        let partial = loaded.partial.expect("decoded");
        assert_eq!(partial.servers.named("a").map(|server| server.listen.len()), Some(1));
        let mut diagnostics = loaded.diagnostics;
        assert_eq!(diagnostics.len(), 4, "{diagnostics}");
        diagnostics.append(diagnostics.clone());
        diagnostics.sort();
        assert_eq!(diagnostics.len(), 4);
    }

    #[test]
    fn an_unreadable_file_is_one_error() {
        let files = BTreeMap::new();
        let loaded = load(Path::new("x.toml"), &files, &|_| None, &Vocabulary::new());
        assert_eq!(
            loaded.diagnostics.to_string(),
            "error: cannot read x.toml: there is no such file"
        );
    }
}
