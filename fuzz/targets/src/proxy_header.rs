//! PROXY headers: the same verdict for every way of cutting the input; lines and binary headers
//! that say the same are read the same.

use std::net::{IpAddr, SocketAddr};

use stead_preamble::{PROXY_BYTES_MAX, ProxyHeader, parse_proxy_header};

/// Any bytes as the beginning of a connection.
pub fn proxy_header(input: &[u8]) {
    let whole = parse_proxy_header(input);
    let first = (0..input.len().min(PROXY_BYTES_MAX + 1))
        .map(|end| parse_proxy_header(&input[..end]))
        .find(|verdict| *verdict != Ok(None));
    assert_eq!(whole, first.unwrap_or(whole), "bytes behind a verdict change nothing");
    match whole {
        Ok(Some(header)) => check(header, input),
        Ok(None) => assert!(input.len() < PROXY_BYTES_MAX),
        Err(_) => {}
    }
}

fn check(header: ProxyHeader, input: &[u8]) {
    assert!(header.bytes <= input.len() && header.bytes <= PROXY_BYTES_MAX);
    assert!(!input.starts_with(b"PROXY ") || header.bytes <= 107);
    let Some(client) = header.client else { return };
    assert_eq!(client.ip(), client.ip().to_canonical());
    for written in [line(client), binary(client)] {
        let read = parse_proxy_header(&written).expect("well-formed").expect("complete");
        assert_eq!((read.client, read.bytes), (Some(client), written.len()));
    }
}

fn line(client: SocketAddr) -> Vec<u8> {
    let (kind, ip) = (if client.is_ipv4() { "TCP4" } else { "TCP6" }, client.ip());
    format!("PROXY {kind} {ip} {ip} {} 0\r\n", client.port()).into()
}

fn binary(client: SocketAddr) -> Vec<u8> {
    let (family, ip) = match client.ip() {
        IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    let length = (ip.len() * 2 + 4) as u16;
    let port = client.port().to_be_bytes();
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21";
    [&start[..], &[family], &length.to_be_bytes(), &ip, &ip, &port, &[0, 0]].concat()
}
