//! The `stead` command: one file a subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong use or wrong configuration. Banner and server log go to
//! stderr, what was asked for to stdout.

#![forbid(unsafe_code)]

mod admin;
mod check;
mod explain;
mod files;
mod init;
mod locate;
mod log;
mod output;
mod reference;
mod run;
mod server_log;
mod stop;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stead, the steady web server.
#[derive(Parser)]
#[command(
    name = "stead",
    version,
    about = "Stead, the steady web server",
    subcommand_required = false,
    arg_required_else_help = false
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Clone, Debug, Default)]
struct ConfigArgs {
    /// The configuration; otherwise ./stead.toml, then /etc/stead/stead.toml.
    #[arg(short, long, value_name = "FILE", env = "STEAD_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct SocketArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The admin socket of a running Stead, in place of the configuration's.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what the configuration says, until SIGTERM or SIGINT.
    Run(ConfigArgs),
    /// Check the configuration; every error with its place.
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print the configuration with every default filled in.
        #[arg(long)]
        full: bool,
        /// Print what is wrong as JSON.
        #[arg(long, conflicts_with = "full")]
        json: bool,
    },
    /// Serve a folder, without a configuration.
    Files(files::FilesArgs),
    /// Show what answers a request, and why.
    Explain(explain::ExplainArgs),
    /// Print the JSON schema of the configuration, for editors.
    Schema,
    /// Write a first stead.toml into this directory.
    Init,
    /// Show what a running Stead does.
    Status {
        #[command(flatten)]
        socket: SocketArgs,
        /// Show which addresses hold the most connections instead.
        #[arg(long)]
        addresses: bool,
        /// Print all of it, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Stop a running Stead and wait for its end: requests in flight finish.
    Stop {
        #[command(flatten)]
        socket: SocketArgs,
        /// Do not wait until the process has ended.
        #[arg(long)]
        no_wait: bool,
        /// Do not wait for requests in flight.
        #[arg(long)]
        now: bool,
    },
    /// Say how to apply changes: there is no reload in this version.
    #[command(hide = true)]
    Reload {
        /// Whatever it is called with.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Change how much a running Stead says, open its access log again.
    Log {
        #[command(subcommand)]
        command: log::LogCommand,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the reference of the configuration into a directory.
    #[command(hide = true)]
    GenReference {
        /// The directory.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    // Before the heap grows: what is huge already stays so.
    stead_sys::memory::disable_huge_pages();
    let result = match Cli::parse().command {
        None => bare(),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check { config, full, json }) => check::check(&config, full, json),
        Some(Command::Files(args)) => files::files(&args),
        Some(Command::Explain(args)) => explain::explain(&args),
        Some(Command::Schema) => reference::schema(),
        Some(Command::Init) => init::init(),
        Some(Command::Status { socket, addresses: true, json }) => admin::addresses(&socket, json),
        Some(Command::Status { socket, json, .. }) => admin::status(&socket, json),
        Some(Command::Stop { socket, now, no_wait }) => stop::stop(&socket, now, no_wait),
        Some(Command::Reload { .. }) => stop::reload(),
        Some(Command::Log { command }) => log::log(&command),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::GenReference { directory }) => reference::write(&directory),
    };
    result.unwrap_or_else(|error| {
        if output::reader_left(&error) {
            return ExitCode::SUCCESS;
        }
        output::tell(format_args!("error: {error:#}"));
        if error.is::<Misuse>() { ExitCode::from(WRONG_USE) } else { ExitCode::FAILURE }
    })
}

/// Something that the caller has to write otherwise.
#[derive(Debug)]
struct Misuse(String);

impl Misuse {
    fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stead", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// `stead` alone runs what is here, or says what it can do.
fn bare() -> anyhow::Result<ExitCode> {
    let args = ConfigArgs { config: std::env::var_os("STEAD_CONFIG").map(PathBuf::from) };
    if args.config.is_some() || std::path::Path::new("stead.toml").exists() {
        return run::run(&args);
    }
    output::tell("error: no stead.toml here: write one with `stead init`\n");
    Cli::command().print_help()?;
    Ok(ExitCode::from(WRONG_USE))
}

/// Wrong use or wrong configuration.
const WRONG_USE: u8 = 2;
