//! What is believed of whom.

use std::rc::Rc;
use std::sync::Arc;

use stead_core::{
    Blocking, Client, Connection, Counters, Exchange, Job, Name, Origins, Peer, Process, Scheme,
    Worker,
};

use super::{ClientField, TrustedProxies};

struct NoPool;

impl Blocking for NoPool {
    fn run(&self, _: Job) {}
}

/// The proxies at `10.0.0.0/8` and `2001:db8:1::/48`, naming clients in `field`.
fn proxies(field: ClientField) -> TrustedProxies {
    let trusted = ["10.0.0.0/8", "2001:db8:1::/48"];
    let trusted = trusted.map(|text| stead_config::Origin::Network(text.parse().expect(text)));
    TrustedProxies {
        origins: trusted.into_iter().chain([stead_config::Origin::Unix]).collect(),
        field,
    }
}

/// Client, scheme and whether the peer is trusted, for a request with these lines.
fn seen(proxies: &TrustedProxies, peer: &str, lines: &[(&str, &str)]) -> (String, Scheme, bool) {
    let mut exchange = exchange(peer);
    for (name, value) in lines {
        exchange.fields_mut().append(Name::from_bytes(name.as_bytes()), value.as_bytes());
    }
    proxies.introduce(&mut exchange);
    (exchange.client().to_string(), exchange.scheme(), exchange.peer_is_trusted())
}

/// A request of this peer.
fn exchange(peer: &str) -> Exchange {
    let counters = Arc::new(Counters::default());
    let worker = Rc::new(Worker::new(0, Arc::new(Process::default()), counters, Box::new(NoPool)));
    let peer = peer.parse().map_or(Peer::Unix, |ip: std::net::IpAddr| Peer::Tcp((ip, 1).into()));
    let connection = Connection { peer, scheme: Scheme::Http, tls: None, server: Rc::from("web") };
    let mut exchange = Exchange::new(worker, connection);
    exchange.begin();
    exchange
}

fn check(field: ClientField, lines: &[&str], expect: &str) {
    let name = match field {
        ClientField::XForwardedFor => "X-Forwarded-For",
        ClientField::Forwarded => "Forwarded",
        ClientField::XRealIp => "X-Real-IP",
    };
    let lines: Vec<(&str, &str)> = lines.iter().map(|line| (name, *line)).collect();
    let (client, _, is_trusted) = seen(&proxies(field), "10.0.0.1", &lines);
    assert_eq!((client.as_str(), is_trusted), (expect, true), "{lines:?}");
}

#[test]
fn security_46_the_client_is_the_rightmost_hop_that_is_not_trusted() {
    let check = |lines: &[&str], expect| check(ClientField::XForwardedFor, lines, expect);
    check(&["192.0.2.7"], "192.0.2.7");
    check(&["198.51.100.1, 192.0.2.7"], "192.0.2.7");
    check(&["198.51.100.1, 192.0.2.7, 10.0.0.9"], "192.0.2.7");
    check(&["198.51.100.1", "192.0.2.7,10.0.0.9", "2001:db8:1::5"], "192.0.2.7");
    // Every hop is trusted: the first one asked.
    check(&["10.0.0.7, 10.0.0.8"], "10.0.0.7");
    check(&["192.0.2.7:4711"], "192.0.2.7");
    check(&["2001:db8::7"], "2001:db8::7");
    check(&["[2001:db8::7]"], "2001:db8::7");
    check(&["[2001:db8::7]:4711, ,"], "2001:db8::7");
    check(&["192.0.2.7, ::ffff:10.0.0.9"], "192.0.2.7");
    check(&[], "10.0.0.1");
}

