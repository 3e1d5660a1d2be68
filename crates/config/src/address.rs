//! Where a server listens: `":8080"`, `"127.0.0.1:80"`, `"[::1]:80"`, `"localhost:80"`,
//! `"unix:run/web.sock"`.
//!
//! Names other than `localhost` are refused: what they resolve to may change between two starts,
//! and the configuration would not say where it listens. Port 0 lets the system choose.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::schema::{PathPart, quoted};
use crate::value::Content;
use crate::{Config, Decoder, Diagnostic, Schema, TextForm, Value};

/// One address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// Of which interfaces.
        host: Host,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
    /// A unix socket. A relative path started from the directory of the file that names it.
    Unix(PathBuf),
}

/// The interfaces of a TCP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Every interface, IPv6 and IPv4: `":8080"`.
    Any,
    /// One address; `0.0.0.0` and `::` mean every interface of their family.
    Ip(IpAddr),
    /// The loopback addresses of both families.
    Localhost,
}

/// Bytes of a unix socket's path that the system takes.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// How an address is written.
pub(crate) const ADDRESS: TextForm = TextForm {
    path: PathPart::AfterUnix,
    ..TextForm::new("address", ":8080").pattern("^(unix:.+|.*:[0-9]+|.*\\$\\{.*)$")
};

impl Address {
    /// Reads an address; a unix path stays as it is.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("write `\"unix:run/web.sock\"`".to_owned()),
                path if path.contains('\0') => Err("write a path without NUL".to_owned()),
                path => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        if let Some((address, _)) = text.trim().split_once(char::is_whitespace) {
            // `80 default_server` and `443 ssl` are nginx's.
            return Err(match Self::parse(address) {
                Ok(_) => format!("write `{}`, and nothing behind it", quoted(address)),
                Err(help) => format!("{help}, and nothing behind it"),
            });
        }
        let Some((host, port_text)) = text.rsplit_once(':') else {
            return Err(match text.parse::<u16>() {
                Ok(port) => format!("write `\":{port}\"`"),
                Err(_) if text.contains('/') => {
                    format!("write `{}`", quoted(&format!("unix:{text}")))
                }
                Err(_) => format!("write `{}`", quoted(&format!("{text}:8080"))),
            });
        };
        let decimal = !port_text.is_empty() && port_text.bytes().all(|b| b.is_ascii_digit());
        let port = decimal.then(|| port_text.parse::<u16>().ok()).flatten();
        let port = port.ok_or("write a port from 0 to 65535 behind the last colon")?;
        let host = parse_host(host, text, port)?;
        Ok(Self::Tcp { host, port })
    }

    /// Whether both cannot be bound at once.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Tcp { host: a, port: p }, Self::Tcp { host: b, port: q }) => {
                *p != 0 && p == q && (a.covers(*b) || b.covers(*a))
            }
            _ => false,
        }
    }
}

impl Host {
    fn covers(self, other: Self) -> bool {
        let loopback = |ip: IpAddr| ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
        match (self, other) {
            (Self::Any, _) | (Self::Localhost, Self::Localhost) => true,
            (_, Self::Any) => false,
            (Self::Ip(ip), Self::Localhost) => ip.is_unspecified() || loopback(ip),
            (Self::Localhost, Self::Ip(ip)) => loopback(ip),
            (Self::Ip(a), Self::Ip(b)) => {
                a == b || (a.is_unspecified() && a.is_ipv4() == b.is_ipv4())
            }
        }
    }
}

fn parse_host(host: &str, text: &str, port: u16) -> Result<Host, String> {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(inner) = bracketed {
        let ip = inner.parse::<Ipv6Addr>();
        return ip.map(|ip| Host::Ip(ip.into())).map_err(|_| {
            format!("write an IPv6 address between the brackets: `\"[::1]:{port}\"`")
        });
    }
    match host {
        "" => Ok(Host::Any),
        "localhost" => Ok(Host::Localhost),
        "*" => Err(format!("write `\":{port}\"`")),
        host => match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => Ok(Host::Ip(ip.into())),
            Ok(IpAddr::V6(ip)) => Err(format!("write `\"[{ip}]:{port}\"`")),
            Err(_) if text.parse::<Ipv6Addr>().is_ok() => Err(format!("write `\"[{text}]:8080\"`")),
            Err(_) => Err(match host.split_once("://") {
                Some((scheme, host)) => without_scheme(scheme, host, port),
                None => format!("write an IP address or `\":{port}\"`: names are not looked up"),
            }),
        },
    }
}

