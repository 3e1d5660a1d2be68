//! The real files that are served beside nginx: the documentation that comes with the toolchain.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::differences::Stale;

/// A folder of real files.
pub struct DocTree {
    root: PathBuf,
}

impl DocTree {
    /// What `STEAD_DOC_TREE` names, else the toolchain's.
    pub fn find() -> Self {
        let root = std::env::var_os("STEAD_DOC_TREE").map_or_else(of_toolchain, PathBuf::from);
        assert!(
            root.is_dir(),
            "{} is no folder: add the component `rust-docs` with rustup, or set STEAD_DOC_TREE",
            root.display()
        );
        Self { root: root.canonicalize().expect("a folder") }
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the documentation of Rust, for which the list of differences was written.
    pub fn stale(&self) -> Stale {
        let is_rust = self.root.join("std/index.html").is_file();
        if is_rust { Stale::Fails } else { Stale::Passes }
    }

    /// The bytes of a file in it.
    pub fn content(&self, path: &str) -> Vec<u8> {
        #[allow(clippy::disallowed_methods, reason = "files of a known tree")]
        fs::read(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether Stead serves a file of it: it has no hidden name and is reached without leaving.
    pub fn is_served(&self, path: &str) -> bool {
        let is_inside = || {
            let found = self.root.join(path).canonicalize();
            found.is_ok_and(|found| found.starts_with(&self.root))
        };
        !path.split('/').any(is_hidden) && is_inside()
    }

    /// Everything in it, sorted; directories end in a slash, the root is empty. Links to
    /// directories are left out.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        walk(&self.root, "", &mut paths);
        paths.sort();
        paths
    }
}

fn walk(root: &Path, path: &str, paths: &mut Vec<String>) {
    paths.push(path.to_owned());
    let entries = fs::read_dir(root.join(path)).expect("a folder that can be read");
    for entry in entries.map(|entry| entry.expect("a name")) {
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let is_link = entry.file_type().expect("a type").is_symlink();
        match entry.path().metadata() {
            Ok(facts) if facts.is_dir() && !is_link => {
                walk(root, &format!("{path}{name}/"), paths);
            }
            Ok(facts) if facts.is_file() => paths.push(format!("{path}{name}")),
            _ => println!("left out: {path}{name}"),
        }
    }
}

/// What is never served unless asked for: dotfiles, and what editors leave behind.
fn is_hidden(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let endings = ["~", ".swp", ".swo", ".swn", ".bak", ".orig", ".rej"];
    name.starts_with('.')
        || endings.iter().any(|ending| name.ends_with(ending))
        || (name.starts_with('#') && name.ends_with('#'))
}

fn of_toolchain() -> PathBuf {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().expect("rustc runs");
    let sysroot = String::from_utf8(output.stdout).expect("a path in UTF-8");
    Path::new(sysroot.trim_end()).join("share/doc/rust/html")
}

/// A request target for a path: `/` and unreserved characters as they are, the rest escaped.
pub fn to_target(path: &str) -> String {
    let mut target = String::from("/");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target
}

/// The ending of a path's name, with its dot; the whole name where there is none.
pub fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or(name, |dot| &name[dot..])
}
