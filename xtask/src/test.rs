//! `cargo xtask test`: everything that a machine can test, in one command.
//!
//! First what needs nothing outside cargo (unit and integration tests of all crates, and the replay
//! of the fuzzing corpus), then the end-to-end tests, which drive the real binary beside real peers
//! and with real clients. `--offline` stops before those, and says so.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{Usage, debian, run, toolchain, workspace};

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    if options.offline {
        return summary(&[units(&options)?], true);
    }
    debian::ensure(debian::TESTS)?;
    let doc_tree = toolchain::doc_tree()?;
    summary(&[units(&options)?, end_to_end(&options, &doc_tree)?], false)
}

/// Builds the binary that the end-to-end tests drive, with its release optimisations, and returns
/// its path.
pub(crate) fn build_binary() -> Result<PathBuf> {
    build("e2e", "stead-cli", "stead")
}

/// Builds one package of the workspace and returns the path of its binary.
pub(crate) fn build(profile: &str, package: &str, binary: &str) -> Result<PathBuf> {
    run::status(&mut run::cargo([
        "build",
        "--locked",
        "--profile",
        profile,
        "--package",
        package,
    ]))?;
    let path = workspace::build_dir()?.join(profile).join(binary);
    if !path.is_file() {
        bail!("building {package} left no {}", path.display());
    }
    Ok(path)
}

/// What stands on the command line.
#[derive(Debug, Default)]
struct Options {
    offline: bool,
    /// What follows `--`, for the test programs.
    for_tests: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--offline" => options.offline = true,
                "--" => options.for_tests.extend(rest.by_ref().cloned()),
                other => return Err(Usage::error(format!("`test` takes no argument `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// What one run of cargo test came to.
#[derive(Debug)]
struct Outcome {
    what: &'static str,
    success: bool,
    counts: Counts,
    time: Duration,
}

/// Sums over the `test result:` lines of the test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; …`; any other line adds nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let facts = result.split_once(". ").map_or(result, |(_, facts)| facts);
        for fact in facts.split("; ") {
            let Some((number, word)) = fact.split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn units(options: &Options) -> Result<Outcome> {
    let mut cargo = run::cargo(["test", "--locked", "--workspace", "--no-fail-fast"]);
    cargo.args(["--exclude", E2E]);
    outcome("unit and integration", cargo, options)
}

fn end_to_end(options: &Options, doc_tree: &PathBuf) -> Result<Outcome> {
    let binary = build_binary()?;
    let mut cargo = run::cargo(["test", "--locked", "--package", E2E, "--no-fail-fast"]);
    cargo.env("STEAD_BIN", binary).env("STEAD_DOC_TREE", doc_tree);
    outcome("end to end", cargo, options)
}

fn outcome(what: &'static str, mut cargo: Command, options: &Options) -> Result<Outcome> {
    cargo.arg("--").args(&options.for_tests);
    let mut counts = Counts::default();
    let start = Instant::now();
    let success = run::watch(&mut cargo, |line| counts.add(line)).context(what)?;
    Ok(Outcome { what, success, counts, time: start.elapsed() })
}

fn summary(outcomes: &[Outcome], offline: bool) -> Result<()> {
    println!();
    for Outcome { what, success, counts, time } in outcomes {
        let word = if *success { "ok    " } else { "FAILED" };
        let Counts { passed, failed, ignored } = counts;
        let time = run::shown_time(*time);
        println!("{word} {what}: {passed} passed, {failed} failed, {ignored} ignored, {time}");
    }
    if offline {
        println!("offline: the end-to-end tests, which need other programs, were not run");
    }
    if !outcomes.iter().all(|outcome| outcome.success) {
        bail!("tests failed");
    }
    if outcomes.iter().all(|outcome| outcome.counts == Counts::default()) {
        bail!("no test ran: none has a name with what stands after `--`");
    }
    Ok(())
}

const E2E: &str = "stead-e2e";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_results_of_several_programs() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts
            .add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(counts, Counts { passed: 5, failed: 4, ignored: 1 });
    }

    #[test]
    fn a_run_without_a_test_is_no_success() {
        let outcome = |passed| Outcome {
            what: "unit",
            success: true,
            counts: Counts { passed, ..Counts::default() },
            time: Duration::ZERO,
        };
        assert!(summary(&[outcome(0), outcome(0)], false).is_err());
        assert!(summary(&[outcome(0), outcome(1)], false).is_ok());
    }

    #[test]
    fn arguments_after_the_dashes_go_to_the_tests() {
        let words = ["--offline", "--", "--nocapture", "name"].map(str::to_owned);
        let options = Options::parse(&words).unwrap();
        assert!(options.offline);
        assert_eq!(options.for_tests, ["--nocapture", "name"]);
        assert!(Options::parse(&["--online".to_owned()]).unwrap_err().is::<Usage>());
    }
}
