//! Words that are not used as names, because another word is the project's word for the thing, or
//! because they say nothing.

use std::path::Path;

use super::{Finding, Tree};

/// Checks the names of files and folders, and those that Rust files declare.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        for part in path.iter().filter_map(|part| part.to_str()) {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            findings.extend(forbidden(path, stem).map(|word| finding(path, 0, stem, word)));
        }
        for (number, line) in source.numbered() {
            let declared = DECLARING.iter().filter_map(|keyword| line.declared(keyword));
            for name in declared.filter(|name| *name != ASSOCIATED_TYPE) {
                findings
                    .extend(forbidden(path, name).map(|word| finding(path, number, name, word)));
            }
            let function = line.declared("fn").unwrap_or_default();
            if let Some(prefix) = VERBS.iter().find(|verb| function.starts_with(**verb)) {
                let message = format!("`{function}`: say what it does, not `{prefix}…`");
                findings.push(Finding::new(path, number, message));
            }
        }
    }
    findings.dedup();
    findings
}

fn finding(path: &Path, line: usize, name: &str, word: &str) -> Finding {
    Finding::new(path, line, format!("`{name}`: `{word}` is not used as a name"))
}

/// The first word of this name that is not used in this place.
fn forbidden(path: &Path, name: &str) -> Option<&'static str> {
    let words = words(name);
    let is_used = |word: &str| words.iter().any(|own| own == word || *own == format!("{word}s"));
    let excepted = |word: &str| {
        EXCEPTIONS.iter().any(|(place, allowed, _)| *allowed == word && path.starts_with(place))
    };
    FORBIDDEN.iter().copied().find(|word| is_used(word) && !excepted(word))
}

/// `snake_case` and `CamelCase` names as lower-case words.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in name.chars() {
        if c.is_uppercase() || !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

const DECLARING: &[&str] = &["mod", "struct", "enum", "trait", "type"];

/// What `Deref` calls its associated type.
const ASSOCIATED_TYPE: &str = "Target";

const FORBIDDEN: &[&str] = &[
    "backend", "target", "node", "vhost", "filter", "hook", "manager", "helper", "util", "common",
    "data", "info",
];

/// Verbs that hide what a function does; getters are named after what they return.
const VERBS: &[&str] = &["get_", "process_", "do_", "handle_"];

/// Where such a word is the standard's own: folder or file, word, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/http1", "target", "the request target (RFC 9112 §3.2)"),
    ("crates/tower", "data", "the bytes of a frame, as `http_body::Body` names their type"),
    ("crates/tower", "info", "`ConnectInfo`, the word that axum's users look for"),
    ("fuzz", "target", "a fuzz target"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_of_names() {
        assert_eq!(words("SteadConfigInfo"), ["stead", "config", "info"]);
        assert_eq!(words("file_utils"), ["file", "utils"]);
    }

    #[test]
    fn files_modules_and_types() {
        assert_eq!(findings("crates/net/src/utils.rs", "").len(), 1);
        assert_eq!(findings("crates/net/src/common/a.rs", "").len(), 1);
        assert_eq!(findings("crates/net/src/a.rs", "pub mod helper;\n").len(), 1);
        assert_eq!(findings("crates/net/src/a.rs", "struct PoolManager;\n").len(), 1);
        assert!(findings("crates/net/src/a.rs", "struct Informed; mod database;\n").is_empty());
    }

    #[test]
    fn empty_verbs() {
        assert_eq!(findings("crates/net/src/a.rs", "fn get_size() {}\n").len(), 1);
        assert!(findings("crates/net/src/a.rs", "fn target_of() {}\nfn getter() {}\n").is_empty());
    }

    #[test]
    fn a_request_target_is_a_target() {
        assert!(findings("crates/http1/src/target.rs", "struct Target;\n").is_empty());
        assert_eq!(findings("crates/route/src/target.rs", "").len(), 1);
    }
}
