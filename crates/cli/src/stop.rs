//! `stead stop`: asks a running Stead to end, and waits until its process has.
//!
//! What is waited for is the process behind the socket, by a descriptor of it: another process of
//! its number that comes later is not mistaken for it. The wait lasts as long as the drain may.

use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::admin::{call, socket};
use crate::check::counted;
use crate::output::{print, tell};
use crate::{Misuse, SocketArgs};

/// Beyond what the drain may take: for what ends with the process.
const GRACE: Duration = Duration::from_secs(5);
/// Before the first word: most ends are quicker.
const QUIET_FOR: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What to do where a reload is asked for.
pub(crate) const NO_RELOAD: &str = "there is no reload in this version: `stead check`, then `stead stop && stead run` (with \
     systemd: `systemctl restart stead`)";

/// `stead reload`: says what to do instead.
pub(crate) fn reload() -> anyhow::Result<ExitCode> {
    Err(Misuse::error(NO_RELOAD))
}

pub(crate) fn stop(args: &SocketArgs, now: bool, no_wait: bool) -> anyhow::Result<ExitCode> {
    let socket = socket(args)?;
    let limit = if now { Duration::ZERO } else { drain_limit(&socket)? };
    let process = stead::command::admin_process(&socket).ok().flatten().filter(|_| !no_wait);
    let path = if now { "/stop?now" } else { "/stop" };
    let (status, _) = call(&socket, "POST", path)?;
    anyhow::ensure!(status == 202, "{} answered {status}", socket.display());
    let Some((pid, process)) = process else {
        print("stopping")?;
        return Ok(ExitCode::SUCCESS);
    };
    if wait(&socket, &process, limit + GRACE) {
        print("stopped")?;
        return Ok(ExitCode::SUCCESS);
    }
    let limit = (limit + GRACE).as_secs();
    tell(format_args!("error: process {pid} still runs after {limit} s: `kill -9 {pid}` ends it"));
    Ok(ExitCode::FAILURE)
}

/// How long the running Stead may drain, as it says.
fn drain_limit(socket: &Path) -> anyhow::Result<Duration> {
    let status = status(socket)?;
    Ok(Duration::from_secs(status["drain_max_s"].as_u64().unwrap_or(0)))
}

fn status(socket: &Path) -> anyhow::Result<Value> {
    let (_, body) = call(socket, "GET", "/status")?;
    Ok(serde_json::from_slice(&body)?)
}

/// Waits for the end of a process, and says what it waits for. Whether it came.
fn wait(socket: &Path, process: &OwnedFd, limit: Duration) -> bool {
    let began = Instant::now();
    let is_terminal = std::io::stderr().is_terminal();
    let mut told = false;
    let mut next = QUIET_FOR;
    loop {
        let left = limit.saturating_sub(began.elapsed());
        let ended = has_ended(process, next.min(left));
        if ended || left.is_zero() {
            if told && is_terminal {
                tell("");
            }
            return ended;
        }
        next = TELL_EVERY;
        // A line that is written anew, or one line in a log.
        if is_terminal || !told {
            let waiting = waiting_for(socket, limit.saturating_sub(GRACE));
            if is_terminal {
                let _ = write!(
                    std::io::stderr().lock(),
                    "\r\x1b[K{waiting}, {} s",
                    began.elapsed().as_secs()
                );
            } else {
                tell(waiting);
            }
            told = true;
        }
    }
}

fn waiting_for(socket: &Path, limit: Duration) -> String {
    let active = status(socket).ok().and_then(|status| {
        status["counters"]["requests_active"].as_u64().and_then(|count| usize::try_from(count).ok())
    });
    let requests = match active {
        Some(count) => format!(" for {}", counted(count, "request")),
        None => String::new(),
    };
    format!("waiting{requests}, {} s at most; `stead stop --now` ends it at once", limit.as_secs())
}

/// Waits until a process ends, for `limit` at most.
fn has_ended(process: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let mut waited = [PollFd::new(process, PollFlags::IN)];
    // A signal that is not ours to handle only makes the wait shorter.
    matches!(poll(&mut waited, Some(&limit)), Ok(1..))
}
