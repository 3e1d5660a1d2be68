//! `process.drain.before`: readiness fails at once, listeners accept on for a while, then close.

use std::time::{Duration, Instant};

use stead_e2e::process::Signal;
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, until};

fn config(before: &str) -> String {
    format!(
        r#"[process]
drain = {{ before = "{before}", request = "5s" }}
[log]
access = "off"
[server.web]
listen = ["127.0.0.1:0"]
[[server.web.route]]
path = "/"
respond = "ok"
[[server.web.route]]
path = "/ready"
health = "ready"
[[server.web.route]]
path = "/live"
health = "live"
"#
    )
}

fn serves_though_not_ready(stead: &Stead) {
    assert_eq!(stead.fetch("web", "/ready").status, 503);
    assert_eq!(stead.fetch("web", "/live").status, 200);
    let mut fresh = stead.connect("web");
    for _ in 0..3 {
        let answer = fresh.request("GET", "/", &[]);
        assert_eq!((answer.status, answer.field("connection")), (200, None), "it is kept");
    }
}

#[test]
fn new_connections_are_served_until_listeners_close() {
    let folder = Folder::new();
    let mut stead = Stead::start(&folder, &config("2s"));
    let port = stead.port("web");
    let mut idle = stead.connect("web");
    assert_eq!(idle.request("GET", "/ready", &[]).status, 200);
    let began = Instant::now();
    stead.running.signal(Signal::TERM);
    stead.running.wait_for("draining: not ready, still accepting for 2s").unwrap();
    serves_though_not_ready(&stead);
    assert_eq!(idle.request("GET", "/", &[]).status, 200, "what was idle is kept too");
    assert_eq!(stead.ask(&["status", "--json"]).code, Some(1), "status says not ready");
    let refused = until(SOON, || Connection::try_open(port).is_err().then(|| began.elapsed()));
    let refused = refused.expect("listeners close");
    assert!(refused >= Duration::from_secs(2), "{refused:?}");
    assert!(idle.is_ended(), "then idle connections are closed");
    let outcome = stead.running.wait();
    assert_eq!((outcome.code, outcome.signal), (Some(0), None), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(6));
}

#[test]
fn stop_waits_too_and_stop_now_does_not() {
    for (arguments, waits) in [(&["stop"][..], true), (&["stop", "--now"], false)] {
        let folder = Folder::new();
        let mut stead = Stead::start(&folder, &config(if waits { "1s" } else { "60s" }));
        let began = Instant::now();
        let asked = stead.ask(arguments);
        assert_eq!(asked.code, Some(0), "{asked:?}");
        assert_eq!(stead.running.wait().code, Some(0));
        let took = began.elapsed();
        assert_eq!(took >= Duration::from_secs(1), waits, "{arguments:?}: {took:?}");
    }
}

#[test]
fn a_second_signal_ends_the_wait_at_once() {
    let folder = Folder::new();
    let mut stead = Stead::start(&folder, &config("60s"));
    stead.running.signal(Signal::INT);
    stead.running.wait_for("draining").unwrap();
    serves_though_not_ready(&stead);
    let began = Instant::now();
    stead.running.signal(Signal::TERM);
    assert_eq!(stead.running.wait().code, Some(1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
