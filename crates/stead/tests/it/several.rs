//! Several servers in one process, and what stops their start.

use axum::Router;
use axum::routing::get;
use stead::{BindError, Server, StartError, Stead};

use crate::Client;

fn says(text: &'static str) -> Router {
    Router::new().route("/", get(move || async move { text }))
}

#[tokio::test]
async fn each_server_has_its_own_listeners_and_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.sock");
    let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let given = bound.local_addr().expect("an address");
    let web = Server::new("web").listen("localhost:0").listen(bound).service(says("web"));
    let rpc = Server::new("rpc")
        .listen(":0")
        .listen(format!("unix:{}", path.display()))
        .service(says("rpc"));
    let running = Stead::new().server(web).server(rpc).start().await.expect("it starts");
    assert!(running.addresses("web").contains(&given));
    for address in running.addresses("web") {
        assert_eq!(Client::connect(address).get("/").text(), "web");
    }
    let port = running.addresses("rpc")[0].port();
    assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).get("/").text(), "rpc");
    assert!(path.exists());
    assert!(running.listening().iter().any(|address| address.url.starts_with("unix:")));
    assert!(running.addresses("none").is_empty());
    running.shutdown().await;
    running.shutdown().await;
    running.wait().await;
    assert!(!path.exists(), "its own path is taken away");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_nothing_is_left_bound() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = free.local_addr().expect("an address");
    let started = Stead::new()
        .server(Server::new("one").listen("127.0.0.1:0").service(says("one")))
        .server(Server::new("two").listen(taken).service(says("two")))
        .start()
        .await;
    let Err(StartError::Bind(errors)) = started else { panic!("the address is in use") };
    assert!(matches!(&errors[..], [BindError::Address { server, .. }] if server == "two"));
    let error: std::io::Error = StartError::Bind(errors).into();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let started = Stead::new()
        .server(Server::new("one").service(says("one")))
        .server(Server::new("two").listen("8080").service(says("two")))
        .server(Server::new("three").listen(":0"))
        .server(Server::new("two").listen(":0").service(says("two")))
        .start()
        .await;
    let Err(StartError::Servers(errors)) = started else { panic!("four errors") };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "server one: it listens nowhere: add `.listen(\":8080\")`",
            "server two: `8080` is no address: write `\":8080\"`",
            "server three: nothing answers: add `.service(router)` or `.tcp(function)`",
            "server two: another server has this name: write one of its own",
        ]
    );
    assert!(matches!(Stead::new().start().await, Err(StartError::Servers(_))));
}
