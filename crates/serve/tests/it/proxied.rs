//! Connections behind proxies that speak the PROXY protocol.

use std::io::Write;
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_config::Origin;
use stead_core::{Exchange, Peer, Response};

use crate::client::Client;
use crate::handlers::{Make, text};
use crate::harness::{Harness, Recipe, at_best, eventually};

/// Says who the peer is, with its port, and the client.
fn who(exchange: &mut Exchange) -> Response {
    let port = match exchange.connection().peer {
        Peer::Tcp(address) => address.port(),
        Peer::Unix => 0,
    };
    text(exchange, format!("{} {port}", exchange.client()).as_bytes())
}

fn recipe() -> Recipe {
    Recipe::default().route("/", Make(who)).behind([Origin::Loopback])
}

const LINE: &str = "PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r\n";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a new connection is told that begins with `header`.
fn ask(harness: &Harness, header: impl AsRef<[u8]>) -> Option<String> {
    let mut client = harness.connect();
    // A refusal may be quicker than the request.
    let _ = client.stream.write_all(&[header.as_ref(), REQUEST.as_bytes()].concat());
    client.try_answer().map(|answer| answer.text().to_owned())
}

#[test]
fn security_48_the_client_that_the_header_names_is_the_peer() {
    let harness = recipe().start();
    assert_eq!(ask(&harness, LINE).as_deref(), Some("192.0.2.1 49152"));
    let line = "PROXY TCP6 2001:db8::1 ::1 7 80\r\n";
    assert_eq!(ask(&harness, line).as_deref(), Some("2001:db8::1 7"));
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x05\xc0\0\x02\x09\0\x07\0\x50";
    assert_eq!(ask(&harness, binary).as_deref(), Some("192.0.2.5 7"));
    // A proxy that speaks for itself, or does not know, is the client.
    for own in ["PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        assert!(ask(&harness, own).expect(own).starts_with("127.0.0.1 "));
    }
    // It holds for every request of the connection, also after a rest.
    let mut client = harness.connect();
    client.send(LINE);
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "192.0.2.1 49152");
        harness.expect_parked(1);
    }
    drop(client);
    harness.expect_open(0);
}

#[test]
fn a_client_that_speaks_tls_with_the_proxy_came_by_https() {
    fn scheme(exchange: &mut Exchange) -> Response {
        text(exchange, exchange.scheme().as_str().as_bytes())
    }
    let harness = Recipe::default().route("/", Make(scheme)).behind([Origin::Loopback]).start();
    let addresses = b"\xc0\0\x02\x05\xc0\0\x02\x09\0\x07\0\x50";
    let start = |length: u8| [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &[length][..], addresses].concat();
    let mut client = harness.connect();
    client.send([&start(20)[..], b"\x20\0\x05\x01\0\0\0\0"].concat());
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "https");
        harness.expect_parked(1);
    }
    let mut client = harness.connect();
    client.send(start(12));
    assert_eq!(client.get("/").text(), "http");
}

#[test]
fn security_48_a_header_may_come_in_any_pieces_and_takes_nothing_behind_it() {
    let harness = recipe().start();
    let mut client = harness.connect();
    for byte in LINE.bytes() {
        client.send([byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    harness.expect_parked(1);
    assert_eq!(client.get("/").text(), "192.0.2.1 49152");
    // Far more than is read at once stands behind it.
    let mut client = harness.connect();
    client.send([LINE, &REQUEST.repeat(2000)].concat());
    for _ in 0..2000 {
        assert_eq!(client.answer().text(), "192.0.2.1 49152");
    }
}

#[test]
fn security_48_without_a_well_formed_header_nothing_is_answered() {
    let harness = recipe().start();
    let wrong = ["", "PROXY TCP4 192.0.2.01 192.0.2.9 49152 80\r\n", "\r\n\r\n\0\r\nQUIT\n\x11"];
    for header in wrong {
        assert_eq!(ask(&harness, header), None, "{header:?}");
    }
    harness.expect_outcomes(Reason::BadProxyHeader, 3);
    // One that breaks off, and one that never began.
    let mut client = harness.connect();
    client.send("PROXY ");
    drop(client);
    harness.expect_outcomes(Reason::BadProxyHeader, 4);
    drop(harness.connect());
    harness.expect_open(0);
    harness.expect_outcomes(Reason::BadProxyHeader, 4);
}

#[test]
fn security_48_other_sources_are_closed_at_once() {
    let network = "127.0.0.2/32".parse().expect("a network");
    let harness = recipe().behind([Origin::Network(network)]).start();
    assert_eq!(ask(&harness, LINE), None);
    harness.expect_outcomes(Reason::ProxySourceRefused, 1);
    let mut client = Client::connect_from([127, 0, 0, 2], harness.address);
    client.send(LINE);
    assert_eq!(client.get("/").text(), "192.0.2.1 49152");
    harness.expect_open(1);
}

#[test]
fn security_48_a_header_takes_five_seconds_at_most() {
    let harness = recipe().start();
    let began = Instant::now();
    let (mut silent, mut slow) = (harness.connect(), harness.connect());
    for byte in LINE.bytes().cycle() {
        // Whoever sends on and on does not gain time.
        if slow.stream.write_all(&[byte]).is_err() || began.elapsed() > Duration::from_secs(8) {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    silent.expect_closed();
    assert!((4500..9500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    harness.expect_outcomes(Reason::ProxyHeaderTimeout, 2);
    harness.expect_open(0);
}

#[test]
fn security_48_limits_count_the_client_not_the_proxy() {
    let harness = recipe().limits(|limits| limits.connections_per_ip = Some(1)).start();
    let mut first = harness.connect();
    first.send(LINE);
    assert_eq!(first.get("/").status, 200);
    assert_eq!(ask(&harness, LINE), None, "a second one of the same client");
    harness.expect_outcomes(Reason::TooManyConnectionsPerAddress, 1);
    // Those whose client is not known yet count for no address.
    let waiting: Vec<_> = (0..3).map(|_| harness.connect()).collect();
    harness.expect_open(4);
    let other = ask(&harness, LINE.replace("192.0.2.1 ", "192.0.2.2 "));
    assert_eq!(other.as_deref(), Some("192.0.2.2 49152"));
    drop((first, waiting));
    assert!(eventually(|| ask(&harness, LINE).is_some()));
}

#[test]
fn security_48_rates_count_the_client_not_the_proxy() {
    let rate = "1/h".parse().ok();
    let harness = recipe().limits(|limits| limits.connection_rate_per_ip = rate).start();
    assert!(ask(&harness, LINE).is_some());
    assert!(ask(&harness, LINE).is_none());
    assert!(ask(&harness, LINE.replace("192.0.2.1 ", "192.0.2.2 ")).is_some());
    harness.expect_outcomes(Reason::ConnectionRateLimited, 1);
}

#[test]
fn a_drain_does_not_wait_for_headers() {
    let took = at_best(Duration::from_secs(2), || {
        let harness = recipe().start();
        let mut client = harness.connect();
        client.send("PROXY TCP4 ");
        harness.expect_open(1);
        let took = harness.drain(Duration::from_secs(4));
        client.expect_closed();
        took
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
}
