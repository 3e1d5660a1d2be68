//! What the Rust toolchain brings beside the compiler: its documentation, some 52,000 real files
//! that the end-to-end tests serve.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run;

/// The folder of real files that the end-to-end tests serve: `STEAD_DOC_TREE`, or the toolchain's
/// documentation, which rustup adds where it is missing.
///
/// # Errors
/// Where there is none; the message names the component.
pub(crate) fn doc_tree() -> Result<PathBuf> {
    if let Some(own) = std::env::var_os("STEAD_DOC_TREE").map(PathBuf::from) {
        if own.is_dir() {
            return own.canonicalize().context("STEAD_DOC_TREE");
        }
        bail!("STEAD_DOC_TREE names no folder: {}", own.display());
    }
    let tree = sysroot()?.join("share/doc/rust/html");
    if is_doc_tree(&tree) {
        return Ok(tree);
    }
    println!("missing: the Rust documentation, {}", tree.display());
    let added = run::status(run::command("rustup").args(["component", "add", "rust-docs"]));
    match added {
        Ok(()) if is_doc_tree(&tree) => Ok(tree),
        Ok(()) => bail!("rustup added rust-docs, yet there is no {}", tree.display()),
        Err(error) => Err(error.context(
            "the Rust documentation is missing: add the component `rust-docs` (rustup component \
             add rust-docs), or set STEAD_DOC_TREE to another folder of files",
        )),
    }
}

/// The triple that this toolchain builds for.
pub(crate) fn host() -> Result<String> {
    let text = run::output("rustc", &["-vV"])?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(run::output("rustc", &["--print", "sysroot"])?.trim_end()))
}

fn is_doc_tree(folder: &Path) -> bool {
    folder.join("index.html").is_file()
}
