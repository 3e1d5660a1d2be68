//! The one place that obtains listening sockets.
//!
//! A TCP address is **owned**: each worker gets a socket of its own, siblings by `SO_REUSEPORT`.
//! The first is bound without that option and set to listen, so that whoever comes second, also a
//! second Stead, fails right here. A unix socket, and one that was inherited, is **shared**: every
//! worker watches the same one, and of those that wake all but one find nothing.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::holder::{Holder, holder_of, holder_of_unix};
use crate::inherit::Inherited;
use crate::options::ListenOptions;

/// What to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A port on every address, IPv6 and IPv4 in one socket where the system has IPv6.
    AnyAddress(u16),
    /// One address and port; port 0 takes a free one.
    Address(SocketAddr),
    /// A path.
    Unix(PathBuf),
    /// A socket that was bound by whoever gave it ([`adopt`]).
    Given,
}

impl Bind {
    fn port(&self) -> Option<u16> {
        match self {
            Self::AnyAddress(port) => Some(*port),
            Self::Address(address) => Some(address.port()),
            Self::Unix(_) | Self::Given => None,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyAddress(port) => write!(f, ":{port}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Given => f.write_str("a socket that was given"),
        }
    }
}

/// Listening sockets for all workers.
pub struct Acquired {
    /// Where they really listen.
    pub listening: Listening,
    /// One descriptor for each worker.
    pub descriptors: Vec<OwnedFd>,
    /// Whether the socket was passed on by whoever started this process.
    pub inherited: bool,
}

/// Where a listener really listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    /// A TCP address, with the real port.
    Tcp(SocketAddr),
    /// A unix path.
    Unix {
        /// The path.
        path: PathBuf,
        /// The inode of a socket that is ours; `None` where it was inherited.
        inode: Option<u64>,
    },
}

