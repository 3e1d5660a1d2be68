//! `stead init`: a first configuration that runs as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::output::print;

const CONFIGURATION: &str = include_str!("init/stead.toml");
const PAGE: &str = include_str!("init/index.html");

pub(crate) fn init() -> anyhow::Result<ExitCode> {
    let is_in_the_way =
        |path: &str| fs::symlink_metadata(path).is_ok() && !Path::new(path).is_dir();
    if is_in_the_way("public") {
        anyhow::bail!("public exists and is no folder; nothing was changed");
    }
    match create("stead.toml", CONFIGURATION) {
        Ok(()) => print("wrote stead.toml")?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("stead.toml exists already; nothing was changed");
        }
        Err(error) => return Err(error).context("cannot write stead.toml"),
    }
    fs::create_dir_all("public").context("cannot make the folder public")?;
    match create("public/index.html", PAGE) {
        Ok(()) => print("wrote public/index.html")?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context("cannot write public/index.html"),
    }
    print("now: stead run")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that does not exist yet.
fn create(path: &str, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}
