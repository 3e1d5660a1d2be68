//! What comes to a listener of TLS before there is a session, byte by byte: SECURITY.md 33, 34.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_base::{Reason, Timeouts};
use stead_core::{Process, Shared};
use stead_tls::{Chooser, SelfSigned};

use crate::handlers::Fixed;
use crate::harness::{Harness, Kitchen, Recipe};

/// What openssl sends first, whole.
const HELLO: &[u8] = include_bytes!("../../../../fuzz/corpus/client_hello/openssl_tls13");
/// A `ServerHello` comes in a record of handshakes, an alert in one of its own.
const HANDSHAKE: u8 = 22;

/// A server that speaks TLS, and one beside it on the same worker that does not.
fn start(change: impl FnOnce(&mut Timeouts)) -> Harness {
    start_in(Arc::default(), change)
}

fn start_in(process: Arc<Process>, change: impl FnOnce(&mut Timeouts)) -> Harness {
    let signed = SelfSigned::make([]).expect("makes");
    let entry = signed.entry(&Shared::default()).expect("an entry");
    let chooser = Chooser::new(vec![Arc::new(entry)], true).expect("certificates");
    let secure = Recipe::default().route("/", Fixed("secure")).timeouts(change).speaking(chooser);
    let plain = Recipe::default().route("/", Fixed("plain"));
    Kitchen { process, ..Kitchen::default() }.start(vec![secure, plain])
}

/// Somebody else on the same worker is served.
fn expect_content(harness: &Harness) {
    let mut neighbour = crate::client::Client::connect(harness.addresses[1]);
    assert_eq!(neighbour.get("/").text(), "plain");
}

#[test]
fn security_34_without_a_byte_there_is_no_task_and_no_session() {
    let harness = start(|timeouts| timeouts.tls_handshake = Some(Duration::from_millis(200)));
    let silent: Vec<_> = (0..50).map(|_| harness.connect()).collect();
    harness.expect_parked(50);
    // The time of the handshake begins with its first byte.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(harness.outcomes(Reason::TlsHandshakeTimeout), 0);
    harness.expect_parked(50);
    expect_content(&harness);
    drop(silent);

    let limit = Duration::from_millis(300);
    let harness = start(|timeouts| timeouts.first_byte = Some(limit));
    let began = Instant::now();
    let mut silent: Vec<_> = (0..50).map(|_| harness.connect()).collect();
    for client in &mut silent {
        client.expect_closed();
    }
    assert!(began.elapsed() + Duration::from_millis(5) >= limit, "{:?}", began.elapsed());
    harness.expect_outcomes(Reason::FirstByteTimeout, 50);
    assert_eq!(harness.outcomes(Reason::TlsHandshakeTimeout), 0);
    expect_content(&harness);
}

#[test]
fn security_33_a_handshake_that_stops_anywhere_is_closed() {
    let limit = Duration::from_millis(400);
    let harness = start(|timeouts| timeouts.tls_handshake = Some(limit));
    let began = Instant::now();
    // In the header of a record, in the message's own, in its body, before its last byte.
    let ends = [1, 4, 5, 8, 9, 100, HELLO.len() - 1];
    let mut stopped: Vec<_> = ends
        .iter()
        .map(|&end| {
            let mut client = harness.connect();
            client.send(&HELLO[..end]);
            client
        })
        .collect();
    // A whole hello is answered, and what should follow does not come.
    let mut answered = harness.connect();
    answered.send(HELLO);
    assert_eq!(answered.take(1).expect("an answer"), [HANDSHAKE]);
    for client in &mut stopped {
        client.expect_closed();
    }
    answered.read_to_close();
    assert!(began.elapsed() + Duration::from_millis(5) >= limit, "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    harness.expect_outcomes(Reason::TlsHandshakeTimeout, ends.len() as u64 + 1);
    harness.expect_open(0);
    expect_content(&harness);
}

/// The first byte of a record costs its client nothing, and us a task.
#[test]
fn security_36_handshakes_that_are_not_whole_go_before_who_rests() {
    let process = Arc::new(Process::default());
    let harness = start_in(Arc::clone(&process), |_| {});
    let mut idle = crate::client::Client::connect(harness.addresses[1]);
    assert_eq!(idle.get("/").text(), "plain");
    let mut stopped: Vec<_> = [1, 9, HELLO.len() - 1, HELLO.len()]
        .into_iter()
        .map(|end| {
            let mut client = harness.connect();
            client.send(&HELLO[..end]);
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(2_200));
    harness.expect_open(5);
    process.pressure.note_memory(95, 100);
    stead_serve::weigh(&process);
    for client in &mut stopped {
        client.read_to_close();
    }
    harness.expect_outcomes(Reason::BeginStalled, 4);
    assert_eq!(harness.outcomes(Reason::IdlePressure), 0);
    process.pressure.note_memory(10, 100);
    stead_serve::weigh(&process);
    assert_eq!(idle.get("/").text(), "plain");
}

#[test]
fn what_is_no_hello_is_told_so_or_nothing() {
    let harness = start(|_| {});
    let no_alert: &[u8] = b"";
    for (sent, told) in [
        // SSL 2.0: protocol_version. A message of servers: unexpected_message.
        (&b"\x80\x2e\x01\x00\x02\x00\x15"[..], &b"\x15\x03\x03\x00\x02\x02\x46"[..]),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\x15\x03\x03\x00\x02\x02\x0a"),
        (b"\x00\x01\x02\x03", no_alert),
        (b"\x16\x02\x00\x00\x01", no_alert),
    ] {
        let mut client = harness.connect();
        client.send(sent);
        let said = client.read_to_close();
        assert_eq!(said.as_bytes(), told, "{}", sent.escape_ascii());
    }
    harness.expect_outcomes(Reason::BadClientHello, 4);
    let mut plain = harness.connect();
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(plain.answer().status, 400);
    harness.expect_outcomes(Reason::PlainHttp, 1);
    expect_content(&harness);
}
