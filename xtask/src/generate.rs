//! `cargo xtask gen [--check]`: the files that are written by the code, never by hand.
//!
//! These are the reference of every registered kind, the JSON schema of the configuration (both by
//! the binary itself, so that they cannot say what it does not do), and the table of security
//! tests. `--check` writes nothing and fails where a file is stale, missing or left over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tidy::coverage;
use crate::{Usage, run, workspace};

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        _ => return Err(Usage::error("`gen` takes nothing but --check")),
    };
    let mut wanted = BTreeMap::new();
    wanted.insert(PathBuf::from(coverage::FILE), coverage::table()?.into_bytes());
    wanted.extend(reference()?);
    if check { compare(&wanted) } else { write(&wanted) }
}

/// Path below the root, and content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What the binary says of itself: the pages that `stead gen-reference FOLDER` writes, and what
/// `stead schema` prints.
fn reference() -> Result<Files> {
    run::status(&mut run::cargo(["build", "--locked", "--package", "stead-cli"]))?;
    let stead = workspace::build_dir()?.join("debug/stead");
    let folder = workspace::build_dir()?.join("gen-reference");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    output(Command::new(&stead).arg("gen-reference").arg(&folder))?;
    let mut files = Files::new();
    for path in files_below(&folder)? {
        let place = Path::new(REFERENCE).join(path.strip_prefix(&folder)?);
        files.insert(place, fs::read(&path)?);
    }
    if files.is_empty() {
        bail!("stead gen-reference wrote nothing");
    }
    files.insert(PathBuf::from(SCHEMA), output(Command::new(&stead).arg("schema"))?);
    Ok(files)
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("cannot start the binary")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{}", output.status, reason.trim_end());
    }
    Ok(output.stdout)
}

fn write(wanted: &Files) -> Result<()> {
    let root = workspace::root();
    for (path, content) in wanted {
        let file = root.join(path);
        if fs::read(&file).ok().as_ref() == Some(content) {
            continue;
        }
        fs::create_dir_all(file.parent().context("a file without a folder")?)?;
        fs::write(&file, content).with_context(|| path.display().to_string())?;
        println!("wrote {}", path.display());
    }
    for path in left_over(wanted)? {
        fs::remove_file(root.join(&path)).with_context(|| path.display().to_string())?;
        println!("removed {}", path.display());
    }
    Ok(())
}

fn compare(wanted: &Files) -> Result<()> {
    let root = workspace::root();
    let mut wrong = 0;
    for (path, content) in wanted {
        let state = match fs::read(root.join(path)) {
            Ok(found) if found == *content => continue,
            Ok(_) => "stale",
            Err(_) => "missing",
        };
        println!("{}: {state}", path.display());
        wrong += 1;
    }
    for path in left_over(wanted)? {
        println!("{}: left over", path.display());
        wrong += 1;
    }
    if wrong > 0 {
        bail!("{wrong} generated files differ: run `cargo xtask gen` and commit them");
    }
    println!("{} generated files are fresh", wanted.len());
    Ok(())
}

/// Files of the generated folder that nothing generates any more.
fn left_over(wanted: &Files) -> Result<Vec<PathBuf>> {
    let root = workspace::root();
    let folder = root.join(REFERENCE);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let found = files_below(&folder)?;
    let relative = found.iter().filter_map(|path| path.strip_prefix(&root).ok());
    Ok(relative.filter(|path| !wanted.contains_key(*path)).map(Path::to_path_buf).collect())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Everything below it is generated.
const REFERENCE: &str = "docs/reference";
const SCHEMA: &str = "docs/stead.schema.json";
