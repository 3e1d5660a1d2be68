//! A headless Chromium, driven by the protocol of its developer tools.
//!
//! Messages are JSON objects that end in a NUL, on two named pipes (`--remote-debugging-pipe`:
//! descriptor 3 is read, 4 is written). Every response and every failed load of the page is kept,
//! so that a test can say that none failed.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::process::{Running, run};

/// A browser with one open page.
pub struct Chromium {
    commands: File,
    messages: Receiver<Value>,
    /// Events that nobody asked for yet.
    events: VecDeque<Value>,
    session: String,
    sent: u64,
    /// URL and status of each response.
    pub responses: Vec<(String, u64)>,
    /// URL or id, and reason, of each load that failed.
    pub failures: Vec<(String, String)>,
    // The browser ends before its profile is removed.
    _running: Running,
    _folder: Folder,
}

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--no-proxy-server",
    "--remote-debugging-pipe",
];

impl Chromium {
    /// Starts it with a new profile and an empty page.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let folder = Folder::new();
        let (input, output) = (folder.join("commands"), folder.join("messages"));
        let made = run(Command::new("mkfifo").args([&input, &output]));
        assert_eq!(made.code, Some(0), "{made:?}");
        // Opened for both, which never waits for the other end.
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let commands = open(&input).expect("a pipe");
        let messages = read(open(&output).expect("a pipe"));
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"program=$1; shift; exec "$program" "$@" 3<commands 4>messages"#]);
        shell.arg("sh").arg(program()).args(FLAGS).args(flags);
        shell.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        shell.env("HOME", folder.path()).current_dir(folder.path());
        let mut browser = Self {
            commands,
            messages,
            events: VecDeque::new(),
            session: String::new(),
            sent: 0,
            responses: Vec::new(),
            failures: Vec::new(),
            _running: Running::spawn(&mut shell),
            _folder: folder,
        };
        browser.open_page();
        browser
    }

    /// Opens a URL and waits until it has loaded.
    pub fn open(&mut self, url: &str) {
        let result = self.ask("Page.navigate", &json!({ "url": url }));
        assert_eq!(result["errorText"], Value::Null, "{url}");
        self.wait_for_load();
    }

    /// Waits for the next page that has loaded.
    pub fn wait_for_load(&mut self) {
        self.wait_for_event("Page.loadEventFired");
    }

    /// The value of a JavaScript expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.ask("Runtime.evaluate", &parameters);
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub fn wait_until(&mut self, expression: &str) {
        let began = Instant::now();
        while self.evaluate(&format!("Boolean({expression})")) != Value::Bool(true) {
            assert!(began.elapsed() < PATIENCE, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn open_page(&mut self) {
        let page = self.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let parameters = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.ask("Target.attachToTarget", &parameters);
        self.session = attached["sessionId"].as_str().map(str::to_owned).expect("a session");
        for domain in ["Network.enable", "Page.enable", "Runtime.enable"] {
            self.ask(domain, &json!({}));
        }
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let text = format!("{message}\0");
        self.commands.write_all(text.as_bytes()).expect("the browser listens");
        loop {
            let mut message = self.next(method);
            if message["id"] == id {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    fn wait_for_event(&mut self, name: &str) {
        loop {
            let message = match self.events.pop_front() {
                Some(message) => message,
                None => self.next(name),
            };
            if message["method"] == name {
                return;
            }
        }
    }

    fn next(&mut self, wanted: &str) -> Value {
        let message = match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("the browser says nothing after {wanted}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended"),
        };
        self.note(&message);
        message
    }

    fn note(&mut self, message: &Value) {
        let facts = &message["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match message["method"].as_str() {
            Some("Network.responseReceived") => {
                let response = &facts["response"];
                let status = response["status"].as_u64().unwrap_or(0);
                self.responses.push((text(&response["url"]), status));
            }
            Some("Network.loadingFailed") => {
                self.failures.push((text(&facts["type"]), text(&facts["errorText"])));
            }
            _ => {}
        }
    }
}

fn program() -> &'static str {
    let on_path = |program: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    PROGRAMS.iter().find(on_path).expect("a Chromium; Debian's package is `chromium`")
}

/// Splits what the browser says into messages.
fn read(mut pipe: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            for byte in &buffer[..count] {
                if *byte != 0 {
                    kept.push(*byte);
                    continue;
                }
                let message = serde_json::from_slice(&kept).unwrap_or_default();
                kept.clear();
                if sender.send(message).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
