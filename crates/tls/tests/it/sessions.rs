//! One session beside a client: handshakes, plaintext both ways, ends, resumption.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use stead_core::{Protocol, Shared};
use stead_tls::{Entry, PemSource};

use crate::peer::{Authority, Pair, Peer, Pipe, chooser, clients, options};

const NAME: &str = "shop.example.com";

/// A pipe whose handshake is done.
fn connected(peer: &Peer, chooser: &stead_tls::Chooser, step: usize) -> Pipe {
    let session = chooser.open(Some(NAME.into())).expect("a session");
    let mut pipe = Pipe::new(peer.connect(NAME), session);
    pipe.run(step).expect("a handshake");
    pipe
}

fn exchange(pipe: &mut Pipe, step: usize) {
    pipe.write(b"GET / HTTP/1.1\r\n\r\n");
    pipe.run(step).expect("a request");
    assert_eq!(std::mem::take(&mut pipe.plain), b"GET / HTTP/1.1\r\n\r\n");
    pipe.seal(b"HTTP/1.1 200 OK\r\n\r\n");
    pipe.run(step).expect("an answer");
    assert_eq!(pipe.read(), b"HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn plaintext_crosses_in_both_versions_whatever_the_pieces() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let peer = Peer::with(&authority, None, &[version]);
        for step in [1, 7, 100_000] {
            let mut pipe = connected(&peer, &chooser, step);
            assert!(!pipe.session.is_handshaking());
            let facts = pipe.session.take_facts();
            let expected = if version.version == rustls::ProtocolVersion::TLSv1_3 {
                ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
            } else {
                ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
            };
            assert_eq!((facts.version, facts.cipher), expected);
            assert_eq!(facts.server_name.as_deref(), Some(NAME));
            assert_eq!((facts.shown.name(), facts.protocol), ("main", None));
            exchange(&mut pipe, step);
        }
    }
}

#[test]
fn large_answers_cross_whole() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut pipe = connected(&Peer::new(&authority), &chooser, 100_000);
    let body: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let mut read = Vec::new();
    for piece in body.chunks(stead_tls::SEAL_BYTES_MAX) {
        pipe.seal(piece);
        assert!(pipe.out.unsent().len() <= 64 << 10, "what was sealed fits into one buffer");
        pipe.run(100_000).expect("an answer");
        read.extend(pipe.read());
    }
    assert!(read == body);
}

#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut peer = Peer::new(&authority);
    peer.config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut pipe = connected(&peer, &chooser, 100_000);
    assert_eq!(pipe.session.take_facts().protocol, Some(Protocol::Http1));
    let entries = chooser.entries().to_vec();
    let with_http2 = stead_tls::Chooser::new(entries, true).expect("entries");
    let mut pipe = connected(&peer, &with_http2, 100_000);
    assert_eq!(pipe.session.take_facts().protocol, Some(Protocol::Http2));
    peer.config.alpn_protocols = vec![b"spdy/3".to_vec()];
    let session = chooser.open(None).expect("a session");
    let error = Pipe::new(peer.connect(NAME), session).run(100_000).expect_err("no protocol");
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn both_ends_say_that_they_close() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut pipe = connected(&Peer::new(&authority), &chooser, 100_000);
    pipe.client.send_close_notify();
    pipe.run(100_000).expect("its close");
    assert!(pipe.session.is_ended());
    // Its other half is still open.
    pipe.seal(b"last words");
    pipe.session.close(&mut pipe.received, &mut pipe.out);
    pipe.run(100_000).expect("our close");
    assert_eq!(pipe.read(), b"last words");
    let state = pipe.client.process_new_packets().expect("in order");
    assert!(state.peer_has_closed());
    assert!(pipe.session.seal(b"more", &mut pipe.received, &mut pipe.out).is_err());
}

