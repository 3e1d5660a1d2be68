//! `ClientHello`s of real clients, and each rule at its border.

use super::*;
use proptest::prelude::*;

/// Bytes that a client sent to a listening socket; the seeds of the fuzz target.
macro_rules! captured {
    ($name:literal) => {
        include_bytes!(concat!("../../../../fuzz/corpus/client_hello/", $name)).as_slice()
    };
}

const CAPTURED: &[(&str, &[u8])] = &[
    ("chromium", captured!("chromium")),
    ("curl", captured!("curl")),
    ("go", captured!("go")),
    ("java", captured!("java")),
    ("node", captured!("node")),
    ("openssl_acme", captured!("openssl_acme")),
    ("openssl_early", captured!("openssl_early")),
    ("openssl_no_name", captured!("openssl_no_name")),
    ("openssl_tls12", captured!("openssl_tls12")),
    ("openssl_tls13", captured!("openssl_tls13")),
    ("records_of_1", captured!("records_of_1")),
    ("records_of_100", captured!("records_of_100")),
];

fn in_words(hello: &ClientHello) -> String {
    let protocols: Vec<_> = hello.protocols.iter().map(|name| name.escape_ascii()).collect();
    let protocols: Vec<_> = protocols.iter().map(ToString::to_string).collect();
    format!("{} [{}]", hello.server_name.as_deref().unwrap_or("-"), protocols.join(" "))
}

#[test]
fn hellos_of_real_clients_are_read() {
    let expect = [
        ("chromium", "shop.example.com [h2 http/1.1]"),
        ("curl", "shop.example.com [h2 http/1.1]"),
        ("go", "shop.example.com [h2]"),
        ("java", "shop.example.com []"),
        ("node", "shop.example.com [http/1.1]"),
        ("openssl_acme", "shop.example.com [acme-tls/1]"),
        ("openssl_early", "shop.example.com []"),
        ("openssl_no_name", "- []"),
        ("openssl_tls12", "shop.example.com []"),
        ("openssl_tls13", "shop.example.com [h2 http/1.1]"),
        ("records_of_1", "shop.example.com [h2 http/1.1]"),
        ("records_of_100", "shop.example.com [h2 http/1.1]"),
    ];
    assert_eq!(CAPTURED.len(), expect.len());
    for ((name, input), (same_name, expect)) in CAPTURED.iter().zip(expect) {
        let hello = parse_client_hello(input).expect(name).expect(name);
        assert_eq!((*name, in_words(&hello).as_str()), (same_name, expect));
        assert!(hello.bytes <= input.len());
        // Early data follows in records of their own.
        assert_eq!(hello.bytes < input.len(), *name == "openssl_early", "{name}");
    }
}

/// What a prefix says is what the whole says, or that more is needed.
fn check_prefixes(input: &[u8]) {
    let whole = parse_client_hello(input);
    let (mut is_decided, mut reader) = (false, HelloReader::default());
    for end in 0..=input.len() {
        let found = parse_client_hello(&input[..end]);
        if !is_decided {
            assert_eq!(reader.parse(&input[..end]), found, "{end}");
        }
        if found != Ok(None) {
            is_decided = true;
        }
        assert!(!is_decided || found == whole, "{end}: {found:?}, whole: {whole:?}");
    }
    assert!(is_decided || whole == Ok(None));
}

#[test]
fn what_is_said_does_not_depend_on_how_the_bytes_were_cut() {
    for (_, input) in CAPTURED {
        check_prefixes(input);
    }
    for name in [captured!("plain_http"), captured!("ssl2"), captured!("trailing")] {
        check_prefixes(name);
    }
}

/// A hello with these extensions, in one record.
fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (kind, body) in extensions {
        block.extend_from_slice(&kind.to_be_bytes());
        block.extend_from_slice(&block16(body));
    }
    record(&message(&[&FIXED, block16(&block).as_slice()].concat()))
}

/// Version, random, session, one suite, no compression.
const FIXED: [u8; 41] = {
    let mut fixed = [0; 41];
    [fixed[0], fixed[1], fixed[36], fixed[37], fixed[39]] = [3, 3, 2, 0x13, 1];
    fixed
};

fn block16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes(), body].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[CLIENT_HELLO], &length[1..], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], block16(fragment).as_slice()].concat()
}

const CLIENT_HELLO: u8 = 1;

fn named(name: &[u8]) -> Vec<u8> {
    let entry = [&[0], block16(name).as_slice()].concat();
    hello(&[(SERVER_NAME, &block16(&entry))])
}

fn error_of(input: &[u8]) -> Option<HelloError> {
    check_prefixes(input);
    parse_client_hello(input).err()
}

