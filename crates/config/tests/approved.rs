//! The schema and the reference as approved files: a change of either is seen in review.
//! `UPDATE=1 cargo test -p stead-config` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that fails")]

mod kinds;

use std::path::Path;

use stead_config::{reference, schema};

fn approve(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/approved").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "our own test files")]
    let approved = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(approved == text, "{name} changed; look at the difference after UPDATE=1\n{text}");
}

#[test]
fn schema_is_approved() {
    for (name, middleware) in [("schema.json", false), ("schema_middleware.json", true)] {
        let schema = schema(&kinds::vocabulary(middleware));
        approve(name, &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
}

#[test]
fn reference_is_approved() {
    let pages = reference(&kinds::vocabulary(true));
    let paths: Vec<&str> = pages.iter().map(|page| page.path.as_str()).collect();
    assert_eq!(paths[..2], ["configuration.md", "handlers/files.md"]);
    let pages = pages.iter().map(|page| format!("=== {}\n{}", page.path, page.text));
    let text = pages.collect::<Vec<_>>().join("\n");
    approve("reference.txt", &text);
}
