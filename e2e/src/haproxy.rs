//! The `HAProxy` that passes connections on: the real one, in the foreground, in TCP mode.

use std::path::Path;
use std::process::Command;

use crate::client::Connection;
use crate::folder::Folder;
use crate::ports;
use crate::process::Running;
use crate::wait::{SOON, until};

/// A running `HAProxy` with one server behind it.
pub struct HaProxy {
    port: u16,
    _running: Running,
    _folder: Folder,
}

/// Another process may take a port between its choice and its use.
const TRIES: usize = 5;

impl HaProxy {
    /// Passes connections on to a server: its address, then options such as `send-proxy-v2`.
    pub fn before(server: &str) -> Self {
        Self::with_bind(server, "")
    }

    /// The same, where it ends TLS: `pem` holds a certificate and its key.
    pub fn ending_tls(server: &str, pem: &Path) -> Self {
        Self::with_bind(server, &format!("ssl crt {} alpn h2,http/1.1", pem.display()))
    }

    fn with_bind(server: &str, options: &str) -> Self {
        let tried = (0..TRIES).find_map(|_| Self::try_start(server, options));
        tried.expect("HAProxy starts")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn try_start(server: &str, bind: &str) -> Option<Self> {
        let (folder, port) = (Folder::new(), ports::free().expect("a free port"));
        let configuration = folder.write("haproxy.cfg", configuration(port, bind, server));
        let mut command = Command::new(program());
        command.args(["-db", "-f"]).arg(configuration);
        let mut running = Running::spawn(&mut command);
        let answers = until(SOON, || match Connection::try_open(port) {
            Ok(_) => Some(true),
            Err(_) if running.has_ended() => Some(false),
            Err(_) => None,
        });
        // Somebody else may answer on the port that it could not have.
        if answers == Some(true) && !running.has_ended() {
            return Some(Self { port, _running: running, _folder: folder });
        }
        eprintln!("HAProxy on port {port}: {}", running.stderr());
        None
    }
}

fn program() -> &'static str {
    // Where Debian puts it is not on every user's path.
    let outside_path = "/usr/sbin/haproxy";
    if Path::new(outside_path).exists() { outside_path } else { "haproxy" }
}

fn configuration(port: u16, bind: &str, server: &str) -> String {
    format!(
        "global
    maxconn 256
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend all
    bind 127.0.0.1:{port} {bind}
    unique-id-format %ci:%cp
    default_backend stead
backend stead
    server one {server}
"
    )
}
