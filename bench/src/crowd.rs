//! Many connections that have made one request and are then quiet.
//!
//! They are opened as fast as one core can, with a window of answers outstanding; afterwards a
//! connection that the server closes, or that sends anything, is an error. One thread, one epoll
//! set, every answer checked.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::answer::{AnswerReader, Expected};
use crate::loader::{open_socket_from, request};

pub struct Crowd {
    epoll: OwnedFd,
    members: Vec<Member>,
    request: Vec<u8>,
    expected: Expected,
    outstanding: usize,
    events: Vec<epoll::Event>,
}

struct Member {
    socket: OwnedFd,
    reader: AnswerReader,
    waits: bool,
}

impl Crowd {
    /// Opens `count` connections and has one answer on each.
    pub fn open(address: SocketAddr, count: usize, expected: Expected) -> Result<Crowd> {
        let mut crowd = Crowd {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            members: Vec::with_capacity(count),
            request: request(address, "/", ""),
            expected,
            outstanding: 0,
            events: Vec::with_capacity(WINDOW),
        };
        for index in 0..count {
            let socket = open_socket_from(source(index), address)
                .with_context(|| format!("connection {index} of {count}"))?;
            // Closing with a reset leaves no TIME_WAIT behind that would take the port.
            set_socket_linger(&socket, Some(Duration::ZERO))?;
            let token = epoll::EventData::new_u64(index as u64);
            epoll::add(&crowd.epoll, &socket, token, epoll::EventFlags::IN)?;
            crowd.members.push(Member { socket, reader: AnswerReader::default(), waits: false });
            crowd.ask(index)?;
            crowd.wait_below(WINDOW)?;
        }
        crowd.wait_below(1)?;
        Ok(crowd)
    }

    /// One more request on every connection.
    pub fn ask_all(&mut self) -> Result<usize> {
        for index in 0..self.members.len() {
            self.ask(index)?;
            self.wait_below(WINDOW)?;
        }
        self.wait_below(1)?;
        Ok(self.members.len())
    }

    /// # Errors
    /// A connection was closed, or something came on it, since its answer.
    pub fn ensure_quiet(&mut self) -> Result<()> {
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&NOT_AT_ALL))?;
        ensure!(self.events.is_empty(), "{} connections did not stay quiet", self.events.len());
        Ok(())
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let sent = send(&member.socket, &self.request, SendFlags::NOSIGNAL)
            .with_context(|| format!("send on connection {index}"))?;
        ensure!(sent == self.request.len(), "a request did not fit into the send buffer");
        member.waits = true;
        self.outstanding += 1;
        Ok(())
    }

    fn wait_below(&mut self, window: usize) -> Result<()> {
        while self.outstanding >= window {
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&SILENCE_MAX))?;
            ensure!(!self.events.is_empty(), "{} answers are missing", self.outstanding);
            let events = std::mem::take(&mut self.events);
            for event in &events {
                self.receive(event.data.u64() as usize)?;
            }
            self.events = events;
            self.events.clear();
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let came = match recv(&member.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => bail!("the server closed connection {index}"),
            Ok((came, _)) => came,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => bail!("receive on connection {index}: {error}"),
        };
        let ended = member.reader.feed(&self.expected, &buffer[..came])?;
        ensure!(ended <= u64::from(member.waits), "an answer to no request");
        if ended == 1 {
            member.waits = false;
            self.outstanding -= 1;
        }
        Ok(())
    }
}

/// Loopback address that a connection comes from; one has too few ports for a large crowd.
fn source(index: usize) -> Ipv4Addr {
    let last = u8::try_from(2 + index / CONNECTIONS_PER_SOURCE).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, last)
}

const CONNECTIONS_PER_SOURCE: usize = 5_000;
/// Answers outstanding at once: enough to keep a server busy, few enough for its accept queue.
const WINDOW: usize = 500;
const ANSWER_BYTES_MAX: usize = 4096;
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const SILENCE_MAX: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };
