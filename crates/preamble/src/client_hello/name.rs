//! The name that a client asks for (RFC 6066 §3).
//!
//! Exactly one host name, in a form that is compared byte by byte afterwards: lower case, no
//! trailing dot. Underscores are no letters of host names, but stand in names that are used.

use std::net::IpAddr;

use super::HelloError;
use crate::reader::Reader;

/// The name in a `server_name` extension; none where it is an address, which must not stand there
/// but is sent by clients that know no better.
pub(super) fn parse(body: &[u8]) -> Result<Option<Box<str>>, HelloError> {
    let mut list = Reader(super::whole(Reader(body), Reader::block16)?);
    let kind = list.u8().ok_or(HelloError::Malformed)?;
    let name = list.block16().ok_or(HelloError::Malformed)?;
    // RFC 6066 §3: no two of one kind, and no other kind was ever defined.
    if kind != HOST_NAME || !list.is_empty() {
        return Err(HelloError::Illegal);
    }
    if str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok()) {
        return Ok(None);
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    if !is_dns_name(name) {
        return Err(HelloError::BadName);
    }
    let name = str::from_utf8(name).map_err(|_| HelloError::BadName)?;
    Ok(Some(name.to_ascii_lowercase().into()))
}

/// RFC 1123 §2.1: what ends in a number is an address.
fn is_dns_name(name: &[u8]) -> bool {
    let is_number = |label: &[u8]| label.iter().all(u8::is_ascii_digit);
    name.len() <= NAME_MAX
        && name.split(|byte| *byte == b'.').all(is_label)
        && !name.rsplit(|byte| *byte == b'.').next().is_some_and(is_number)
}

fn is_label(label: &[u8]) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_MAX).contains(&label.len())
        && label.iter().all(is_inner)
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

const HOST_NAME: u8 = 0;
/// RFC 1035 §2.3.4, as text.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;
