//! `stead status`, with or without `--addresses`, and how a running Stead is found and asked:
//! requests on its admin socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;
use stead::command::Runtime;

use crate::check::counted;
use crate::locate::locate;
use crate::output::print;
use crate::run::grouped;
use crate::{Misuse, SocketArgs};

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

/// Who holds the most connections.
pub(crate) fn addresses(args: &SocketArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (_, body) = call(&socket(args)?, "GET", "/addresses")?;
    let told: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
    if json {
        print(format_args!("{told:#}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let least = if told["is_exact"] == false { "at least " } else { "" };
    let line = |address: &Value| {
        let count = grouped(address["connections"].as_u64().unwrap_or(0) as usize);
        format!("{least}{count}   {}   {}", text(&address["address"]), text(&address["server"]))
    };
    let lines: Vec<String> = told["addresses"].as_array().into_iter().flatten().map(line).collect();
    print(if lines.is_empty() {
        "no connections from the network".into()
    } else {
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The socket that was named, or the one of the configuration, which may have errors by now. Root
/// finds that of a configuration which runs as another user, too.
pub(crate) fn socket(args: &SocketArgs) -> anyhow::Result<PathBuf> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let path = locate(&args.config).map_err(|error| match running("") {
        others if others.is_empty() => error,
        others => Misuse::error(format!("{error}{others}")),
    })?;
    let checked = stead::command::check(&path);
    let own = Runtime::of(&checked, &path).socket();
    if answers(&own) || !rustix::process::geteuid().is_root() {
        return Ok(own);
    }
    let others = Runtime::of_other_users(&checked, &path).into_iter().map(|place| place.socket());
    let others: Vec<PathBuf> = others.filter(|socket| answers(socket)).collect();
    match others.as_slice() {
        [] => Ok(own),
        [one] => Ok(one.clone()),
        several => {
            let names: Vec<String> =
                several.iter().map(|socket| format!("--socket {}", socket.display())).collect();
            Err(Misuse::error(format!("several users run it: write one of {}", names.join(", "))))
        }
    }
}

fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

pub(crate) fn call(socket: &Path, method: &str, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    stead::command::admin_request(socket, method, path).map_err(|error| {
        let shown = socket.display();
        let why = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => String::new(),
            _ => format!(": {error}"),
        };
        let others = running(&shown.to_string());
        anyhow::anyhow!("no Stead of this configuration answers on {shown}{why}{others}")
    })
}

/// What else runs and could have been meant, with what to write.
fn running(but: &str) -> String {
    let mut found = String::new();
    for socket in Runtime::sockets().iter().take(RUNNING_SHOWN_MAX) {
        let shown = socket.display().to_string();
        let Ok((200, body)) = stead::command::admin_request(socket, "GET", "/status") else {
            continue;
        };
        let status: Value = serde_json::from_slice(&body).unwrap_or_default();
        if shown != but {
            let configuration = of_what(&text(&status["configuration"]));
            found.extend(["\n  runs: --socket ", &shown, "   ", &configuration]);
        }
    }
    found
}

/// The configuration, or the folder that `stead files` serves under the name of a made-up one.
fn of_what(configuration: &str) -> String {
    match configuration.rsplit_once("/stead files ") {
        Some((directory, _)) => format!("stead files {directory}"),
        None => configuration.to_owned(),
    }
}

/// Looked at where the one that is meant is not found.
const RUNNING_SHOWN_MAX: usize = 20;

/// How full the process is, and what it does about that.
fn budgets(budgets: &Value) -> Option<String> {
    let number = |value: &Value| value.as_u64().unwrap_or(0) as usize;
    let connections = &budgets["connections"];
    let mut line = format!(
        "{}   {} of {} connections ({})",
        text(budgets.get("level")?),
        grouped(number(&connections["held"])),
        grouped(number(&connections["max"])),
        text(&connections["limited_by"]),
    );
    let memory = &budgets["memory"];
    if memory.is_object() {
        let [used, max] = [&memory["used"], &memory["max"]].map(|bytes| number(bytes) >> 20);
        let (used, max) = (grouped(used), grouped(max));
        let of = text(&memory["limited_by"]);
        line.extend(["   ", &used, " of ", &max, " MiB (", &of, ")"]);
    }
    Some(line)
}

/// Names and paths may hold what moves a terminal's cursor.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace(char::is_control, "?")
}

/// One certificate in a line.
fn certificate(certificate: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let names: Vec<String> =
        certificate["names"].as_array().into_iter().flatten().map(text).collect();
    let failed = match number(&certificate["reloads_failed"]) {
        0 => String::new(),
        count => format!("   new files not taken {count} ×"),
    };
    format!(
        "tls.{}   {}   {} left   {}{failed}",
        text(&certificate["name"]),
        names.join(" "),
        counted(number(&certificate["days_left"]) as usize, "day"),
        handshakes(&certificate["handshakes"]),
    )
}

fn handshakes(counts: &Value) -> String {
    let number = |name: &str| counts[name].as_u64().unwrap_or(0);
    let [full, resumed, failed] = ["full", "resumed", "failed"].map(number);
    format!("handshakes {full} full, {resumed} resumed, {failed} failed")
}

/// The certificate of one host.
fn issued(report: &Value) -> String {
    let mut line = format!("{}   {}", text(&report["host"]), text(&report["state"]));
    for (key, words) in [
        ("valid_until", "until"),
        ("renews_at", "renews"),
        ("next_try_at", "tried again"),
        ("last_error", "because"),
    ] {
        if report[key].is_string() {
            line = format!("{line}   {words} {}", text(&report[key]));
        }
    }
    if report["handshakes"].is_object() {
        line = format!("{line}   {}", handshakes(&report["handshakes"]));
    }
    line
}

/// The status as people read it.
fn shown(status: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "stead {}   {}   pid {}   up {} s   {}",
        text(&status["version"]),
        text(&status["phase"]),
        number(&status["pid"]),
        number(&status["uptime_s"]),
        of_what(&text(&status["configuration"])),
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
    lines.extend(status["certificates"].as_array().into_iter().flatten().map(certificate));
    lines.extend(status["issued"].as_array().into_iter().flatten().map(issued));
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
    lines.extend(budgets(&status["budgets"]));
    let outcomes = status["outcomes"].as_object().into_iter().flatten();
    let some = outcomes.filter(|(_, count)| number(count) > 0);
    lines.extend(some.map(|(reason, count)| format!("  {reason} {}", number(count))));
    lines.join("\n")
}
