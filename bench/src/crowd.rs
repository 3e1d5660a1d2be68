//! Many connections that have made one request and are then quiet.
//!
//! They are opened as fast as one core can, with a window of answers outstanding; afterwards a
//! connection that the server closes, or that sends anything, is an error. One thread, one epoll
//! set, every answer checked; in the clear or over TLS, by HTTP/1.1 or HTTP/2.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::sockopt::set_socket_linger;

use crate::answer::{AnswerReader, Expected};
use crate::channel::{Came, Channel, Secure};
use crate::frames::Frames;
use crate::loader::{open_socket_from, request_to, secure_host};

/// What each member asks for, and how.
#[derive(Clone, Debug)]
pub struct Visit {
    pub address: SocketAddr,
    pub path: String,
    pub expected: Expected,
    /// TLS, or none for the clear.
    pub secure: Option<Secure>,
    pub protocol: Protocol,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    Http1,
    Http2,
}

pub struct Crowd {
    visit: Visit,
    host: String,
    epoll: OwnedFd,
    members: Vec<Member>,
    outstanding: usize,
    events: Vec<epoll::Event>,
}

struct Member {
    channel: Channel,
    speaker: Speaker,
    waits: bool,
}

/// What speaks the protocol of a member.
enum Speaker {
    Http1(AnswerReader),
    Http2(Box<Frames>),
}

impl Crowd {
    /// Opens `count` connections and has one answer on each.
    pub fn open(visit: Visit, count: usize) -> Result<Crowd> {
        let address = visit.address;
        let mut crowd = Crowd {
            host: match &visit.secure {
                None => address.to_string(),
                Some(_) => secure_host(address),
            },
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            members: Vec::with_capacity(count),
            outstanding: 0,
            events: Vec::with_capacity(WINDOW),
            visit,
        };
        for index in 0..count {
            let socket = open_socket_from((source(index), 0).into(), address)
                .with_context(|| format!("connection {index} of {count}"))?;
            // Closing with a reset leaves no TIME_WAIT behind that would take the port.
            set_socket_linger(&socket, Some(Duration::ZERO))?;
            let token = epoll::EventData::new_u64(index as u64);
            epoll::add(&crowd.epoll, &socket, token, epoll::EventFlags::IN)?;
            let channel = Channel::open(socket, crowd.visit.secure.as_ref())?;
            let speaker = match crowd.visit.protocol {
                Protocol::Http1 => Speaker::Http1(AnswerReader::default()),
                Protocol::Http2 => Speaker::Http2(Box::default()),
            };
            crowd.members.push(Member { channel, speaker, waits: false });
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
    /// A connection was closed, or an answer came on it, since its answer; in HTTP/1.1 in the clear
    /// also whatever else came.
    pub fn ensure_quiet(&mut self) -> Result<()> {
        loop {
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&NOT_AT_ALL))?;
            if self.events.is_empty() {
                return Ok(());
            }
            let plain = self.visit.secure.is_none() && self.visit.protocol == Protocol::Http1;
            ensure!(!plain, "{} connections did not stay quiet", self.events.len());
            // Tickets, settings, pings.
            self.receive_all()?;
        }
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        let request = match &mut member.speaker {
            Speaker::Http1(_) => request_to(&self.host, &self.visit.path, ""),
            Speaker::Http2(frames) => {
                frames.request(self.visit.secure.is_some(), &self.host, &self.visit.path)
            }
        };
        member.channel.send(&request).with_context(|| format!("connection {index}"))?;
        member.waits = true;
        self.outstanding += 1;
        Ok(())
    }

    fn wait_below(&mut self, window: usize) -> Result<()> {
        while self.outstanding >= window {
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&SILENCE_MAX))?;
            ensure!(!self.events.is_empty(), "{} answers are missing", self.outstanding);
            self.receive_all()?;
        }
        Ok(())
    }

    fn receive_all(&mut self) -> Result<()> {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let index = event.data.u64() as usize;
            while self.receive(index).with_context(|| format!("connection {index}"))? {}
        }
        self.events = events;
        Ok(())
    }

    /// Reads once; true where more may be there.
    fn receive(&mut self, index: usize) -> Result<bool> {
        let member = &mut self.members[index];
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let came = match member.channel.receive(&mut buffer)? {
            Came::Bytes(came) => &buffer[..came],
            Came::Nothing => return Ok(false),
            Came::End => bail!("the server closed it"),
        };
        let ended = match &mut member.speaker {
            Speaker::Http1(reader) => reader.feed(&self.visit.expected, came)?,
            Speaker::Http2(frames) => {
                let ended = frames.feed(&self.visit.expected, came)?;
                let replies = frames.take_replies();
                if !replies.is_empty() {
                    member.channel.send(&replies)?;
                }
                ended
            }
        };
        ensure!(ended <= u64::from(member.waits), "an answer to no request");
        if ended == 1 {
            member.waits = false;
            self.outstanding -= 1;
        }
        Ok(member.channel.holds_bytes())
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
