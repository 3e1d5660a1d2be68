//! The programs under test: the real one, which `STEAD_BIN` names or which is built here once, and
//! the examples.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The real binary, with the optimisations that it is shipped with.
pub fn stead() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("STEAD_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(&["--profile", "e2e", "--package", "stead-cli"]),
    });
    &BINARY
}

/// A program of the examples, as `cargo run` builds it.
pub fn example(name: &str) -> PathBuf {
    build(&["--package", "stead-examples", "--bin", name])
}

/// The real binary as a command that knows nothing of the caller's own configuration.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(stead());
    command.args(arguments);
    clear_environment(&mut command);
    command
}

/// Takes out of a command's environment what would lead a Stead elsewhere.
pub fn clear_environment(command: &mut Command) {
    for variable in ["STEAD_CONFIG", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
}

fn build(what: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--message-format", "json"])
        .args(what)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo build: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    built.expect("cargo names the binary that it built")
}
