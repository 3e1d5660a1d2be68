//! Which site a host belongs to: the exact name, then the longest `*.name`.
//!
//! Asked once per request, before any route. Case and one dot at the end do not matter; a name
//! longer than DNS allows belongs to no site.

use crate::literals::Literals;

/// The hosts of all sites of a server.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Names under `EXACT`, what stands behind `*.` under `BELOW`.
    names: Literals,
    /// Labels of the longest name under `BELOW`; 0 if there is none.
    below_labels_max: usize,
    /// Whether there is any host at all.
    any: bool,
}

/// A host as the configuration names it, in lower case and without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostName {
    /// This name.
    Exact(String),
    /// Every name with one or more labels in front of this one.
    Below(String),
}

impl HostName {
    /// Reads a host of a site; the error says what is wrong and what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, (&'static str, String)> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let help = "write a name such as `example.com` or `*.example.com`";
        if name.is_empty() {
            return Err(("a host is empty", help.to_owned()));
        }
        if name == "*" {
            return Err((
                "a site serves named hosts",
                "the server's own routes serve any host".to_owned(),
            ));
        }
        if !name.is_ascii() {
            return Err(("a host is ASCII", "write its `xn--` form".to_owned()));
        }
        if name.len() > HOST_BYTES_MAX {
            return Err(("a host has at most 253 bytes", help.to_owned()));
        }
        let (below, name) = match name.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, name),
        };
        if is_address(name) && !below {
            return Ok(Self::Exact(name.to_owned()));
        }
        if let Some((host, port)) = name.rsplit_once(':')
            && port.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(("a host has no port", format!("write `{host}`")));
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !name.split('.').all(is_label) {
            return Err(("this is no host name", help.to_owned()));
        }
        Ok(if below { Self::Below(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }
}

impl Hosts {
    /// Builds the table; no host may stand twice.
    pub(crate) fn build(hosts: &[(HostName, u32)]) -> Self {
        let keys: Vec<_> = hosts
            .iter()
            .map(|(host, site)| match host {
                HostName::Exact(name) => (EXACT, name.as_str(), *site),
                HostName::Below(name) => (BELOW, name.as_str(), *site),
            })
            .collect();
        let below = keys.iter().filter(|(group, ..)| *group == BELOW);
        let below_labels_max = below.map(|(_, name, _)| name.split('.').count()).max();
        Self {
            names: Literals::build(&keys),
            below_labels_max: below_labels_max.unwrap_or_default(),
            any: !keys.is_empty(),
        }
    }

    /// The site of a request's host.
    pub(crate) fn site_of(&self, host: &[u8]) -> Option<usize> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        if !self.any || host.is_empty() || host.len() > HOST_BYTES_MAX {
            return None;
        }
        let mut lower = [0; HOST_BYTES_MAX];
        let lower = &mut lower[..host.len()];
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.find(EXACT, lower, 0).or_else(|| self.longest_below(lower))
    }

    fn longest_below(&self, host: &[u8]) -> Option<usize> {
        if self.below_labels_max == 0 {
            return None;
        }
        // From the back, no further than any name has labels; the last found is the longest. A dot
        // at the very front has no label before it.
        let dots = host.iter().enumerate().skip(1).rev().filter(|(_, byte)| **byte == b'.');
        let starts = dots.take(self.below_labels_max).map(|(at, _)| at + 1);
        starts.filter_map(|start| self.find(BELOW, host, start)).last()
    }

    fn find(&self, group: u32, host: &[u8], start: usize) -> Option<usize> {
        let piece = self.names.scan(host, start);
        if piece.end != host.len() {
            return None; // a slash: no host
        }
        self.names.find(group, &piece, host).map(|site| site as usize)
    }
}

fn is_address(name: &str) -> bool {
    let v6 = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    v6.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

const EXACT: u32 = 0;
const BELOW: u32 = 1;

/// Bytes of a host name without a dot at the end (RFC 1035 §2.3.4, as text).
const HOST_BYTES_MAX: usize = 253;
