//! The open-loop client: requests leave at fixed times, whatever the server does.
//!
//! A request that finds no free connection waits here, and its latency counts from the time it was
//! due, so that a server that stalls cannot hide the requests that it kept from being sent
//! ("coordinated omission"). How late requests left is reported too: where that is not small, the
//! client's core is the subject.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::{Errno, read};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::answer::{AnswerReader, Expected};
use crate::loader::{open_socket, request};

/// Latencies of all requests, in order of completion.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From the time due to the complete answer.
    pub answers: Vec<Duration>,
    /// From the time due to the time sent, where a connection was free at once.
    pub lateness: Vec<Duration>,
}

pub struct Pacer {
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// The longest free first: a connection that is never used would be closed as one that never
    /// asked.
    free: VecDeque<usize>,
    request: Vec<u8>,
    expected: Expected,
    interval: Duration,
}

struct Client {
    socket: OwnedFd,
    reader: AnswerReader,
    due: Instant,
}

impl Pacer {
    pub fn open(
        address: SocketAddr,
        connections: usize,
        per_second: u32,
        expected: Expected,
    ) -> Result<Pacer> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut clients = Vec::with_capacity(connections);
        for index in 0..connections {
            let socket = open_socket(address)?;
            let token = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &socket, token, epoll::EventFlags::IN)?;
            clients.push(Client { socket, reader: AnswerReader::default(), due: Instant::now() });
        }
        Ok(Pacer {
            epoll,
            free: (0..clients.len()).collect(),
            clients,
            request: request(address, "/", ""),
            expected,
            interval: Duration::from_secs(1) / per_second,
        })
    }

    /// Sends at the pace until `done`, at most for `span_max`, and waits for what is due.
    pub fn run(&mut self, span_max: Duration, done: impl Fn() -> bool) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        let mut queue = VecDeque::new();
        let timer = self.start_timer()?;
        let start = Instant::now();
        let mut issued = 0_u32;
        let mut ending = false;
        let mut events = Vec::with_capacity(self.clients.len() + 1);
        while !ending || !queue.is_empty() || self.free.len() < self.clients.len() {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&SILENCE_MAX))?;
            ensure!(!events.is_empty(), "no answer for {} s", SILENCE_MAX.tv_sec);
            for event in events.drain(..) {
                let token = event.data.u64();
                if token != TIMER {
                    self.receive(token as usize, &mut latencies)?;
                } else if !ending {
                    ending = done() || start.elapsed() >= span_max;
                    for _ in 0..expirations(&timer)? {
                        issued += 1;
                        let waits = queue.len() >= self.free.len();
                        queue.push_back((start + self.interval * issued, waits));
                    }
                }
            }
            if ending {
                epoll::delete(&self.epoll, &timer).or_else(already_deleted)?;
            }
            self.send_queued(&mut queue, &mut latencies)?;
        }
        Ok(latencies)
    }

    fn start_timer(&self) -> Result<OwnedFd> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let every = Timespec { tv_sec: 0, tv_nsec: i64::from(self.interval.subsec_nanos()) };
        let pace = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &pace)?;
        let token = epoll::EventData::new_u64(TIMER);
        epoll::add(&self.epoll, &timer, token, epoll::EventFlags::IN)?;
        Ok(timer)
    }

    fn send_queued(
        &mut self,
        queue: &mut VecDeque<(Instant, bool)>,
        latencies: &mut Latencies,
    ) -> Result<()> {
        while let Some(index) = self.free.front().copied() {
            let Some((due, waited)) = queue.pop_front() else { break };
            self.free.pop_front();
            let client = &mut self.clients[index];
            client.due = due;
            let sent = send(&client.socket, &self.request, SendFlags::NOSIGNAL)?;
            ensure!(sent == self.request.len(), "a request did not fit into the send buffer");
            if !waited {
                latencies.lateness.push(Instant::now().saturating_duration_since(due));
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, latencies: &mut Latencies) -> Result<()> {
        let client = &mut self.clients[index];
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let came = match recv(&client.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => bail!("the server closed a connection"),
            Ok((came, _)) => came,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => bail!("receive: {error}"),
        };
        let ended = client.reader.feed(&self.expected, &buffer[..came]).context("paced request")?;
        if ended > 0 {
            ensure!(ended == 1 && !self.free.contains(&index), "an answer to no request");
            latencies.answers.push(Instant::now().saturating_duration_since(client.due));
            self.free.push_back(index);
        }
        Ok(())
    }
}

/// The value below which `share` (0 to 1) of the durations lie, in milliseconds; nearest rank.
pub fn quantile_ms(durations: &[Duration], share: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

fn expirations(timer: &OwnedFd) -> Result<u64> {
    let mut count = [0; 8];
    match read(timer, &mut count) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(Errno::AGAIN) => Ok(0),
        Err(error) => Err(error).context("read the timer"),
    }
}

fn already_deleted(error: Errno) -> Result<(), Errno> {
    if error == Errno::NOENT { Ok(()) } else { Err(error) }
}

const TIMER: u64 = u64::MAX;
const ANSWER_BYTES_MAX: usize = 4096;
const SILENCE_MAX: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers one connection, but sleeps for `stall` before the tenth answer.
    fn stalling(stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            for count in 1.. {
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    return;
                }
                if count == 10 {
                    thread::sleep(stall);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            }
        });
        address
    }

    #[test]
    fn a_stall_counts_for_every_request_due_in_it() {
        let address = stalling(Duration::from_millis(200));
        let mut pacer = Pacer::open(address, 1, 500, Expected::exactly(b"ok")).unwrap();
        let latencies = pacer.run(Duration::from_millis(600), || false).unwrap();
        // About 100 of 300 requests were due while the server slept.
        let late = latencies.answers.iter().filter(|it| **it > Duration::from_millis(20)).count();
        assert!((200..=400).contains(&latencies.answers.len()), "{}", latencies.answers.len());
        assert!(late >= 50, "{late}");
        assert!(quantile_ms(&latencies.answers, 0.99) > 100.0);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let durations: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let check = |share, wanted: f64| {
            assert!((quantile_ms(&durations, share) - wanted).abs() < 1e-9);
        };
        check(0.5, 50.0);
        check(0.99, 99.0);
        check(1.0, 100.0);
        check(0.0, 1.0);
        assert!(quantile_ms(&[], 0.5).is_nan());
    }
}