#[test]
fn security_46_a_malformed_entry_stops_the_walk() {
    let check = |lines: &[&str], expect| check(ClientField::XForwardedFor, lines, expect);
    for malformed in [
        "unknown",
        "_hidden",
        "192.0.2.256",
        "192.0.2.7:",
        "192.0.2.7:65536",
        "192.0.2.7:+1",
        "[2001:db8::7",
        "2001:db8::7]",
        "[192.0.2.7]",
        "[::1]x",
        "\"192.0.2.7\"",
        "fe80::1%eth0",
        "192.0.2.7 192.0.2.8",
        "\u{ff11}92.0.2.7",
        "0x7f000001",
        "192.0.2.07",
    ] {
        check(&[malformed], "10.0.0.1");
        check(&[&format!("192.0.2.7, {malformed}, 10.0.0.9")], "10.0.0.9");
        check(&[&format!("192.0.2.7, {malformed}"), "10.0.0.9"], "10.0.0.9");
    }
}

#[test]
fn security_46_forwarded_has_brackets_quotes_ports_and_hidden_names() {
    let check = |lines: &[&str], expect| check(ClientField::Forwarded, lines, expect);
    check(&["for=192.0.2.7"], "192.0.2.7");
    check(&["For=\"192.0.2.7:4711\""], "192.0.2.7");
    check(&["for=\"192.0.2.7:_port\""], "192.0.2.7");
    check(&["for=\"[2001:db8::7]\""], "2001:db8::7");
    check(&["for=\"[2001:db8::7]:4711\";proto=http;by=_us"], "2001:db8::7");
    check(&["for=198.51.100.1, for=192.0.2.7;host=\"a, b\", for=10.0.0.9"], "192.0.2.7");
    check(&["for=192.0.2.7", "for=\"[2001:db8:1::5]\" ; by=10.0.0.1"], "192.0.2.7");
    check(&["for=192.0.2.7;ext=\"a\\\"b,c\""], "192.0.2.7");
    for stop in [
        "for=unknown",
        "for=_hidden",
        "for=\"_hidden:80\"",
        "proto=https",
        "by=10.0.0.1",
        "for=2001:db8::7",
        "for=\"2001:db8::7\"",
        "for=192.0.2.7:80",
        "for=\"192.0.2.7:\"",
        "for=\"192.0.2.7:80000\"",
        "for=192.0.2.7;for=192.0.2.8",
        "for=192.0.2.7;",
        "for=",
        "for",
        "=192.0.2.7",
        "for = 192.0.2.7",
        "for=\"192.0.2.7",
        "192.0.2.7",
        "for=192.0.2.7;proto=http;proto=https",
        "for=\"\"",
        "for=\"[::1]x\"",
        "for=\"[::1\"",
    ] {
        check(&[stop], "10.0.0.1");
        check(&[&format!("for=192.0.2.7, {stop}, for=10.0.0.9")], "10.0.0.9");
    }
}

#[test]
fn security_46_an_open_quote_does_not_swallow_what_the_proxy_wrote() {
    let check = |lines: &[&str], expect| check(ClientField::Forwarded, lines, expect);
    check(&["for=\"198.51.100.1, for=192.0.2.7"], "192.0.2.7");
    check(&["for=\"198.51.100.1, for=10.0.0.9"], "10.0.0.9");
    check(&["for=198.51.100.1;x=\"\\, for=\"[2001:db8:1::5]\""], "2001:db8:1::5");
}

#[test]
fn security_45_from_an_untrusted_peer_nothing_is_believed() {
    let lines = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Real-IP", "192.0.2.7"),
        ("Forwarded", "for=192.0.2.7;proto=https"),
        ("X-Forwarded-Proto", "https"),
    ];
    for field in [ClientField::XForwardedFor, ClientField::Forwarded, ClientField::XRealIp] {
        let told = seen(&proxies(field), "203.0.113.5", &lines);
        assert_eq!(told, ("203.0.113.5".to_owned(), Scheme::Http, false), "{field:?}");
        let (client, scheme, is_trusted) = seen(&proxies(field), "unix", &lines);
        assert_eq!((client.as_str(), scheme, is_trusted), ("192.0.2.7", Scheme::Https, true));
    }
    let nobody = TrustedProxies { origins: Origins::default(), ..TrustedProxies::default() };
    assert_eq!(seen(&nobody, "10.0.0.1", &lines).0, "10.0.0.1");
}

