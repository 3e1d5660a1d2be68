//! `cargo xtask fuzz`: searches for inputs that break a parser, with libFuzzer.
//!
//! `fuzz/` is a workspace of its own, so that libFuzzer is no dependency of anything else. Its
//! binaries are instrumented by flags that the stable compiler takes; only `--address` needs an
//! unstable one and sets `RUSTC_BOOTSTRAP=1` for this build alone. New inputs are collected below
//! the build directory; `--keep` merges those that reach new code into the committed corpus, which
//! `cargo xtask test` replays. What breaks a parser is written to `fuzz/artifacts/`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    let seconds = smoke_seconds(targets()?.len());
    let jobs = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(JOBS_MAX));
    search(&Options { seconds, jobs, ..Options::default() })
}

/// Seconds for each of so many targets, one after the other at worst: more targets do not make
/// continuous integration longer.
fn smoke_seconds(targets: usize) -> u32 {
    let share = SMOKE_SECONDS_ALL / u32::try_from(targets.max(1)).unwrap_or(u32::MAX);
    share.clamp(1, SMOKE_SECONDS)
}

/// What stands on the command line.
#[derive(Debug)]
struct Options {
    /// Empty means all.
    targets: Vec<String>,
    /// For each target.
    seconds: u32,
    /// Targets at a time.
    jobs: usize,
    keep: bool,
    address: bool,
}

