//! `cargo xtask ci`: the steps of continuous integration, cheap ones first.
//!
//! Each step is timed; the first that fails ends the run. `.ci/run` is this command with a build
//! directory outside the clone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{Usage, bench, deny, format, fuzz, generate, run, test, tidy};

/// Runs the command with its arguments.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    Usage::no_arguments("ci", arguments)?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, step) in STEPS {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = step();
        times.push((name, start.elapsed()));
        if result.is_err() {
            print_times(&times);
        }
        result.with_context(|| format!("step `{name}` failed"))?;
    }
    print_times(&times);
    println!("every step passed");
    Ok(())
}

type Step = fn() -> Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("fmt", || format::main(&["--check".to_owned()])),
    ("clippy", clippy),
    ("tidy", || tidy::main(&[])),
    ("test", || test::main(&[])),
    ("doc", doc),
    ("deny", deny::check),
    ("gen", || generate::main(&["--check".to_owned()])),
    ("fuzz", fuzz::smoke),
    ("budgets", bench::budgets),
];

const NOT_SHIPPED: &[&str] =
    &["stead-bench", "stead-e2e", "stead-fuzz-targets", "stead-testing", "xtask"];

fn clippy() -> Result<()> {
    let arguments =
        ["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    run::status(&mut run::cargo(arguments))
}

/// The crates that are shipped; those that are not are read in their source.
fn doc() -> Result<()> {
    let mut cargo = run::cargo(["doc", "--locked", "--workspace", "--no-deps", "--lib"]);
    for package in NOT_SHIPPED {
        cargo.args(["--exclude", package]);
    }
    run::status(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:<8} {:>9}", run::shown_time(*time));
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("{:<8} {:>9}", "total", run::shown_time(total));
}
