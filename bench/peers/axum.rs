//! The axum peer: `axum::serve` on one current-thread runtime, `TCP_NODELAY`, mimalloc, fat LTO.
//!
//! `/` answers the same 13 bytes as the other servers; the port is the first argument.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpSocket;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new().route("/", get(|| async { "Hello, World!" }));
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        let listener = socket.listen(BACKLOG)?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}

/// tokio's own choice of 128 drops connections when many come at once.
const BACKLOG: u32 = 4096;
