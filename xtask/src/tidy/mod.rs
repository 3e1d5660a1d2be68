//! `cargo xtask tidy`: the rules of the house that a machine can check.
//!
//! One file per family of rules; each takes the [`Tree`] and returns all that it finds, never the
//! first only. Sizes beyond the aims are printed too, but are for people to judge and fail nothing.

pub(crate) mod coverage;
mod edges;
mod kinds;
mod names;
mod rust;
mod sizes;
mod source;
mod texts;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{Usage, workspace};
use source::Source;

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    Usage::no_arguments("tidy", arguments)?;
    let tree = Tree::read()?;
    let mut findings = Vec::new();
    findings.extend(edges::check(&workspace::packages()?));
    findings.extend(rust::check(&tree));
    findings.extend(names::check(&tree));
    findings.extend(kinds::check(&tree));
    findings.extend(texts::check(&tree));
    findings.extend(coverage::check(&tree));
    sizes::print(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} things", findings.len());
    }
    println!("tidy: {} files, nothing found", tree.files.len());
    Ok(())
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: PathBuf,
    /// From 1; 0 where the finding is about the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.message),
        }
    }
}

/// Every tracked text file, read once.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// One text file of the repository.
#[derive(Debug)]
struct File {
    /// Relative to the root.
    path: PathBuf,
    text: String,
    /// What the text is made of, if it is Rust.
    source: Option<Source>,
}

impl Tree {
    pub(crate) fn read() -> Result<Self> {
        let mut tree = Self::default();
        for path in workspace::files()? {
            let bytes = std::fs::read(workspace::root().join(&path))?;
            // What is no UTF-8 (pictures, inputs of the fuzzers) holds no text of ours.
            if let Ok(text) = String::from_utf8(bytes) {
                tree.add(path, text);
            }
        }
        Ok(tree)
    }

    fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        let (path, text) = (path.into(), text.into());
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let source = is_rust.then(|| Source::new(&text));
        self.files.push(File { path, text, source });
    }

    /// The Rust files, with what they are made of.
    fn rust(&self) -> impl Iterator<Item = (&Path, &Source)> {
        self.files.iter().filter_map(|file| Some((file.path.as_path(), file.source.as_ref()?)))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(*path, *text);
        }
        tree
    }
}
