//! A small HTTP/1.1 client that sends exactly the bytes it is given.
//!
//! Independent of Stead's own engine on purpose. Reads answers one after another, so that a test
//! can pipeline, be slow, or stop in the middle. A test that waits for bytes fails after a while
//! instead of hanging.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::answer::{Answer, find};
use crate::wait::SOON;

/// A connection of a client.
pub struct Connection {
    stream: Stream,
    /// What was read; `start..` belongs to answers that were not taken yet.
    input: Vec<u8>,
    start: usize,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a client says that wants the connection kept.
const KEEP: &str = "\r\nHost: localhost\r\n";

const READ_BYTES: usize = 64 << 10;

impl Connection {
    /// Connects to a port of this machine, over IPv4.
    pub fn open(port: u16) -> Self {
        Self::try_open(port).unwrap_or_else(|error| panic!("connect to port {port}: {error}"))
    }

    /// The same, where failing is an answer too.
    ///
    /// # Errors
    /// What connect(2) says.
    pub fn try_open(port: u16) -> io::Result<Self> {
        Self::of_tcp(TcpStream::connect(("127.0.0.1", port))?)
    }

    /// Takes over a connection.
    ///
    /// # Errors
    /// Its options cannot be set.
    pub fn of_tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(Self { stream: Stream::Tcp(stream), input: Vec::new(), start: 0 })
    }

    /// Connects to a unix socket.
    ///
    /// # Errors
    /// What connect(2) says.
    pub fn open_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(Self { stream: Stream::Unix(stream), input: Vec::new(), start: 0 })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends bytes, where failing is an answer too.
    ///
    /// # Errors
    /// What send(2) says.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// One request without body, and its answer.
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(head(method, target, fields));
        self.answer(method)
    }

    /// The answer to a request of this method.
    pub fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).unwrap_or_else(|error| panic!("no answer to {method}: {error}"))
    }

    /// The same, where failing is an answer too. Interim answers are passed over.
    ///
    /// # Errors
    /// The connection ended or broke inside the answer; an unexpected end is `UnexpectedEof`.
    pub fn try_answer(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let mut answer = self.answer_head()?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            let has_body = method != "HEAD" && !matches!(answer.status, 101 | 204 | 304);
            if has_body {
                answer.body = self.body(&answer)?;
            }
            return Ok(answer);
        }
    }

    /// The head of an answer; its body stays to be read.
    ///
    /// # Errors
    /// As [`Self::try_answer`].
    pub fn answer_head(&mut self) -> io::Result<Answer> {
        let head = self.until(b"\r\n\r\n")?;
        let head = head.strip_suffix(b"\r\n\r\n").unwrap_or(&head);
        Answer::parse_head(head).map_err(io::Error::other)
    }

    /// Exactly so many bytes.
    ///
    /// # Errors
    /// As [`Self::try_answer`].
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.input.len() - self.start < count {
            self.fill()?;
        }
        Ok(self.consume(count))
    }

    /// All bytes up to the end of the connection; a reset ends it too.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the connection does not end")
                }
                Err(_) => return self.consume(self.input.len() - self.start),
            }
        }
    }

    /// Whether the server ended the connection, and sent nothing before; waits for either.
    pub fn is_ended(&mut self) -> bool {
        match self.fill() {
            Ok(()) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Ends our side: the server sees the end of the input.
    pub fn finish(&mut self) {
        // Ended already is as good.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    fn body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            return self.take(length);
        }
        if answer.field("transfer-encoding").is_some_and(|value| value == "chunked") {
            return self.chunks();
        }
        Ok(self.rest())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let mut chunk = self.take(size + 2)?;
            chunk.truncate(size);
            body.append(&mut chunk);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Everything up to and including `end`.
    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = find(&self.input[searched..], end) {
                return Ok(self.consume(searched + at + end.len() - self.start));
            }
            // Filling may move what is there.
            let before = self.input.len() - self.start;
            self.fill()?;
            searched = self.start + (before + 1).saturating_sub(end.len());
        }
    }

    fn consume(&mut self, count: usize) -> Vec<u8> {
        let taken = self.input[self.start..self.start + count].to_vec();
        self.start += count;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        taken
    }

    fn fill(&mut self) -> io::Result<()> {
        self.input.drain(..self.start);
        self.start = 0;
        let before = self.input.len();
        self.input.resize(before + READ_BYTES, 0);
        let room = &mut self.input[before..];
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(room),
            Stream::Unix(stream) => stream.read(room),
        };
        self.input.truncate(before + *result.as_ref().unwrap_or(&0));
        match result? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A request head with `Host`, unless the fields name one.
pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1{KEEP}");
    if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.truncate(text.len() - KEEP.len() + 2);
    }
    for (name, value) in fields {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// Sends bytes on a connection of their own, and returns all that comes back until it ends.
pub fn exchange(port: u16, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = Connection::open(port);
    connection.send(bytes);
    String::from_utf8_lossy(&connection.rest()).into_owned()
}
