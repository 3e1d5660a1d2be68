//! `ClientHello`s: the same verdict for every way of cutting the input, and values that keep their
//! promises.

use stead_preamble::{ClientHello, HELLO_BYTES_MAX, HelloError, HelloReader, parse_client_hello};

/// Any bytes as the beginning of a connection.
pub fn client_hello(input: &[u8]) {
    let whole = parse_client_hello(input);
    let decided = first_verdict(input);
    assert_eq!(whole.as_ref().err(), decided.as_ref().err());
    assert_eq!(in_pieces(input), whole, "read in pieces");
    match whole {
        Ok(Some(hello)) => {
            check(&hello, input);
            assert_eq!(Ok(Some(hello)), decided, "bytes behind it change nothing");
        }
        Ok(None) => assert!(input.len() < HELLO_BYTES_MAX),
        Err(error) => assert!(!error.reason().facts().code.is_empty()),
    }
}

/// What is said first of the input as it grows.
fn first_verdict(input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    // Every prefix of what is short; of what is long those near borders of records are enough.
    let step = 1 + input.len() / 512;
    let mut reader = HelloReader::default();
    for end in (0..input.len()).step_by(step) {
        let verdict = parse_client_hello(&input[..end]);
        assert_eq!(reader.parse(&input[..end]), verdict, "reading on is reading anew");
        if verdict != Ok(None) {
            return verdict;
        }
    }
    parse_client_hello(input)
}

/// The same, where what arrives at once is as long as its first byte says: pieces end before, in
/// and behind the headers of records, and hold several.
fn in_pieces(input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    let (mut reader, mut end) = (HelloReader::default(), 0);
    while let Some(byte) = input.get(end) {
        end = (end + 1 + usize::from(*byte)).min(input.len());
        let verdict = reader.parse(&input[..end]);
        if verdict != Ok(None) {
            return verdict;
        }
    }
    Ok(None)
}

fn check(hello: &ClientHello, input: &[u8]) {
    assert!(hello.bytes <= input.len() && hello.bytes <= HELLO_BYTES_MAX);
    assert_eq!(parse_client_hello(&input[..hello.bytes - 1]), Ok(None), "it ends where it says");
    if let Some(name) = &hello.server_name {
        assert!(!name.is_empty() && name.len() <= 253 && !name.ends_with('.'));
        assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')));
        assert!(name.parse::<std::net::IpAddr>().is_err());
    }
    assert!(hello.protocols.iter().all(|name| !name.is_empty() && hello.protocols.contains(name)));
    assert_eq!(hello.protocols.is_empty(), hello.protocols.iter().next().is_none());
}
