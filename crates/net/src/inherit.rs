//! Listening sockets that whoever started this process passed on: socket activation.
//!
//! Before anything is bound. The sockets arrive as descriptors 3 and following, their number in
//! `LISTEN_FDS`, the process they are meant for in `LISTEN_PID`, their names in `LISTEN_FDNAMES`
//! (`sd_listen_fds(3)`). [`acquire_with`](crate::acquire_with) takes the one that is bound to the
//! address asked for. Such a socket is watched by every worker, and its path, if it has one, is
//! never unlinked: it belongs to who made it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use socket2::{Socket, Type};
use stead_sys::passed;

use crate::acquire::{Acquired, Bind, Listening};
use crate::options::ListenOptions;

/// Sockets that were passed on and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Passed>,
}

#[derive(Debug)]
struct Passed {
    socket: Socket,
    place: Place,
    bound: Bound,
}

/// Which of the sockets that were passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The descriptor's number.
    number: usize,
    /// The name that it was given, by default that of the socket unit.
    name: Option<String>,
}

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bound {
    /// Both families where the address is `[::]`, unless `only_v6`.
    Tcp {
        address: SocketAddr,
        only_v6: bool,
    },
    Unix(PathBuf),
    /// A unix socket in the abstract namespace, or without a name.
    Pathless,
    /// No listening stream socket at all.
    Other,
}

/// A socket that was passed on and that no server uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedSocket {
    place: Place,
    bound: Bound,
}

/// Why passed sockets could not be taken.
#[derive(Debug)]
pub struct InheritError(String);

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InheritError {}

/// The first descriptor that is passed on (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;
/// More sockets than anybody passes on; what is beyond is a mistake.
const SOCKETS_MAX: usize = 1024;
/// Everything that socket activation puts into the environment.
const VARIABLES: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

impl Inherited {
    /// The sockets that were passed to this process; none where there are none, or where they are
    /// meant for another process. Their variables leave the environment, so that no child takes
    /// them for its own, as long as this is the only thread: call it first in `main`.
    ///
    /// # Errors
    /// What was passed is not what the variables say.
    pub fn take() -> Result<Self, InheritError> {
        let variable = |name: &str| std::env::var(name).ok();
        let (pid, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        passed::remove_variables(&VARIABLES);
        let own = std::process::id().to_string();
        let (Some(count), true) = (count, pid.as_deref() == Some(own.as_str())) else {
            return Ok(Self::default());
        };
        let number = count.parse::<usize>().ok().filter(|count| *count <= SOCKETS_MAX);
        let number = number.ok_or_else(|| {
            InheritError(format!(
                "LISTEN_FDS is `{}`: write the number of sockets, at most {SOCKETS_MAX}",
                count.escape_debug()
            ))
        })?;
        let descriptors = passed::take(FIRST, number).map_err(|error| {
            InheritError(format!("LISTEN_FDS says {number} sockets were passed: {error}"))
        })?;
        Ok(Self::named(descriptors, &names))
    }

    /// Sockets with their names, colons between them.
    fn named(descriptors: Vec<OwnedFd>, names: &str) -> Self {
        let names = names.split(':').map(|name| Some(name).filter(|name| !name.is_empty()));
        let names = names.map(|name| name.map(str::to_owned)).chain(std::iter::repeat(None));
        let sockets =
            descriptors.into_iter().zip(names).enumerate().map(|(index, (socket, name))| {
                let socket = Socket::from(socket);
                let bound = Bound::of(&socket).unwrap_or(Bound::Other);
                Passed { socket, place: Place { number: FIRST + index, name }, bound }
            });
        Self { sockets: sockets.collect() }
    }

    /// Takes the socket that is bound to just this address, for all workers.
    pub(crate) fn acquire(
        &mut self,
        bind: &Bind,
        options: &ListenOptions,
        workers: usize,
    ) -> Option<io::Result<Acquired>> {
        let index = self.sockets.iter().position(|passed| passed.bound.is(bind))?;
        let Passed { socket, bound, .. } = self.sockets.remove(index);
        let listening = match bound {
            Bound::Tcp { address, .. } => Listening::Tcp(address),
            Bound::Unix(path) => Listening::Unix { path, inode: None },
            Bound::Pathless | Bound::Other => return None,
        };
        Some(adopt(socket, listening, options, workers))
    }

    /// The sockets that nobody has taken.
    pub fn unused(&self) -> impl Iterator<Item = UnusedSocket> {
        self.sockets
            .iter()
            .map(|passed| UnusedSocket { place: passed.place.clone(), bound: passed.bound.clone() })
    }
}

fn adopt(
    socket: Socket,
    listening: Listening,
    options: &ListenOptions,
    workers: usize,
) -> io::Result<Acquired> {
    socket.set_nonblocking(true)?;
    if matches!(listening, Listening::Tcp(_)) {
        options.prepare(&socket)?;
    }
    options.listen(&socket)?;
    let descriptors = crate::acquire::shared(socket, workers)?;
    Ok(Acquired { listening, descriptors, inherited: true })
}

impl Bound {
    fn of(socket: &Socket) -> io::Result<Self> {
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Ok(Self::Other);
        }
        let address = socket.local_addr()?;
        if let Some(address) = address.as_socket() {
            let only_v6 = address.is_ipv6() && socket.only_v6()?;
            return Ok(Self::Tcp { address, only_v6 });
        }
        match address.as_pathname() {
            Some(path) => Ok(Self::Unix(path.to_owned())),
            None if address.is_unix() => Ok(Self::Pathless),
            None => Ok(Self::Other),
        }
    }

