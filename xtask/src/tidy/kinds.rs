//! Every registered kind has a file of its name, an example in it, and a page in the reference.
//!
//! Kinds are found where `register! { … }` lists them.

use std::path::{Path, PathBuf};

use super::source::Source;
use super::{Finding, Tree};

/// Checks every list of kinds.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        for (number, kind) in registered(source) {
            let mut find = |message: String| findings.push(Finding::new(path, number, message));
            match file_of(tree, path, &kind) {
                None => find(format!("kind `{kind}` has no file of its name beside this one")),
                Some(own) if !has_example(own) => {
                    find(format!("kind `{kind}` has no `.example(…)`"));
                }
                Some(_) => {}
            }
            if !has_page(tree, &kind) {
                find(format!("kind `{kind}` has no page in docs/reference: run `cargo xtask gen`"));
            }
        }
    }
    findings
}

/// The words between the braces of `register! { … }`, each with its line.
fn registered(source: &Source) -> Vec<(usize, String)> {
    let mut kinds = Vec::new();
    let mut inside = false;
    for (number, line) in source.numbered() {
        let code = line.code.trim();
        let list = match code.strip_prefix("register!") {
            Some(rest) => {
                inside = true;
                rest.trim_start_matches([' ', '{', '('])
            }
            None => code,
        };
        if !inside {
            continue;
        }
        let (list, end) = match list.split_once(['}', ')']) {
            Some((list, _)) => (list, true),
            None => (list, false),
        };
        let names = list
            .split(';')
            .next()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        kinds.extend(names.map(|name| (number, name.to_owned())));
        inside = !end;
    }
    kinds
}

fn file_of<'a>(tree: &'a Tree, list: &Path, kind: &str) -> Option<&'a Source> {
    let folder = list.parent()?;
    let places = [folder.join(format!("{kind}.rs")), folder.join(kind).join("mod.rs")];
    tree.rust().find(|(path, _)| places.iter().any(|place| place == path)).map(|(_, source)| source)
}

fn has_example(source: &Source) -> bool {
    source.lines.iter().any(|line| line.code.contains(".example("))
}

fn has_page(tree: &Tree, kind: &str) -> bool {
    let page = PathBuf::from(format!("{kind}.md"));
    let is_page = |path: &Path| path.starts_with("docs/reference") && path.ends_with(&page);
    tree.files.iter().any(|file| is_page(&file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "register! {\n    files, health,\n    // a comment\n    respond; Kind\n}\nfn f() {}\n";

    #[test]
    fn names_of_a_list() {
        let names: Vec<_> = registered(&Source::new(LIST)).into_iter().map(|(_, n)| n).collect();
        assert_eq!(names, ["files", "health", "respond"]);
        assert!(
            registered(&Source::new("macro_rules! register { ($($n:ident),*) => {} }")).is_empty()
        );
    }

    #[test]
    fn a_kind_needs_file_example_and_page() {
        let with_example = "const KIND: Kind = Kind::new().example(\"\");\n";
        let tree = Tree::of(&[
            ("crates/handlers/src/lib.rs", LIST),
            ("crates/handlers/src/files/mod.rs", with_example),
            ("crates/handlers/src/health.rs", "fn f() {}\n"),
            ("docs/reference/handlers/files.md", ""),
            ("docs/reference/handlers/health.md", ""),
        ]);
        let messages: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].contains("`health` has no `.example"));
        assert!(messages[1].contains("`respond` has no file"));
        assert!(messages[2].contains("`respond` has no page"));
    }
}
