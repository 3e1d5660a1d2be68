//! Every message of the corpus against its line in `expected.txt`.
//!
//! `STEAD_UPDATE=1 cargo test -p stead-http1` writes the file anew; the change is then reviewed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::exchange::{Requests, default_limits, requests};

/// The messages, by `folder/name.http`, in order.
pub(crate) fn messages() -> Vec<(String, Vec<u8>)> {
    let mut messages = Vec::new();
    for folder in ["bad", "good"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the corpus is there") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            messages.push((format!("{folder}/{name}"), bytes(&path)));
        }
    }
    messages.sort();
    assert!(messages.len() >= 60, "the corpus shrank");
    messages
}

/// The bytes of a file of the tests.
#[expect(clippy::disallowed_methods, reason = "files of this repository")]
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a readable file")
}

#[test]
fn every_message_is_read_as_expected() {
    let mut found = String::new();
    for (name, input) in messages() {
        let outcome = requests(&input, &[], default_limits());
        let every: Vec<usize> = (1..input.len()).collect();
        assert_eq!(requests(&input, &every, default_limits()), outcome, "{name} byte by byte");
        assert_eq!(outcome.end.is_ok(), name.starts_with("good/"), "{name}: {outcome:?}");
        writeln!(found, "{name}: {}", line(&outcome)).expect("writing to a string");
    }
    let path = root().join("expected.txt");
    if std::env::var_os("STEAD_UPDATE").is_some() {
        std::fs::write(&path, &found).expect("a writable file");
    }
    let expected = String::from_utf8(bytes(&path)).expect("UTF-8");
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "expected.txt is stale");
}

fn line(outcome: &Requests) -> String {
    let mut parts = Vec::new();
    for request in &outcome.requests {
        let mut part = request.head.clone();
        if !request.body.is_empty() {
            let shown = &request.body[..request.body.len().min(60)];
            write!(part, " body={}:\"{}\"", request.body.len(), shown.escape_ascii())
                .expect("text");
        }
        for (name, value) in request.trailers.iter() {
            write!(part, " +{name}={}", value.escape_ascii()).expect("text");
        }
        if !request.complete {
            part.push_str(" …");
        }
        if part.len() > 300 {
            part.truncate(part.floor_char_boundary(300));
            part.push('…');
        }
        parts.push(part);
    }
    if let Err(reason) = outcome.end {
        parts.push(format!("{} {}", reason.code(), reason.status().unwrap_or(0)));
    }
    parts.join(" | ")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}
