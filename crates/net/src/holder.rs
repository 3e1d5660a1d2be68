//! Who holds an address that we cannot have, as far as `/proc` tells.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The process that listens on TCP `port` of `ip` (`None`: of any address) or of all addresses, if
/// we may see it. Other users' descriptors stay hidden from all but root.
pub fn holder_of(ip: Option<IpAddr>, port: u16) -> Option<Holder> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| read(Path::new(table)))
        .flat_map(|table| listening_inodes(&table, ip, port))
        .collect();
    find_process(|link| {
        link.strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inode| inodes.iter().any(|known| known == inode))
    })
}

/// The process that listens on a unix socket, if it answers.
pub(crate) fn holder_of_unix(path: &Path) -> Option<Holder> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    // A full queue must not keep us waiting.
    probe.set_nonblocking(true).ok()?;
    probe.connect(&SockAddr::unix(path).ok()?).ok()?;
    let pid = rustix::net::sockopt::socket_peercred(&probe).ok()?.pid;
    let pid = u32::try_from(pid.as_raw_nonzero().get()).ok()?;
    Some(Holder { pid, name: name_of(&Path::new("/proc").join(pid.to_string())) })
}

fn name_of(process: &Path) -> String {
    read(&process.join("comm")).unwrap_or_default().trim_end().to_owned()
}

/// Lines look like `0: 0100007F:1F90 00000000:0000 0A ... inode`; state 0A listens.
fn listening_inodes(table: &str, ip: Option<IpAddr>, port: u16) -> Vec<String> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, local_port) = fields.get(1)?.rsplit_once(':')?;
        let local = parse_address(address)?;
        let listens = fields.get(3) == Some(&"0A");
        let collides = ip.is_none_or(|ip| ip == local || ip.is_unspecified());
        let collides = collides || local.is_unspecified();
        (listens && collides && u16::from_str_radix(local_port, 16) == Ok(port))
            .then(|| fields.get(9).map(ToString::to_string))?
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// The kernel writes addresses as words of 32 bits in the machine's order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(IpAddr::from(word(0)?));
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let octets: [u8; 16] = words.concat().try_into().ok()?;
    Some(IpAddr::from(octets).to_canonical())
}

fn find_process(is_ours: impl Fn(&str) -> bool) -> Option<Holder> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|link| is_ours(&link.to_string_lossy()));
        if holds {
            return Some(Holder { pid, name: name_of(&process.path()) });
        }
    }
    None
}

#[allow(clippy::disallowed_methods, reason = "tables of the kernel, bounded by it")]
fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_leads_to_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let loopback: IpAddr = [127, 0, 0, 1].into();
        let holder = holder_of(Some(loopback), port).expect("our own process");
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.name.is_empty());
        assert_eq!(holder_of(None, port).map(|holder| holder.pid), Some(holder.pid));
        assert_eq!(holder_of(Some([127, 0, 0, 2].into()), port), None);
        drop(listener);
        assert_eq!(holder_of(None, port), None);
    }
}
