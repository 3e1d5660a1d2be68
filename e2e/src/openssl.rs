//! `openssl s_client`: a client that says everything of a handshake, and sends what it is told.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::process::Outcome;

/// One connection of `openssl s_client`.
pub struct SClient {
    child: Child,
    input: Option<ChildStdin>,
}

impl SClient {
    /// Connects to a port of this machine, trusting `ca`.
    pub fn connect(port: u16, ca: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.arg("s_client").arg("-connect").arg(format!("127.0.0.1:{port}"));
        command.arg("-CAfile").arg(ca).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is there");
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &str) {
        let input = self.input.as_mut().expect("open");
        // It may have ended already: its outcome says why.
        let _ = input.write_all(bytes.as_bytes());
        let _ = input.flush();
    }

    /// Waits until it ends by itself: its input stays open.
    pub fn finish(mut self) -> Outcome {
        let input = self.input.take();
        let output = self.child.wait_with_output().expect("its output");
        drop(input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome {
            code: output.status.code(),
            signal: None,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}
