//! Protocol switches and tunnels: SECURITY.md 18.

use std::time::Duration;

use stead_base::Reason;
use stead_core::{Body, Exchange, Reply, Response, StatusCode, name};

use crate::client::Client;
use crate::handlers::{Fixed, Switch, sleep, wait};
use crate::harness::{Harness, Recipe};

const ASK: &str = "HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: capitals\r\n\r\n";

fn switched(client: &mut Client) {
    let head = client.head().expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
}

fn kitchen() -> Harness {
    let slow = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            sleep(100).await;
            let Reply::Ready(answer) = stead_core::Handler::call(&Switch, exchange) else {
                panic!("it answers at once")
            };
            Ok(answer)
        })
    });
    let no_tunnel = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            let mut answer = Response::new(StatusCode::SWITCHING_PROTOCOLS);
            answer.fields.set(name::UPGRADE, b"capitals");
            let body = exchange.take_body();
            Ok(answer.with_body(Body::Stream(Box::new(body))))
        })
    });
    Recipe::default()
        .route("/switch", Switch)
        .route("/slow", slow)
        .route("/no-tunnel", no_tunnel)
        .route("/hello", Fixed("hello"))
        .start()
}

#[test]
fn security_18_no_byte_reaches_a_tunnel_before_101() {
    let harness = kitchen();
    let mut client = harness.connect();
    client.send(format!("GET /slow {ASK}early"));
    assert!(client.is_silent_for(Duration::from_millis(50)));
    client.send(" bird");
    switched(&mut client);
    assert_eq!(client.take(10).expect("the tunnel"), b"EARLY BIRD");
}

#[test]
fn security_18_bytes_behind_a_refused_switch_are_the_next_request() {
    let harness = kitchen();
    let mut client = harness.connect();
    client.send(format!("GET /hello {ASK}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!((client.answer().text(), client.answer().text()), ("hello", "hello"));
}

#[test]
fn a_switch_without_a_tunnel_is_the_handlers_error() {
    let harness = kitchen();
    let mut client = harness.connect();
    client.send(format!("GET /no-tunnel {ASK}"));
    assert_eq!(client.answer().status, 500);
    assert_eq!(harness.outcomes(Reason::HandlerError), 1);
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn a_tunnel_carries_much_both_ways_and_ends_with_either_side() {
    let harness = kitchen();
    let mut client = harness.connect();
    client.send(format!("GET /switch {ASK}"));
    switched(&mut client);
    let mut reader = client.stream.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || {
        for _ in 0..200 {
            client.send([b'x'; 5_000]);
        }
        client.finish();
        client
    });
    let received = std::io::copy(&mut reader, &mut Capitals).expect("to the end");
    assert_eq!(received, 1_000_000);
    drop(sender.join());
    harness.expect_open(0);
    let mut gone = harness.connect();
    gone.send(format!("GET /switch {ASK}"));
    switched(&mut gone);
    gone.reset();
    harness.expect_open(0);
}

/// Takes capitals only.
struct Capitals;

impl std::io::Write for Capitals {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        assert!(bytes.iter().all(|byte| *byte == b'X'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
