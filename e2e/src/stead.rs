//! A Stead that runs for one test, with a runtime directory inside the test's folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::answer::Answer;
use crate::binary;
use crate::client::Connection;
use crate::folder::Folder;
use crate::process::{Outcome, Running, run};

/// A running Stead.
pub struct Stead {
    /// The process.
    pub running: Running,
    runtime: PathBuf,
    banner: Vec<Served>,
}

/// One server's line of the banner.
#[derive(Debug)]
struct Served {
    name: String,
    urls: Vec<String>,
}

impl Stead {
    /// Writes `config` as the folder's `stead.toml`, starts it, and waits until it serves.
    pub fn start(folder: &Folder, config: &str) -> Self {
        let path = folder.write("stead.toml", config);
        Self::start_file(&path, &runtime_in(folder))
    }

    /// Starts a configuration that lies somewhere; its state is kept beside `runtime`.
    pub fn start_file(config: &Path, runtime: &Path) -> Self {
        let mut command = binary::command(["run"]);
        command.arg("-c").arg(config);
        command.env("STATE_DIRECTORY", runtime.with_file_name("state"));
        Self::start_command(command, runtime)
    }

    /// Starts a command that ends up as a Stead.
    pub fn start_command(mut command: Command, runtime: &Path) -> Self {
        command.env("RUNTIME_DIRECTORY", runtime);
        let mut running = Running::spawn(&mut command);
        if let Err(message) = running.wait_for("ready in ") {
            panic!("{message}");
        }
        let banner = served(&running.stderr());
        Self { running, runtime: runtime.to_owned(), banner }
    }

    /// The URLs of a server, as the banner shows them.
    pub fn urls(&self, server: &str) -> &[String] {
        let found = self.banner.iter().find(|served| served.name == server);
        &found.unwrap_or_else(|| panic!("no server {server} in {:?}", self.banner)).urls
    }

    /// The port of a server's first TCP address.
    pub fn port(&self, server: &str) -> u16 {
        let port = self.urls(server).iter().find_map(|url| {
            let (_, authority) =
                url.split_once("://").filter(|(scheme, _)| scheme.starts_with("http"))?;
            authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
        });
        port.unwrap_or_else(|| panic!("server {server} has no port in {:?}", self.banner))
    }

    /// A URL that a client on this machine can open, over IPv4.
    pub fn url(&self, server: &str, target: &str) -> String {
        format!("http://127.0.0.1:{}{target}", self.port(server))
    }

    /// A connection to a server.
    pub fn connect(&self, server: &str) -> Connection {
        Connection::open(self.port(server))
    }

    /// One GET on a connection of its own.
    pub fn fetch(&self, server: &str, target: &str) -> Answer {
        self.connect(server).request("GET", target, &[])
    }

    /// The admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime.join("admin.sock")
    }

    /// What `stead status --json` prints.
    pub fn status(&self) -> Value {
        let outcome = self.ask(&["status", "--json"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        serde_json::from_str(&outcome.stdout).expect("status prints JSON")
    }

    /// One counter of the status.
    pub fn counter(&self, name: &str) -> u64 {
        let status = self.status();
        status["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name}: {status}"))
    }

    /// How often exchanges and connections ended for a reason.
    pub fn outcome(&self, reason: &str) -> u64 {
        let status = self.status();
        status["outcomes"][reason].as_u64().unwrap_or_else(|| panic!("no reason {reason}"))
    }

    /// Runs a command that talks to this Stead.
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        run(binary::command(arguments).arg("--socket").arg(self.admin_socket()))
    }

    /// Asks it to drain, and waits for its end.
    pub fn stop(&mut self) -> Outcome {
        self.running.stop()
    }
}

/// Where a Stead of this folder keeps its socket and lock.
pub fn runtime_in(folder: &Folder) -> PathBuf {
    folder.join("run")
}

/// Runs `stead` with these arguments in a folder, to its end.
pub fn once(folder: &Folder, arguments: &[&str]) -> Outcome {
    let mut command = binary::command(arguments);
    command.current_dir(folder.path()).env("RUNTIME_DIRECTORY", runtime_in(folder));
    run(&mut command)
}

/// A path as a string of a configuration.
pub fn quoted(path: &Path) -> String {
    Value::from(path.to_str().expect("a path in UTF-8")).to_string()
}

/// The lines between the first and `ready in`: `web     http://localhost:8080   4 routes`.
fn served(stderr: &str) -> Vec<Served> {
    let lines = stderr.lines().skip_while(|line| !line.starts_with("stead ")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("ready in "));
    let of_line = |line: &str| {
        let mut parts = line.split("   ").map(str::trim).filter(|part| !part.is_empty());
        let name = parts.next()?.to_owned();
        let urls = parts.filter(|part| part.contains(':')).map(str::to_owned).collect();
        Some(Served { name, urls })
    };
    lines.filter_map(of_line).collect()
}
