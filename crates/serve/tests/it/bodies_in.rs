//! Request bodies: read no faster than they are wanted, and read away when nobody wants them.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use stead_base::Reason;
use stead_core::{Exchange, StatusCode};
use stead_net::{Bind, Listening, acquire};

use crate::client::Client;
use crate::handlers::{Calls, Make, read_body, sleep, text, wait};
use crate::harness::Recipe;
use crate::witness::Witness;

#[test]
fn a_slow_handler_bounds_what_is_read_of_an_upload() {
    const SIZE: usize = 20 << 20;
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let slow = wait(move |exchange: &mut Exchange| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            let mut body = exchange.take_body();
            let first = body.frame().await.expect("a frame")?;
            while !gate.load(Ordering::SeqCst) {
                sleep(5).await;
            }
            let stead_core::Frame::Bytes(first) = first else { panic!("bytes come first") };
            let total = first.len() as u64 + read_body(body).await?.0;
            Ok(text(exchange, total.to_string().as_bytes()))
        })
    });
    let free = Bind::Address(([127, 0, 0, 1], 0).into());
    let acquired = acquire(&free, 1).expect("a free port");
    let Listening::Tcp(address) = acquired.listening else { panic!("TCP expected") };
    let listener: OwnedFd = acquired.descriptors.into_iter().next().expect("one worker");
    set_socket_recv_buffer_size(&listener, 8 << 10).expect("a small buffer");
    let harness = Recipe::default().route("/", slow).on(vec![listener]).start();
    let mut client = Client::connect_narrow(address);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    let mut pipe = client.stream.try_clone().expect("a second handle");
    let sent = Calls::default();
    let told = sent.clone();
    let sending = thread::spawn(move || {
        for _ in 0..SIZE >> 12 {
            pipe.write_all(&[b'x'; 1 << 12]).expect("send");
            told.add();
        }
    });
    // Until the kernel's buffers and our read-ahead are full.
    let mut before = u64::MAX;
    while sent.value() != before {
        before = sent.value();
        thread::sleep(Duration::from_millis(200));
    }
    assert!(before << 12 < 8 << 20, "{before} pages were taken from the client");
    open.store(true, Ordering::SeqCst);
    assert_eq!(client.answer().text(), SIZE.to_string());
    sending.join().expect("all was sent");
    assert_eq!(harness.outcomes(Reason::Ok), 1);
}

#[test]
fn a_body_read_in_part_is_read_to_its_end() {
    let part = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            let mut body = exchange.take_body();
            body.frame().await.expect("a frame")?;
            drop(body);
            Ok(text(exchange, b"enough"))
        })
    });
    let mut witness = Witness::of(Recipe::default().route("/part", part));
    let mut client = witness.harness.connect();
    for _ in 0..3 {
        client.send("POST /part HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n0123");
        assert_eq!(client.answer().text(), "enough");
        client.send("x".repeat(60_000 - 4));
        assert_eq!(client.get("/hello").text(), "hello");
    }
    witness.is_content();
}

#[test]
fn an_unread_chunked_body_of_more_than_64_kib_ends_the_connection() {
    let refuse = Make(|exchange: &mut Exchange| exchange.respond(StatusCode::FORBIDDEN));
    let witness = Witness::of(Recipe::default().route("/refuse", refuse));
    let mut client = witness.harness.connect();
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let head = "POST /refuse HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    // It ends, but later than anyone reads.
    let behind = "0\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send([head, &chunk.repeat(6), behind].concat());
    assert_eq!(client.answer().status, 403);
    client.expect_closed();
    witness.harness.expect_open(1);
}

#[test]
fn a_client_that_goes_away_ends_the_handler() {
    let dropped = Calls::default();
    let told = dropped.clone();
    let hang = wait(move |exchange: &mut Exchange| {
        let told = crate::handlers::Told(told.clone());
        Box::pin(async move {
            let _told = told;
            let read = read_body(exchange.take_body()).await;
            if read.is_ok() {
                sleep(600_000).await;
            }
            read.map(|_| text(exchange, b"never"))
        })
    });
    let mut witness = Witness::of(Recipe::default().route("/hang", hang));
    for (times, body) in [(1, ""), (2, "12345")] {
        let mut client = witness.harness.connect();
        client.send(format!("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{body}"));
        thread::sleep(Duration::from_millis(50));
        client.reset();
        assert!(crate::harness::eventually(|| dropped.value() == times), "with {body:?}");
    }
    witness.harness.expect_outcomes(Reason::ClientClosed, 2);
    witness.harness.expect_open(1);
    witness.is_content();
}
