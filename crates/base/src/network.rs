//! Networks of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address; and sets of them.
//!
//! Read when a configuration is, asked once per request. IPv4-mapped IPv6 addresses are unmapped
//! wherever one is taken, so that `10.0.0.0/8` holds `::ffff:10.0.0.1` (RFC 4291 §2.5.5.2). A
//! network whose address has bits beyond its prefix is refused: it says two things at once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses with a common prefix (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNetworkError {
    /// What is wrong with it, as in "`x` is no network: …"; nothing where there is nothing to say.
    pub problem: &'static str,
    /// What was probably meant, if that can be told.
    pub meant: Option<String>,
}

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)
    }
}

impl std::error::Error for ParseNetworkError {}

impl Network {
    /// Addresses of private networks (RFC 1918 §3, RFC 4193 §3).
    pub const PRIVATE: [Self; 4] = [
        Self::v4([10, 0, 0, 0], 8),
        Self::v4([172, 16, 0, 0], 12),
        Self::v4([192, 168, 0, 0], 16),
        Self::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ];

    /// Addresses of this machine itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    pub const LOOPBACK: [Self; 2] =
        [Self::v4([127, 0, 0, 0], 8), Self::v6([0, 0, 0, 0, 0, 0, 0, 1], 128)];

    const fn v4(octets: [u8; 4], prefix_bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::from_octets(octets)), prefix_bits }
    }

    const fn v6(groups: [u16; 8], prefix_bits: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::from_segments(groups)), prefix_bits }
    }

    /// The network of `prefix_bits` leading bits (0 to 32, or 0 to 128) that begins at `address`.
    ///
    /// # Errors
    /// There are too many bits, or `address` has bits beyond them.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Result<Self, ParseNetworkError> {
        let network = match address {
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) if prefix_bits >= MAPPED_BITS => {
                    Self { address: ip.into(), prefix_bits: prefix_bits - MAPPED_BITS }
                }
                Some(_) => return Err(wrong("IPv4 addresses are written as such", None)),
                None => Self { address, prefix_bits },
            },
            IpAddr::V4(_) => Self { address, prefix_bits },
        };
        if network.prefix_bits > network.width() {
            let meant = Self { prefix_bits: network.width(), ..network }.to_string();
            return Err(wrong("the prefix has more bits than an address", Some(meant)));
        }
        let masked = network.masked();
        if masked != network {
            let problem = "the address has bits beyond the prefix";
            return Err(wrong(problem, Some(masked.to_string())));
        }
        Ok(network)
    }

    /// Whether `ip` lies in this network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(address), IpAddr::V4(ip)) => {
                (address.to_bits() ^ ip.to_bits()) & mask_v4(self.prefix_bits) == 0
            }
            (IpAddr::V6(address), IpAddr::V6(ip)) => {
                (address.to_bits() ^ ip.to_bits()) & mask_v6(self.prefix_bits) == 0
            }
            _ => false,
        }
    }

    /// The first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits its addresses have in common: 0 to 32, or 0 to 128.
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    const fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & mask_v4(self.prefix_bits)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & mask_v6(self.prefix_bits)).into(),
        };
        Self { address, ..self }
    }
}

impl From<IpAddr> for Network {
    /// The network of this address alone.
    fn from(ip: IpAddr) -> Self {
        let address = ip.to_canonical();
        Self { address, prefix_bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_bits == self.width() {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let Some((address, prefix)) = text.split_once('/') else {
            return match text.parse::<IpAddr>() {
                Ok(ip) => Ok(ip.into()),
                Err(_) => Err(wrong("", meant_address(text))),
            };
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let meant = meant_address(address).map(|meant| format!("{meant}/{prefix}"));
            return Err(wrong("", meant.filter(|meant| meant.parse::<Self>().is_ok())));
        };
        match parse_prefix(prefix) {
            Some(bits) => Self::new(address, bits),
            None => Err(meant_prefix(address, prefix)),
        }
    }
}

/// Bits in front of the IPv4 address in an IPv4-mapped one.
const MAPPED_BITS: u8 = 96;

fn wrong(problem: &'static str, meant: Option<String>) -> ParseNetworkError {
    ParseNetworkError { problem, meant }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

fn parse_prefix(text: &str) -> Option<u8> {
    let is_plain =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// `10.0.0.0/255.0.0.0` is how others write `10.0.0.0/8`.
fn meant_prefix(address: IpAddr, prefix: &str) -> ParseNetworkError {
    let bits = prefix.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    let bits = bits.filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32);
    let meant = bits.map(|mask| format!("{address}/{}", mask.leading_ones()));
    let meant = meant.filter(|meant| meant.parse::<Network>().is_ok());
    wrong("the prefix is a number of bits", meant)
}

/// `10.*` and `10.0.0.` are how others write `10.0.0.0/8` and `10.0.0.0/24`; brackets and ports do
/// not belong to an address.
fn meant_address(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.split(']').next()) {
        return inner.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string());
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip().to_string());
    }
    let parts: Vec<&str> = text.split('.').filter(|part| !matches!(*part, "*" | "")).collect();
    let octets: Option<Vec<u8>> = parts.iter().map(|part| part.parse().ok()).collect();
    let mut octets = octets.filter(|octets| (1..4).contains(&octets.len()))?;
    let bits = octets.len() * 8;
    octets.resize(4, 0);
    let [a, b, c, d] = octets[..] else { return None };
    Some(format!("{a}.{b}.{c}.{d}/{bits}"))
}

