//! The nginx that Stead is compared with: the real one, in the foreground, with its own prefix.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Connection;
use crate::folder::Folder;
use crate::process::Running;
use crate::wait::{SOON, until};
use crate::{folder, ports};

/// A running nginx that serves one folder.
pub struct Nginx {
    folder: Folder,
    port: u16,
    _running: Running,
}

/// Another process may take a port between its choice and its use.
const TRIES: usize = 5;

impl Nginx {
    /// Serves a folder the way nginx does by itself.
    pub fn start(root: &Path) -> Self {
        let tried = (0..TRIES).find_map(|_| Self::try_start(root));
        tried.expect("nginx starts")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Its access log: lines of `METHOD PATH STATUS`, the path decoded.
    pub fn access_log(&self) -> String {
        folder::text_of(&self.access_log_path())
    }

    /// Where its access log is.
    pub fn access_log_path(&self) -> PathBuf {
        self.folder.join("access.log")
    }

    fn try_start(root: &Path) -> Option<Self> {
        let (folder, port) = (Folder::new(), ports::free().expect("a free port"));
        let configuration = folder.write("nginx.conf", configuration(root, port));
        folder.make("temporary");
        let mut command = Command::new(program());
        command.arg("-p").arg(folder.path()).arg("-c").arg(configuration);
        command.args(["-e", "error.log"]);
        let mut running = Running::spawn(&mut command);
        let answers = until(SOON, || match Connection::try_open(port) {
            Ok(_) => Some(true),
            Err(_) if running.has_ended() => Some(false),
            Err(_) => None,
        });
        let errors = folder.read("error.log");
        // Somebody else may answer on the port that nginx could not have.
        if answers == Some(true) && !running.has_ended() && !errors.contains("[emerg]") {
            return Some(Self { folder, port, _running: running });
        }
        eprintln!("nginx on port {port}: {errors}{}", running.stderr());
        None
    }
}

fn program() -> &'static str {
    // Where Debian puts it is not on every user's path.
    let outside_path = "/usr/sbin/nginx";
    if Path::new(outside_path).exists() { outside_path } else { "nginx" }
}

fn configuration(root: &Path, port: u16) -> String {
    let types = "/etc/nginx/mime.types";
    let root = root.display();
    // Workers as root keep root's rights, so that they may read a folder of root's.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        r#"{user}daemon off;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    include {types};
    default_type application/octet-stream;
    sendfile on;
    keepalive_requests 1000000;
    log_format addresses "$request_method $request_uri $status";
    access_log access.log addresses;
    client_body_temp_path temporary/body;
    proxy_temp_path temporary/proxy;
    fastcgi_temp_path temporary/fastcgi;
    uwsgi_temp_path temporary/uwsgi;
    scgi_temp_path temporary/scgi;
    server {{
        listen 127.0.0.1:{port};
        root "{root}";
        index index.html;
    }}
}}
"#
    )
}
