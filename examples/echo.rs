//! A raw TCP server: one async function per connection, no HTTP. It runs on the worker that
//! accepted, so its state need not be `Send`; Stead counts it against limits and waits for it when
//! it drains.
//!
//! `nc localhost 8888`

use stead::{Limits, Server, StartError, Stead};
use tokio::io;
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ":8888".to_owned());
    let limits = Limits { connections_per_ip: Some(1_000), ..Limits::default() };
    let server = Server::new("echo").listen(address).limits(limits).tcp(echo);
    let running = Stead::new().server(server).start().await?;
    println!("{}", running.listening()[0].url);
    running.shutdown_on_signal().await
}

/// Sends back what arrives, until the peer ends its side.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    io::copy(&mut reader, &mut writer).await?;
    Ok(())
}
