//! A load generator for more connections than a process may have descriptors: threads, each with a
//! descriptor table and a loopback address of its own, each of whose connections makes one request
//! and then rests.
//!
//! A thread waits for one answer at a time: with as many threads as the server has event loops that
//! keeps both sides busy, and a connection at rest is a descriptor and nothing else. Ports are
//! given out in order; letting the kernel search for free ones gets slow as an address fills.
//! Closed with resets, connections leave no `TIME_WAIT` behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::answer::{AnswerReader, Expected};
use crate::loader::{open_socket_from, request};

/// Connections of one thread: below the usual limit of 20,000 descriptors.
pub(super) const PER_SHARD: usize = 10_000;

/// What all threads are told to do, each with its share.
#[derive(Clone)]
pub(super) enum Order {
    /// Open so many more connections, with a request on each.
    Open(usize),
    /// One more request on every so-manieth connection, by chance.
    AskSome(u64),
    /// One more request on every connection, one after the other.
    AskAll,
    /// A request on every connection at once, then every answer.
    Storm(Arc<Barrier>),
}

/// What one thread did, or all together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Answers that were right.
    pub(super) answers: u64,
    /// The longest time from a request to its answer.
    pub(super) worst: Duration,
}

pub(super) struct Shards {
    threads: Vec<Thread>,
    shared: Arc<Shared>,
}

struct Thread {
    /// Taken to end the thread.
    orders: Option<Sender<Order>>,
    reports: Receiver<Result<Done>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    opened: AtomicU64,
    stops: AtomicBool,
}

impl Shards {
    /// Threads for `count` connections; none is opened yet.
    pub(super) fn start(address: SocketAddr, count: usize, expected: &Expected) -> Result<Shards> {
        let shared: Arc<Shared> = Arc::default();
        let threads = (0..count.div_ceil(PER_SHARD))
            .map(|index| Thread::start(index, address, expected.clone(), Arc::clone(&shared)))
            .collect::<Result<_>>()?;
        Ok(Shards { threads, shared })
    }

    /// How many threads there are.
    pub(super) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Connections opened and answered once.
    pub(super) fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// Opens connections until there are `count`; [`Self::carry_out`] says of `meanwhile`.
    pub(super) fn open_until(
        &mut self,
        count: usize,
        meanwhile: impl FnMut(&Shards) -> Result<()>,
    ) -> Result<Done> {
        let more = count - self.opened() as usize;
        let (each, rest) = (more / self.len(), more % self.len());
        let orders = (0..self.len()).map(|index| Order::Open(each + usize::from(index < rest)));
        self.carry_out(orders.collect(), meanwhile)
    }

    /// Has every thread carry out the same order.
    pub(super) fn all(
        &mut self,
        order: &Order,
        meanwhile: impl FnMut(&Shards) -> Result<()>,
    ) -> Result<Done> {
        self.carry_out(vec![order.clone(); self.len()], meanwhile)
    }

