//! Where records end up: standard output, standard error, or a file.
//!
//! Written without a buffer between, so that what a failing write took is known to the byte.
//!
//! INVARIANT: a line that was written in part never runs into the next one. It is taken back where
//! the file is regular and nobody else wrote to it; elsewhere a newline ends it first.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::Destination;

/// An open destination.
pub(super) struct Output {
    sink: Sink,
    /// The last line there has no end.
    is_torn: bool,
}

enum Sink {
    Stdout,
    Stderr,
    File(File),
}

/// What a failed write cost.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) records: u64,
    pub(super) error: io::Error,
}

impl Output {
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        let path = match destination {
            Destination::Stdout => return Ok(Self { sink: Sink::Stdout, is_torn: false }),
            Destination::Stderr => return Ok(Self { sink: Sink::Stderr, is_torn: false }),
            Destination::File(path) => path,
        };
        let file = open_file(path)?;
        let is_torn = regular_size(&file).is_some_and(|size| ends_torn(path, size));
        Ok(Self { sink: Sink::File(file), is_torn })
    }

    /// Whether people look at it as it is written.
    pub(super) fn is_terminal(&self) -> bool {
        self.descriptor(|descriptor| descriptor.is_terminal())
    }

    /// Whether it is a file with a size.
    pub(super) fn is_regular(&self) -> bool {
        self.size().is_some()
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// Some of them could not be written: how many, and why.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), Lost> {
        if self.is_torn {
            let (_, ended) = self.write_bytes(b"\n");
            ended.map_err(|error| Lost { records: lines(text), error })?;
            self.is_torn = false;
        }
        let before = self.size();
        let (written, result) = self.write_bytes(text);
        let Err(error) = result else { return Ok(()) };
        let written_lines = text[..written].iter().rposition(|byte| *byte == b'\n');
        let whole = written_lines.map_or(0, |last| last + 1);
        if written > whole {
            self.is_torn = !self.take_back(before, written, whole);
        }
        Err(Lost { records: lines(&text[whole..]), error })
    }

    /// How much of `text` was written, and why not all of it.
    fn write_bytes(&self, text: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < text.len() {
            let rest = &text[written..];
            match self.descriptor(|descriptor| rustix::io::write(descriptor, rest)) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                // Whoever shares the terminal or pipe with us made it so.
                Err(Errno::AGAIN) => std::thread::sleep(FULL_FOR),
                Err(error) => return (written, Err(error.into())),
            }
        }
        (written, Ok(()))
    }

    /// Cuts the file off after its last whole line.
    fn take_back(&self, before: Option<u64>, written: usize, whole: usize) -> bool {
        let (Sink::File(file), Some(before)) = (&self.sink, before) else { return false };
        self.size() == Some(before + written as u64) && file.set_len(before + whole as u64).is_ok()
    }

    /// The size of a regular file.
    fn size(&self) -> Option<u64> {
        match &self.sink {
            Sink::File(file) => regular_size(file),
            Sink::Stdout | Sink::Stderr => None,
        }
    }

    fn descriptor<T>(&self, with: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match &self.sink {
            Sink::Stdout => with(io::stdout().as_fd()),
            Sink::Stderr => with(io::stderr().as_fd()),
            Sink::File(file) => with(file.as_fd()),
        }
    }
}

/// What others may do with a log that we make, as far as the umask lets them: who asked for what is
/// for the operator's group, not for everybody.
const FILE_MODE: u32 = 0o640;
/// How long a destination that takes nothing is left alone.
const FULL_FOR: Duration = Duration::from_millis(5);

/// Opens a log to be written at its end. Waits for nobody: a pipe without a reader is an error.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(FILE_MODE);
    let file =
        options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).map_err(|error| {
            let is_pipe = || path.metadata().is_ok_and(|facts| facts.file_type().is_fifo());
            if Errno::from_io_error(&error) == Some(Errno::NXIO) && is_pipe() {
                return io::Error::new(error.kind(), "it is a pipe that nobody reads");
            }
            error
        })?;
    // Writing waits for a reader that is there.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn lines(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').count() as u64 - 1
}

fn regular_size(file: &File) -> Option<u64> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).map(|facts| facts.len())
}

/// Whether the last line was never ended: by a crash, or by a full disk.
fn ends_torn(path: &Path, size: u64) -> bool {
    let mut last = [b'\n'];
    // One that we may not read may be torn for all we know: then it is left as it is.
    let read = File::open(path).and_then(|file| file.read_at(&mut last, size.saturating_sub(1)));
    size > 0 && read.is_ok() && last != [b'\n']
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Output {
        Output::open(&Destination::File(path.to_owned())).expect("opens")
    }

    fn read(path: &Path) -> Vec<u8> {
        let file = File::open(path).expect("is there");
        let mut bytes = vec![0; file.metadata().expect("has a size").len() as usize];
        file.read_exact_at(&mut bytes, 0).expect("is readable");
        bytes
    }

    #[test]
    fn a_device_that_is_full_loses_every_record() {
        let lost = open(Path::new("/dev/full")).write(b"a\nb\nc\n").expect_err("full");
        assert_eq!(lost.records, 3);
    }

    /// Once the start hung until somebody read.
    #[test]
    fn a_pipe_is_written_to_only_where_somebody_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("runs");
        assert!(made.success());
        let refused = Output::open(&Destination::File(path.clone())).err().expect("no reader");
        assert_eq!(refused.to_string(), "it is a pipe that nobody reads");
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        let _reader = options.open(&path).expect("opens");
        let output = open(&path);
        let flags = output.descriptor(|descriptor| fcntl_getfl(descriptor)).expect("flags");
        assert!(!flags.contains(OFlags::NONBLOCK) && flags.contains(OFlags::APPEND));
    }

    /// Once a record cut in half by a crash was glued to the first one of the next start.
    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "whole\nhal").expect("written");
        let mut output = open(&path);
        output.write(b"next\n").expect("written");
        output.write(b"last\n").expect("written");
        assert_eq!(read(&path), b"whole\nhal\nnext\nlast\n");
    }

    #[test]
    fn what_was_written_in_part_is_taken_back_unless_somebody_wrote_behind_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let output = open(&path);
        // As a disk that fills up leaves it.
        std::fs::write(&path, "one\ntwo\nthr").expect("written");
        assert!(!output.take_back(Some(2), 7, 4), "somebody else wrote");
        assert!(output.take_back(Some(4), 7, 4));
        assert_eq!(read(&path), b"one\ntwo\n");
    }

    #[test]
    fn a_new_log_is_not_for_everybody() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        open(&path);
        let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o7777 & !0o640, 0, "{mode:o}");
    }
}
