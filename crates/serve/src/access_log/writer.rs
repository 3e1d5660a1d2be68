//! The thread that writes the log, and the file that can be reopened under it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Format;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// Buffers that may wait for the writer: 64 of 32 KiB.
const QUEUE_MAX: usize = 64;
/// How long the end of the process waits for the last records: the other end may be a pipe that
/// nobody reads.
const LAST_RECORDS_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(super) enum Message {
    Records(Vec<u8>),
    Reopen,
    Stop,
}

/// The process's access log.
pub struct AccessLog {
    format: Format,
    sender: SyncSender<Message>,
    writer: Option<JoinHandle<()>>,
    /// Set where the queue is full: whoever asks must not wait for a writer that is stuck.
    reopen_later: Arc<AtomicBool>,
}

impl AccessLog {
    /// Opens `destination` and starts the writer.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(destination: Destination, format: Format) -> io::Result<Self> {
        let output = Output::open(&destination)?;
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let reopen_later: Arc<AtomicBool> = Arc::default();
        let later = Arc::clone(&reopen_later);
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || run(output, &destination, &receiver, &later))?;
        Ok(Self { format, sender, writer: Some(writer), reopen_later })
    }

    /// Opens the file again under its name: after it was moved away.
    pub fn reopen(&self) {
        if self.sender.try_send(Message::Reopen).is_err() {
            self.reopen_later.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn parts(&self) -> (Format, SyncSender<Message>) {
        (self.format, self.sender.clone())
    }
}

impl Drop for AccessLog {
    /// Waits until everything that was sent is written, though not for ever.
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (mut waited, mut is_told) = (Duration::ZERO, false);
        while !writer.is_finished() && waited < LAST_RECORDS_WITHIN {
            is_told = is_told || self.sender.try_send(Message::Stop).is_ok();
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
        if writer.is_finished() {
            let _ = writer.join();
        } else {
            tracing::error!("the last records of the access log could not be written");
        }
    }
}

enum Output {
    Stdout,
    Stderr,
    File(File),
}

impl Output {
    fn open(destination: &Destination) -> io::Result<Self> {
        Ok(match destination {
            Destination::Stdout => Self::Stdout,
            Destination::Stderr => Self::Stderr,
            Destination::File(path) => {
                Self::File(OpenOptions::new().create(true).append(true).open(path)?)
            }
        })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(text),
            Self::File(file) => file.write_all(text),
        }
    }
}

fn run(
    mut output: Output,
    destination: &Destination,
    messages: &Receiver<Message>,
    reopen_later: &AtomicBool,
) {
    let mut is_failing = false;
    while let Ok(message) = messages.recv() {
        let mut reopen = reopen_later.swap(false, Ordering::Relaxed);
        match message {
            Message::Records(text) => {
                let result = output.write(&text);
                complain_once(&mut is_failing, destination, result);
            }
            Message::Reopen => reopen = true,
            Message::Stop => return,
        }
        if reopen {
            match Output::open(destination) {
                Ok(opened) => output = opened,
                // The old file goes on: nothing is lost.
                Err(error) => complain_once(&mut is_failing, destination, Err(error)),
            }
        }
    }
}

/// One line on stderr when writing begins to fail, not one for each record.
fn complain_once(is_failing: &mut bool, destination: &Destination, result: io::Result<()>) {
    match result {
        Ok(()) => *is_failing = false,
        Err(error) if !std::mem::replace(is_failing, true) => {
            tracing::error!("access log {destination:?}: {error}");
        }
        Err(_) => {}
    }
}