#[test]
fn a_changed_record_ends_the_session_with_an_alert() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut pipe = connected(&Peer::new(&authority), &chooser, 100_000);
    pipe.write(b"hello");
    let mut sent = Vec::new();
    pipe.client.write_tls(&mut sent).expect("a vector");
    *sent.last_mut().expect("bytes") ^= 1;
    assert!(pipe.session.receive(&mut sent, &mut pipe.plain, &mut pipe.out).is_err());
    assert!(pipe.plain.is_empty());
    let mut alert = pipe.out.unsent();
    pipe.client.read_tls(&mut alert).expect("a slice");
    let error = pipe.client.process_new_packets().expect_err("an alert");
    assert!(matches!(error, rustls::Error::AlertReceived(_)), "{error}");
}

#[test]
fn a_session_is_resumed_once_for_each_ticket() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let peer = Peer::with(&authority, None, &[version]);
        let resumed: Vec<bool> = (0..4)
            .map(|_| {
                let mut pipe = connected(&peer, &chooser, 100_000);
                exchange(&mut pipe, 100_000);
                pipe.session.take_facts().is_resumed
            })
            .collect();
        assert_eq!(resumed, [false, true, true, true], "{version:?}");
    }
    let counts = chooser.entries()[0].counts();
    let counted = [&counts.full, &counts.resumed, &counts.failed].map(|one| one.load(Relaxed));
    assert_eq!(counted, [2, 6, 0]);
}

/// In words of ours, since rustls has none.
#[test]
fn an_authority_that_shows_itself_is_told_what_is_wrong() {
    let authority = Authority::new();
    let own = authority.sign_with(&["device-7.example.com"], |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let mut options = options("main", &authority.sign(&[NAME]));
    options.clients = Some(clients(&authority, true));
    let session = chooser([options]).open(Some(NAME.into())).expect("a session");
    let peer = Peer::with(&authority, Some(&own), &[&rustls::version::TLS13]);
    let broken = Pipe::new(peer.connect(NAME), session).run(100_000).expect_err("refused");
    assert!(format!("{broken:?}").contains("an authority's"), "{broken:?}");
}

/// Nobody could ever show one that it signed.
#[test]
fn a_certificate_that_signs_nothing_is_refused_as_an_authority_of_clients() {
    let authority = Authority::new();
    let mut options = options("main", &authority.sign(&[NAME]));
    let leaf = authority.sign(&["device-7.example.com"]).chain;
    let mut clients = clients(&authority, true);
    clients.ca = PemSource::Bytes(leaf.as_bytes().into());
    options.clients = Some(clients);
    let refused = Entry::load(options, &Shared::default()).expect_err("refused");
    assert!(format!("{refused:?}").contains("signs no others"), "{refused:?}");
}

#[test]
fn clients_show_certificates() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let own = authority.sign_with(&["device-7.example.com"], |params| {
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example\r\nX: y");
        let mail = "device@example.com".try_into().expect("an address");
        params.subject_alt_names.push(rcgen::SanType::Rfc822Name(mail));
    });
    let pair = authority.sign(&[NAME]);
    for (required, shown, fine) in [
        (true, Some(&own), true),
        (true, None, false),
        (true, Some(&foreign.sign(&["device-7.example.com"])), false),
        (false, Some(&own), true),
        (false, None, true),
        (false, Some(&foreign.sign(&["device-7.example.com"])), false),
    ] {
        let mut options = options("main", &pair);
        options.clients = Some(clients(&authority, required));
        let chooser = chooser([options]);
        let own: Option<&Pair> = shown;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let peer = Peer::with(&authority, own, &[version]);
            let session = chooser.open(Some(NAME.into())).expect("a session");
            let mut pipe = Pipe::new(peer.connect(NAME), session);
            assert_eq!(pipe.run(100_000).is_ok(), fine, "{required} {version:?}");
            if !fine {
                continue;
            }
            // What is known of it survives resumption.
            for _ in 0..2 {
                let mut pipe = connected(&peer, &chooser, 100_000);
                exchange(&mut pipe, 100_000);
                let client = pipe.session.take_facts().client;
                assert_eq!(client.is_some(), own.is_some());
                let Some(client) = client else { continue };
                assert!(client.subject.contains(r"O=Example\0d\0aX: y"), "{client:?}");
                assert!(client.issuer.contains("CN=Test CA"));
                assert_eq!(client.fingerprint.len(), 64);
                assert_eq!(&*client.dns_names, ["device-7.example.com".into()]);
                assert_eq!(&*client.emails, ["device@example.com".into()]);
                assert!(client.not_after > 1_700_000_000 && !client.serial.is_empty());
            }
        }
    }
}

