//! `stead status` and `stead stop`: requests on the admin socket of a running Stead.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use stead_base::HeadLimits;
use stead_http1::{Event, Method, ResponseDecoder, ResponseHead};

use crate::check::counted;
use crate::locate::locate;
use crate::{SocketArgs, WRONG_USE};

/// An answer larger than this is not ours.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn status(args: &SocketArgs, json: bool) -> anyhow::Result<ExitCode> {
    let Some(socket) = socket(args)? else { return Ok(ExitCode::from(WRONG_USE)) };
    let (_, body) = request(&socket, &Method::GET, "/status")?;
    let status: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
    if json {
        println!("{status:#}");
    } else {
        show(&status);
    }
    let is_ready = status["phase"] == "ready";
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn stop(args: &SocketArgs, now: bool) -> anyhow::Result<ExitCode> {
    let Some(socket) = socket(args)? else { return Ok(ExitCode::from(WRONG_USE)) };
    let path = if now { "/stop?now" } else { "/stop" };
    let (status, _) = request(&socket, &Method::POST, path)?;
    if status != 202 {
        bail!("{} answered {status}", socket.display());
    }
    println!("stopping");
    Ok(ExitCode::SUCCESS)
}

/// The socket that was named, or the one of the configuration; `None` where that has errors.
fn socket(args: &SocketArgs) -> anyhow::Result<Option<PathBuf>> {
    if let Some(socket) = &args.socket {
        return Ok(Some(socket.clone()));
    }
    let path = locate(&args.config)?;
    let checked = stead::check(&path);
    let Some(configuration) = &checked.configuration else {
        crate::check::print(&checked);
        return Ok(None);
    };
    Ok(Some(stead::Runtime::of(configuration, &path).socket()))
}

fn request(socket: &PathBuf, method: &Method, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket).with_context(|| {
        format!("no Stead of this configuration runs ({} does not answer)", socket.display())
    })?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: stead\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).context("the answer broke off")?;
    parse(&bytes, method)
}

fn parse(mut bytes: &[u8], method: &Method) -> anyhow::Result<(u16, Vec<u8>)> {
    let limits = HeadLimits { head_bytes_max: 64 << 10, field_count_max: 100, uri_bytes_max: 8192 };
    let mut decoder = ResponseDecoder::new(limits, method);
    let (mut head, mut body) = (ResponseHead::default(), Vec::new());
    loop {
        let step = decoder
            .decode(bytes, &mut head)
            .map_err(|reason| anyhow::anyhow!("{}", reason.facts().meaning))?;
        match step.event {
            Event::Data(range) => body.extend_from_slice(&bytes[range]),
            Event::End => return Ok((head.status().as_u16(), body)),
            Event::Pending => bail!("the answer broke off"),
            Event::Head | Event::Trailers => {}
        }
        bytes = &bytes[step.consumed..];
    }
}

fn show(status: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    println!(
        "stead {}   {}   pid {}   up {} s   {}",
        text(&status["version"]),
        text(&status["phase"]),
        number(&status["pid"]),
        number(&status["uptime_s"]),
        text(&status["configuration"]),
    );
    for server in status["servers"].as_array().into_iter().flatten() {
        let addresses = server["addresses"].as_array().into_iter().flatten();
        let addresses: Vec<String> = addresses.map(text).collect();
        println!(
            "{}   {}   {}   {}",
            text(&server["name"]),
            addresses.join("   "),
            counted(number(&server["routes"]) as usize, "route"),
            counted(number(&server["connections"]) as usize, "connection"),
        );
    }
    let counters = &status["counters"];
    println!(
        "requests {}   active {}   connections {}   parked {}   in {} B   out {} B",
        number(&counters["requests"]),
        number(&counters["requests_active"]),
        number(&counters["connections_open"]),
        number(&counters["connections_parked"]),
        number(&counters["bytes_in"]),
        number(&counters["bytes_out"]),
    );
    for (reason, count) in status["outcomes"].as_object().into_iter().flatten() {
        if number(count) > 0 {
            println!("  {reason} {}", number(count));
        }
    }
}
