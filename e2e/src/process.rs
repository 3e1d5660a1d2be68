//! Processes that a test started, with all that they said.
//!
//! What is still running when its owner is dropped gets SIGTERM, and SIGKILL if it does not end
//! soon, always by its own process id.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait::{SOON, until};

/// A process that runs, or has ended.
pub struct Running {
    child: Child,
    /// The command, for messages.
    name: String,
    stdout: Captured,
    stderr: Captured,
}

/// What a process that ended left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// How long a process may take to end after SIGTERM, before SIGKILL.
const PATIENCE: Duration = Duration::from_secs(3);

impl Running {
    /// Starts a command with its output captured and nothing to read.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_onto(command, Stdio::piped())
    }

    /// The same, where standard output goes somewhere else.
    pub fn spawn_onto(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = Captured::of(child.stdout.take());
        let stderr = Captured::of(child.stderr.take());
        Self { child, name, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a text on standard error.
    ///
    /// # Errors
    /// It ended, or time is over; the message holds what it said.
    pub fn wait_for(&mut self, text: &str) -> Result<(), String> {
        let found = until(SOON, || {
            if self.stderr().contains(text) {
                return Some(true);
            }
            self.has_ended().then(|| self.read_rest().stderr.contains(text))
        });
        if found == Some(true) {
            return Ok(());
        }
        Err(format!(
            "{} did not say {text:?}\nstderr: {}\nstdout: {}",
            self.name,
            self.stderr(),
            self.stdout()
        ))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.status().is_some()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Outcome {
        self.wait_at_most(2 * SOON)
    }

    /// Waits until it ends by itself; a test fails if that takes longer than `limit`.
    pub fn wait_at_most(&mut self, limit: Duration) -> Outcome {
        let ended = until(limit, || self.status()).is_some();
        assert!(ended, "{} still runs after {limit:?}\nstderr: {}", self.name, self.stderr());
        self.read_rest()
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self) -> Outcome {
        if !self.has_ended() {
            self.signal(Signal::TERM);
        }
        self.wait()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What an ended process left: its output is complete, unless a child of its own holds it open.
    fn read_rest(&mut self) -> Outcome {
        let status = self.status();
        self.stdout.finish();
        self.stderr.finish();
        Outcome {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            if until(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
                // Gone meanwhile is as good.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, tail(&self.stderr()));
        }
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    Running::spawn(command).wait()
}

/// The end of a long text.
fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(4_000);
    text.get(text.ceil_char_boundary(start)..).unwrap_or_default()
}

/// One stream of a process, read by a thread as it comes.
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&bytes);
        let reader = stream.map(|stream| std::thread::spawn(move || keep(stream, &kept)));
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits a moment for what is still on its way.
    fn finish(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        if until(PATIENCE, || reader.is_finished().then_some(())).is_some() {
            // A reader that panicked has kept what it read.
            let _ = reader.join();
        }
    }
}

fn keep(mut stream: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
