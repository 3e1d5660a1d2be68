//! Several servers in one fleet: what goes wrong in one does not touch the others.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socket_with};
use stead_base::Reason;
use stead_core::{Exchange, Handler, Reply};
use stead_net::{Bind, Listening, acquire};

use crate::client::{Client, is_refused};
use crate::handlers::Fixed;
use crate::harness::{Kitchen, Recipe};
use crate::panics::quiet;

struct Panics;

impl Handler for Panics {
    fn call<'a>(&'a self, _: &'a mut Exchange) -> Reply<'a> {
        panic!("the script says so")
    }
}

/// A socket that accepts nothing, ever.
fn no_listener() -> OwnedFd {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket")
}

#[test]
fn a_broken_listener_and_a_panicking_handler_leave_the_others_without_an_error() {
    quiet();
    let free = Bind::Address(([127, 0, 0, 1], 0).into());
    let failing = acquire(&free, 1).expect("a free port");
    let Listening::Tcp(failing_at) = failing.listening else { panic!("TCP expected") };
    let failing = failing.descriptors.into_iter().next().expect("one worker");
    let breaker = failing.try_clone().expect("a second handle");
    let harness = Kitchen::default().start(vec![
        Recipe::default().route("/", Fixed("good")),
        Recipe::default().route("/", Panics),
        Recipe::default().route("/", Fixed("none")).on(vec![no_listener()]),
        Recipe::default().route("/", Fixed("for a while")).on(vec![failing]),
    ]);
    let (good, panicking) = (harness.addresses[0], harness.addresses[1]);
    let load: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(move || {
                let mut kept = Client::connect(good);
                for round in 0..300 {
                    assert_eq!(kept.get("/").text(), "good", "round {round}");
                    if round % 10 == 0 {
                        assert_eq!(Client::connect(good).get("/").text(), "good");
                    }
                }
            })
        })
        .collect();
    let mut established = Client::connect(failing_at);
    assert_eq!(established.get("/").text(), "for a while");
    for round in 0..50 {
        let mut client = Client::connect(panicking);
        assert_eq!(client.get("/").status, 500);
        client.expect_closed();
        if round == 20 {
            shutdown(&breaker, Shutdown::Both).expect("break the listener");
        }
    }
    for thread in load {
        thread.join().expect("no error under load");
    }
    assert!(is_refused(failing_at), "its listener is gone");
    // What the broken listener had accepted is served on.
    assert_eq!(established.get("/").text(), "for a while");
    assert_eq!(harness.outcomes(Reason::HandlerPanic), 50);
    assert_eq!(Client::connect(good).get("/").text(), "good");
    drop(established);
    assert!(harness.drain(Duration::from_secs(5)) < Duration::from_secs(2));
}

/// A server's limits, timeouts and routes are its own.
#[test]
fn servers_share_nothing() {
    let short = Some(Duration::from_millis(200));
    let harness = Kitchen::default().start(vec![
        Recipe::default().route("/one", Fixed("1")).limits(|limits| limits.connections = Some(1)),
        Recipe::default().route("/two", Fixed("2")).timeouts(|timeouts| timeouts.idle = short),
    ]);
    let mut first = Client::connect(harness.addresses[0]);
    assert_eq!((first.get("/one").text(), first.get("/two").status), ("1", 404));
    let mut second = Client::connect(harness.addresses[1]);
    let mut third = Client::connect(harness.addresses[1]);
    assert_eq!((second.get("/two").text(), third.get("/one").status), ("2", 404));
    second.expect_closed();
    assert_eq!(first.get("/one").text(), "1");
}
