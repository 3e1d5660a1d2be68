//! Where things lie: the root, the build directory, the packages and the tracked files.
//!
//! Everything is asked of `cargo metadata` and of git, so that no path is written twice.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// One package of the workspace, as its manifest says.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its manifest, relative to the root.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: Vec<String>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// In `[dev-dependencies]`.
    pub(crate) for_tests: bool,
    /// A package of this workspace.
    pub(crate) inside: bool,
}

/// The repository's root, which is the parent of this package's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The build directory, wherever the environment or a configuration of cargo puts it.
pub(crate) fn build_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    let path =
        metadata["target_directory"].as_str().context("cargo metadata names no directory")?;
    Ok(PathBuf::from(path))
}

/// Where tools and other things worth keeping between clones are cached.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let own = std::env::var_os("STEAD_CACHE").map(PathBuf::from);
    let xdg = || std::env::var_os("XDG_CACHE_HOME").map(|base| PathBuf::from(base).join("stead"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/stead"));
    own.or_else(xdg).or_else(home).context("set STEAD_CACHE or HOME, to have a place for tools")
}

/// Every member of the workspace, in cargo's order.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let metadata = metadata()?;
    let list = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    list.iter().map(package).collect()
}

/// Whether the workspace has a member of this name.
pub(crate) fn has_package(name: &str) -> Result<bool> {
    Ok(packages()?.iter().any(|package| package.name == name))
}

/// Every file that git tracks or would track, relative to the root, sorted.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = run::output("git", &arguments).context("tidy needs a git checkout")?;
    let mut files: Vec<PathBuf> = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

fn metadata() -> Result<Value> {
    let text = run::output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    serde_json::from_str(&text).context("cargo metadata is not JSON")
}

fn package(value: &Value) -> Result<Package> {
    let manifest = Path::new(text(value, "manifest_path")?);
    let folder = relative(manifest.parent().unwrap_or(manifest));
    let dependencies = value["dependencies"].as_array().context("a package has no dependencies")?;
    let features = value["features"].as_object().context("a package has no features")?;
    Ok(Package {
        name: text(value, "name")?.to_owned(),
        folder,
        dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
        features: features.keys().cloned().collect(),
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: text(value, "name")?.to_owned(),
        for_tests: value["kind"] == "dev",
        inside: value["path"].is_string(),
    })
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("cargo metadata lacks `{key}`"))
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_path_buf()
}
