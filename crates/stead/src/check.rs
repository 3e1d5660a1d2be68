//! From a configuration's path to what would run, or to everything that is wrong.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use stead_config::{
    Address, Configuration, Diagnostic, Diagnostics, Disk, Document, Environment, Files, Sources,
    Span, load,
};
use stead_core::Process;

use crate::additions::Additions;
use crate::compile::{Compiled, compile};

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
    check_with(path, files, environment, &Additions::default())
}

/// The same, for a program that adds what its configuration can name.
pub(crate) fn check_with(
    path: &Path,
    files: &dyn Files,
    environment: &Environment<'_>,
    additions: &Additions,
) -> Checked {
    let loaded = load(path, files, environment, &additions.vocabulary());
    let mut diagnostics = loaded.diagnostics;
    let mut compiled = None;
    // What decoded is compiled also where something else did not: all errors come in one run.
    if let Some(configuration) = loaded.configuration.as_ref().or(loaded.partial.as_ref()) {
        match compile(configuration, &loaded.sources, &Arc::new(Process::default()), additions) {
            Ok((done, warnings)) => {
                diagnostics.append(warnings);
                compiled = Some(done);
            }
            Err(errors) => diagnostics.append_new(errors),
        }
        for listen in configuration.servers.iter().flat_map(|(_, server)| &server.listen) {
            if let Address::Unix(path) = &listen.address.value {
                let wrong = socket_path(path, listen.address.span);
                diagnostics.append_new(wrong.map_or_else(Diagnostics::new, Diagnostics::from));
            }
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

/// What would keep a unix socket from being bound, as far as looking tells.
fn socket_path(path: &Path, span: Span) -> Option<Diagnostic> {
    let shown = path.display();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let (message, help) = if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let message =
            format!("the path of a unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes");
        (message, "write a shorter one")
    } else if parent.is_some_and(|parent| !parent.is_dir()) {
        let message = format!("the directory of the socket does not exist: {shown}");
        (message, "create it, or write a path in one that exists")
    } else if path.symlink_metadata().is_ok_and(|found| !found.file_type().is_socket()) {
        (format!("the path exists and is no socket: {shown}"), "write another path, or remove it")
    } else {
        return None;
    };
    Some(Diagnostic::error(span, message).help(help))
}

/// `sun_path` of unix(7) has 108 bytes with the zero; a socket is bound under a longer name first.
const SOCKET_PATH_BYTES_MAX: usize = 107 - ".4194304.new".len();

fn instance_name(configuration: Option<&Configuration>) -> Option<String> {
    configuration.and_then(|known| known.process.name.as_ref()).map(|name| name.value.clone())
}
