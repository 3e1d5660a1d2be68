//! A client that sends bytes and takes answers apart; strict about their framing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

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
    pub(crate) trailers: String,
}

/// Longer than any wait of these tests.
const PATIENCE: Duration = Duration::from_secs(20);

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, rest: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "", b"")
    }

    /// A request with more field lines and a body of known length.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        fields: &str,
        body: &[u8],
    ) -> Answer {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{length}{fields}\r\n"));
        self.send(body);
        self.answer_to(method)
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.head();
        let status: u16 = head[9..12].parse().expect("a status");
        let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new() };
        if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            return answer;
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
            answer.trailers = self.lines_to_empty();
        } else if let Some(length) = answer.field("content-length") {
            let length = length.parse().expect("a length");
            answer.body = self.take(length);
        } else {
            answer.body = self.read_to_close();
        }
        answer
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> String {
        self.until(b"\r\n\r\n")
    }

    /// The next chunk; `None` for the last.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
        if size == 0 {
            return None;
        }
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        Some(chunk)
    }

    fn lines_to_empty(&mut self) -> String {
        let mut lines = String::new();
        loop {
            let line = self.until(b"\r\n");
            if line == "\r\n" {
                return lines;
            }
            lines.push_str(&line);
        }
    }

    fn until(&mut self, end: &[u8]) -> String {
        loop {
            let found = self.rest.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let head = self.rest.drain(..at + end.len()).collect();
                return String::from_utf8(head).expect("text");
            }
            assert!(
                self.fill() > 0,
                "the connection ended: {:?}",
                self.rest.escape_ascii().to_string()
            );
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.rest.len() < count {
            assert!(self.fill() > 0, "the connection ended");
        }
        self.rest.drain(..count).collect()
    }

    pub(crate) fn read_to_close(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.rest)
    }

    /// Whether the server closes within a while, and says nothing before.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest.is_empty() && self.fill() == 0
    }

    fn fill(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }
}

/// Whether `holds` becomes true within ten seconds.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let ends = Instant::now() + Duration::from_secs(10);
    while Instant::now() < ends {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    holds()
}
