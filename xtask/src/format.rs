//! `cargo xtask fmt`: every Rust file of the repository, as rustfmt writes it.
//!
//! `cargo fmt` follows `mod` lines and does not see the modules that a macro declares, which all
//! registered kinds are: here each tracked file is named.

use anyhow::{Context, Result, bail};

use crate::{Usage, run, workspace};

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(Usage::error("`fmt` takes `--check` or nothing")),
    };
    format(check)
}

/// Writes the files, or only looks whether they are as they would be written.
fn format(check: bool) -> Result<()> {
    let files = workspace::files()?;
    let is_rust = |path: &&std::path::PathBuf| path.extension().is_some_and(|end| end == "rs");
    let mut rustfmt = run::command("rustfmt");
    rustfmt.current_dir(workspace::root()).args(["--edition", "2024"]);
    rustfmt.args(check.then_some("--check")).args(files.iter().filter(is_rust));
    // Not shown: it names every file.
    if !rustfmt.status().context("cannot start rustfmt")?.success() {
        bail!("`cargo xtask fmt` writes what is not formatted");
    }
    Ok(())
}
