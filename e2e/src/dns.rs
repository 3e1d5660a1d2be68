//! A name server for tests: every name is this machine.
//!
//! It answers on UDP until it is dropped. A question for anything but an IPv4 address gets an
//! answer without records (RFC 1035 §4.1).

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A name server that runs.
pub struct Dns {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Starts one on a port that the system picks.
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(STEP)).expect("a timeout");
        let address = socket.local_addr().expect("an address");
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&socket, &stopped));
        Self { address, stop, thread: Some(thread) }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

/// How long the end may take.
const STEP: Duration = Duration::from_millis(50);

fn serve(socket: &UdpSocket, stopped: &AtomicBool) {
    let mut question = [0; 512];
    while !stopped.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut question) else { continue };
        if let Some(answer) = answer(&question[..length]) {
            // A peer that is gone does not want it.
            let _ = socket.send_to(&answer, peer);
        }
    }
}

/// The answer to one message with one question.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *question.get(end)? != 0 {
        end += usize::from(question[end]) + 1;
    }
    let asked = question.get(12..end + 5)?;
    let is_ipv4 = asked.ends_with(&[0, 1, 0, 1]);
    let mut answer = question[..2].to_vec();
    // A response, with recursion, without an error; one question, and one answer at most.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]);
    answer.extend(asked);
    if is_ipv4 {
        // The name of the question, A, IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_this_machine() {
        let question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
        let answer = answer(question).expect("one");
        assert!(answer.starts_with(b"\x12\x34\x81\x80\0\x01\0\x01"));
        assert!(answer.ends_with(&[0, 4, 127, 0, 0, 1]));
        let other = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x1c\0\x01";
        assert!(super::answer(other).expect("one").starts_with(b"\x12\x34\x81\x80\0\x01\0\0"));
        assert_eq!(super::answer(b"\x12"), None);
    }
}
