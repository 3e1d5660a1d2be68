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

/// Bytes that the peer of a TCP connection is ready to take now, or was when it last said
/// (`tcpi_snd_wnd` of `TCP_INFO`).
///
/// # Errors
/// The socket is none of TCP, or the kernel is older than 5.4 and does not tell.
pub fn send_window(socket: impl AsFd) -> io::Result<u32> {
    let mut facts = [0_u8; SEND_WINDOW_AT + 4];
    let mut length = facts.len() as libc::socklen_t;
    // SAFETY: the descriptor is open for the length of the borrow, and the kernel writes at most
    // `length` bytes, which is the size of the buffer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            facts.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    match facts.last_chunk() {
        Some(window) if length as usize == facts.len() => Ok(u32::from_ne_bytes(*window)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Lets no more than about `bytes` wait in the kernel unsent (`TCP_NOTSENT_LOWAT`): the socket is
/// writable again when less does.
pub fn keep_unsent_below(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the borrow, and the kernel reads one u32.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const bytes).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where `tcpi_snd_wnd` is in `struct tcp_info` (linux/tcp.h; it only ever grows at its end).
const SEND_WINDOW_AT: usize = 228;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_the_peer_has_not_read_is_unacknowledged() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        ours.write_all(b"hello").expect("write");
        assert!(unacknowledged(&ours).expect("ioctl") > 0);
        theirs.read_exact(&mut [0; 5]).expect("read");
        assert_eq!(unacknowledged(&ours).expect("ioctl"), 0);
    }

    #[test]
    fn the_window_of_a_peer_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
        let (ours, _) = listener.accept().expect("accept");
        let window = send_window(&ours).expect("TCP_INFO");
        assert!((1 << 10..1 << 30).contains(&window), "{window}");
        keep_unsent_below(&ours, 16 << 10).expect("TCP_NOTSENT_LOWAT");
        drop(theirs);
        let (unix, _) = UnixStream::pair().expect("a socket pair");
        assert!(send_window(&unix).is_err());
    }
}
