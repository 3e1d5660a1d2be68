//! The names that a certificate is good for, and whether a host is among them.
//!
//! A wildcard stands for exactly one label, the leftmost (RFC 9525 §6.3). Names are compared
//! without regard to ASCII case; a trailing dot does not count.

use std::fmt;
use std::net::IpAddr;

/// The names of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    exact: Vec<Box<str>>,
    /// What follows the star: `.example.com`.
    below: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Takes a DNS name as it stands in a certificate; one that no host can have is left out.
    pub(crate) fn add(&mut self, name: &str) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some(below) if below.starts_with('.') => self.below.push(below.into()),
            None if !name.is_empty() => self.exact.push(name.into()),
            _ => {}
        }
    }

    pub(crate) fn add_address(&mut self, address: IpAddr) {
        self.addresses.push(address);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.addresses.is_empty()
    }

    /// Whether one of the names is exactly this.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.exact.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether a wildcard stands for this.
    pub(crate) fn has_wildcard_of(&self, host: &str) -> bool {
        let Some(dot) = host.find('.').filter(|dot| *dot > 0) else { return false };
        self.below.iter().any(|below| below.eq_ignore_ascii_case(&host[dot..]))
    }

    /// Whether the certificate is good for a host: a name, or an address with or without brackets.
    pub(crate) fn cover(&self, host: &str) -> bool {
        if self.has(host) || self.has_wildcard_of(host) {
            return true;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        !self.addresses.is_empty()
            && bare.parse().is_ok_and(|address: IpAddr| self.addresses.contains(&address))
    }

    /// Every name as text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = String> {
        let exact = self.exact.iter().map(ToString::to_string);
        let below = self.below.iter().map(|below| format!("*{below}"));
        exact.chain(below).chain(self.addresses.iter().map(IpAddr::to_string))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let mut names = Names::default();
        for name in ["Shop.example.com.", "*.example.org", "*", "foo*.example.net", "."] {
            names.add(name);
        }
        names.add_address([192, 0, 2, 1].into());
        names.add_address("::1".parse().expect("an address"));
        for (host, is_covered) in [
            ("shop.example.com", true),
            ("SHOP.EXAMPLE.COM", true),
            ("example.com", false),
            ("a.example.org", true),
            ("a.b.example.org", false),
            ("example.org", false),
            (".example.org", false),
            ("foo1.example.net", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("[::1]", true),
            ("::1", true),
            ("", false),
            ("localhost", false),
        ] {
            assert_eq!(names.cover(host), is_covered, "{host}");
        }
    }
}
