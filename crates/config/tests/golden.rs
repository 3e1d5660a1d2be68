//! Golden files: a configuration, a line of dashes, and what comes of it.
//!
//! What comes of it is every diagnostic as it is shown, or else the full configuration, which must
//! also load again to the same text. `UPDATE=1 cargo test -p stead-config` writes the files anew.
//! `=== PATH` in an input begins another file; the first is `stead.toml`. A first line with the
//! word
//! `middleware` in a comment gives the test kinds of middleware.
#![allow(clippy::unwrap_used, reason = "a test that fails")]

mod kinds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stead_config::{Color, Loaded, Vocabulary, full, load};

#[test]
fn golden_files_hold() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 40, "only {} golden files", paths.len());
    let failed: Vec<String> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "our own test files")]
    let golden = std::fs::read_to_string(path).unwrap();
    let dashes = format!("\n{}\n", "-".repeat(40));
    let (input, expect) = golden.split_once(&dashes).unwrap_or((golden.as_str(), ""));
    let input = format!("{}\n", input.trim_end_matches('\n'));
    let vocabulary =
        kinds::vocabulary(input.lines().next().is_some_and(|l| l.contains("middleware")));
    let outcome = outcome(&input, &vocabulary);
    if outcome == expect {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some() {
        let dashes = dashes.trim_start();
        std::fs::write(path, format!("{input}{dashes}{outcome}")).unwrap();
        return Ok(());
    }
    Err(format!("=== {} gives\n{outcome}\n=== and not\n{expect}", path.display()))
}

fn outcome(input: &str, vocabulary: &Vocabulary) -> String {
    let files = split(input);
    let loaded = load_from(&files, vocabulary);
    let mut shown = loaded.diagnostics.render(&loaded.sources, Color::Never);
    shown.truncate(shown.trim_end().len());
    if loaded.configuration.is_some() {
        let text = full(&loaded.document, vocabulary);
        let again = BTreeMap::from([(PathBuf::from("stead.toml"), text.clone())]);
        let again = load_from(&again, vocabulary);
        let errors = again.diagnostics.render(&again.sources, Color::Never);
        assert_eq!(errors, shown, "the full configuration has other errors:\n{text}");
        assert_eq!(full(&again.document, vocabulary), text, "printing is not stable");
        same(&loaded, &again);
        shown.push_str(&text);
    } else {
        shown.push('\n');
    }
    shown
}

/// The full configuration says the same. Settings gained their defaults, so they are compared as
/// the text that both print.
fn same(loaded: &Loaded, again: &Loaded) {
    let (a, b) = (loaded.configuration.as_ref().unwrap(), again.configuration.as_ref().unwrap());
    assert_eq!((&a.process, &a.log), (&b.process, &b.log));
    assert_eq!(a.servers.0.len(), b.servers.0.len());
    for ((name, a), (other, b)) in a.servers.iter().zip(&b.servers) {
        assert_eq!(name, other);
        assert_eq!((&a.listen, &a.timeouts, &a.limits), (&b.listen, &b.timeouts, &b.limits));
        assert_eq!(a.middleware, b.middleware);
        let sites = |server: &stead_config::ServerConfig| {
            server
                .sites
                .iter()
                .map(|(name, site)| (name.clone(), site.hosts.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(sites(a), sites(b));
        for (a, b) in a.routes.iter().zip(&b.routes) {
            assert_eq!((&a.pattern, &a.methods), (&b.pattern, &b.methods));
            assert_eq!((&a.headers, &a.query), (&b.headers, &b.query));
            assert_eq!(a.handler.kind, b.handler.kind);
        }
    }
}

fn load_from(files: &BTreeMap<PathBuf, String>, vocabulary: &Vocabulary) -> Loaded {
    let environment = |name: &str| match name {
        "PORT" => Some("8080".to_owned()),
        "N" => Some("4".to_owned()),
        "EMPTY" => Some(String::new()),
        "TOKEN" => Some("hunter2".to_owned()),
        _ => None,
    };
    load(Path::new("stead.toml"), files, &environment, vocabulary)
}

fn split(input: &str) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut path = PathBuf::from("stead.toml");
    for line in input.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix("=== ") {
            path = PathBuf::from(next.trim());
        } else {
            files.entry(path.clone()).or_insert_with(String::new).push_str(line);
        }
    }
    files
}