/// A set of networks: finding an address takes time logarithmic in their number, and nothing is
/// allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// First and last addresses, sorted; no two ranges touch.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Networks {
    /// Whether `ip` lies in one of the networks.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => find(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => find(&self.v6, ip.to_bits()),
        }
    }

    /// Whether it holds no address.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.address {
                IpAddr::V4(ip) => {
                    let first = ip.to_bits();
                    v4.push((first, first | !mask_v4(network.prefix_bits)));
                }
                IpAddr::V6(ip) => {
                    let first = ip.to_bits();
                    v6.push((first, first | !mask_v6(network.prefix_bits)));
                }
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }
}

/// Networks lie within each other or apart, so that ranges never overlap in part.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    ranges.dedup_by(|inner, outer| inner.1 <= outer.1);
    ranges.into()
}

fn find<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|index| address <= ranges[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        match text.parse::<Network>() {
            Ok(network) => assert_eq!(network.to_string(), expect, "{text}"),
            Err(wrong) => {
                let said = format!("{} -> {}", wrong.problem, wrong.meant.unwrap_or_default());
                assert_eq!(said, expect, "{text}");
            }
        }
    }

    #[test]
    fn networks_and_addresses_are_read() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "::1", "0.0.0.0/0", "::/0"] {
            check(text, text);
        }
        check("192.0.2.1/32", "192.0.2.1");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
        check("::ffff:10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_answered_with_what_was_meant() {
        check("10.0.0.1/8", "the address has bits beyond the prefix -> 10.0.0.0/8");
        check("2001:db8::1/32", "the address has bits beyond the prefix -> 2001:db8::/32");
        check("10.0.0.0/33", "the prefix has more bits than an address -> 10.0.0.0");
        check("10.0.0.0/255.0.0.0", "the prefix is a number of bits -> 10.0.0.0/8");
        check("10.0.0.0/255.0.255.0", "the prefix is a number of bits -> ");
        check("::ffff:10.0.0.0/90", "IPv4 addresses are written as such -> ");
        check("10.*", " -> 10.0.0.0/8");
        check("192.168.1.", " -> 192.168.1.0/24");
        check("[::1]:80", " -> ::1");
        check("10.0.0.1:80", " -> 10.0.0.1");
        for nothing in ["", "/", "/8", "a.example", "10.0.0.256", "fe80::1%eth0", "1.2.3.4.5"] {
            check(nothing, " -> ");
        }
        for bits in ["", "08", "+8", "-1", "8 ", "256"] {
            check(&format!("10.0.0.0/{bits}"), "the prefix is a number of bits -> ");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let inside = |network: &str, ip: &str| {
            let network: Network = network.parse().expect(network);
            network.contains(ip.parse().expect(ip))
        };
        assert!(inside("10.0.0.0/8", "10.255.255.255") && !inside("10.0.0.0/8", "11.0.0.0"));
        assert!(inside("10.0.0.0/8", "::ffff:10.1.2.3") && !inside("10.0.0.0/8", "::10.1.2.3"));
        assert!(inside("0.0.0.0/0", "1.2.3.4") && !inside("::/0", "1.2.3.4"));
        assert!(inside("::/0", "1::") && inside("::1", "::1") && !inside("::1", "::2"));
    }

    #[test]
    fn a_set_finds_what_any_of_its_networks_holds() {
        // Deterministic noise: `SplitMix64` of the position.
        let noise = |n: u64| {
            let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            n ^ (n >> 27)
        };
        let networks: Vec<Network> = (0..500)
            .map(|n| {
                let bits = noise(n + 1);
                let ip = Ipv4Addr::from_bits((bits & 0x0fff_ff00) as u32);
                let prefix_bits = 12 + (bits >> 60) as u8;
                Network { address: ip.into(), prefix_bits }.masked()
            })
            .chain(Network::PRIVATE)
            .chain(Network::LOOPBACK)
            .collect();
        let set: Networks = networks.iter().copied().collect();
        for n in 0..20_000 {
            let ip = IpAddr::from(Ipv4Addr::from_bits((noise(n) >> 7) as u32 & 0x1fff_ffff));
            let expect = networks.iter().any(|network| network.contains(ip));
            assert_eq!(set.contains(ip), expect, "{ip}");
        }
        assert!(set.contains("fd00::1".parse().unwrap()) && set.contains("::1".parse().unwrap()));
        assert!(!set.contains("fe00::1".parse().unwrap()));
        assert!(Networks::default().is_empty() && !set.is_empty());
    }
}
