//! A program under test: started, asked where it listens, ended.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any wait of these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Where it said that it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts a program and reads the `count` lines that end in an address each.
    pub(crate) fn start(path: &str, arguments: &[&str], count: usize) -> Self {
        let mut child = Command::new(path)
            .args(arguments)
            .env("WEB", "127.0.0.1:0")
            .env("STATUS", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = |line: std::io::Result<String>| {
            let line = line.expect("a line of text");
            let (_, address) = line.split_once("://").expect("a URL");
            address.replace("localhost", "127.0.0.1").parse().expect("an address")
        };
        let addresses = lines.by_ref().take(count).map(address).collect();
        Self { child, addresses, lines }
    }

    /// What it prints next.
    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("another line").expect("a line of text")
    }

    /// Asks it to end, as an operator would, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        // It answers before it listens for signals.
        let began = Instant::now();
        while !self.catches_term() {
            assert!(began.elapsed() < PATIENCE, "it never listens for signals");
            std::thread::sleep(Duration::from_millis(10));
        }
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
        assert!(self.child.wait().expect("it ends").success());
    }

    fn catches_term(&self) -> bool {
        let mut status = String::new();
        let file = std::fs::File::open(format!("/proc/{}/status", self.child.id()));
        file.expect("it runs").read_to_string(&mut status).expect("its status");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal digits");
        mask & 1 << (SIGTERM - 1) != 0
    }
}

const SIGTERM: u32 = 15;

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer to a GET.
pub(crate) fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
