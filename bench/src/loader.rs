//! The closed-loop load generator: N connections, each sends its next request when the answers to
//! its last are complete. One thread, one epoll set, one buffer; every answer is checked.
//!
//! Three shapes: keep-alive, keep-alive with several requests in one write (pipelined), and a new
//! connection for each request (the server must close it: an answer counts at end of stream).
//! A span ends when its time is over or its number of answers is reached, and then waits for the
//! answers still due, so that answers counted equal requests sent. Each in the clear or over TLS;
//! with a connection for each request the last is then mostly handshakes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::answer::{AnswerReader, Expected};
use crate::certificate::NAME;
use crate::channel::{Came, Channel, Handshake, Secure};

/// What to send and what must come back.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    pub path: String,
    pub expected: Expected,
    pub connections: usize,
    pub reuse: Reuse,
    /// Bytes that one read takes at most: small reads make the server write in small pieces.
    pub read_bytes: usize,
    /// TLS, or none for the clear.
    pub secure: Option<Secure>,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reuse {
    /// Requests follow one another, `depth` of them in each write.
    KeepAlive { depth: u64 },
    /// One request per connection, which the server closes.
    Never,
}

/// What one span of load did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub answers: u64,
    pub connections: u64,
    /// Of the connections that were answered and closed, those whose handshake was a resumed one.
    pub resumed: u64,
    pub bytes: u64,
    pub elapsed: Duration,
}

pub struct Loader {
    plan: Plan,
    burst: Vec<u8>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    opened: u64,
}

struct Connection {
    channel: Channel,
    reader: AnswerReader,
    /// Answers still due to requests sent.
    due: u64,
}

impl Loader {
    /// Opens the connections; no request is sent yet.
    pub fn open(plan: Plan) -> Result<Loader> {
        let request = |more| match &plan.secure {
            None => request(plan.address, &plan.path, more),
            Some(_) => request_to(&secure_host(plan.address), &plan.path, more),
        };
        let burst = match plan.reuse {
            Reuse::KeepAlive { depth } => request("").repeat(depth as usize),
            Reuse::Never => request("Connection: close\r\n"),
        };
        let mut loader = Loader {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(plan.connections),
            buffer: vec![0; plan.read_bytes],
            opened: 0,
            burst,
            plan,
        };
        for index in 0..loader.plan.connections {
            let connection = loader.connection(index)?;
            loader.connections.push(connection);
        }
        Ok(loader)
    }

    /// Loads the server for `span` or until `answers_max` answers, and waits for those due.
    pub fn run(&mut self, span: Duration, answers_max: u64) -> Result<Totals> {
        let start = Instant::now();
        let mut totals = Totals::default();
        let opened = self.opened;
        for index in 0..self.connections.len() {
            self.send_burst(index)?;
        }
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut last_progress = start;
        let mut waiting = self.connections.len();
        while waiting > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&WAIT_MAX))?;
            let now = Instant::now();
            if !events.is_empty() {
                last_progress = now;
            }
            ensure!(now - last_progress < SILENCE_MAX, "no answer for {SILENCE_MAX:?}");
            let more = now - start < span && totals.answers < answers_max;
            for event in events.drain(..) {
                let index = event.data.u64() as usize;
                if self.receive(index, &mut totals).context("wrong answer under load")? {
                    if more {
                        self.send_burst(index)?;
                    } else {
                        waiting -= 1;
                    }
                }
            }
        }
        totals.elapsed = start.elapsed();
        // With a connection per request each burst leaves a fresh connection behind.
        totals.connections = self.opened - opened;
        Ok(totals)
    }

    fn send_burst(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = match self.plan.reuse {
            Reuse::KeepAlive { depth } => depth,
            Reuse::Never => 1,
        };
        connection.channel.send(&self.burst)
    }

    /// Reads what came until a read is not full, as most clients do; true when the connection's
    /// burst is answered completely.
    fn receive(&mut self, index: usize, totals: &mut Totals) -> Result<bool> {
        loop {
            let connection = &mut self.connections[index];
            let came = match connection.channel.receive(&mut self.buffer)? {
                Came::End => return self.end_of_stream(index, totals),
                Came::Nothing => return Ok(false),
                Came::Bytes(came) => came,
            };
            let ended = connection.reader.feed(&self.plan.expected, &self.buffer[..came])?;
            totals.answers += ended;
            totals.bytes += came as u64;
            ensure!(ended <= connection.due, "an answer to no request");
            connection.due -= ended;
            if connection.due == 0 && self.plan.reuse != Reuse::Never {
                ensure!(connection.reader.is_between_answers(), "bytes behind the answer");
                return Ok(true);
            }
            if came < self.buffer.len() && !connection.channel.holds_bytes() {
                return Ok(false);
            }
        }
    }

    /// The server closed: right after the one answer of a connection, else an error.
    fn end_of_stream(&mut self, index: usize, totals: &mut Totals) -> Result<bool> {
        let connection = &self.connections[index];
        let complete = connection.due == 0 && connection.reader.is_between_answers();
        ensure!(complete && self.plan.reuse == Reuse::Never, "the server closed a connection");
        totals.resumed += u64::from(connection.channel.handshake() == Some(Handshake::Resumed));
        self.connections[index] = self.connection(index)?;
        Ok(true)
    }

    fn connection(&mut self, index: usize) -> Result<Connection> {
        self.opened += 1;
        let socket = open_socket(self.plan.address)?;
        if self.plan.reuse == Reuse::Never {
            // The server closed first. Closing with a reset leaves no TIME_WAIT behind, whose
            // table would fill in the course of a bench and change later runs.
            set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        let token = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, token, epoll::EventFlags::IN)?;
        let channel = Channel::open(socket, self.plan.secure.as_ref())?;
        Ok(Connection { channel, reader: AnswerReader::default(), due: 0 })
    }
}

/// One exchange on a connection of its own, the whole body compared with `body`.
pub fn check_once(
    address: SocketAddr,
    path: &str,
    body: &[u8],
    secure: Option<Secure>,
) -> Result<()> {
    let plan = Plan {
        secure,
        address,
        path: path.to_owned(),
        expected: Expected::exactly(body),
        connections: 1,
        reuse: Reuse::KeepAlive { depth: 1 },
        read_bytes: READ_BYTES,
    };
    let totals = Loader::open(plan)?.run(Duration::ZERO, 1).context("check before the load")?;
    ensure!(totals.answers == 1, "no answer");
    Ok(())
}

/// A connected socket. Loopback connects at once unless the server's backlog is full.
pub fn open_socket(address: SocketAddr) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &address).context("connect")?;
    set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// The same from a given loopback address, each of which has ports of its own; port 0 is any.
pub fn open_socket_from(source: SocketAddr, address: SocketAddr) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &source).with_context(|| format!("bind {source}"))?;
    connect(&socket, &address).context("connect")?;
    set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// Bytes of one GET request as a plain client would send it; `more` holds further header lines.
pub fn request(address: SocketAddr, path: &str, more: &str) -> Vec<u8> {
    request_to(&address.to_string(), path, more)
}

/// The same to a host by its name.
pub fn request_to(host: &str, path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").into_bytes()
}

/// The host that requests over TLS name: one that the certificate is for.
pub fn secure_host(address: SocketAddr) -> String {
    format!("{NAME}:{}", address.port())
}

/// What wrk reads at once; the limits of large answers were found with it.
pub const READ_BYTES: usize = 8 * 1024;
const EVENTS_MAX: usize = 512;
const WAIT_MAX: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const SILENCE_MAX: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
