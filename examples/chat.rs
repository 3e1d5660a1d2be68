//! A chat over `WebSocket`s: axum's own extractor, on Stead. Whatever one says, all hear.
//!
//! Open `http://localhost:3000/` in two windows.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};
use stead::{Server, StartError, Stead};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};

/// The longest message that is passed on, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ":3000".to_owned());
    let app = Router::new()
        .route("/", get(|| async { Html(include_str!("chat.html")) }))
        .route("/chat", any(join))
        .with_state(channel(64).0);
    let server = Server::new("chat").listen(address).service(app);
    let running = Stead::new().server(server).start().await?;
    println!("{}", running.listening()[0].url);
    running.shutdown_on_signal().await
}

async fn join(upgrade: WebSocketUpgrade, State(room): State<Sender<Utf8Bytes>>) -> Response {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(move |socket| chat(socket, room))
}

async fn chat(socket: WebSocket, room: Sender<Utf8Bytes>) {
    let mut heard = room.subscribe();
    let (mut sender, mut receiver) = socket.split();
    let listen = async {
        loop {
            let text = match heard.recv().await {
                Ok(text) => text,
                // One who reads too slowly misses something, and goes on.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            if sender.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    };
    let speak = async {
        while let Some(Ok(message)) = receiver.next().await {
            if let Message::Text(text) = message {
                // The speaker listens too, so somebody is there.
                let _ = room.send(text);
            }
        }
    };
    tokio::select! { () = listen => {}, () = speak => {} }
}