#[test]
fn names_are_one_valid_dns_name_in_lower_case() {
    let label = "a".repeat(63);
    let longest = [label.as_str(), &label, &label, &label[..61]].join(".");
    for (name, expect) in [
        ("shop.example.com", Some("shop.example.com")),
        ("Shop.EXAMPLE.com.", Some("shop.example.com")),
        ("_sip.xn--bcher-kva.example", Some("_sip.xn--bcher-kva.example")),
        ("localhost", Some("localhost")),
        (&longest, Some(longest.as_str())),
        (&[label.as_str(), &label, &label, &label[..62]].join("."), None),
        (&[&label, "a.example"].concat(), None),
        ("", None),
        (".", None),
        ("a..example", None),
        ("a.example..", None),
        (".example", None),
        ("-a.example", None),
        ("a-.example", None),
        ("*.example", None),
        ("a b.example", None),
        ("a\0.example", None),
        ("bücher.example", None),
        ("127.0.0.1.", None),
        ("10.1", None),
        ("[::1]", None),
        ("a.example:443", None),
    ] {
        let found = parse_client_hello(&named(name.as_bytes()));
        let found = found.map(|hello| hello.expect(name).server_name);
        assert_eq!(
            found,
            expect.map(|name| Some(name.into())).ok_or(HelloError::BadName),
            "{name}"
        );
    }
}

#[test]
fn an_address_is_no_name_and_no_error() {
    for address in ["127.0.0.1", "::1", "2001:db8::1"] {
        let hello = parse_client_hello(&named(address.as_bytes())).expect(address);
        assert_eq!(hello.expect(address).server_name, None, "{address}");
    }
}

#[test]
fn every_length_is_met_exactly_and_no_list_is_empty() {
    use HelloError::{Illegal, Malformed};
    let of = |kind: u16, body: &[u8]| error_of(&hello(&[(kind, body)]));
    let entry = b"\0\0\x01a";
    assert_eq!(of(SERVER_NAME, &block16(entry)), None);
    assert_eq!(of(SERVER_NAME, &block16(&[entry, &entry[..]].concat())), Some(Illegal));
    assert_eq!(of(SERVER_NAME, &block16(b"\x01\0\x01a")), Some(Illegal));
    assert_eq!(of(SERVER_NAME, &block16(b"\0\0\x02a")), Some(Malformed));
    assert_eq!(of(SERVER_NAME, &[block16(entry), vec![0]].concat()), Some(Malformed));
    assert_eq!(of(SERVER_NAME, b"\0\0"), Some(Malformed));
    assert_eq!(of(SERVER_NAME, b""), Some(Malformed));
    assert_eq!(of(ALPN, b"\0\x03\x02h2"), None);
    assert_eq!(of(ALPN, b"\0\x03\x03h2"), Some(Malformed));
    assert_eq!(of(ALPN, b"\0\x03\x02h2x"), Some(Malformed));
    assert_eq!(of(ALPN, b"\0\x04\x02h2\0"), Some(Illegal));
    assert_eq!(of(ALPN, b"\0\0"), Some(Illegal));
    let twice = hello(&[(0x1234, b""), (0x1235, b""), (0x1234, b"x")]);
    assert_eq!(error_of(&twice), Some(Illegal));
}

#[test]
fn the_fixed_part_is_checked_too() {
    use HelloError::{Illegal, Malformed};
    let with = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut body = FIXED.to_vec();
        edit(&mut body);
        error_of(&record(&message(&body)))
    };
    assert_eq!(with(&|_| {}), None, "a hello needs no extension");
    assert_eq!(with(&|body| body.push(0)), Some(Malformed));
    assert_eq!(with(&|body| body.extend([0, 1])), Some(Malformed));
    assert_eq!(with(&|body| body.extend([0, 0, 0])), Some(Malformed));
    assert_eq!(with(&|body| body.truncate(20)), Some(Malformed));
    assert_eq!(with(&|body| body[40] = 1), Some(Illegal), "null compression must be offered");
    assert_eq!(with(&|body| body[36] = 0), Some(Malformed), "no cipher suite");
    let session = |body: &mut Vec<u8>| {
        body[34] = 33;
        body.splice(35..35, [0; 33]);
    };
    assert_eq!(with(&session), Some(Illegal));
}

