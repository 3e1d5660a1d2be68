//! The check of licences, bans and sources of all dependencies, by cargo-deny.
//!
//! The tool is taken from the machine, or built once, at a fixed version, into the cache beside the
//! clone: unoptimised, about 90 seconds of one core. It reads `deny.toml` and nothing from the
//! network; advisories need a database that is not always at hand and are checked at releases.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{run, workspace};

/// Runs the check.
pub(crate) fn check() -> Result<()> {
    let tool = find_or_build()?;
    let mut deny = run::command(tool);
    deny.args(["--locked", "--all-features", "check", "bans", "licenses", "sources"]);
    run::status(&mut deny)
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(tool) = run::find("cargo-deny") {
        return Ok(tool);
    }
    let folder = workspace::cache_dir()?.join(format!("tools/cargo-deny-{VERSION}"));
    let tool = folder.join("bin/cargo-deny");
    if tool.is_file() {
        return Ok(tool);
    }
    let mut cargo = run::cargo(["install", "cargo-deny", "--version", VERSION, "--locked"]);
    cargo.args(["--debug", "--root"]).arg(&folder).arg("--target-dir").arg(folder.join("build"));
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    run::status(&mut cargo).context("cargo-deny is missing and cannot be built")?;
    std::fs::remove_dir_all(folder.join("build")).context("the build of cargo-deny")?;
    Ok(tool)
}

/// Known to read our `deny.toml`.
const VERSION: &str = "0.20.2";
