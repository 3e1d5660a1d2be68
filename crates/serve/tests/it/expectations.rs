//! `Expect: 100-continue`: SECURITY.md 19.

use std::time::Duration;

use crate::handlers::{Calls, Count, sleep, text, wait};
use crate::harness::Recipe;

const HEAD: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn security_19_100_is_sent_once_and_when_the_body_is_wanted() {
    let late = wait(|exchange| {
        Box::pin(async {
            sleep(100).await;
            let read = crate::handlers::read_body(exchange.take_body()).await?;
            Ok(text(exchange, read.0.to_string().as_bytes()))
        })
    });
    let harness = Recipe::default().route("/", late).start();
    let mut client = harness.connect();
    for _ in 0..2 {
        client.send(HEAD);
        assert!(client.is_silent_for(Duration::from_millis(50)), "not before it is wanted");
        assert_eq!(client.head().expect("an interim answer"), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("12");
        assert!(client.is_silent_for(Duration::from_millis(20)), "not again");
        client.send("345");
        assert_eq!(client.answer().text(), "5");
    }
}

#[test]
fn security_19_a_refusal_is_final_and_closes() {
    let behind = Calls::default();
    let refuse = wait(|_| Box::pin(async { Err(stead_base::Reason::NotReady.into()) }));
    let harness = Recipe::default().route("/", refuse).route("/behind", behind.clone()).start();
    // A client that did not wait: its body must not be taken for a request.
    let body = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n{body}{body}",
        body.len()
    );
    let answer = harness.talk(head);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!((answer.matches("HTTP/1.1 ").count(), behind.value()), (1, 0), "{answer}");
}

#[test]
fn a_second_expectation_in_a_pipeline_waits_for_its_turn() {
    let harness = Recipe::default().route("/", Count).start();
    let mut client = harness.connect();
    client.send([HEAD, "12345", HEAD].concat());
    let interim = client.head().expect("the first 100");
    assert_eq!((interim.len(), client.answer().text()), (25, "5"));
    assert_eq!(client.head().expect("the second 100").len(), 25);
    client.send("12345");
    assert_eq!(client.answer().text(), "5");
}
