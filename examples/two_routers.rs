//! Two axum routers side by side: the same path on two servers is two different pages.
//!
//! `curl http://localhost:3400/heartbeat http://localhost:3400/ http://localhost:1234/book`

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use stead::{Server, StartError, Stead};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let mut arguments = std::env::args().skip(1);
    let mut address = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());

    let site = Router::new()
        .route("/heartbeat", get(|| async { "ok\n" }))
        .route("/", get(|| async { "the site\n" }));
    let library = Router::new()
        .route("/", get(|| async { "the library\n" }))
        .route("/book", get(|| async { Json(["Emma", "Ulysses"]) }))
        .route("/book/{title}", get(|Path(title): Path<String>| async move { title }));

    let running = Stead::new()
        .access_log()
        .server(Server::new("site").listen(address(":3400")).service(site))
        .server(Server::new("library").listen(address(":1234")).service(library))
        .start()
        .await?;
    for address in running.listening() {
        println!("{} {}", address.name, address.url);
    }
    running.shutdown_on_signal().await
}
