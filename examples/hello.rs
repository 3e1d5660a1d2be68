//! An axum router on Stead. With axum alone the last line would begin with `axum::serve`.
//!
//! `curl http://localhost:3000/`

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:3000".to_owned());
    let app = Router::new().route("/", get(|| async { "Hello, World!\n" }));
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    stead::serve(listener, app).await
}
