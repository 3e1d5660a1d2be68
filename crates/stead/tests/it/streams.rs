//! Server-sent events, as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use tokio::sync::broadcast::{Sender, channel};

use crate::{eventually, serve};

fn events(sender: Arc<Sender<String>>) -> Router {
    let subscribe = move || {
        let receiver = sender.subscribe();
        async move {
            let events = futures_util::stream::unfold(receiver, |mut receiver| async {
                let text = receiver.recv().await.ok()?;
                Some((Ok::<_, Infallible>(Event::default().data(text)), receiver))
            });
            Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_mins(1)))
        }
    };
    Router::new().route("/", get(subscribe))
}

#[tokio::test]
async fn each_event_leaves_at_once_and_a_client_that_leaves_is_seen() {
    let sender = Arc::new(channel(16).0);
    let serving = serve(events(Arc::clone(&sender))).await;
    let mut client = serving.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let head = client.head();
    assert!(head.contains("text/event-stream"), "{head}");
    for text in ["one", "two"] {
        sender.send(text.to_owned()).expect("somebody listens");
        assert_eq!(client.chunk(), Some(format!("data: {text}\n\n").into_bytes()));
    }
    assert_eq!(sender.receiver_count(), 1);
    drop(client);
    assert!(eventually(|| sender.receiver_count() == 0), "without another event");
}
