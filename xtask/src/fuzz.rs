//! `cargo xtask fuzz`: searches for inputs that break a parser, with libFuzzer.
//!
//! `fuzz/` is a workspace of its own, so that libFuzzer is no dependency of anything else. Its
//! binaries are instrumented by flags that the stable compiler takes; only `--address` needs an
//! unstable one and sets `RUSTC_BOOTSTRAP=1` for this build alone. New inputs are collected below
//! the build directory; `--keep` merges those that reach new code into the committed corpus, which
//! `cargo xtask test` replays. What breaks a parser is written to `fuzz/artifacts/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{Usage, debian, run, toolchain, workspace};

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    debian::ensure(debian::FUZZING)?;
    search(&options)
}

/// The step of continuous integration: a few seconds for each target.
pub(crate) fn smoke() -> Result<()> {
    if !has_cxx() && !debian::can_install() {
        println!("skipped: libFuzzer needs a C++ compiler; the corpus was replayed by `test`");
        return Ok(());
    }
    debian::ensure(debian::FUZZING)?;
    search(&Options { seconds: SMOKE_SECONDS, ..Options::default() })
}

/// What stands on the command line.
#[derive(Debug)]
struct Options {
    /// Empty means all.
    targets: Vec<String>,
    /// For each target.
    seconds: u32,
    keep: bool,
    address: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { targets: Vec::new(), seconds: DEFAULT_SECONDS, keep: false, address: false }
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--smoke" => options.seconds = SMOKE_SECONDS,
                "--seconds" => options.seconds = seconds(rest.next())?,
                "--keep" => options.keep = true,
                "--address" => options.address = true,
                flag if flag.starts_with('-') => {
                    return Err(Usage::error(format!("`fuzz` takes no argument `{flag}`")));
                }
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(options)
    }
}

fn seconds(argument: Option<&String>) -> Result<u32> {
    let number = argument.and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| Usage::error("`--seconds` takes a number from 1"))
}

fn search(options: &Options) -> Result<()> {
    let all = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        return Err(Usage::error(format!("no target `{unknown}`; there are: {}", all.join(" "))));
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    let folder = build(options)?;
    let mut broken = Vec::new();
    for target in chosen {
        if let Err(error) = search_one(&folder, target, options) {
            println!("{error:#}");
            broken.push(target.as_str());
        }
    }
    if !broken.is_empty() {
        bail!("findings in {}: see fuzz/artifacts/", broken.join(", "));
    }
    println!("{} targets, {} s each, no finding", chosen.len(), options.seconds);
    Ok(())
}

/// Builds every target and returns the folder of the binaries.
fn build(options: &Options) -> Result<PathBuf> {
    let host = toolchain::host()?;
    let folder = workspace::build_dir()?.join("fuzz");
    let mut flags = INSTRUMENT.join(" ");
    // With `--target` the flags reach our code and its dependencies, not build scripts.
    let mut cargo = run::cargo(["build", "--locked", "--release", "--bins", "--target", &host]);
    cargo.current_dir(workspace::root().join("fuzz")).arg("--target-dir").arg(&folder);
    if options.address {
        flags.push_str(" -Zsanitizer=address");
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    run::status(cargo.env("RUSTFLAGS", flags))?;
    Ok(folder.join(host).join("release"))
}

fn search_one(binaries: &Path, target: &str, options: &Options) -> Result<()> {
    let fuzz = workspace::root().join("fuzz");
    let found = workspace::build_dir()?.join("fuzz/corpus").join(target);
    let committed = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    for folder in [&found, &committed, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut fuzzer = run::command(binaries.join(target));
    fuzzer
        .arg(&found)
        .arg(&committed)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", options.seconds))
        .args(["-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    let dictionary = fuzz.join("dictionaries").join(format!("{target}.txt"));
    if dictionary.is_file() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    run::status(&mut fuzzer).with_context(|| format!("target `{target}`"))?;
    if options.keep { keep(binaries, target, &found, &committed) } else { Ok(()) }
}

/// Merges what reaches new code into the committed corpus, the smallest inputs first, up to a cap.
fn keep(binaries: &Path, target: &str, found: &Path, committed: &Path) -> Result<()> {
    let merged = found.with_extension("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let mut fuzzer = run::command(binaries.join(target));
    run::status(fuzzer.arg("-merge=1").args([&merged, committed, found]))?;
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&merged)? {
        let entry = entry?;
        inputs.push((entry.metadata()?.len(), entry.path()));
    }
    inputs.sort();
    let room = CORPUS_FILES_MAX.saturating_sub(fs::read_dir(committed)?.count());
    let known = |path: &Path| path.file_name().is_some_and(|name| committed.join(name).exists());
    for (_, input) in inputs.iter().filter(|(_, path)| !known(path)).take(room) {
        let name = input.file_name().context("an input without a name")?;
        fs::copy(input, committed.join(name))?;
    }
    Ok(())
}

/// The names of all targets: their files in `fuzz/fuzz_targets/`.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).context("fuzz/fuzz_targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn has_cxx() -> bool {
    ["g++", "c++", "clang++"].iter().any(|program| run::find(program).is_some())
}

const DEFAULT_SECONDS: u32 = 60;
const SMOKE_SECONDS: u32 = 5;

/// Files in one committed corpus: enough to reach all code, few enough to review and replay.
const CORPUS_FILES_MAX: usize = 200;

/// Tells libFuzzer which edges and comparisons an input reached.
const INSTRUMENT: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "--cfg=fuzzing",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments() {
        let options = parse(&["request", "--seconds", "30", "--keep"]).unwrap();
        assert_eq!(
            (options.targets, options.seconds, options.keep),
            (vec!["request".into()], 30, true)
        );
        assert_eq!(parse(&["--smoke"]).unwrap().seconds, SMOKE_SECONDS);
        assert!(parse(&["--seconds", "0"]).unwrap_err().is::<Usage>());
        assert!(parse(&["--loud"]).unwrap_err().is::<Usage>());
    }
}