impl Default for Options {
    fn default() -> Self {
        let targets = Vec::new();
        Self { targets, seconds: DEFAULT_SECONDS, jobs: 1, keep: false, address: false }
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--smoke" => options.seconds = SMOKE_SECONDS,
                "--seconds" => options.seconds = number(argument, rest.next())?,
                "--jobs" => options.jobs = number(argument, rest.next())? as usize,
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

fn number(flag: &str, argument: Option<&String>) -> Result<u32> {
    let number = argument.and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| Usage::error(format!("`{flag}` takes a number from 1")))
}

fn search(options: &Options) -> Result<()> {
    let all = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        let all = all.join(" ");
        return Err(Usage::error(format!("no target `{unknown}`; there are: {all}")));
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    let folder = build(options)?;
    let queue = Mutex::new(chosen.iter());
    // A function, so that the queue is free while the target runs.
    let next = || locked(&queue).next();
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(error) = search_one(&folder, target, options) {
                        println!("{error:#}");
                        locked(&broken).push(target.as_str());
                    }
                }
            });
        }
    });
    let broken = locked(&broken);
    if !broken.is_empty() {
        bail!("findings in {}: see fuzz/artifacts/", broken.join(", "));
    }
    println!("{} targets, {} s each, no finding", chosen.len(), options.seconds);
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Builds every target and returns the folder of the binaries.
fn build(options: &Options) -> Result<PathBuf> {
    let host = toolchain::host()?;
    let folder = workspace::build_dir()?.join("fuzz");
    let mut flags = INSTRUMENT.join(" ");
    // With `--target` the flags reach our code and its dependencies, not build scripts.
    let mut cargo = run::cargo(["build", "--release", "--bins", "--target", &host]);
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
    let work = workspace::build_dir()?.join("fuzz/work");
    let found = work.join(target);
    let committed = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    for folder in [&found, &committed, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let log = work.join(format!("{target}.log"));
    let mut fuzzer = run::command(binaries.join(target));
    fuzzer
        .arg(&found)
        .arg(&committed)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", options.seconds))
        .args(["-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    let dictionary = fuzz.join("dictionaries").join(format!("{target}.txt"));
    if dictionary.is_file() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    let success = run::log_to(&mut fuzzer, &log)?;
    let written = fs::read(&log).with_context(|| log.display().to_string())?;
    let written = String::from_utf8_lossy(&written);
    if !success {
        bail!("{}\ntarget `{target}` broke; all of it: {}", last_lines(&written), log.display());
    }
    println!("{target}: {}", Facts::of(&written));
    if options.keep { keep(binaries, target, &found, &committed) } else { Ok(()) }
}

/// What libFuzzer says at its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    runs: u64,
    /// Edges of the code that were reached.
    edges: u64,
}

impl Facts {
    fn of(log: &str) -> Self {
        let number_after = |mark: &str| {
            let (_, after) = log.rsplit_once(mark)?;
            after.split_whitespace().next()?.parse().ok()
        };
        let runs = number_after("stat::number_of_executed_units:").unwrap_or_default();
        Self { runs, edges: number_after(" cov: ").unwrap_or_default() }
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} runs, {} edges reached, no finding", self.runs, self.edges)
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Makes the committed corpus anew: its named seeds stay, and of all that was ever found, what
/// reaches more code than they do is added, the smallest inputs first, up to a cap.
fn keep(binaries: &Path, target: &str, found: &Path, committed: &Path) -> Result<()> {
    let merged = found.with_extension("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let (seeds, earlier): (Vec<_>, Vec<_>) =
        files_in(committed)?.into_iter().partition(|path| !is_found(path));
    for seed in &seeds {
        fs::copy(seed, merged.join(name_of(seed)?))?;
    }
    let mut fuzzer = run::command(binaries.join(target));
    fuzzer.arg("-set_cover_merge=1").args([&merged, committed, found]);
    if !run::log_to(&mut fuzzer, &found.with_extension("merge.log"))? {
        bail!("merging the corpus of `{target}` failed");
    }
    for path in earlier {
        fs::remove_file(path)?;
    }
    let mut added: Vec<_> = files_in(&merged)?.into_iter().filter(|path| is_found(path)).collect();
    added.sort_by_key(|path| path.metadata().map_or(u64::MAX, |meta| meta.len()));
    added.truncate(CORPUS_FILES_MAX.saturating_sub(seeds.len()));
    for path in &added {
        fs::copy(path, committed.join(name_of(path)?))?;
    }
    println!("{target}: {} seeds, {} found inputs kept", seeds.len(), added.len());
    Ok(())
}

/// Whether libFuzzer named the input, by its SHA-1.
fn is_found(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name_of(path: &Path) -> Result<&OsStr> {
    path.file_name().context("an input without a name")
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

/// The names of all targets: their files in `fuzz/fuzz_targets/`.
fn targets() -> Result<Vec<String>> {
    let files = files_in(&workspace::root().join("fuzz/fuzz_targets"))?;
    let stems = files.iter().filter_map(|path| path.file_stem());
    Ok(stems.map(|stem| stem.to_string_lossy().into_owned()).collect())
}

fn has_cxx() -> bool {
    ["g++", "c++", "clang++"].iter().any(|program| run::find(program).is_some())
}

const DEFAULT_SECONDS: u32 = 60;
const SMOKE_SECONDS: u32 = 5;

/// For all targets together, without the build.
const SMOKE_SECONDS_ALL: u32 = 100;

/// Targets at a time in continuous integration; each may take 2 GiB.
const JOBS_MAX: usize = 2;

/// Files in one committed corpus: enough to reach all code, few enough to review and replay.
const CORPUS_FILES_MAX: usize = 200;

/// Enough to show a panic with its input.
const LAST_LINES: usize = 40;

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
    fn facts_are_those_of_the_end() {
        let log =
            "#2 INITED cov: 3 ft: 4\n#9 DONE   cov: 17 ft: 20\nstat::number_of_executed_units: 9\n";
        assert_eq!(Facts::of(log), Facts { runs: 9, edges: 17 });
        assert_eq!(Facts::of(""), Facts::default());
    }

    #[test]
    fn the_smoke_stays_short_however_many_targets_there_are() {
        assert_eq!((smoke_seconds(0), smoke_seconds(10), smoke_seconds(20)), (5, 5, 5));
        assert_eq!((smoke_seconds(50), smoke_seconds(1000)), (2, 1));
    }

    #[test]
    fn arguments() {
        let options = parse(&["request", "--seconds", "30", "--keep", "--jobs", "2"]).unwrap();
        assert_eq!(options.targets, ["request"]);
        assert_eq!((options.seconds, options.keep, options.jobs), (30, true, 2));
        assert_eq!(parse(&["--smoke"]).unwrap().seconds, SMOKE_SECONDS);
        assert!(parse(&["--seconds", "0"]).unwrap_err().is::<Usage>());
        assert!(parse(&["--loud"]).unwrap_err().is::<Usage>());
    }
}
