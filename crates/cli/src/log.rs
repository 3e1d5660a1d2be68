//! `stead log`: the levels of a running Stead's own log, and its access log opened again.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;
use stead_config::{Level, Module};

use crate::admin::{call, socket};
use crate::output::{print, tell};
use crate::{SocketArgs, WRONG_USE};

#[derive(Subcommand)]
pub(crate) enum LogCommand {
    /// Show how much Stead's own log says, or change it until Stead ends.
    Level {
        /// `debug` for all of it, `serve=debug` for one module.
        #[arg(value_name = "[MODULE=]LEVEL")]
        setting: Option<String>,
        #[command(flatten)]
        socket: SocketArgs,
        /// Print the levels as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open the access log again under its name, after the file was moved away.
    Reopen {
        #[command(flatten)]
        socket: SocketArgs,
    },
}

pub(crate) fn log(command: &LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Level { setting, socket, json } => level(setting.as_deref(), socket, *json),
        LogCommand::Reopen { socket } => reopen(socket),
    }
}

fn level(setting: Option<&str>, args: &SocketArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (method, path) = match setting.map(query) {
        None => ("GET", "/log/level".to_owned()),
        Some(Ok(query)) => ("POST", format!("/log/level?{query}")),
        Some(Err(message)) => {
            tell(format_args!("error: {message}"));
            return Ok(ExitCode::from(WRONG_USE));
        }
    };
    let socket = socket(args)?;
    let (status, body) = call(&socket, method, &path)?;
    anyhow::ensure!(status == 200, "{} answered {status}", socket.display());
    let levels: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
    if json {
        print(format_args!("{levels:#}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (module, level) in levels.as_object().into_iter().flatten() {
        print(format_args!("{module:<8} {}", level.as_str().unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a setting asks for, or what is wrong with it.
fn query(setting: &str) -> Result<String, String> {
    let (module, level) = match setting.split_once('=') {
        Some((module, level)) => (Some(module), level),
        None => (None, setting),
    };
    let listed = |words: &[&str]| words.join(", ");
    if let Some(module) = module.filter(|module| Module::named(module).is_none()) {
        let known = Module::ALL.map(Module::as_str);
        return Err(format!("there is no module `{module}`: write one of {}", listed(&known)));
    }
    if Level::named(level).is_none() {
        let known = Level::ALL.map(Level::as_str);
        return Err(format!("there is no level `{level}`: write one of {}", listed(&known)));
    }
    Ok(format!("{}={level}", module.unwrap_or("default")))
}

fn reopen(args: &SocketArgs) -> anyhow::Result<ExitCode> {
    let socket = socket(args)?;
    let (status, body) = call(&socket, "POST", "/log/reopen")?;
    let said = String::from_utf8_lossy(&body).replace(|c: char| c.is_control() && c != '\n', "?");
    anyhow::ensure!(status == 200, "{}", said.trim_end());
    print(said.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_before_they_are_sent() {
        assert_eq!(query("debug").as_deref(), Ok("default=debug"));
        assert_eq!(query("serve=trace").as_deref(), Ok("serve=trace"));
        assert!(query("serv=trace").is_err_and(|message| message.contains("serve")));
        assert!(query("serve=loud").is_err_and(|message| message.contains("debug")));
        assert!(query("=debug").is_err());
    }
}
