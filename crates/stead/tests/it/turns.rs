//! A service that computes for long is named in the log.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use stead::{Server, Stead};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{Client, eventually};

/// Keeps the warnings of this process; the library itself sets no subscriber.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<String>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().expect("no panic");
        event.record(&mut Words(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

#[tokio::test]
async fn a_turn_over_50_ms_is_logged_with_server_route_and_path() {
    let warnings = Warnings::default();
    tracing::subscriber::set_global_default(warnings.clone()).expect("the library sets none");
    let busy = || async {
        std::thread::sleep(Duration::from_millis(120));
        "done"
    };
    let patient = || async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        "done"
    };
    let router = Router::new().route("/busy", get(busy)).route("/patient", get(patient));
    let server = Server::new("busy").listen("127.0.0.1:0").service(router);
    let running = Stead::new().workers(1).server(server).start().await.expect("it starts");
    let mut client = Client::connect(running.addresses("busy")[0]);
    assert_eq!(client.get("/patient").text(), "done");
    assert_eq!(client.get("/busy").text(), "done");
    let told = || -> Vec<String> {
        let all = warnings.0.lock().expect("no panic").clone();
        // Other tests of this process warn too.
        all.lines().filter(|line| line.contains("server=\"busy\"")).map(String::from).collect()
    };
    assert!(eventually(|| !told().is_empty()));
    let told = told();
    assert_eq!(told.len(), 1, "waiting is no work: {told:?}");
    assert!(told[0].contains("kept its worker busy for 1"), "{told:?}");
    assert!(told[0].contains("route=\"/{*rest}\""), "{told:?}");
    assert!(told[0].contains("path=\"/busy\""), "a router is one route: {told:?}");
}