#[test]
fn other_protocols_are_told_apart() {
    use HelloError::{NotTls, PlainHttp, Ssl2, Unexpected};
    for (input, expect) in [
        (&b"GET / HTTP/1.1\r\n"[..], Some(PlainHttp)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(PlainHttp)),
        (b"VERSION-CONTROL /", Some(PlainHttp)),
        (b"GETGETGETGET", None),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", None),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Some(NotTls)),
        (b"GET\r\n", Some(NotTls)),
        (b"SSH-2.0-OpenSSH", Some(NotTls)),
        (b"\r\n", Some(NotTls)),
        (b" GET", Some(NotTls)),
        (captured!("ssl2"), Some(Ssl2)),
        (b"\x80\x2e\x02", Some(NotTls)),
        (b"\x15\x03\x01\0\x02", Some(NotTls)),
        (b"\x16\x02", Some(NotTls)),
        (b"\x16\x03\x01\0\0", Some(Unexpected)),
        (b"\x16\x03\x01\0\x04\x02", Some(Unexpected)),
        (b"\x16\x03\x01\0\x02\x01\0\x17", Some(Unexpected)),
    ] {
        assert_eq!(error_of(input), expect, "{}", input.escape_ascii());
    }
    assert_eq!(error_of(captured!("trailing")), Some(HelloError::Illegal));
}

#[test]
fn what_is_too_large_is_refused_as_soon_as_it_says_so() {
    let padding = |bytes: usize| hello(&[(21, &vec![0; bytes])]);
    let most = HELLO_BYTES_MAX - hello(&[(21, b"")]).len();
    assert!(parse_client_hello(&padding(most)).is_ok_and(|hello| hello.is_some()));
    assert_eq!(parse_client_hello(&padding(most + 1)), Err(HelloError::TooLarge));
    assert_eq!(parse_client_hello(&padding(most + 1)[..9]), Err(HelloError::TooLarge));
    assert_eq!(parse_client_hello(b"\x16\x03\x01\x40\x01"), Err(HelloError::TooLarge));
    // Headers of records count.
    let fragments: Vec<u8> = padding(5000)[5..].chunks(1).flat_map(record).collect();
    assert_eq!(parse_client_hello(&fragments[..HELLO_BYTES_MAX - 1]), Ok(None));
    assert_eq!(parse_client_hello(&fragments[..HELLO_BYTES_MAX]), Err(HelloError::TooLarge));
    assert_eq!(parse_client_hello(&fragments), Err(HelloError::TooLarge));
}

/// Looking at all of it again with each byte took half a second.
#[test]
fn what_trickles_in_costs_no_more_than_what_comes_at_once() {
    let fragments: Vec<u8> = hello(&[(21, &[0; 5000])])[5..].chunks(1).flat_map(record).collect();
    let mut reader = HelloReader::default();
    for end in 0..HELLO_BYTES_MAX {
        assert_eq!(reader.parse(&fragments[..end]), Ok(None));
    }
    assert!(reader.0.at > HELLO_BYTES_MAX - 7, "{reader:?}");
    assert_eq!(reader.parse(&fragments), Err(HelloError::TooLarge));
}

#[test]
fn thousands_of_extensions_do_not_cost_their_square() {
    let many: Vec<(u16, &[u8])> = (1000..5000).map(|kind| (kind, &b""[..])).collect();
    let input = hello(&many);
    assert!(parse_client_hello(&input).is_ok_and(|hello| hello.is_some()));
    let twice: Vec<_> = many.iter().copied().chain([(1000, &b""[..])]).collect();
    assert_eq!(parse_client_hello(&hello(&twice)), Err(HelloError::Illegal));
}

#[test]
fn errors_tell_the_peer_and_the_log() {
    assert_eq!(HelloError::PlainHttp.reason().status(), Some(400));
    assert_eq!(HelloError::PlainHttp.alert(), None);
    assert_eq!(HelloError::BadName.alert(), Some(112));
    assert_eq!(HelloError::Malformed.reason(), Reason::BadClientHello);
}

proptest! {
    #[test]
    fn records_may_be_cut_anywhere(
        index in 0..10_usize,
        cuts in prop::collection::vec(1..400_usize, 1..40),
    ) {
        let (_, input) = CAPTURED[index];
        let whole = parse_client_hello(input).expect("captured").expect("complete");
        let mut message = &input[5..whole.bytes];
        let mut cut = Vec::new();
        for bytes in cuts.iter().cycle() {
            let (fragment, rest) = message.split_at((*bytes).min(message.len()));
            cut.extend(record(fragment));
            message = rest;
            if message.is_empty() {
                break;
            }
        }
        let expect = ClientHello { bytes: cut.len(), ..whole };
        cut.extend(&input[expect.bytes.min(input.len())..]);
        prop_assert_eq!(parse_client_hello(&cut), Ok(Some(expect)));
    }

    #[test]
    fn changed_bytes_never_panic_and_are_judged_the_same_in_pieces(
        index in 0..12_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut input = CAPTURED[index].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        check_prefixes(&input);
    }

    #[test]
    fn noise_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
        check_prefixes(&input);
        check_prefixes(&record(&message(&input)));
    }
}
