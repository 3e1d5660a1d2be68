//! Servers from one `stead.toml`, with a service in one of its routes and one more server in code.
//!
//! `curl http://localhost:3400/ http://localhost:3400/api/time http://localhost:3401/`

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use stead::{Server, StartError, Stead};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ":8888".to_owned());
    let api = Router::new().route("/api/time", get(|| async { seconds() }));
    let running = Stead::from_config(concat!(env!("CARGO_MANIFEST_DIR"), "/mixed/stead.toml"))?
        .service("api", api)
        .server(Server::new("clock").listen(address).tcp(clock))
        .start()
        .await?;
    for address in running.listening() {
        println!("{} {}", address.name, address.url);
    }
    running.shutdown_on_signal().await
}

/// Tells each caller the time, as RFC 868 does, but in text.
async fn clock(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(seconds().as_bytes()).await
}

fn seconds() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}\n", since.as_secs())
}
