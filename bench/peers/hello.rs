//! One program of axum, served by `axum::serve` or by `stead::serve`.
//!
//! The first argument says by which, the second is the port. All else is what a user of axum has.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use anyhow::bail;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let by = arguments.next().unwrap_or_default();
    let port: u16 = arguments.next().unwrap_or_default().parse()?;
    let app = Router::new().route("/", get(|| async { "Hello, World!" }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    match &*by {
        "axum" => axum::serve(listener, app).await?,
        "stead" => stead::serve(listener, app).await?,
        other => bail!("`{other}` serves nothing: write `axum` or `stead`"),
    }
    Ok(())
}
