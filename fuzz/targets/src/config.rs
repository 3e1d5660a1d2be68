//! Configurations: every text is read or refused with messages that can be shown, and the full
//! printing of what was read says the same.
//!
//! The input is text, `stead.toml`; a line `=== PATH` begins another file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stead_config::{Color, Loaded, Vocabulary, full, load};

/// Any bytes as a configuration and its includes.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let vocabulary = Vocabulary::new().with_handlers(stead_handlers::KINDS);
    let loaded = load_from(&split(text), &vocabulary);
    assert_eq!(loaded.configuration.is_none(), loaded.diagnostics.has_errors());
    let shown = loaded.diagnostics.render(&loaded.sources, Color::Never);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    loaded.diagnostics.render(&loaded.sources, Color::Always);
    loaded.diagnostics.to_json(&loaded.sources);
    if loaded.configuration.is_some() {
        check_full(&loaded, &vocabulary);
    }
}

/// The full text loads without an error, and printed once more it is the same.
fn check_full(loaded: &Loaded, vocabulary: &Vocabulary) {
    let text = full(&loaded.document, vocabulary);
    let again = load_from(&BTreeMap::from([(PathBuf::from(FIRST), text.clone())]), vocabulary);
    let errors = again.diagnostics.render(&again.sources, Color::Never);
    assert!(again.configuration.is_some(), "{text}\nis refused:\n{errors}");
    assert_eq!(full(&again.document, vocabulary), text);
}

fn split(text: &str) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let (mut path, mut content) = (PathBuf::from(FIRST), String::new());
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(next) => {
                let next = PathBuf::from(next.trim());
                files.insert(std::mem::replace(&mut path, next), std::mem::take(&mut content));
            }
            None => content.push_str(line),
        }
    }
    files.insert(path, content);
    files
}

fn load_from(files: &BTreeMap<PathBuf, String>, vocabulary: &Vocabulary) -> Loaded {
    let environment = |name: &str| match name {
        "PORT" => Some("8080".to_owned()),
        "N" => Some("4".to_owned()),
        "EMPTY" => Some(String::new()),
        "TOKEN" => Some("hunter2".to_owned()),
        _ => None,
    };
    load(Path::new(FIRST), files, &environment, vocabulary)
}

const FIRST: &str = "stead.toml";
