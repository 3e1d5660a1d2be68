//! Headers as proxies write them, and each rule at its border.

use super::*;
use proptest::prelude::*;

fn check(input: &[u8], expect: &Result<Option<(&str, usize)>, ProxyError>) {
    let found = parse_proxy_header(input).map(|header| {
        header.map(|header| {
            (header.client.map_or("peer".into(), |client| client.to_string()), header.bytes)
        })
    });
    let expect = expect.map(|expect| expect.map(|(client, bytes)| (client.to_owned(), bytes)));
    assert_eq!(found, expect, "{}", input.escape_ascii());
    check_prefixes(input);
}

/// What a prefix says is what the whole says, or that more is needed.
fn check_prefixes(input: &[u8]) {
    let whole = parse_proxy_header(input);
    let mut is_decided = false;
    for end in 0..=input.len() {
        let found = parse_proxy_header(&input[..end]);
        is_decided |= found != Ok(None);
        assert!(!is_decided || found == whole, "{end}: {found:?}, whole: {whole:?}");
    }
}

#[test]
fn security_48_lines_of_version_1() {
    use ProxyError::{Malformed, Missing, TooLarge};
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {long} {long} 65535 65535\r\n");
    assert_eq!(longest.len(), 107);
    for (line, expect) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r\n", Ok(Some("192.0.2.1:49152"))),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", Ok(Some("255.255.255.255:65535"))),
        ("PROXY TCP6 2001:db8::1 ::1 1 80\r\n", Ok(Some("[2001:db8::1]:1"))),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n", Ok(Some("192.0.2.1:1"))),
        (&longest.replace("UNKNOWN", "TCP6"), Ok(Some(&format!("[{long}]:65535")))),
        (&longest, Ok(Some("peer"))),
        ("PROXY UNKNOWN\r\n", Ok(Some("peer"))),
        ("PROXY UNKNOWN what ever\r\n", Ok(Some("peer"))),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152 80", Ok(None)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r", Ok(None)),
        ("", Ok(None)),
        ("PROX", Ok(None)),
        (&format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)), Err(TooLarge)),
        (&format!("PROXY {}", "x".repeat(101)), Err(TooLarge)),
        ("POST / HTTP/1.1\r\n", Err(Missing)),
        ("PROXY\r\n", Err(Missing)),
        ("proxy UNKNOWN\r\n", Err(Missing)),
        ("GET / HTTP/1.1\r\n", Err(Missing)),
        ("PROXY \r\n", Err(Malformed)),
        ("PROXY UDP4 192.0.2.1 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4  192.0.2.1 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152 80 \r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\n\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.01 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.256 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 a.example 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 ::1 ::1 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP6 192.0.2.1 192.0.2.9 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP6 fe80::1%eth0 ::1 49152 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 65536 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 +1 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 01 80\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 192.0.2.9 1 \r\n", Err(Malformed)),
    ] {
        let expect = expect.map(|client| client.map(|client| (client, line.len())));
        check(line.as_bytes(), &expect);
        if expect != Ok(None) {
            check(format!("{line}GET /").as_bytes(), &expect);
        }
    }
    check(b"PROXY UNKNOWN \xff\r\n", &Err(Malformed));
}

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

const INET4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 9, 0xc0, 0, 0, 80];

#[test]
fn security_48_headers_of_version_2() {
    use ProxyError::{Malformed, Missing};
    let inet6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 28], &[0xc0, 0, 0, 80]].concat();
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 1], &[0; 16], &[0, 1, 0, 80]].concat();
    for (command, family, body, expect) in [
        (0x21, 0x11, INET4, Ok(Some("192.0.2.1:49152"))),
        (0x21, 0x21, &inet6[..], Ok(Some("[2001:db8::]:49152"))),
        (0x21, 0x21, &mapped, Ok(Some("192.0.2.1:1"))),
        (0x21, 0x31, &[b'/'; 216], Ok(Some("peer"))),
        // The proxy speaks for itself: family and body mean nothing.
        (0x20, 0x00, b"", Ok(Some("peer"))),
        (0x20, 0x11, INET4, Ok(Some("peer"))),
        (0x20, 0xff, b"whatever", Ok(Some("peer"))),
        // It does not know.
        (0x21, 0x00, b"", Ok(Some("peer"))),
        (0x21, 0x00, b"whatever", Ok(Some("peer"))),
        (0x21, 0x10, INET4, Ok(Some("peer"))),
        // Not enough for the addresses.
        (0x21, 0x11, &INET4[1..], Err(Malformed)),
        (0x21, 0x21, &inet6[1..], Err(Malformed)),
        (0x21, 0x31, &[b'/'; 215], Err(Malformed)),
        (0x21, 0x11, b"", Err(Malformed)),
        // Other versions, commands, families, and datagrams.
        (0x11, 0x11, INET4, Err(Malformed)),
        (0x01, 0x11, INET4, Err(Malformed)),
        (0x22, 0x11, INET4, Err(Malformed)),
        (0x21, 0x12, INET4, Err(Malformed)),
        (0x21, 0x13, INET4, Err(Malformed)),
        (0x21, 0x41, INET4, Err(Malformed)),
        (0x21, 0x03, INET4, Err(Malformed)),
    ] {
        let header = binary(command, family, body);
        let expect = expect.map(|client| client.map(|client| (client, header.len())));
        check(&header, &expect);
        check(&[&header[..], b"GET /"].concat(), &expect);
    }
    check(b"\r\n\r\n\0\r\nQUIT\r", &Err(Missing));
    check(b"\r\nGET / HTTP/1.1\r\n", &Err(Missing));
    check(b"\x16\x03\x01", &Err(Missing));
}

