//! What `rustix` and `socket2` do not offer of sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes written to the socket that the peer has not acknowledged (`SIOCOUTQ`; for unix sockets:
/// that it has not read).
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open for the length of the borrow, and the kernel writes one int.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(count).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_the_peer_has_not_read_is_unacknowledged() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        ours.write_all(b"hello").expect("write");
        assert!(unacknowledged(&ours).expect("ioctl") > 0);
        theirs.read_exact(&mut [0; 5]).expect("read");
        assert_eq!(unacknowledged(&ours).expect("ioctl"), 0);
    }
}
