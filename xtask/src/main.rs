//! `cargo xtask`: the one tool of the repository, in place of loose scripts.
//!
//! One file per command: [`test`], [`ci`], [`tidy`], [`gen`](generate), [`bench`], [`fuzz`]. What
//! they share: `run` starts programs and times steps, `workspace` knows where things lie, `debian`
//! and `toolchain` see to it that what a command needs is on this machine.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "reads files of the repository only, whole")]

mod bench;
mod ci;
mod debian;
mod deny;
mod format;
mod fuzz;
mod generate;
mod run;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("error: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        return Err(Usage::error("name a command"));
    };
    match command.as_str() {
        "test" => test::main(rest),
        "ci" => ci::main(rest),
        "fmt" => format::main(rest),
        "tidy" => tidy::main(rest),
        "gen" => generate::main(rest),
        "bench" => bench::main(rest),
        "fuzz" => fuzz::main(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(Usage::error(format!("there is no command `{other}`"))),
    }
}

/// Wrong use of a command: exit code 2, with the usage below the message.
#[derive(Debug)]
struct Usage(String);

impl Usage {
    fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }

    fn no_arguments(command: &str, arguments: &[String]) -> Result<()> {
        match arguments.first() {
            None => Ok(()),
            Some(first) => Err(Self::error(format!("`{command}` takes no argument `{first}`"))),
        }
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

const USAGE: &str = "\
cargo xtask test [--offline] [-- ARGS]   all tests; --offline: those that need no other program
cargo xtask ci                           every step of continuous integration, in order
cargo xtask fmt [--check]                every Rust file, as rustfmt writes it
cargo xtask tidy                         the rules of the house that a machine can check
cargo xtask gen [--check]                write (or compare) the generated reference and schema
cargo xtask bench ARGS                   measure beside the peers (ARGS: of stead-bench)
cargo xtask fuzz [TARGET…] [--seconds N] [--smoke] [--jobs N] [--keep] [--address]
                                         search for inputs that break a parser";