#[test]
fn security_48_tlvs_fill_the_header_exactly() {
    use ProxyError::{Malformed, TooLarge};
    let with = |tlvs: &[u8]| binary(0x21, 0x11, &[INET4, tlvs].concat());
    let good = |tlvs: &[u8]| {
        let header = with(tlvs);
        check(&header, &Ok(Some(("192.0.2.1:49152", header.len()))));
    };
    good(&tlv(0x04, b""));
    good(&[tlv(0x02, b"shop.example.com"), tlv(0x20, b"\x01\0\0\0\0"), tlv(0xee, b"x")].concat());
    good(&tlv(0x05, &[7; 128]));
    check(&with(&tlv(0x05, &[7; 129])), &Err(Malformed));
    for cut in [&b"\x04"[..], b"\x04\0", b"\x04\0\x01", b"\x04\0\0\x01", b"\x04\xff\xffx"] {
        check(&with(cut), &Err(Malformed));
    }
    for cut in [&b"\x01\0\0\0"[..], b"\x01\0\0\0\0\x21", b"\x01\0\0\0\0\x21\0\x02x"] {
        check(&with(&tlv(0x20, cut)), &Err(Malformed));
    }
    let room = PROXY_BYTES_MAX - with(&tlv(0x04, b"")).len();
    good(&tlv(0x04, &vec![0; room]));
    let header = with(&tlv(0x04, &vec![0; room + 1]));
    check(&header, &Err(TooLarge));
    assert_eq!(parse_proxy_header(&header[..16]), Err(TooLarge), "its length says so");
}

#[test]
fn a_header_may_say_that_the_client_speaks_tls() {
    let over_tls = |tlvs: &[u8]| {
        let header = binary(0x21, 0x11, &[INET4, tlvs].concat());
        parse_proxy_header(&header).map(|header| header.expect("complete").over_tls)
    };
    let facts = [tlv(0x21, b"TLSv1.3"), tlv(0x22, b"a.example")].concat();
    let inner = [&b"\x01\0\0\0\0"[..], &facts].concat();
    assert_eq!(over_tls(b""), Ok(false));
    assert_eq!(over_tls(&tlv(0x20, b"\0\0\0\0\0")), Ok(false));
    assert_eq!(over_tls(&tlv(0x20, b"\x01\0\0\0\0")), Ok(true));
    assert_eq!(over_tls(&tlv(0x20, &inner)), Ok(true));
    // Who says two things is not believed.
    let twice = [tlv(0x20, b"\x01\0\0\0\0"), tlv(0x20, b"\0\0\0\0\0")].concat();
    assert_eq!(over_tls(&twice), Err(ProxyError::Malformed));
}

#[test]
fn security_48_a_checksum_must_hold() {
    let with = |tlvs: &[u8]| binary(0x21, 0x11, &[INET4, tlvs].concat());
    let tlvs = |sum: &[u8]| [tlv(0x04, b"ab"), tlv(0x03, sum), tlv(0x04, b"")].concat();
    let sum = crc32c::of(&[&with(&tlvs(&[0; 4]))]).to_be_bytes();
    let header = with(&tlvs(&sum));
    check(&header, &Ok(Some(("192.0.2.1:49152", header.len()))));
    for at in 16..header.len() {
        let mut changed = header.clone();
        changed[at] ^= 1;
        // A byte that makes lengths disagree is found by these.
        let refused = matches!(
            parse_proxy_header(&changed),
            Err(ProxyError::Checksum | ProxyError::Malformed)
        );
        // The kind of the checksum's own TLV: nothing says any more that there is one.
        assert_eq!(refused, at != 33, "{at}");
    }
    check(&with(&tlvs(&[0; 4])), &Err(ProxyError::Checksum));
    check(&with(&tlvs(&sum[..3])), &Err(ProxyError::Malformed));
    let twice = with(&[tlv(0x03, &sum), tlv(0x03, &sum)].concat());
    assert!(parse_proxy_header(&twice).is_err());
}

proptest! {
    #[test]
    fn what_proxies_write_is_read(client: std::net::IpAddr, port: u16, destination_port: u16) {
        let kind = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {kind} {client} {client} {port} {destination_port}\r\n");
        let expect = Some((client.to_canonical(), port).into());
        let header = parse_proxy_header(line.as_bytes()).expect("well-formed").expect("complete");
        let bytes = line.len();
        prop_assert_eq!(header, ProxyHeader { client: expect, over_tls: false, bytes });
        let (family, ip) = match client {
            std::net::IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
            std::net::IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
        };
        let ports = [port.to_be_bytes(), destination_port.to_be_bytes()].concat();
        let input = binary(0x21, family, &[&ip[..], &ip, &ports].concat());
        let header = parse_proxy_header(&input).expect("well-formed").expect("complete");
        let bytes = input.len();
        prop_assert_eq!(header, ProxyHeader { client: expect, over_tls: false, bytes });
    }

    #[test]
    fn changed_bytes_never_panic_and_are_judged_the_same_in_pieces(
        is_binary: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut input = if is_binary {
            binary(0x21, 0x11, &[INET4, &tlv(0x03, &[0; 4]), &tlv(0x04, b"abc")].concat())
        } else {
            b"PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r\nGET / HTTP/1.1\r\n".to_vec()
        };
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        check_prefixes(&input);
    }

    #[test]
    fn noise_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
        check_prefixes(&input);
        check_prefixes(&[b"PROXY ", &input[..]].concat());
        check_prefixes(&binary(0x21, 0x11, &input));
        check_prefixes(&binary(0x21, 0x21, &input));
    }
}