#[test]
fn security_47_a_session_of_one_entry_is_not_resumed_by_another() {
    let authority = Authority::new();
    let (open, strict) = (authority.sign(&[NAME]), authority.sign(&[NAME]));
    let mut with_clients = options("strict", &strict);
    with_clients.clients = Some(clients(&authority, false));
    let (open, strict) = (chooser([options("open", &open)]), chooser([with_clients]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let peer = Peer::with(&authority, None, &[version]);
        exchange(&mut connected(&peer, &open, 100_000), 100_000);
        let mut pipe = connected(&peer, &strict, 100_000);
        assert!(!pipe.session.take_facts().is_resumed);
    }
}

/// A part of a message of the handshake that came before an answer was sealed once made the library
/// look for it in an empty buffer.
#[test]
fn half_a_handshake_message_is_in_nobodys_way() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let session = chooser.open(Some(NAME.into())).expect("a session");
    let mut pipe = Pipe::new(Peer::new(&authority).connect(NAME), session);
    let mut hello = Vec::new();
    pipe.client.write_tls(&mut hello).expect("a vector");
    // The message in two records, of which only the first comes.
    let half = &hello[5..105];
    let mut record = vec![22, 3, 1, 0, 100];
    record.extend_from_slice(half);
    let used = pipe.session.receive(&mut record, &mut pipe.plain, &mut pipe.out).expect("half");
    assert_eq!(used, 0, "it is wanted again");
    assert!(pipe.session.seal(b"answer", &mut record, &mut pipe.out).is_err());
    pipe.session.close(&mut record, &mut pipe.out);
}

/// It once ended the worker's connection with a panic: the library was given an empty buffer to
/// find the rest in.
#[test]
fn an_expired_client_with_half_a_message_behind_its_end_is_told_so() {
    let authority = Authority::new();
    let mut options = options("main", &authority.sign(&[NAME]));
    options.clients = Some(clients(&authority, true));
    let chooser = chooser([options]);
    // As long as the first connection takes on this machine.
    let (mut peer, ends) = [1, 2, 4, 8, 16, 32]
        .into_iter()
        .find_map(|life_s| {
            let ends = SystemTime::now() + Duration::from_secs(life_s);
            let own = authority.sign_with(&["client"], |params| params.not_after = ends.into());
            let peer = Peer::with(&authority, Some(&own), &[&rustls::version::TLS13]);
            let session = chooser.open(Some(NAME.into())).expect("a session");
            let mut pipe = Pipe::new(peer.connect(NAME), session);
            pipe.run(100_000).ok()?;
            exchange(&mut pipe, 100_000);
            Some((peer, ends))
        })
        .expect("a handshake within its life");
    let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    std::thread::sleep(left + Duration::from_secs(2));

    peer.config.enable_secret_extraction = true;
    let mut session = chooser.open(Some(NAME.into())).expect("a session");
    let (mut plain, mut out) = (Vec::new(), stead_tls::Outgoing::default());
    let mut client = peer.connect(NAME);
    let mut received = Vec::new();
    client.write_tls(&mut received).expect("a vector");
    let used = session.receive(&mut received, &mut plain, &mut out).expect("a hello");
    received.drain(..used);
    let mut flight = out.unsent();
    client.read_tls(&mut flight).expect("a slice");
    client.process_new_packets().expect("a flight");
    assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    out.sent(out.unsent().len());
    client.write_tls(&mut received).expect("its end");
    received.extend(half_a_message(client));
    let broken = session.receive(&mut received, &mut plain, &mut out).expect_err("expired");
    assert!(broken.to_string().contains("expired"), "{broken}");
    assert!(!out.unsent().is_empty(), "the client is told");
}

/// The first half of a `KeyUpdate`, as the first record of a client.
fn half_a_message(client: rustls::ClientConnection) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let secrets = client.dangerous_extract_secrets().expect("secrets");
    let (0, rustls::ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
        panic!("another suite");
    };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key"));
    let nonce = Nonce::try_assume_unique_for_key(iv.as_ref()).expect("a nonce");
    let header = [23, 3, 3, 0, 3 + 16];
    let mut sealed = vec![24, 0, 22];
    key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).expect("seals");
    [&header[..], &sealed].concat()
}

