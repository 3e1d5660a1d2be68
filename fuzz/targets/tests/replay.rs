//! Gives every committed input to its target: what was once found stays found, on the stable
//! compiler and without libFuzzer.

#![allow(clippy::disallowed_methods, reason = "reads inputs of the repository only, whole")]

use std::path::{Path, PathBuf};

use stead_fuzz_targets::ALL;

#[test]
fn security_58_the_corpus_is_replayed() {
    for (name, target) in ALL {
        let inputs = files(&fuzz_folder().join("corpus").join(name));
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} holds no seed");
        for input in inputs {
            // On a panic the last name printed is the input's.
            println!("{}", input.display());
            target(&std::fs::read(&input).expect("a readable input"));
        }
    }
}

#[test]
fn every_corpus_and_every_binary_has_a_target() {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(fuzz_folder().join(folder)).expect("a readable folder");
        let paths = entries.map(|entry| entry.expect("a readable entry").path());
        let stems = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        let mut names: Vec<String> = stems.collect();
        names.sort();
        names
    };
    let all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("corpus"), all, "folders of fuzz/corpus");
    assert_eq!(names("fuzz_targets"), all, "files of fuzz/fuzz_targets");
}

fn fuzz_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this package lies in fuzz/").to_path_buf()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}
