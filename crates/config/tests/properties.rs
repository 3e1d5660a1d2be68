//! No text makes loading panic, every place lies inside its file, and what loads prints and loads
//! again to the same.
#![allow(clippy::unwrap_used, reason = "a test that fails")]

mod kinds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use stead_config::{Color, Loaded, full, load};

/// Loads `text` twice over: with and without middleware kinds.
fn check(text: &str, included: &str) {
    let files = BTreeMap::from([
        (PathBuf::from("stead.toml"), text.to_owned()),
        (PathBuf::from("conf.d/a.toml"), included.to_owned()),
    ]);
    for middleware in [false, true] {
        let vocabulary = kinds::vocabulary(middleware);
        let environment = |name: &str| (name.len() == 1).then(|| "8080".to_owned());
        let loaded = load(Path::new("stead.toml"), &files, &environment, &vocabulary);
        places_lie_inside(&loaded);
        if loaded.configuration.is_some() {
            let text = full(&loaded.document, &vocabulary);
            let files = BTreeMap::from([(PathBuf::from("stead.toml"), text.clone())]);
            let again = load(Path::new("stead.toml"), &files, &environment, &vocabulary);
            let shown = again.diagnostics.render(&again.sources, Color::Never);
            assert!(again.configuration.is_some(), "{shown}\n{text}");
            assert_eq!(full(&again.document, &vocabulary), text);
        }
    }
}

fn places_lie_inside(loaded: &Loaded) {
    let shown = loaded.diagnostics.render(&loaded.sources, Color::Always);
    assert!(shown.len() >= loaded.diagnostics.len());
    assert_eq!(
        loaded.diagnostics.to_json(&loaded.sources).as_array().map(Vec::len),
        Some(loaded.diagnostics.len())
    );
    assert_eq!(loaded.configuration.is_none(), loaded.diagnostics.has_errors());
    for diagnostic in &loaded.diagnostics {
        let related = diagnostic.related.iter().map(|(span, _)| *span);
        for span in diagnostic.span.into_iter().chain(related) {
            let text = loaded.sources.text(span.file);
            assert!(text.get(span.range()).is_some(), "{span:?} in {} bytes", text.len());
        }
    }
}

/// Pieces of configurations, right and wrong, glued together at random.
const PIECES: &[&str] = &[
    "[server.web]\n",
    "[[server.web.route]]\n",
    "[server.web.site.a]\n",
    "[process]\n",
    "[log]\n",
    "[[server.web.site.a.route]]\n",
    "[middleware.m]\n",
    "[server]\n",
    "[[log]]\n",
    "listen = [\":0\"]\n",
    "listen = [\":8080\", \"unix:a\"]\n",
    "path = \"/{a}\"\n",
    "regex = '^/'\n",
    "respond = \"ok\"\n",
    "respond = { body = \"a\", status = 201 }\n",
    "redirect = \"/{path}{x}\"\n",
    "files = { root = \"p\", token = \"t\" }\n",
    "health = \"live\"\n",
    "health = \"liv\"\n",
    "methods = [\"GET\", \"get\"]\n",
    "headers = { a = \"1\", b = { regex = 'x' } }\n",
    "query = {}\n",
    "timeouts = { header = \"1s\", idle = \"off\", header = 0 }\n",
    "limits = { uri = \"4KiB\" }\n",
    "limits.body = \"off\"\n",
    "workers = 2\n",
    "workers = \"${N}\"\n",
    "name = \"${NONE}\"\n",
    "level = \"info\"\n",
    "access = { file = \"${A:-b}\" }\n",
    "hosts = [\"*.a.example\"]\n",
    "include = [\"conf.d/*.toml\", \"no.toml\"]\n",
    "kind = \"cors\"\n",
    "origins = []\n",
    "middleware = [\"request_id\", \"-m\", \"m\"]\n",
    "x = 1\n",
    "a.b.c = {}\n",
    "= \n",
    "\"",
    "'''",
    "[",
    "{",
    "\u{301}",
    "日本 = 1\n",
    "\t",
    "\r\n",
    "# é\n",
    "1e400\n",
    "k = 1979-05-27\n",
    "\u{0}",
    "$${",
];

fn glued() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// A right configuration with a few characters changed.
fn damaged() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..6usize, prop::sample::select(PIECES));
    prop::collection::vec(edit, 0..4).prop_map(|edits| {
        let mut text = RIGHT.to_owned();
        for (at, removed, piece) in edits {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, piece.get(..1).unwrap_or(piece));
        }
        text
    })
}

const RIGHT: &str = r#"include = ["conf.d/*.toml"]

[process]
workers = "auto"
drain = { request = "25s" }

[log]
level = "info"
access = { file = "${A:-log}/access.log" }

[server.web]
listen = [":8080", "unix:run/web.sock"]
timeouts = { header = "5s", body_rate = "1KiB/s", request = "off" }

[[server.web.route]]
path = "/users/{id}"
methods = ["GET", "HEAD"]
headers = { accept = { regex = '^text/' } }
respond = { body = "日本", headers = { x-a = "1" } }

[server.web.site.shop]
hosts = ["shop.example"]

[[server.web.site.shop.route]]
path = "/{*rest}"
redirect = "/x{path}"
"#;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn any_characters(text in "\\PC{0,200}", included in ".{0,50}") {
        check(&text, &included);
    }

    #[test]
    fn any_bytes_that_are_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes), "");
    }

    #[test]
    fn pieces_of_configurations(text in glued(), included in glued()) {
        check(&text, &included);
    }

    #[test]
    fn damaged_configurations(text in damaged(), included in glued()) {
        check(&text, &included);
    }
}

#[test]
fn the_undamaged_configuration_loads() {
    let files = BTreeMap::from([
        (PathBuf::from("stead.toml"), RIGHT.to_owned()),
        (PathBuf::from("conf.d/empty.toml"), String::new()),
    ]);
    let vocabulary = kinds::vocabulary(false);
    let loaded = load(Path::new("stead.toml"), &files, &|_| None, &vocabulary);
    assert!(loaded.configuration.is_some(), "{}", loaded.diagnostics);
    check(RIGHT, "[[server.web.route]]\npath = '/a'\nfiles = { root = '${A}' }\n");
}
