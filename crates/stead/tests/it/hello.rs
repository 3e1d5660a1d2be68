//! The one changed line: `stead::serve` in place of `axum::serve`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{Client, serve};

fn router() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route(
        "/me",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
    )
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// What programs write: the result is an `io::Result`, and the signal ends it.
#[tokio::test]
async fn serve_takes_a_router_and_a_signal() {
    let (listener, address) = bound().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        stead::serve(listener, router()).with_graceful_shutdown(async { drop(stopped.await) }).await
    });
    let asked = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        let first = client.get("/");
        assert_eq!((first.status, first.text()), (200, "hello"));
        assert_eq!(first.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(client.get("/nothing").status, 404);
    });
    asked.await.expect("the client is content");
    stop.send(()).expect("it runs");
    serving.await.expect("no panic").expect("no error");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_make_service_with_connect_info_is_taken_as_it_is() {
    let serving = serve(router().into_make_service_with_connect_info::<SocketAddr>()).await;
    let mut client = serving.connect();
    let own = client.stream.local_addr().expect("an address").to_string();
    assert_eq!(client.get("/me").text(), own);
    assert_eq!(client.get("/me").text(), own, "on a kept connection too");
    let plain = serve(router().into_make_service()).await;
    assert_eq!(plain.connect().get("/").text(), "hello");
}

/// As axum's own: a unix listener of tokio, and the address before it is awaited.
#[tokio::test]
async fn serve_takes_a_unix_listener_and_tells_its_address() {
    let (listener, address) = bound().await;
    let serve = stead::serve(listener, router());
    assert_eq!(serve.local_addr().expect("it is bound"), address);
    assert!(stead::serve(":0", router()).local_addr().is_err(), "not bound yet");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let serve = stead::serve(listener, router());
    assert!(serve.local_addr().is_err());
    let serving = tokio::spawn(async move { serve.await });
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut client = std::os::unix::net::UnixStream::connect(path).expect("it listens");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = answer.await.expect("no panic").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    serving.abort();
}

#[tokio::test]
async fn a_dropped_serve_ends_everything() {
    let (listener, address) = bound().await;
    let serving = tokio::spawn(async move { stead::serve(listener, router()).await });
    assert!(crate::client::eventually(|| std::net::TcpStream::connect(address).is_ok()));
    serving.abort();
    assert!(serving.await.is_err());
    assert!(crate::client::eventually(|| std::net::TcpStream::connect(address).is_err()));
}
