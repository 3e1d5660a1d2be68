//! Server-sent events: a clock that every client sees tick. Each event leaves when it happens; a
//! client that goes away ends its stream.
//!
//! `curl -N http://localhost:3000/events`

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt};
use stead::{Server, StartError, Stead};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ":3000".to_owned());
    let (ticks, _) = broadcast::channel(16);
    tokio::spawn(tick(ticks.clone()));
    let app = Router::new().route("/events", get(move || async move { events(ticks.subscribe()) }));
    let server = Server::new("events").listen(address).service(app);
    let running = Stead::new().server(server).start().await?;
    println!("{}", running.listening()[0].url);
    running.shutdown_on_signal().await
}

async fn tick(ticks: broadcast::Sender<u64>) {
    for number in 0.. {
        // Nobody may be listening.
        let _ = ticks.send(number);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn events(ticks: broadcast::Receiver<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // A client that is too slow misses ticks rather than holding them.
    let ticks = BroadcastStream::new(ticks).filter_map(|tick| async { tick.ok() });
    let events = ticks.map(|tick| Ok(Event::default().event("tick").data(tick.to_string())));
    Sse::new(events).keep_alive(KeepAlive::default())
}
