//! Starts a program the way a service manager does that made its sockets for it.
//!
//! `activate [NAME=VALUE]… SOCKET… -- PROGRAM ARGUMENT…`, a socket being `tcp:ADDRESS`,
//! `unix:PATH` or `udp:ADDRESS`. They become descriptors 3 and following; `LISTEN_FDS`,
//! `LISTEN_PID` and `LISTEN_FDNAMES` say so, unless `NAME=VALUE` says otherwise
//! (`sd_listen_fds(3)`). With `--twice` in front the sockets stay held, and the program is started
//! a second time when it ends.

#![forbid(unsafe_code)]

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

fn main() -> ExitCode {
    // Only comes back where the program could not be started.
    let error = start().map_or_else(|error| error, |never| match never {});
    eprintln!("activate: {error:#}");
    ExitCode::FAILURE
}

fn start() -> Result<std::convert::Infallible> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [how @ (PASS_ON | PASS_ON_HELD), count, program @ ..] =
        &*arguments.iter().map(String::as_str).collect::<Vec<_>>()
    {
        if *how == PASS_ON_HELD {
            // A test that fails ends the holder, and so this.
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        }
        return pass_on(count, program);
    }
    let twice = arguments.first().is_some_and(|word| word == "--twice");
    arguments.drain(..usize::from(twice));
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
    // The process that is to take them says its own number, so it is one more program.
    let command = |how| -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(how).arg(sockets.len().to_string()).arg(program).args(rest);
        command.envs(variables.iter().filter_map(|text| text.split_once('=')));
        Ok(command)
    };
    if twice {
        command(PASS_ON_HELD)?.status()?;
    }
    Err(command(PASS_ON)?.exec().into())
}

const PASS_ON: &str = "--pass-on";
const PASS_ON_HELD: &str = "--pass-on-held";

/// Becomes the program, with the variables that announce the sockets.
fn pass_on(count: &str, program: &[&str]) -> Result<std::convert::Infallible> {
    let [program, rest @ ..] = program else { anyhow::bail!("no program") };
    let mut command = Command::new(program);
    command.args(rest);
    let names = vec!["test.socket"; count.parse()?].join(":");
    let announced = [
        ("LISTEN_FDS", count.to_owned()),
        ("LISTEN_PID", std::process::id().to_string()),
        ("LISTEN_FDNAMES", names),
    ];
    // What the test said counts.
    let missing = announced.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    command.envs(missing);
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
