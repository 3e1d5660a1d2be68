//! `cargo xtask bench ARGS`: measures the release binary beside its peers.
//!
//! Sees to the peers, builds the release binary and `stead-bench` the same way, and gives the
//! arguments on. What is measured, and how, is written in `bench/`.

use anyhow::{Result, bail};

use crate::{Usage, debian, run, test, workspace};

/// Runs the command with its arguments, which are those of `stead-bench`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    if arguments.is_empty() {
        // Asked before minutes of building.
        return Err(Usage::error(
            "`bench` takes what to measure, such as `http` or `all`, or `help`",
        ));
    }
    debian::ensure(debian::BENCHES)?;
    start(arguments)
}

/// The step of continuous integration: the bytes of an idle connection against their budget.
pub(crate) fn budgets() -> Result<()> {
    start(&["budgets".to_owned()])
}

fn start(arguments: &[String]) -> Result<()> {
    if !workspace::has_package("stead-bench")? {
        bail!("the workspace has no package stead-bench");
    }
    let stead = test::build("release", "stead-cli", "stead")?;
    let bench = test::build("release", "stead-bench", "stead-bench")?;
    run::status(run::command(bench).args(arguments).env("STEAD_BIN", stead))
}
