//! One request on the admin socket of a running Stead, by our own engine.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use stead_base::HeadLimits;
use stead_http1::{Event, Method, ResponseDecoder, ResponseHead};

/// An answer larger than this is not ours.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);
const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 64 << 10, field_count_max: 100, uri_bytes_max: 8 << 10 };

/// Sends `method path` to the admin socket; gives status and body.
///
/// # Errors
/// Nobody listens there, or the answer broke off or is no HTTP.
pub fn admin_request(socket: &Path, method: &str, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket)?;
    // SECURITY: whoever else made a socket of this name is not asked; root asks whom it names.
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    let own = rustix::process::geteuid();
    if !own.is_root() && !peer.is_root() && peer != own {
        let why = "the socket belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: stead\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
    parse(&bytes, &method)
}

/// The process behind an admin socket: it becomes readable when that process has ended. `None`
/// where the system cannot tell, as across containers.
///
/// # Errors
/// Nobody listens there.
pub fn admin_process(socket: &Path) -> io::Result<Option<(u32, OwnedFd)>> {
    let stream = UnixStream::connect(socket)?;
    let pid = rustix::net::sockopt::socket_peercred(&stream)?.pid;
    let opened = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let pid = u32::try_from(pid.as_raw_nonzero().get()).ok();
    Ok(pid.zip(opened.ok()))
}

fn parse(mut bytes: &[u8], method: &Method) -> io::Result<(u16, Vec<u8>)> {
    let mut decoder = ResponseDecoder::new(LIMITS, method);
    let (mut head, mut body) = (ResponseHead::default(), Vec::new());
    loop {
        let step = decoder
            .decode(bytes, &mut head)
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason.code()))?;
        match step.event {
            Event::Data(range) => body.extend_from_slice(&bytes[range]),
            Event::End => return Ok((head.status().as_u16(), body)),
            Event::Pending => return Err(io::ErrorKind::UnexpectedEof.into()),
            Event::Head | Event::Trailers => {}
        }
        bytes = &bytes[step.consumed..];
    }
}