/// What to write instead of a URL. SECURITY: at the same address, since any other may be open to
/// more people.
fn without_scheme(scheme: &str, host: &str, port: u16) -> String {
    let host = if parse_host(host, host, port).is_ok() { host } else { "" };
    if scheme == "https" {
        format!("write `{{ address = \"{host}:{port}\", tls = \"NAME\" }}`, and `[tls.NAME]`")
    } else {
        format!("write `\"{host}:{port}\"`")
    }
}

impl Config for Address {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = match &value.content {
            Content::Text(text) => text,
            Content::Integer(port @ 0..=65_535) => {
                decoder.wrong_type(value, &Self::schema(), Some(format!("write `\":{port}\"`")));
                return None;
            }
            _ => {
                decoder.wrong_type(value, &Self::schema(), None);
                return None;
            }
        };
        let parsed = match Self::parse(&text.value) {
            Ok(Self::Unix(path)) => {
                Ok(Self::Unix(decoder.sources().directory(value.span.file).join(path)))
            }
            parsed => parsed,
        };
        let error = match parsed {
            Ok(Self::Unix(path)) if path.as_os_str().len() > UNIX_PATH_BYTES_MAX => {
                format!("write a path of at most {UNIX_PATH_BYTES_MAX} bytes")
            }
            Ok(address) => return Some(address),
            // SECURITY: the help quotes what was expanded only where nothing was.
            Err(_) if text.expanded => "write `\":8080\"`".to_owned(),
            Err(help) => help,
        };
        let message = format!("{} is not an address to listen on", quoted(text.written()));
        decoder.report(Diagnostic::error(value.span, message).help(error));
        None
    }

    fn schema() -> Schema {
        Schema::Text(ADDRESS)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host: Host::Any, port } => write!(f, ":{port}"),
            Self::Tcp { host: Host::Localhost, port } => write!(f, "localhost:{port}"),
            Self::Tcp { host: Host::Ip(IpAddr::V6(ip)), port } => write!(f, "[{ip}]:{port}"),
            Self::Tcp { host: Host::Ip(ip), port } => write!(f, "{ip}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same_way() {
        for text in [
            ":8080",
            ":0",
            "127.0.0.1:80",
            "[::1]:80",
            "localhost:65535",
            "unix:run/a.sock",
            "0.0.0.0:1",
        ] {
            assert_eq!(
                Address::parse(text).map(|address| address.to_string()).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn what_is_wrong_says_what_to_write() {
        let check = |text: &str, help: &str| {
            assert_eq!(Address::parse(text), Err(format!("write {help}")), "{text}");
        };
        check("8080", "`\":8080\"`");
        check("127.0.0.1", "`\"127.0.0.1:8080\"`");
        check("/run/a.sock", "`\"unix:/run/a.sock\"`");
        check("::1", "`\"[::1]:8080\"`");
        check("fe80::1:8080", "`\"[fe80::1]:8080\"`");
        check("*:80", "`\":80\"`");
        check(":65536", "a port from 0 to 65535 behind the last colon");
        check(":+80", "a port from 0 to 65535 behind the last colon");
        check("[::g]:80", "an IPv6 address between the brackets: `\"[::1]:80\"`");
        check("example.com:80", "an IP address or `\":80\"`: names are not looked up");
        check("http://x:80", "`\":80\"`");
        check("http://127.0.0.1:80", "`\"127.0.0.1:80\"`");
        check(
            "https://[::1]:443",
            "`{ address = \"[::1]:443\", tls = \"NAME\" }`, and `[tls.NAME]`",
        );
        check("unix:", "`\"unix:run/web.sock\"`");
    }

    #[test]
    fn addresses_that_cannot_both_be_bound_overlap() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (Address::parse(a).unwrap(), Address::parse(b).unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(
            overlap(":80", ":80") && overlap(":80", "127.0.0.1:80") && overlap(":80", "[::1]:80")
        );
        assert!(overlap("0.0.0.0:80", "10.0.0.1:80") && overlap("localhost:80", "127.0.0.1:80"));
        assert!(overlap("unix:a", "unix:a") && !overlap("unix:a", "unix:b"));
        assert!(
            !overlap(":0", ":0") && !overlap(":80", ":81") && !overlap("0.0.0.0:80", "[::1]:80")
        );
        assert!(!overlap("127.0.0.1:80", "127.0.0.2:80"));
    }
}
