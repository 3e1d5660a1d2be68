//! What is asked of a listening socket beside its address.
//!
//! Set before it accepts: Linux hands keep-alive, user timeout and "no delay" on to each accepted
//! connection, so that none of them costs a call for each (tcp(7)). A test holds that.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// Options of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted on each socket; the system's `somaxconn` caps it.
    pub backlog: u16,
    /// Probes to silent peers; `None` for none. TCP only.
    pub keepalive: Option<Keepalive>,
    /// How long what was sent may stay unacknowledged; `None` for as long as the system waits. TCP
    /// only.
    pub user_timeout: Option<Duration>,
    /// Permissions of a unix socket's file, 0 to 0o777; `None` for what the umask leaves. One that
    /// was inherited keeps its own.
    pub mode: Option<u32>,
}

/// TCP keep-alive. The system counts whole seconds, 1 to 32,767.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between two probes.
    pub interval: Duration,
    /// Probes without an answer that end the connection; 1 to 127.
    pub count: u8,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: BACKLOG, keepalive: None, user_timeout: None, mode: None }
    }
}

/// What the system itself allows by default since Linux 5.4.
const BACKLOG: u16 = 4096;

impl ListenOptions {
    /// Sets what accepted TCP connections inherit.
    pub(crate) fn prepare(&self, socket: &Socket) -> io::Result<()> {
        // PERF: accepted connections inherit it, which saves a call for each.
        socket.set_tcp_nodelay(true)?;
        if let Some(keepalive) = self.keepalive {
            let probes = TcpKeepalive::new()
                .with_time(keepalive.idle)
                .with_interval(keepalive.interval)
                .with_retries(u32::from(keepalive.count));
            socket.set_tcp_keepalive(&probes)?;
        }
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }

    /// Lets the socket listen; on one that listens already, changes how many may wait.
    pub(crate) fn listen(&self, socket: &Socket) -> io::Result<()> {
        socket.listen(i32::from(self.backlog))
    }
}

/// The most connections that the system lets wait for one listening socket
/// (`net.core.somaxconn`), where it tells.
pub fn backlog_max() -> Option<u32> {
    let mut text = String::new();
    let file = File::open("/proc/sys/net/core/somaxconn").ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_system_tells_how_many_may_wait() {
        assert!(super::backlog_max().is_some_and(|most| most > 0));
    }
}
