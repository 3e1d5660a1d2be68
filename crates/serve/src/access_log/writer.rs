//! The thread that writes the log, and the file that can be reopened under it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use stead_core::Counter;

use super::Shape;
use super::output::{Lost, Output};

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

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Buffers that may wait for the writer: 64 of 32 KiB.
const QUEUE_MAX: usize = 64;
/// How long the end of the process waits for the last records: the other end may be a pipe that
/// nobody reads.
const LAST_RECORDS_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long a worker keeps its records to itself at most: on a terminal not at all, so that those
/// of all workers come in their order; a program that reads gets them soon; a file has time.
const FILE_FLUSH_EVERY: Duration = Duration::from_secs(1);
const PIPE_FLUSH_EVERY: Duration = Duration::from_millis(100);

pub(super) enum Message {
    Records(Vec<u8>),
    /// Whoever waits for it is told how it went.
    Reopen(Option<SyncSender<io::Result<()>>>),
    Stop,
}

/// The process's access log.
pub struct AccessLog {
    destination: Destination,
    shape: Shape,
    sender: SyncSender<Message>,
    writer: Option<JoinHandle<()>>,
    flush_every: Option<Duration>,
    lost: Arc<Counter>,
    /// Set where the queue is full: whoever asks must not wait for a writer that is stuck.
    reopen_later: Arc<AtomicBool>,
}

impl AccessLog {
    /// Opens `destination` and starts the writer.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(destination: Destination, shape: impl Into<Shape>) -> io::Result<Self> {
        let output = Output::open(&destination)?;
        let flush_every = match &output {
            terminal if terminal.is_terminal() => None,
            file if file.is_regular() => Some(FILE_FLUSH_EVERY),
            _ => Some(PIPE_FLUSH_EVERY),
        };
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let (reopen_later, lost): (Arc<AtomicBool>, Arc<Counter>) = Default::default();
        let writer = Writer {
            output,
            destination: destination.clone(),
            lost: Arc::clone(&lost),
            reopen_later: Arc::clone(&reopen_later),
            failing_since: None,
        };
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&receiver))?;
        let shape = shape.into();
        Ok(Self {
            destination,
            shape,
            sender,
            writer: Some(writer),
            flush_every,
            lost,
            reopen_later,
        })
    }

    /// Where it goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Opens the file again under its name: after it was moved away.
    pub fn reopen(&self) {
        if self.sender.try_send(Message::Reopen(None)).is_err() {
            self.reopen_later.store(true, Ordering::Relaxed);
        }
    }

    /// The same; waits until it is done, for `limit` at most. Not to be called by a worker.
    ///
    /// # Errors
    /// The file cannot be opened (the old one goes on), or the writer is stuck.
    pub fn reopen_within(&self, limit: Duration) -> io::Result<()> {
        let (sender, receiver) = sync_channel(1);
        if self.sender.try_send(Message::Reopen(Some(sender))).is_err() {
            self.reopen_later.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        receiver.recv_timeout(limit).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Records that could not be written. Those that a worker dropped count with the worker.
    pub fn lost(&self) -> &Arc<Counter> {
        &self.lost
    }

    pub(super) fn parts(&self) -> (Shape, SyncSender<Message>) {
        (self.shape.clone(), self.sender.clone())
    }

    /// How long a worker keeps records to itself at most; `None` for not at all.
    pub(super) fn flush_every(&self) -> Option<Duration> {
        self.flush_every
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

struct Writer {
    output: Output,
    destination: Destination,
    lost: Arc<Counter>,
    reopen_later: Arc<AtomicBool>,
    /// The count of lost records when writing began to fail.
    failing_since: Option<u64>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            if self.reopen_later.swap(false, Ordering::Relaxed) {
                let _ = self.reopen();
            }
            match message {
                Message::Records(text) => match self.output.write(&text) {
                    Ok(()) => self.writes_again(),
                    Err(lost) => self.fails(&lost),
                },
                Message::Reopen(waiting) => {
                    let result = self.reopen();
                    if let Some(waiting) = waiting {
                        let _ = waiting.try_send(result);
                    }
                }
                Message::Stop => return,
            }
        }
    }

    /// Where it fails the old file goes on: nothing is lost.
    fn reopen(&mut self) -> io::Result<()> {
        match Output::open(&self.destination) {
            Ok(opened) => {
                self.output = opened;
                if let Destination::File(path) = &self.destination {
                    tracing::info!("the access log {} is open again", path.display());
                }
                Ok(())
            }
            Err(error) => {
                let destination = &self.destination;
                tracing::error!(
                    "the access log {destination} cannot be opened again, the old file goes on: \
                     {error}"
                );
                Err(error)
            }
        }
    }

    /// One line when writing begins to fail, not one for each record.
    fn fails(&mut self, lost: &Lost) {
        let before = self.lost.value();
        self.lost.add(lost.records);
        if self.failing_since.is_none() {
            self.failing_since = Some(before);
            let (destination, error) = (&self.destination, &lost.error);
            tracing::error!(
                "the access log cannot be written to {destination}, records are lost: {error}"
            );
        }
    }

    fn writes_again(&mut self) {
        if let Some(before) = self.failing_since.take() {
            let (destination, lost) = (&self.destination, self.lost.value() - before);
            tracing::info!("the access log is written to {destination} again, {lost} records lost");
        }
    }
}
