//! From a configuration's path to what would run, or to everything that is wrong.

use std::path::Path;
use std::sync::Arc;

use stead_config::{Configuration, Diagnostics, Disk, Document, Environment, Files, Sources, load};
use stead_core::Process;

use crate::compile::{Compiled, compile};
use crate::registry::vocabulary;

/// What a check found.
pub struct Checked {
    /// The typed configuration, where the text had no error.
    pub configuration: Option<Configuration>,
    /// What it compiled to, where nothing had an error.
    pub(crate) compiled: Option<Compiled>,
    /// `process.name`, also where something else has an error.
    pub name: Option<String>,
    /// The merged text with its positions.
    pub document: Document,
    /// The files.
    pub sources: Arc<Sources>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl Checked {
    /// Whether it can be started.
    pub fn is_ok(&self) -> bool {
        self.compiled.is_some()
    }
}

/// Reads and checks the configuration at `path`, with this process's environment.
pub fn check(path: &Path) -> Checked {
    check_files(path, &Disk, &|name| std::env::var(name).ok())
}

/// Reads and checks a configuration whose text comes from `files`.
pub fn check_files(path: &Path, files: &dyn Files, environment: &Environment<'_>) -> Checked {
    let loaded = load(path, files, environment, &vocabulary());
    let mut diagnostics = loaded.diagnostics;
    let mut compiled = None;
    // What decoded is compiled also where something else did not: all errors come in one run.
    if let Some(configuration) = loaded.configuration.as_ref().or(loaded.partial.as_ref()) {
        match compile(configuration, &loaded.sources, &Arc::new(Process::default())) {
            Ok((done, warnings)) => {
                diagnostics.append(warnings);
                compiled = Some(done);
            }
            Err(errors) => diagnostics.append_new(errors),
        }
        diagnostics.sort();
    }
    let compiled = compiled.filter(|_| !diagnostics.has_errors());
    Checked {
        name: instance_name(loaded.configuration.as_ref().or(loaded.partial.as_ref())),
        configuration: loaded.configuration,
        compiled,
        document: loaded.document,
        sources: loaded.sources,
        diagnostics,
    }
}

fn instance_name(configuration: Option<&Configuration>) -> Option<String> {
    configuration.and_then(|known| known.process.name.as_ref()).map(|name| name.value.clone())
}
