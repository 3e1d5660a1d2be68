//! What holds for every kind: its name, its documents, its example.

use super::KINDS;
use crate::testing::bench;

#[test]
fn every_kind_is_named_documented_and_has_an_example_that_builds() {
    stead_testing::check_kinds(KINDS, env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn every_example_builds() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("public")).expect("a root");
    for kind in KINDS {
        let public = directory.path().join("public").display().to_string();
        let example = kind.facts().example.replace("\"public\"", &format!("{public:?}"));
        bench("/{*file}", &example);
    }
}
