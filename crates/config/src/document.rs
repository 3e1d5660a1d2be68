//! The files of a configuration, read and merged into one positioned tree.
//!
//! A file's own tables come first, then its includes in the order in which they are written, the
//! matches of a pattern in the order of their names; its directory must exist. Tables merge by
//! name, `route` arrays are appended, anything else set twice is an error that shows both places.
//! A file is read once, however often it is named; a file that includes itself, directly or not, is
//! an error.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{directory_of, is_glob};
use crate::value::{Content, Entry, Table};
use crate::{Diagnostic, Diagnostics, Environment, FileId, Files, Sources, Span, Value};

/// Files of one configuration.
pub const FILES_MAX: usize = 10_000;
/// Files including files; the first counts.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// The key whose arrays are appended when files are merged.
const APPENDED: &str = "route";

/// The merged tree, places kept, before it is decoded.
#[derive(Clone, Debug)]
pub struct Document {
    /// The merged tables, `include` taken out.
    pub(crate) root: Value,
    /// The files.
    pub(crate) sources: Arc<Sources>,
}

/// What reading gave: the tree, what is wrong, and whether something could not be read.
pub(crate) struct Read {
    pub(crate) document: Document,
    pub(crate) diagnostics: Diagnostics,
    /// Where the text itself is wrong, so that what was read around it may be too.
    pub(crate) broken: Vec<Span>,
    pub(crate) gaps: bool,
}

impl Document {
    /// The merged tables.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// The files, in the order in which they were read.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// Reads `path` and what it includes.
    pub(crate) fn read(path: &Path, files: &dyn Files, environment: &Environment<'_>) -> Read {
        let mut reader = Reader {
            files,
            environment,
            sources: Sources::default(),
            diagnostics: Diagnostics::new(),
            root: Table::new(),
            seen: HashSet::new(),
            chain: Vec::new(),
            broken: Vec::new(),
            gaps: false,
        };
        match files.read_first(path) {
            Ok(text) => reader.file(path, text, files.identity(path), None),
            Err(error) => {
                let message = format!("cannot read {}: {}", path.display(), reason(&error));
                reader.diagnostics.push(Diagnostic::error(None, message));
                reader.gaps = true;
            }
        }
        let span = Span::new(FileId(0), 0..0);
        let root = Value::new(Content::Table(reader.root), span);
        let document = Self { root, sources: Arc::new(reader.sources) };
        Read { document, diagnostics: reader.diagnostics, broken: reader.broken, gaps: reader.gaps }
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    environment: &'a Environment<'a>,
    sources: Sources,
    diagnostics: Diagnostics,
    root: Table,
    seen: HashSet<PathBuf>,
    /// The files being read, each including the next, and where it was included.
    chain: Vec<(PathBuf, Option<Span>)>,
    broken: Vec<Span>,
    gaps: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: String, identity: PathBuf, at: Option<Span>) {
        self.seen.insert(identity.clone());
        let file = self.sources.add(path, text);
        let (mut table, errors) = crate::parse::parse(&self.sources, file);
        self.gaps |= errors.has_errors();
        self.broken.extend(errors.iter().filter_map(|error| error.span));
        self.diagnostics.append(errors);
        crate::expand::expand(&mut table, &self.sources, self.environment, &mut self.diagnostics);
        let include = table.remove("include");
        for entry in table.into_entries() {
            merge(&mut self.root, entry, &mut self.diagnostics);
        }
        self.chain.push((identity, at));
        if let Some(include) = include {
            self.include(file, &include);
        }
        self.chain.pop();
    }

    fn include(&mut self, file: FileId, include: &Entry) {
        let Some(items) = include.value.as_list() else {
            self.wrong_include(&include.value);
            return;
        };
        for item in items {
            match item.as_str() {
                Some(pattern) => self.pattern(file, pattern, item.span),
                None => self.wrong_include(item),
            }
        }
    }

    fn wrong_include(&mut self, value: &Value) {
        self.gaps = true;
        let message = format!("`include` takes a list of files, not {}", value.type_name());
        let help = "write `[\"conf.d/*.toml\"]`";
        self.diagnostics.push(Diagnostic::error(value.span, message).help(help));
    }

    fn pattern(&mut self, file: FileId, pattern: &str, span: Span) {
        let base = self.sources.directory(file).to_owned();
        if !is_glob(pattern) {
            return self.included(&base.join(pattern), span);
        }
        let directory = directory_of(&base, pattern);
        if !self.files.is_directory(&directory) {
            let message = format!("there is no directory {}", directory.display());
            let help = "create it, or write the pattern of files that exist; it starts from this \
                        file";
            return self.refuse(span, message, help, None);
        }
        // A directory without a match is where something may come to stand.
        match self.files.glob(&base, pattern) {
            Ok(paths) => paths.iter().for_each(|path| self.included(path, span)),
            Err(error) => {
                let message = format!("cannot look for files: {}", reason(&error));
                self.refuse(span, message, "", None);
            }
        }
    }

    fn included(&mut self, path: &Path, span: Span) {
        let identity = self.files.identity(path);
        if let Some((_, first)) = self.chain.iter().find(|(known, _)| *known == identity) {
            let first = *first;
            let message = format!("{} includes itself", path.display());
            return self.refuse(span, message, "include other files only", first);
        }
        if self.seen.contains(&identity) {
            return;
        }
        if self.chain.len() >= INCLUDE_DEPTH_MAX {
            let message = format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
            return self.refuse(span, message, "", None);
        }
        if self.seen.len() >= FILES_MAX {
            let message = format!("more than {FILES_MAX} files are included");
            return self.refuse(span, message, "", None);
        }
        match self.files.read(path) {
            Ok(text) => self.file(path, text, identity, Some(span)),
            Err(error) => {
                let message = format!("cannot read {}: {}", path.display(), reason(&error));
                let help = match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        "create it, or write a path that exists; it starts from this file"
                    }
                    std::io::ErrorKind::IsADirectory => "write `/*.toml` behind it for its files",
                    std::io::ErrorKind::PermissionDenied => "see to its permissions",
                    std::io::ErrorKind::InvalidInput => "write the path of a regular file",
                    _ => "",
                };
                self.refuse(span, message, help, None);
            }
        }
    }

    fn refuse(&mut self, span: Span, message: String, help: &str, first: Option<Span>) {
        self.gaps = true;
        let help = (!help.is_empty()).then(|| help.to_owned());
        let mut diagnostic = Diagnostic::error(span, message).help_if(help);
        diagnostic.related.extend(first.map(|first| (first, "included here first".to_owned())));
        if !self.diagnostics.list.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}

/// Puts an entry of another file into a table.
fn merge(table: &mut Table, entry: Entry, diagnostics: &mut Diagnostics) {
    let Some(known) = table.entry_mut(&entry.key.name) else {
        table.push(entry);
        return;
    };
    match (&mut known.value.content, entry.value.content) {
        (Content::Table(known), Content::Table(more)) => {
            more.into_entries().into_iter().for_each(|entry| merge(known, entry, diagnostics));
        }
        (Content::List(known), Content::List(more)) if entry.key.name == APPENDED => {
            known.extend(more);
        }
        _ => {
            let message = format!("`{}` is set twice", entry.key.name.escape_debug());
            let diagnostic = Diagnostic::error(entry.key.span, message)
                .help("remove one of the two")
                .related(known.key.span, "set here first");
            diagnostics.push(diagnostic);
        }
    }
}

/// What the system said, in our form.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}
