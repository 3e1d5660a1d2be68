//! `stead status` and `stead stop`: requests on the admin socket of a running Stead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use crate::SocketArgs;
use crate::check::counted;
use crate::locate::locate;
use crate::output::print;

pub(crate) fn status(args: &SocketArgs, json: bool) -> anyhow::Result<ExitCode> {
    let socket = socket(args)?;
    let (_, body) = call(&socket, "GET", "/status")?;
    let status: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
    if json {
        print(format_args!("{status:#}"))?;
    } else {
        print(shown(&status))?;
    }
    let is_ready = status["phase"] == "ready";
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn stop(args: &SocketArgs, now: bool) -> anyhow::Result<ExitCode> {
    let socket = socket(args)?;
    let path = if now { "/stop?now" } else { "/stop" };
    let (status, _) = call(&socket, "POST", path)?;
    anyhow::ensure!(status == 202, "{} answered {status}", socket.display());
    print("stopping")?;
    Ok(ExitCode::SUCCESS)
}

/// The socket that was named, or the one of the configuration, which may have errors by now.
fn socket(args: &SocketArgs) -> anyhow::Result<PathBuf> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let path = locate(&args.config)?;
    Ok(stead::Runtime::of(&stead::check(&path), &path).socket())
}

fn call(socket: &Path, method: &str, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    stead::admin_request(socket, method, path)
        .with_context(|| format!("no Stead of this configuration answers on {}", socket.display()))
}

/// The status as people read it.
fn shown(status: &Value) -> String {
    // Names and paths may hold what moves a terminal's cursor.
    let text = |value: &Value| value.as_str().unwrap_or_default().replace(char::is_control, "?");
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "stead {}   {}   pid {}   up {} s   {}",
        text(&status["version"]),
        text(&status["phase"]),
        number(&status["pid"]),
        number(&status["uptime_s"]),
        text(&status["configuration"]),
    )];
    for server in status["servers"].as_array().into_iter().flatten() {
        let addresses = server["addresses"].as_array().into_iter().flatten();
        let addresses: Vec<String> = addresses.map(text).collect();
        lines.push(format!(
            "{}   {}   {}   {}",
            text(&server["name"]),
            addresses.join("   "),
            counted(number(&server["routes"]) as usize, "route"),
            counted(number(&server["connections"]) as usize, "connection"),
        ));
    }
    let counters = &status["counters"];
    lines.push(format!(
        "requests {}   active {}   connections {}   parked {}   in {} B   out {} B",
        number(&counters["requests"]),
        number(&counters["requests_active"]),
        number(&counters["connections_open"]),
        number(&counters["connections_parked"]),
        number(&counters["bytes_in"]),
        number(&counters["bytes_out"]),
    ));
    let outcomes = status["outcomes"].as_object().into_iter().flatten();
    let some = outcomes.filter(|(_, count)| number(count) > 0);
    lines.extend(some.map(|(reason, count)| format!("  {reason} {}", number(count))));
    lines.join("\n")
}