    /// Whether a socket bound so takes exactly what `bind` asks for.
    fn is(&self, bind: &Bind) -> bool {
        match (self, bind) {
            (Self::Tcp { address, only_v6 }, Bind::AnyAddress(port)) => {
                address.port() == *port
                    && address.ip().is_unspecified()
                    && !only_v6
                    && (address.is_ipv6() || !has_ipv6())
            }
            (Self::Tcp { address, only_v6 }, Bind::Address(wanted)) => {
                // What is `[::]` alone takes IPv6 only.
                let one_family = *only_v6 || address.is_ipv4() || !address.ip().is_unspecified();
                (address.ip(), address.port()) == (wanted.ip(), wanted.port()) && one_family
            }
            (Self::Unix(path), Bind::Unix(wanted)) => is_same_path(path, wanted),
            _ => false,
        }
    }

    /// The address as the configuration would have it.
    fn written(&self) -> Option<String> {
        match self {
            Self::Tcp { address, only_v6: false }
                if address.ip().is_unspecified() && (address.is_ipv6() || !has_ipv6()) =>
            {
                Some(format!(":{}", address.port()))
            }
            Self::Tcp { address, .. } => Some(match address.ip() {
                IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
                IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
            }),
            Self::Unix(path) => Some(format!("unix:{}", path.display())),
            Self::Pathless | Self::Other => None,
        }
    }
}

/// Whether the system knows IPv6 at all.
fn has_ipv6() -> bool {
    Socket::new(socket2::Domain::IPV6, Type::STREAM, None).is_ok()
}

/// The same file in the same directory, however the directory is written.
fn is_same_path(one: &Path, other: &Path) -> bool {
    let directory = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).canonicalize()
    };
    one == other
        || (one.file_name() == other.file_name()
            && matches!((directory(one), directory(other)), (Ok(one), Ok(other)) if one == other))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {}", self.number)?;
        match &self.name {
            Some(name) => write!(f, ", {}", name.escape_debug()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UnusedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.bound, self.bound.written()) {
            (_, Some(address)) => write!(
                f,
                "the inherited socket {address} ({}) is used by no server: write \
                 `listen = [{address:?}]` in one, or take the socket out of what starts Stead",
                self.place
            ),
            (Bound::Pathless, None) => write!(
                f,
                "an inherited unix socket ({}) has no path: write `ListenStream=/run/web.sock`",
                self.place
            ),
            (_, None) => write!(
                f,
                "an inherited descriptor ({}) is no listening stream socket: write \
                 `ListenStream=` and `Accept=no` in its unit",
                self.place
            ),
        }
    }
}

#[cfg(test)]
mod tests;
