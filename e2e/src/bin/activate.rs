//! Starts a program the way a service manager does that made its sockets for it.
//!
//! `activate [NAME=VALUE]… SOCKET… -- PROGRAM ARGUMENT…`, a socket being `tcp:ADDRESS`,
//! `unix:PATH` or `udp:ADDRESS`. They become descriptors 3 and following; `LISTEN_FDS`,
//! `LISTEN_PID` and `LISTEN_FDNAMES` say so, unless `NAME=VALUE` says otherwise
//! (`sd_listen_fds(3)`).

#![forbid(unsafe_code)]

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

fn main() -> ExitCode {
    // Only comes back where the program could not be started.
    let error = start().map_or_else(|error| error, |never| match never {});
    eprintln!("activate: {error:#}");
    ExitCode::FAILURE
}

fn start() -> Result<std::convert::Infallible> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dashes = arguments.iter().position(|word| word == "--").context("no `--`")?;
    let (given, program) = arguments.split_at(dashes);
    let [_, program, rest @ ..] = program else { anyhow::bail!("no program behind `--`") };
    let (variables, sockets): (Vec<&String>, Vec<&String>) =
        given.iter().partition(|word| word.contains('='));
    let sockets: Vec<OwnedFd> =
        sockets.into_iter().map(|text| open(text)).collect::<Result<_>>()?;
    for (index, socket) in sockets.iter().enumerate() {
        // Nothing else is open in a fresh process but the first three.
        ensure!(socket.as_raw_fd() == 3 + i32::try_from(index)?, "descriptors are not in order");
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty())?;
    }
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDNAMES", vec!["test.socket"; sockets.len()].join(":"));
    command.envs(variables.iter().filter_map(|text| text.split_once('=')));
    Err(command.exec().into())
}

fn open(text: &str) -> Result<OwnedFd> {
    let (kind, address) = text.split_once(':').context("no kind of socket")?;
    Ok(match kind {
        "tcp" => TcpListener::bind(address)?.into(),
        "udp" => UdpSocket::bind(address)?.into(),
        "unix" => UnixListener::bind(address)?.into(),
        other => anyhow::bail!("unknown kind of socket `{other}`"),
    })
}
