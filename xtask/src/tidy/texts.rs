//! Rules about all text files: nothing in them is true of one machine only.

use std::path::{Path, PathBuf};

use super::{File, Finding, Tree};
use crate::workspace;

/// Checks every text file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let places = machine_places();
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !is_exempt(&file.path)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(place) = places.iter().find(|place| names_path(line, place)) {
                let message = format!("`{place}` is a path of one machine");
                findings.push(Finding::new(&file.path, index + 1, message));
            }
            if let Some(host) = registry_host(file, line) {
                let message =
                    format!("`{host}` is a package registry, which cargo's settings name");
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// Where people have their files, and where this clone lies.
fn machine_places() -> Vec<String> {
    let mut places: Vec<String> = HOMES.iter().map(|parts| parts.concat()).collect();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    for own in home.into_iter().chain([workspace::root()]) {
        if own.components().count() > 1 {
            places.push(format!("{}/", own.display()));
        }
    }
    places
}

/// Whether an absolute path that starts with this place stands in the line.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let starts = before
            .is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '/' | '}'));
        // A name of one letter stands for anyone's.
        let name = line[at + place.len()..].chars().take_while(|c| c.is_alphanumeric()).count();
        starts && name != 1
    })
}

fn registry_host(file: &File, line: &str) -> Option<String> {
    if file.path == Path::new("Cargo.lock") || file.path.ends_with("Cargo.lock") {
        let source = line.strip_prefix("source = \"")?.trim_end_matches('"');
        return (source != DEFAULT_SOURCE.concat()).then(|| source.to_owned());
    }
    REGISTRIES.iter().map(|parts| parts.concat()).find(|host| line.contains(host.as_str()))
}

fn is_exempt(path: &Path) -> bool {
    path.starts_with("fuzz/corpus")
}

// Written in two parts, so that this file does not break its own rule.

const HOMES: &[[&str; 2]] = &[["/ho", "me/"], ["/Us", "ers/"]];

const REGISTRIES: &[[&str; 2]] = &[
    ["crates", ".io"],
    ["pypi", ".org"],
    ["npmjs", ".org"],
    ["proxy.golang", ".org"],
    ["deb.debian", ".org"],
];

/// What cargo writes for its default registry, whichever mirror it used.
const DEFAULT_SOURCE: [&str; 2] = ["registry+https://github.com/rust-lang/crates", ".io-index"];

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn paths_of_a_machine() {
        let home = HOMES[0].concat();
        assert_eq!(count("a.md", &format!("see {home}ann/site\n")), 1);
        assert_eq!(count("a.md", &format!("see https://example.com{home}ann\n")), 0);
        assert_eq!(count("a.md", &format!("see {home}x/site\n")), 0);
        assert_eq!(count("a.md", "see /srv/site\n"), 0);
    }

    #[test]
    fn registries() {
        assert_eq!(count("a.md", &format!("https://{}/x\n", REGISTRIES[0].concat())), 1);
        let lock = format!("source = \"{}\"\n", DEFAULT_SOURCE.concat());
        assert_eq!(count("Cargo.lock", &lock), 0);
        assert_eq!(count("Cargo.lock", "source = \"git+https://example.com/x\"\n"), 1);
    }
}
