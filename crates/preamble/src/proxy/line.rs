//! Version 1: `PROXY TCP4 source destination source-port destination-port CRLF`.
//!
//! One space between words, addresses and ports as they are printed, no leading zeros.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{ProxyError, ProxyHeader, begins_with};

pub(super) fn parse(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    match begins_with(input, START) {
        None => return Ok(None),
        Some(false) => return Err(ProxyError::Missing),
        Some(true) => {}
    }
    let bounded = &input[..input.len().min(LINE_MAX)];
    let Some(end) = bounded.windows(2).position(|pair| pair == b"\r\n") else {
        return if bounded.len() == LINE_MAX { Err(ProxyError::TooLarge) } else { Ok(None) };
    };
    let line = str::from_utf8(&bounded[START.len()..end]).map_err(|_| ProxyError::Malformed)?;
    let mut words = line.split(' ');
    let client = match words.next() {
        Some("TCP4") => Some(parse_addresses::<Ipv4Addr>(words).ok_or(ProxyError::Malformed)?),
        Some("TCP6") => Some(parse_addresses::<Ipv6Addr>(words).ok_or(ProxyError::Malformed)?),
        // Whatever else the line says means nothing then.
        Some("UNKNOWN") => None,
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Some(ProxyHeader {
        client: client.map(|(ip, port)| (ip.to_canonical(), port).into()),
        over_tls: false,
        bytes: end + 2,
    }))
}

/// The source; what stands behind it must be well-formed too.
fn parse_addresses<'a, A: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Option<(IpAddr, u16)> {
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    let port = parse_port(words.next()?)?;
    let _destination_port = parse_port(words.next()?)?;
    words.next().is_none().then(|| (source.into(), port))
}

fn parse_port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_plain && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain)
}

const START: &[u8] = b"PROXY ";
/// The longest line that the protocol knows, with its line end.
const LINE_MAX: usize = 107;