    /// Gives each thread its order and waits for all, with `meanwhile` now and then, whose error
    /// ends it.
    fn carry_out(
        &mut self,
        orders: Vec<Order>,
        mut meanwhile: impl FnMut(&Shards) -> Result<()>,
    ) -> Result<Done> {
        for (thread, order) in self.threads.iter().zip(orders) {
            thread.send(order)?;
        }
        let mut all = Done::default();
        let mut outcome = Ok(());
        for thread in &self.threads {
            loop {
                match thread.reports.recv_timeout(LOOK_EVERY) {
                    Ok(Ok(done)) => {
                        all.answers += done.answers;
                        all.worst = all.worst.max(done.worst);
                        break;
                    }
                    Ok(Err(error)) => {
                        self.shared.stops.store(true, Ordering::Relaxed);
                        outcome = outcome.and(Err(error));
                        break;
                    }
                    Err(RecvTimeoutError::Disconnected) => bail!("a thread of the load panicked"),
                    Err(RecvTimeoutError::Timeout) => {
                        if outcome.is_ok() {
                            outcome = meanwhile(self);
                            self.shared.stops.store(outcome.is_err(), Ordering::Relaxed);
                        }
                    }
                }
            }
        }
        outcome.map(|()| all)
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            drop(thread.orders.take());
        }
        for thread in &mut self.threads {
            if let Some(thread) = thread.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Thread {
    fn start(
        index: usize,
        address: SocketAddr,
        expected: Expected,
        shared: Arc<Shared>,
    ) -> Result<Thread> {
        let (orders, received) = channel();
        let (sender, reports) = channel();
        let work = move || {
            let shard = Shard::new(index, address, expected, shared);
            if let Ok(mut shard) = shard.map_err(|error| sender.send(Err(error))) {
                for order in received {
                    let done = shard.carry_out(order);
                    if sender.send(done).is_err() {
                        break;
                    }
                }
                shard.close();
            }
        };
        let thread = Builder::new().name(format!("shard-{index}")).stack_size(STACK_BYTES);
        Ok(Thread { orders: Some(orders), reports, thread: Some(thread.spawn(work)?) })
    }

    fn send(&self, order: Order) -> Result<()> {
        let orders = self.orders.as_ref().context("the load has ended")?;
        orders.send(order).map_err(|_| anyhow!("a thread of the load has ended"))
    }
}

/// One thread's part, in its own table of descriptors.
struct Shard {
    source: Ipv4Addr,
    address: SocketAddr,
    request: Vec<u8>,
    expected: Expected,
    reader: AnswerReader,
    members: Vec<OwnedFd>,
    random: u64,
    shared: Arc<Shared>,
}

impl Shard {
    fn new(
        index: usize,
        address: SocketAddr,
        expected: Expected,
        shared: Arc<Shared>,
    ) -> Result<Shard> {
        stead_sys::table::part(&[]).context("a descriptor table for a thread")?;
        let (high, low) = (index / SOURCES_MAX, index % SOURCES_MAX);
        Ok(Shard {
            source: Ipv4Addr::new(127, 1 + high as u8, 1 + low as u8, 1),
            address,
            request: request(address, "/", ""),
            expected,
            reader: AnswerReader::default(),
            members: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15 ^ index as u64,
            shared,
        })
    }

    fn carry_out(&mut self, order: Order) -> Result<Done> {
        match order {
            Order::Open(count) => self.open(count),
            Order::AskSome(one_in) => {
                let chosen: Vec<usize> = (0..self.members.len())
                    .filter(|_| self.dice().is_multiple_of(one_in))
                    .collect();
                self.ask(chosen)
            }
            Order::AskAll => self.ask(0..self.members.len()),
            Order::Storm(start) => {
                start.wait();
                self.storm()
            }
        }
    }

    fn open(&mut self, count: usize) -> Result<Done> {
        let first = self.members.len();
        for index in first..first + count {
            let source = SocketAddr::from((self.source, FIRST_PORT + index as u16));
            let socket = open_socket_from(source, self.address)
                .with_context(|| format!("connection {index} from {}", self.source))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(SILENCE_MAX))?;
            self.members.push(socket);
            self.exchange(index)?;
            self.shared.opened.fetch_add(1, Ordering::Relaxed);
            self.ensure_going()?;
        }
        Ok(Done { answers: count as u64, ..Done::default() })
    }

    fn ask(&mut self, members: impl IntoIterator<Item = usize>) -> Result<Done> {
        let mut done = Done::default();
        for index in members {
            let start = Instant::now();
            self.ensure_silent(index)?;
            self.exchange(index)?;
            done.answers += 1;
            done.worst = done.worst.max(start.elapsed());
            self.ensure_going()?;
        }
        Ok(done)
    }

    fn storm(&mut self) -> Result<Done> {
        let mut sent = Vec::with_capacity(self.members.len());
        for index in 0..self.members.len() {
            sent.push(Instant::now());
            self.send(index)?;
        }
        let mut done = Done::default();
        for (index, sent) in sent.into_iter().enumerate() {
            self.receive(index)?;
            done.answers += 1;
            done.worst = done.worst.max(sent.elapsed());
        }
        Ok(done)
    }

    fn exchange(&mut self, index: usize) -> Result<()> {
        self.send(index)?;
        self.receive(index)
    }

    fn send(&self, index: usize) -> Result<()> {
        let sent = send(&self.members[index], &self.request, SendFlags::NOSIGNAL)
            .with_context(|| format!("send on connection {index} from {}", self.source))?;
        ensure!(sent == self.request.len(), "a request did not fit into the send buffer");
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        loop {
            let came = match recv(&self.members[index], &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) => bail!("the server closed connection {index} of {}", self.source),
                Ok((came, _)) => came,
                Err(Errno::INTR) => continue,
                Err(error) => bail!("no answer on connection {index} of {}: {error}", self.source),
            };
            match self.reader.feed(&self.expected, &buffer[..came])? {
                0 => {}
                1 if self.reader.is_between_answers() => return Ok(()),
                _ => bail!("bytes behind the answer on connection {index} of {}", self.source),
            }
        }
    }

    /// A connection that rests must be open and have nothing to read.
    fn ensure_silent(&self, index: usize) -> Result<()> {
        let came = recv(&self.members[index], &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK);
        let source = self.source;
        ensure!(came == Err(Errno::AGAIN), "connection {index} of {source} did not stay quiet");
        Ok(())
    }

    fn ensure_going(&self) -> Result<()> {
        ensure!(!self.shared.stops.load(Ordering::Relaxed), "another part of the load failed");
        Ok(())
    }

    fn close(&mut self) {
        for member in self.members.drain(..) {
            // One that refuses is closed the plain way.
            let _ = set_socket_linger(&member, Some(Duration::ZERO));
        }
    }

    /// Numbers by chance: xorshift (Marsaglia, Journal of Statistical Software 8.14, 2003).
    fn dice(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}

/// How often somebody who waits for the threads looks round.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const FIRST_PORT: u16 = 1024;
const SOURCES_MAX: usize = 250;
const STACK_BYTES: usize = 256 << 10;
const ANSWER_BYTES_MAX: usize = 4096;
/// How long an answer may take at most.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers everything, with a thread for each connection.
    fn answering() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).unwrap_or(0) > 0 {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn a_crowd_opens_asks_and_storms() {
        let mut shards = Shards::start(answering(), 40, &Expected::exactly(b"ok")).unwrap();
        shards.open_until(10, |_| Ok(())).unwrap();
        shards.open_until(40, |_| Ok(())).unwrap();
        assert_eq!((shards.opened(), shards.len()), (40, 1));
        assert_eq!(shards.all(&Order::AskAll, |_| Ok(())).unwrap().answers, 40);
        assert!(shards.all(&Order::AskSome(4), |_| Ok(())).unwrap().answers < 40);
        let storm = Order::Storm(Arc::new(Barrier::new(1)));
        assert_eq!(shards.all(&storm, |_| Ok(())).unwrap().answers, 40);
    }

    #[test]
    fn a_wrong_answer_ends_the_load() {
        let mut shards = Shards::start(answering(), 2, &Expected::exactly(b"no")).unwrap();
        assert!(shards.open_until(2, |_| Ok(())).is_err());
    }
}