proptest::proptest! {
    /// SECURITY: whatever comes in whatever pieces ends in an error, not in a panic.
    #[test]
    fn changed_bytes_never_panic(
        place in 0..400_usize, change in 1..=255_u8, step in 1..300_usize, late: bool,
    ) {
        let authority = Authority::new();
        let mut options = options("main", &authority.sign(&[NAME]));
        options.clients = Some(clients(&authority, late));
        let chooser = chooser([options]);
        let own = authority.sign(&["client"]);
        let peer = Peer::with(&authority, Some(&own), rustls::ALL_VERSIONS);
        let session = chooser.open(None).expect("a session");
        let mut pipe = Pipe::new(peer.connect(NAME), session);
        pipe.write(b"hello");
        pipe.flip = Some((place * if late { 8 } else { 1 }, change));
        let _ = pipe.run(step);
        let _ = pipe.session.seal(b"answer", &mut pipe.received, &mut pipe.out);
        pipe.session.close(&mut pipe.received, &mut pipe.out);
    }
}

/// Once a connection held a gigabyte so.
#[test]
fn a_handshake_message_in_tiny_pieces_is_not_kept_for_ever() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut client = Peer::with(&authority, None, &[&rustls::version::TLS12]).connect(NAME);
    let mut session = chooser.open(Some(NAME.into())).expect("a session");
    let (mut received, mut plain) = (Vec::new(), Vec::new());
    let mut out = stead_tls::Outgoing::default();
    client.write_tls(&mut received).expect("a vector");
    let used = session.receive(&mut received, &mut plain, &mut out).expect("a hello");
    received.drain(..used);
    // ClientKeyExchange of 65,535 bytes, one a record.
    for byte in [16, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat_n(0, 0xffff)) {
        received.extend([22, 3, 3, 0, 1, byte]);
        match session.receive(&mut received, &mut plain, &mut out) {
            Ok(used) => drop(received.drain(..used)),
            Err(broken) => {
                assert!(broken.to_string().contains("pieces"), "{broken}");
                assert!(received.len() < 100_000, "{}", received.len());
                return;
            }
        }
    }
    panic!("all of it was kept");
}

#[test]
fn keys_that_change_without_a_byte_of_plaintext_end_a_session() {
    let authority = Authority::new();
    let chooser = chooser([options("main", &authority.sign(&[NAME]))]);
    let mut pipe = connected(&Peer::new(&authority), &chooser, 100_000);
    let new_keys = |pipe: &mut Pipe| {
        pipe.client.refresh_traffic_keys().expect("TLS 1.3");
        pipe.run(100_000)
    };
    for _ in 0..3 {
        for _ in 0..16 {
            new_keys(&mut pipe).expect("some are fine");
        }
        exchange(&mut pipe, 100_000);
    }
    let ended = (0..17).find_map(|_| new_keys(&mut pipe).err()).expect("not for ever");
    assert!(ended.contains("records"), "{ended}");
}

#[test]
fn security_47_a_request_without_host_needs_one_policy_for_all() {
    let authority = Authority::new();
    let own = authority.sign(&["client"]);
    let (shop, admin) = (authority.sign(&[NAME]), authority.sign(&["admin.example.com"]));
    let guarded = || stead_tls::EntryOptions {
        clients: Some(clients(&authority, true)),
        ..options("admin", &admin)
    };
    let peer = Peer::with(&authority, Some(&own), &[&rustls::version::TLS13]);
    let permits = |chooser: &stead_tls::Chooser| {
        let facts = connected(&peer, chooser, 100_000).session.take_facts();
        facts.shown.permits_unnamed()
    };
    assert!(permits(&chooser([options("shop", &shop)])));
    assert!(permits(&chooser([options("shop", &shop), options("admin", &admin)])));
    assert!(!permits(&chooser([guarded(), options("shop", &shop)])));
    assert!(!permits(&chooser([options("shop", &shop), guarded()])));
}