impl Listening {
    /// Unlinks a unix path, if it is still ours.
    pub fn release(&self) {
        if let Self::Unix { path, inode: Some(inode) } = self
            && fs::symlink_metadata(path).is_ok_and(|found| found.ino() == *inode)
        {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// Why an address could not be had.
///
/// ```
/// # use stead_net as stead;
/// use stead::AcquireError;
///
/// fn advise(error: &AcquireError) {
///     match &error.holder {
///         Some(holder) => eprintln!("stop {holder} first"),
///         None => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct AcquireError {
    /// The address.
    pub bind: Bind,
    /// The reason.
    pub source: io::Error,
    /// Who holds it, where the system tells.
    pub holder: Option<Holder>,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.bind)?;
        if self.source.kind() == io::ErrorKind::AddrInUse {
            f.write_str("the address is in use")?;
        } else {
            write!(f, "{}", self.source)?;
        }
        if let Some(holder) = &self.holder {
            write!(f, ", by {holder}")?;
        }
        match self.bind.port() {
            Some(port @ 1..1024) if self.source.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "; ports below 1024 are for root and for CAP_NET_BIND_SERVICE (`setcap \
                     cap_net_bind_service=+ep PATH_OF_STEAD`, or AmbientCapabilities= in a unit), \
                     or for all after `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
                )
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for AcquireError {}

impl AcquireError {
    /// Whether the system lacks the address's family, as a machine without IPv6 does.
    pub fn is_missing_family(&self) -> bool {
        is_missing_family(&self.source)
    }
}

/// Binds `bind` afresh and listens, once for each of `workers`.
///
/// # Errors
/// As [`acquire_with`].
pub fn acquire(bind: &Bind, workers: usize) -> Result<Acquired, AcquireError> {
    acquire_with(bind, &ListenOptions::default(), workers, &mut Inherited::default())
}

/// The sockets that listen on `bind`, one for each of `workers`: an inherited one that is bound to
/// it, else fresh ones.
///
/// # Errors
/// The address is in use, forbidden, or not of this machine, or an option is refused.
pub fn acquire_with(
    bind: &Bind,
    options: &ListenOptions,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Acquired, AcquireError> {
    let fresh = Fresh { options, workers };
    let result = inherited.acquire(bind, options, workers).unwrap_or_else(|| fresh.acquire(bind));
    result.map_err(|source| {
        let in_use = source.kind() == io::ErrorKind::AddrInUse;
        let holder = in_use.then(|| match bind {
            Bind::AnyAddress(port) => holder_of(None, *port),
            Bind::Address(address) => holder_of(Some(address.ip()), address.port()),
            Bind::Unix(path) => holder_of_unix(path),
            Bind::Given => None,
        });
        let holder = holder.flatten();
        AcquireError { bind: bind.clone(), source, holder }
    })
}

/// Takes a socket that somebody else bound and set to listen; every worker watches the same one. A
/// unix path stays whoever's it was.
///
/// # Errors
/// It is no listening stream socket.
pub fn adopt(descriptor: OwnedFd, workers: usize) -> Result<Acquired, AcquireError> {
    adopt_socket(Socket::from(descriptor), workers).map_err(|source| AcquireError {
        bind: Bind::Given,
        source,
        holder: None,
    })
}

fn adopt_socket(socket: Socket, workers: usize) -> io::Result<Acquired> {
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        let why = "it does not listen for connections";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let listening = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => {
            // PERF: accepted connections inherit it, which saves a call for each.
            socket.set_tcp_nodelay(true)?;
            Listening::Tcp(address)
        }
        (None, path) => {
            Listening::Unix { path: path.map(Path::to_owned).unwrap_or_default(), inode: None }
        }
    };
    Ok(Acquired { listening, descriptors: shared(socket, workers)?, inherited: false })
}

/// How sockets of our own are made.
struct Fresh<'a> {
    options: &'a ListenOptions,
    workers: usize,
}

impl Fresh<'_> {
    fn acquire(&self, bind: &Bind) -> io::Result<Acquired> {
        match bind {
            Bind::AnyAddress(port) => self.any(*port),
            Bind::Address(address) => self.tcp(*address, Families::One),
            Bind::Unix(path) => self.unix(path),
            Bind::Given => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn any(&self, port: u16) -> io::Result<Acquired> {
        let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match self.tcp(six, Families::Both) {
            Err(error) if is_missing_family(&error) => {
                let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                self.tcp(four, Families::One)
            }
            result => result,
        }
    }

    fn tcp(&self, address: SocketAddr, families: Families) -> io::Result<Acquired> {
        let first = tcp_socket(address, families)?;
        first.bind(&address.into())?;
        self.options.prepare(&first)?;
        self.options.listen(&first)?;
        let real = first.local_addr()?.as_socket().unwrap_or(address);
        let mut descriptors = Vec::with_capacity(self.workers);
        if self.workers > 1 {
            first.set_reuse_port(true)?;
        }
        descriptors.push(OwnedFd::from(first));
        for _ in 1..self.workers {
            let sibling = tcp_socket(real, families)?;
            sibling.set_reuse_port(true)?;
            sibling.bind(&real.into())?;
            self.options.prepare(&sibling)?;
            self.options.listen(&sibling)?;
            descriptors.push(OwnedFd::from(sibling));
        }
        Ok(Acquired { listening: Listening::Tcp(real), descriptors, inherited: false })
    }

    fn unix(&self, path: &Path) -> io::Result<Acquired> {
        refuse_what_is_alive(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Bound under another name and renamed, so that a stale socket is replaced in one step.
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&temporary);
        socket.bind(&SockAddr::unix(&temporary)?)?;
        // Nobody can connect before it listens, so that no mode but the one asked for counts.
        let permitted = self.options.mode.map_or(Ok(()), |mode| permit(&temporary, mode));
        let ready = permitted.and_then(|()| self.options.listen(&socket)).and_then(|()| {
            let inode = fs::symlink_metadata(&temporary)?.ino();
            fs::rename(&temporary, path)?;
            Ok(inode)
        });
        let inode = ready.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        let listening = Listening::Unix { path: path.to_owned(), inode: Some(inode) };
        Ok(Acquired { listening, descriptors: shared(socket, self.workers)?, inherited: false })
    }
}

/// Changes the permissions of a socket's file. SECURITY: by a descriptor of what is a socket, so
/// that whoever may write the directory cannot have the mode of another file changed.
fn permit(path: &Path, mode: u32) -> io::Result<()> {
    let file = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_socket() {
        return Err(io::Error::other("the path is no socket any more"));
    }
    let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::set_permissions(by_descriptor, fs::Permissions::from_mode(mode))
}

/// The same socket for every worker.
pub(crate) fn shared(socket: Socket, workers: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::with_capacity(workers);
    for _ in 1..workers {
        descriptors.push(OwnedFd::from(socket.try_clone()?));
    }
    descriptors.push(OwnedFd::from(socket));
    Ok(descriptors)
}

fn is_missing_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

/// What an IPv6 socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    One,
    Both,
}

fn tcp_socket(address: SocketAddr, families: Families) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process in TIME_WAIT do not keep us out; listeners still do.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::One)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Somebody who answers holds the path; a socket that nobody answers is stale; anything else is
/// not ours to replace.
fn refuse_what_is_alive(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is no socket",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not keep us waiting: somebody is there.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_second_claim_on_a_port_fails_and_names_the_holder() {
        let bind = Bind::Address("127.0.0.1:0".parse().expect("address"));
        let first = acquire(&bind, 2).expect("a free port");
        assert_eq!(first.descriptors.len(), 2);
        let Listening::Tcp(address) = first.listening else { panic!("TCP expected") };
        let error = acquire(&Bind::Address(address), 2).err().expect("in use");
        assert_eq!(error.holder.as_ref().map(|holder| holder.pid), Some(std::process::id()));
        assert!(error.to_string().contains("the address is in use, by "), "{error}");
        let any = acquire(&Bind::AnyAddress(address.port()), 1).err().expect("in use");
        assert_eq!(any.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_that_needs_a_right_says_which() {
        let refused = |bind: &str| AcquireError {
            bind: Bind::Address(bind.parse().expect("address")),
            source: io::ErrorKind::PermissionDenied.into(),
            holder: None,
        };
        let message = refused("127.0.0.1:80").to_string();
        assert!(message.ends_with("ip_unprivileged_port_start=80`"), "{message}");
        assert!(!refused("127.0.0.1:8080").to_string().contains("sysctl"));
    }

    #[test]
    fn any_address_serves_both_families() {
        let acquired = acquire(&Bind::AnyAddress(0), 1).expect("a free port");
        let Listening::Tcp(address) = acquired.listening else { panic!("TCP expected") };
        TcpStream::connect(("127.0.0.1", address.port())).expect("IPv4");
        if address.is_ipv6() {
            TcpStream::connect(("::1", address.port())).expect("IPv6");
        }
    }

    #[test]
    fn a_socket_of_others_is_shared_by_all_workers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let adopted = adopt(listener.into(), 3).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(adopted.listening, Listening::Tcp(address));
        assert_eq!(adopted.descriptors.len(), 3);
        let stream = TcpStream::connect(address).expect("it accepts");
        assert!(adopt(stream.into(), 1).is_err(), "a connection is no listener");
    }

    #[test]
    fn a_unix_socket_has_the_mode_asked_for_whatever_the_umask() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("web.sock");
        for mode in [0o666, 0o600, 0o660] {
            let options = ListenOptions { mode: Some(mode), ..ListenOptions::default() };
            let bind = Bind::Unix(path.clone());
            let acquired = acquire_with(&bind, &options, 1, &mut Inherited::default());
            let acquired = acquired.unwrap_or_else(|error| panic!("{error}"));
            let found = fs::symlink_metadata(&path).expect("the socket").permissions().mode();
            assert_eq!(found & 0o7777, mode);
            acquired.listening.release();
        }
        let precious = directory.path().join("precious");
        fs::write(&precious, b"").expect("write");
        std::os::unix::fs::symlink(&precious, &path).expect("a link");
        let before = fs::metadata(&precious).expect("there").permissions();
        assert!(permit(&path, 0o777).is_err() && permit(&precious, 0o777).is_err());
        assert_eq!(fs::metadata(&precious).expect("there").permissions(), before);
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("web.sock");
        let bind = Bind::Unix(path.clone());
        drop(acquire(&bind, 2).expect("first"));
        let second = acquire(&bind, 1).expect("the first is stale");
        let alive = acquire(&bind, 1).err().expect("alive");
        assert_eq!(alive.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(alive.holder.map(|holder| holder.pid), Some(std::process::id()));
        second.listening.release();
        assert!(!path.exists());
        fs::write(&path, b"precious").expect("write");
        assert!(acquire(&bind, 1).is_err());
        assert_eq!(fs::metadata(&path).expect("still there").len(), 8);
    }
}
