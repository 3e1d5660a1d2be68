//! `stead files`: a folder served at once, for a look or a hand-over.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use stead::command::Checked;
use stead_config::{Diagnostic, Files, Severity};

use crate::Misuse;

#[derive(Args)]
pub(crate) struct FilesArgs {
    /// The folder.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: String,
    /// Show what is in a directory that has no index.html.
    #[arg(long)]
    listing: bool,
}

pub(crate) fn files(args: &FilesArgs) -> anyhow::Result<ExitCode> {
    let shown = args.directory.display();
    let directory = std::fs::canonicalize(&args.directory)
        .map_err(|error| Misuse::error(format!("cannot serve {shown}: {error}")))?;
    if !directory.is_dir() {
        return Err(Misuse::error(format!("cannot serve {shown}: it is no folder")));
    }
    let text = configuration(&directory, &args.listen, args.listing)?;
    // The made-up file's name decides where the admin socket is: one for each folder and address.
    let path = directory.join(format!("stead files {}", args.listen));
    let checked = stead::command::check_files(&path, &Text(text), &|_| None);
    if let Some(wrong) = checked.diagnostics.iter().find(|wrong| wrong.severity == Severity::Error)
    {
        return Err(Misuse::error(in_words_of_the_caller(wrong, &checked, args)));
    }
    crate::run::serve(checked, &path, &directory.display().to_string())
}

/// An error of the made-up configuration, said of what stands on the command line.
fn in_words_of_the_caller(wrong: &Diagnostic, checked: &Checked, args: &FilesArgs) -> String {
    let line = wrong.span.map(|span| checked.sources.position(span.file, span.start).line);
    let about = match line {
        Some(LISTEN_LINE) => format!("--listen {}", args.listen),
        _ => args.directory.display().to_string(),
    };
    if let (Some(LISTEN_LINE), Ok(port)) = (line, args.listen.parse::<u16>()) {
        // The default is this machine alone, and so is what we propose.
        return format!("{about}: {}; write `127.0.0.1:{port}`", wrong.message);
    }
    let help = wrong.help.as_deref().map_or(String::new(), |help| format!("; {help}"));
    format!("{about}: {}{help}", wrong.message)
}

/// The line of the made-up configuration that says where to listen.
const LISTEN_LINE: usize = 2;

/// The configuration that serves the folder. Strings are JSON strings, which TOML reads too.
fn configuration(directory: &Path, listen: &str, listing: bool) -> anyhow::Result<String> {
    let directory = directory.to_str().context("the folder's name is not UTF-8")?;
    let quote = |text: &str| serde_json::Value::from(text.replace("${", "$${")).to_string();
    Ok(format!(
        "[server.files]\nlisten = [{}]\n\n[[server.files.route]]\npath = \"/{{*file}}\"\n\
         files = {{ root = {}, listing = {listing} }}\n",
        quote(listen),
        quote(directory),
    ))
}

/// One file's text, from memory.
struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }

    fn glob(&self, _: &Path, _: &str) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn is_directory(&self, _: &Path) -> bool {
        false
    }
}
