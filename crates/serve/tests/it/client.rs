//! A client that sends bytes and takes answers apart, slowly or fast, as a test wants.
//!
//! Strict on its own side: an answer that is not framed as it says fails the test.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Read beyond what was asked for.
    rest: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field, if it stands there once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice in {}", self.head);
        value
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }
}

/// Longer than any wait of these tests; a test that runs into it fails.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from(TcpStream::connect(address).expect("connect"))
    }

    /// A connection from another address of this machine.
    pub(crate) fn connect_from(ip: [u8; 4], to: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((ip, 0))).expect("bind");
        connect(&socket, &to).expect("connect");
        Self::from(TcpStream::from(socket))
    }

    /// Connects with a small receive buffer, so that the kernel takes little on our behalf.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_recv_buffer_size(&socket, 4 << 10).expect("a small buffer");
        connect(&socket, &address).expect("connect");
        Self::from(TcpStream::from(socket))
    }

    pub(crate) fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, rest: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    /// A GET on this connection.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.answer()
    }

    /// The next answer, whose body has a length, chunks, or none.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("a whole answer")
    }

    /// The next answer; `None` where the connection ends inside or before it.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let mut answer = Answer { status: status(&head), head, body: Vec::new() };
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().expect("a length");
            answer.body = self.take(length)?;
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks()?;
        }
        Some(answer)
    }

    /// The next head, with its empty line.
    pub(crate) fn head(&mut self) -> Option<String> {
        let end = self.find(b"\r\n\r\n")?;
        let head = self.take(end + 4)?;
        Some(String::from_utf8(head).expect("a head in ASCII"))
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.find(b"\r\n")?;
            let line = String::from_utf8(self.take(end + 2)?).expect("a chunk's size");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
            if size == 0 {
                let end =
                    if self.at_least(2)? == b"\r\n" { 2 } else { self.find(b"\r\n\r\n")? + 4 };
                self.take(end)?;
                return Some(body);
            }
            body.extend(self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n", "the end of a chunk");
        }
    }

    /// Exactly `count` bytes; `None` where the connection ends before.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        self.at_least(count)?;
        Some(self.rest.drain(..count).collect())
    }

    fn at_least(&mut self, count: usize) -> Option<&[u8]> {
        while self.rest.len() < count {
            self.fill()?;
        }
        Some(&self.rest[..count])
    }

    fn find(&mut self, mark: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            let found = self.rest[from..].windows(mark.len()).position(|bytes| bytes == mark);
            if let Some(at) = found {
                return Some(from + at);
            }
            from = self.rest.len().saturating_sub(mark.len() - 1);
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("read: {error}; so far {}", self.rest.escape_ascii()),
        }
    }

    /// Everything until the server closes.
    pub(crate) fn read_to_close(&mut self) -> String {
        while self.fill().is_some() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }

    /// Waits for the server to close without another byte.
    pub(crate) fn expect_closed(&mut self) {
        assert_eq!(self.read_to_close(), "");
    }

    /// Waits for an orderly end without another byte: a reset could have destroyed the answer.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.rest, b"");
        assert_eq!(self.stream.read(&mut [0]).expect("an end, no reset"), 0);
    }

    /// Whether nothing, not even an end, comes for `wait`.
    pub(crate) fn is_silent_for(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).expect("a read timeout");
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        self.rest.is_empty() && peeked.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shut down");
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        let at_once = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&self.stream, at_once).expect("no linger");
    }
}

fn status(head: &str) -> u16 {
    let words = head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("a status line: {head}"));
    words[..3].parse().expect("a status")
}

/// Whether a connection to `address` is refused.
pub(crate) fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
