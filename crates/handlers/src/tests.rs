//! What holds for every kind: its name, its documents, its example.

use stead_config::Settings;

use super::KINDS;
use crate::testing::bench;

#[test]
fn every_kind_is_named_documented_and_has_an_example_that_builds() {
    assert!(KINDS.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, each once");
    for kind in KINDS {
        let (facts, name) = (kind.facts(), kind.name);
        let manifest = env!("CARGO_MANIFEST_DIR");
        let file = std::path::PathBuf::from(format!("{manifest}/src/{name}.rs"));
        assert!(file.is_file(), "{name} has its own file");
        for heading in ["# What", "# Why", "# Example", "# Limits", "# RFC"] {
            assert!(facts.docs.contains(heading), "{name} documents {heading}");
        }
        assert!(!facts.summary.is_empty() && !facts.summary.ends_with('.'), "{name}");
        let settings = Settings::parse(facts.example).expect(name);
        assert_eq!(settings.name(), name);
        assert!((facts.validate)(&settings).is_ok(), "{name}");
    }
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
