//! The access log: one record for each exchange, written without ever stopping a worker.
//!
//! Each worker formats into a buffer of its own; full buffers, and after a moment the rest, go to
//! one writer thread through a bounded queue. Where the queue is full, records are dropped and
//! counted.

mod escape;
mod format;
mod output;
mod redact;
mod sample;
mod template;
mod writer;

#[cfg(test)]
mod cost;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use stead_base::Reason;
use stead_core::{Exchange, Fields, Worker};
use stead_sys::clock;

pub use format::Format;
pub use redact::Redaction;
pub use sample::Sampling;
pub use template::{ANSWER_HEADER, Escape, HEADER, LineTemplate, Piece, Value};
pub use writer::{AccessLog, Destination};

use format::{Clock, Line};
use writer::Message;

/// Which records are written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How a line looks.
    pub format: Format,
    /// Which are written; `None` for all.
    pub sampling: Option<Sampling>,
    /// What is shown as `***`.
    pub redaction: Redaction,
}

impl From<Format> for Shape {
    fn from(format: Format) -> Self {
        Self { format, sampling: None, redaction: Redaction::default() }
    }
}

/// What the log tells of one exchange, beside the exchange itself.
pub(crate) struct Record<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) site: &'a str,
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    /// Why the connection was not kept after the answer, where that was our doing.
    pub(crate) closes: Option<Reason>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_body: u64,
    pub(crate) duration: Duration,
    /// The answer's fields, where [`WorkerLog::wants_answer`].
    pub(crate) answer: Option<&'a Fields>,
}

impl Record<'_> {
    /// Whether the answer was not sent whole, or not at all.
    fn is_cut(&self) -> bool {
        self.status == 0 || self.reason != Reason::Ok && self.reason.status() != Some(self.status)
    }
}

/// A worker sends its buffer on when it holds this much.
const BUFFER_BYTES: usize = 32 << 10;

/// One worker's end of the log.
pub(crate) struct WorkerLog {
    worker: Rc<Worker>,
    shape: Shape,
    buffer: RefCell<Buffer>,
    sender: SyncSender<Message>,
    flush_every: Option<Duration>,
}

#[derive(Default)]
struct Buffer {
    text: Vec<u8>,
    records: u64,
    clock: Clock,
}

impl WorkerLog {
    pub(crate) fn new(worker: Rc<Worker>, log: &AccessLog) -> Self {
        let (shape, sender) = log.parts();
        Self { worker, shape, buffer: RefCell::default(), sender, flush_every: log.flush_every() }
    }

    /// Whether a record wants the fields of the answer.
    pub(crate) fn wants_answer(&self) -> bool {
        matches!(&self.shape.format, Format::Template(template) if template.wants_answer())
    }

    /// Formats a record; sends the buffer on when it is full, or at once where people look on.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let mut one_in = None;
        if let Some(sampling) = &self.shape.sampling {
            one_in = sampling.pick(record, || self.worker.random());
            if one_in.is_none() {
                return;
            }
        }
        let mut buffer = self.buffer.borrow_mut();
        let Buffer { text, clock, .. } = &mut *buffer;
        let now = clock::wall();
        clock.update(now);
        let line = Line { record, redaction: &self.shape.redaction, one_in, clock, now };
        line.write(text, &self.shape.format);
        buffer.records += 1;
        if buffer.text.len() >= BUFFER_BYTES || self.flush_every.is_none() {
            self.send(&mut buffer);
        }
    }

    /// Sends on what there is, at the pace of the destination, for ever.
    pub(crate) async fn keep_flushing(&self) {
        loop {
            // Where records leave at once, those that found the queue full still wait.
            tokio::time::sleep(self.flush_every.unwrap_or(RETRY_EVERY)).await;
            self.flush();
        }
    }

    /// Sends on what there is.
    pub(crate) fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.text.is_empty() {
            self.send(&mut buffer);
        }
    }

    fn send(&self, buffer: &mut Buffer) {
        let room = if self.flush_every.is_some() { BUFFER_BYTES + 1024 } else { 0 };
        let text = std::mem::replace(&mut buffer.text, Vec::with_capacity(room));
        match self.sender.try_send(Message::Records(text)) {
            Ok(()) => buffer.records = 0,
            // The writer is behind: what little there is can wait here.
            Err(TrySendError::Full(Message::Records(text))) if text.len() < BUFFER_BYTES => {
                buffer.text = text;
            }
            Err(error) => {
                // The records are lost, the storage need not be.
                if let TrySendError::Full(Message::Records(mut text)) = error {
                    text.clear();
                    buffer.text = text;
                }
                let records = std::mem::take(&mut buffer.records);
                self.worker.counters.access_records_dropped.add(records);
            }
        }
    }
}

/// How soon records that found the queue full are sent again, where none is kept back otherwise.
const RETRY_EVERY: Duration = Duration::from_millis(100);