#[test]
fn security_45_only_the_field_that_the_proxy_sets_is_believed() {
    let lines = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.8;proto=https")];
    let (client, scheme, _) = seen(&proxies(ClientField::XForwardedFor), "10.0.0.1", &lines);
    assert_eq!((client.as_str(), scheme), ("192.0.2.7", Scheme::Http));
    let lines = [("X-Real-IP", "192.0.2.7"), ("X-Real-IP", "192.0.2.8")];
    assert_eq!(seen(&proxies(ClientField::XRealIp), "10.0.0.1", &lines).0, "10.0.0.1");
    check(ClientField::XRealIp, &["192.0.2.7, 192.0.2.8"], "10.0.0.1");
    check(ClientField::XRealIp, &["[2001:db8::7]:80"], "2001:db8::7");
}

#[test]
fn security_44_a_name_with_an_underscore_is_another_name() {
    let lines = [("X_Forwarded_For", "192.0.2.7"), ("X_Forwarded-Proto", "https")];
    let told = seen(&proxies(ClientField::XForwardedFor), "10.0.0.1", &lines);
    assert_eq!(told, ("10.0.0.1".to_owned(), Scheme::Http, true));
}

#[test]
fn the_scheme_is_the_one_of_the_nearest_hop_or_of_the_client_itself() {
    let check = |field, lines: &[(&str, &str)], expect| {
        assert_eq!(seen(&proxies(field), "10.0.0.1", lines).1, expect, "{lines:?}");
    };
    let proto = "X-Forwarded-Proto";
    let x = ClientField::XForwardedFor;
    check(x, &[(proto, "https")], Scheme::Https);
    check(x, &[(proto, "HTTPS")], Scheme::Https);
    check(x, &[(proto, "wss")], Scheme::Https);
    check(x, &[(proto, "https, http")], Scheme::Http);
    check(x, &[(proto, "http"), (proto, "https")], Scheme::Https);
    check(x, &[(proto, "gopher")], Scheme::Http);
    check(ClientField::XRealIp, &[(proto, "https")], Scheme::Https);
    let f = ClientField::Forwarded;
    check(f, &[(proto, "https"), ("Forwarded", "for=192.0.2.7")], Scheme::Http);
    check(f, &[("Forwarded", "for=192.0.2.7;proto=https, for=10.0.0.9;proto=http")], Scheme::Https);
    check(f, &[("Forwarded", "for=192.0.2.7;proto=https, for=192.0.2.8")], Scheme::Http);
    check(f, &[("Forwarded", "for=_hidden;proto=https")], Scheme::Https);
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_one_of_ipv4() {
    check(ClientField::Forwarded, &["for=\"[::ffff:192.0.2.7]\""], "192.0.2.7");
    assert_eq!(Client::Ip("192.0.2.7".parse().unwrap()).to_string(), "192.0.2.7");
}

/// A service that reads these fields itself took them from anybody.
#[test]
fn security_45_what_an_untrusted_peer_says_is_taken_out() {
    let left = |proxies: &TrustedProxies, peer: &str| {
        let mut exchange = exchange(peer);
        for name in ["X-Forwarded-For", "x-forwarded-host", "Forwarded", "X-Real-IP", "X-Own"] {
            exchange.fields_mut().append(Name::from_bytes(name.as_bytes()), b"1");
        }
        proxies.introduce(&mut exchange);
        exchange.fields().len()
    };
    let trusting = proxies(ClientField::XForwardedFor);
    assert_eq!(left(&trusting, "192.0.2.1"), 1, "X-Own");
    assert_eq!(left(&trusting, "10.0.0.1"), 5);
    assert_eq!(left(&TrustedProxies::default(), "192.0.2.1"), 5, "nobody said who is a proxy");
}
