//! Version 2: a signature, what it is about, a length, addresses, then TLVs.
//!
//! Of the TLVs only the checksum is of use here, and whether the client speaks TLS; that all of
//! them fill the header exactly is checked, so that no two readers see a different one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{PROXY_BYTES_MAX, ProxyError, ProxyHeader, begins_with, crc32c};
use crate::reader::Reader;

pub(super) fn parse(input: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    match begins_with(input, SIGNATURE) {
        None => return Ok(None),
        Some(false) => return Err(ProxyError::Missing),
        Some(true) => {}
    }
    let mut fixed = Reader(&input[SIGNATURE.len()..]);
    let Some(command) = fixed.u8() else { return Ok(None) };
    if command != LOCAL && command != PROXY {
        return Err(ProxyError::Malformed);
    }
    let Some(family) = fixed.u8() else { return Ok(None) };
    // A proxy that speaks for itself may leave anything there.
    let family = if command == LOCAL { Family::Unknown } else { Family::parse(family)? };
    let Some(length) = fixed.u16() else { return Ok(None) };
    let bytes = FIXED + usize::from(length);
    if bytes > PROXY_BYTES_MAX {
        return Err(ProxyError::TooLarge);
    }
    let Some(header) = input.get(..bytes) else { return Ok(None) };
    let mut body = Reader(&header[FIXED..]);
    let client = match family {
        // What follows has no form that we know.
        Family::Unknown => {
            return Ok(Some(ProxyHeader { client: None, over_tls: false, bytes }));
        }
        Family::Unix => body.take(UNIX_ADDRESSES).map(|_| None),
        Family::Inet4 => parse_addresses::<4, Ipv4Addr>(&mut body).map(Some),
        Family::Inet6 => parse_addresses::<16, Ipv6Addr>(&mut body).map(Some),
    };
    let client = client.ok_or(ProxyError::Malformed)?;
    let over_tls = check_tlvs(header, body)?;
    Ok(Some(ProxyHeader { client, over_tls, bytes }))
}

/// What kind of addresses a header has.
#[derive(Clone, Copy)]
enum Family {
    Unknown,
    Inet4,
    Inet6,
    Unix,
}

impl Family {
    fn parse(byte: u8) -> Result<Self, ProxyError> {
        match (byte >> 4, byte & 0x0f) {
            (0, 0..=2) | (1..=3, 0) => Ok(Self::Unknown),
            (1, STREAM) => Ok(Self::Inet4),
            (2, STREAM) => Ok(Self::Inet6),
            (3, STREAM) => Ok(Self::Unix),
            // A datagram did not become this connection.
            _ => Err(ProxyError::Malformed),
        }
    }
}

/// Source and destination, then their ports; the source.
fn parse_addresses<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(
    body: &mut Reader<'_>,
) -> Option<SocketAddr> {
    let source: IpAddr = A::from(body.array()?).into();
    let _destination: [u8; N] = body.array()?;
    let port = body.u16()?;
    let _destination_port = body.u16()?;
    Some((source.to_canonical(), port).into())
}

/// Checks the TLVs of a whole header; whether they say that the client speaks TLS.
fn check_tlvs(header: &[u8], mut tlvs: Reader<'_>) -> Result<bool, ProxyError> {
    let (mut has_checksum, mut over_tls) = (false, None);
    while !tlvs.is_empty() {
        let kind = tlvs.u8().ok_or(ProxyError::Malformed)?;
        let value = tlvs.block16().ok_or(ProxyError::Malformed)?;
        match kind {
            CHECKSUM => {
                let stated = *value.as_array().ok_or(ProxyError::Malformed)?;
                if std::mem::replace(&mut has_checksum, true) {
                    return Err(ProxyError::Malformed);
                }
                // It is made while its own value is zero.
                let after = tlvs.0.len();
                let before = header.len() - after - value.len();
                let parts = [&header[..before], &[0; 4], &header[header.len() - after..]];
                if crc32c::of(&parts) != u32::from_be_bytes(stated) {
                    return Err(ProxyError::Checksum);
                }
            }
            SSL => {
                let client = parse_ssl(Reader(value)).ok_or(ProxyError::Malformed)?;
                if over_tls.replace(client & CLIENT_SSL != 0).is_some() {
                    return Err(ProxyError::Malformed);
                }
            }
            UNIQUE_ID if value.len() > UNIQUE_ID_MAX => return Err(ProxyError::Malformed),
            _ => {}
        }
    }
    Ok(over_tls.unwrap_or(false))
}

/// What the client does, of a TLV that tells of its TLS; the TLVs inside must fill it exactly.
fn parse_ssl(mut value: Reader<'_>) -> Option<u8> {
    let client = value.u8()?;
    let _verified: [u8; 4] = value.array()?;
    while !value.is_empty() {
        value.u8()?;
        value.block16()?;
    }
    Some(client)
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, the command with the version, the family, the length.
const FIXED: usize = 16;
/// Version 2, the proxy speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2, the proxy speaks for a client.
const PROXY: u8 = 0x21;
/// The low half of a family.
const STREAM: u8 = 1;
/// Two paths of 108 bytes.
const UNIX_ADDRESSES: usize = 216;

/// Kinds of TLVs.
const CHECKSUM: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const UNIQUE_ID_MAX: usize = 128;
const SSL: u8 = 0x20;
/// The client speaks TLS.
const CLIENT_SSL: u8 = 0x01;
