//! Rules about the text of Rust files: the doc at the top, `unsafe`, width, tags, and what tier 0
//! must not know.

use std::path::Path;

use super::edges;
use super::source::{Line, Source};
use super::{Finding, Tree};

/// Checks every Rust file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        let mut find = |line, message: String| findings.push(Finding::new(path, line, message));
        if !source.lines.first().is_some_and(|line| line.comment.starts_with("//!")) {
            find(
                1,
                "begin the file with `//!`: what it is, when it runs, what always holds".into(),
            );
        }
        if is_crate_root(path) && !may_be_unsafe(path) && !forbids_unsafe(source) {
            find(0, "a crate root outside sys needs `#![forbid(unsafe_code)]`".into());
        }
        for (number, line) in source.numbered() {
            for message in line_messages(path, line) {
                find(number, message);
            }
        }
        for (number, word) in impure(path, source) {
            find(number, format!("tier 0 knows no `{word}`: it is given bytes and ticks"));
        }
    }
    findings
}

fn line_messages(path: &Path, line: &Line) -> Vec<String> {
    let mut messages = Vec::new();
    // rustfmt breaks what it can; a long text in a string is left as it is.
    if line.columns - line.string_columns > COLUMNS_MAX {
        messages.push(format!("{} columns: at most {COLUMNS_MAX}", line.columns));
    }
    if !may_be_unsafe(path) && line.words().any(|word| word == "unsafe") {
        messages.push("`unsafe` belongs into crates/sys".into());
    }
    if let Some(word) = LEFT_BEHIND.iter().find(|word| has_word(&line.comment, word)) {
        messages.push(format!("do it, or write why not: `{word}` is not left behind"));
    }
    if let Some(tag) = tag(&line.comment).filter(|tag| !TAGS.contains(tag)) {
        messages.push(format!("`{tag}:` is none of the tags {}", TAGS.join(", ")));
    }
    messages
}

/// The word of a comment such as `// SAFETY: …`: capitals at its start, then a colon. Documentation
/// is prose, in which any word may stand before a colon.
fn tag(comment: &str) -> Option<&str> {
    let text = comment.strip_prefix("// ")?;
    let (word, rest) = text.split_once(':')?;
    let is_tag = word.len() >= 3
        && word.chars().all(|c| c.is_ascii_uppercase())
        && (rest.is_empty() || rest.starts_with(' '))
        && !PROTOCOL_WORDS.contains(&word);
    is_tag.then_some(word)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|found| found == word)
}

fn is_crate_root(path: &Path) -> bool {
    let folder = |path: &Path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned);
    let in_folder = folder(path).unwrap_or_default();
    match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs") => in_folder == "src",
        Some("build.rs") => path.with_file_name("Cargo.toml").exists(),
        _ => in_folder == "bin" || in_folder == "fuzz_targets",
    }
}

fn forbids_unsafe(source: &Source) -> bool {
    source.lines.iter().any(|line| line.code.trim() == "#![forbid(unsafe_code)]")
}

fn may_be_unsafe(path: &Path) -> bool {
    path.starts_with("crates/sys")
        || UNSAFE_EXCEPTIONS.iter().any(|(file, _)| path == Path::new(file))
}

/// What tier 0 must not know, where it stands outside tests.
fn impure<'a>(path: &Path, source: &'a Source) -> Vec<(usize, &'a str)> {
    if !edges::pure_folders().any(|folder| path.starts_with(folder.join("src"))) {
        return Vec::new();
    }
    let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
    let code = source.numbered().take_while(|(_, line)| line.code.trim() != "#[cfg(test)]");
    let words = code.flat_map(|(number, line)| line.words().map(move |word| (number, word)));
    words.filter(|(_, word)| !is_tests && IMPURE.contains(word)).collect()
}

const COLUMNS_MAX: usize = 100;

const TAGS: &[&str] = &["SAFETY", "SECURITY", "PERF", "INVARIANT"];

/// Capitals before a colon that are no tags.
const PROTOCOL_WORDS: &[&str] = &[
    "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "HTTP", "EOF",
];

const LEFT_BEHIND: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Files outside sys that hold `unsafe`, and why.
const UNSAFE_EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/serve/tests/allocations.rs", "an allocator that counts for each thread"),
    ("crates/tls/tests/idle.rs", "what the allocator says of itself"),
];

/// Sockets, clocks and runtimes.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "mio",
    "rustix",
    "socket2",
    "tokio",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.to_string()).collect()
    }

    fn check_one(path: &str, text: &str, expect: &str) {
        let messages = messages(path, text);
        assert!(messages.len() == 1 && messages[0].contains(expect), "{text}: {messages:?}");
    }

    #[test]
    fn a_good_file_has_no_finding() {
        let text = "//! Does it.\n\n#![forbid(unsafe_code)]\n\n// INVARIANT: even.\nfn f() {}\n";
        assert_eq!(messages("crates/route/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn the_doc_comes_first() {
        check_one("crates/route/src/a.rs", "fn f() {}\n", "begin the file");
    }

    #[test]
    fn unsafe_only_in_sys() {
        let text = "//! x\nfn f() { unsafe { g() } }\n";
        check_one("crates/route/src/a.rs", text, ":2: `unsafe`");
        assert!(messages("crates/sys/src/a.rs", text).is_empty());
        assert!(messages("crates/route/src/a.rs", "//! unsafe\n// unsafe\n").is_empty());
        check_one("crates/route/src/lib.rs", "//! x\n", "forbid(unsafe_code)");
    }

    #[test]
    fn wide_lines_unless_a_string_makes_them_so() {
        let wide = format!("//! x\n// {}\n", "y".repeat(100));
        check_one("e2e/src/a.rs", &wide, "103 columns");
        let string = format!("//! x\nconst A: &str = \"{}\";\n", "y".repeat(100));
        assert!(messages("e2e/src/a.rs", &string).is_empty());
    }

    #[test]
    fn tags_and_leftovers() {
        check_one("e2e/src/a.rs", "//! x\n// NOTE: y\n", "`NOTE:`");
        check_one("e2e/src/a.rs", "//! x\n/* later: TODO */\n", "`TODO`");
        assert!(messages("e2e/src/a.rs", "//! x\n// HEAD: no body\n// PERF: 3 ns\n").is_empty());
        assert!(messages("e2e/src/a.rs", "//! x\nconst A: &str = \"TODO\";\n").is_empty());
    }

    #[test]
    fn tier_zero_is_pure_outside_its_tests() {
        let path = "crates/http1/src/a.rs";
        check_one(path, "//! x\nuse std::time::Instant;\n", "`Instant`");
        assert!(messages(path, "//! x\n#[cfg(test)]\nmod tests { use tokio::net; }\n").is_empty());
        assert!(messages("crates/net/src/a.rs", "//! x\nuse std::time::Instant;\n").is_empty());
    }
}
