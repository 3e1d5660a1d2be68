//! A service that computes for long is named in the log.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{eventually, serve};

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
        event.record(&mut Lines(&mut self.0.lock().expect("no panic")));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Lines<'a>(&'a mut String);

impl Visit for Lines<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}

#[tokio::test]
async fn a_turn_over_50_ms_is_logged_with_server_and_route() {
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
    let serving = serve(router).await;
    let mut client = serving.connect();
    assert_eq!(client.get("/patient").text(), "done");
    assert_eq!(client.get("/busy").text(), "done");
    let told = || warnings.0.lock().expect("no panic").clone();
    assert!(eventually(|| told().contains("kept its worker busy for 1")), "{}", told());
    assert!(
        told().contains("server=\"web\"") && told().contains("route=\"/{*rest}\""),
        "{}",
        told()
    );
    assert_eq!(told().matches("kept its worker busy").count(), 1, "waiting is no work");
}
