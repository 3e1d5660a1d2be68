//! Trusted proxies of servers made in code.

use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, Request};
use stead::{ConnectInfo, ProxyHeader, Server, StartError, Stead, TrustedProxies};

use crate::Client;
use crate::harness::serving;

/// Says who the client is, how it came, and what is left of the fields of proxies.
fn who() -> Router {
    async fn who(Extension(info): Extension<ConnectInfo>, fields: HeaderMap) -> String {
        let left = fields.keys().filter(|name| {
            name.as_str().starts_with("x-forwarded") || *name == "x-real-ip" || *name == "forwarded"
        });
        format!("{} {:?} {}", info.client, info.scheme, left.count())
    }
    Router::new().route("/", get(who))
}

const TOLD: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
                    Forwarded: for=198.51.100.1;proto=https\r\nX-Real-IP: 203.0.113.5\r\n";

/// Asks a server behind `proxies` from loopback.
async fn ask(proxies: impl Into<TrustedProxies>) -> String {
    let serving = serving(Server::new("web").trusted_proxies(proxies).service(who())).await;
    serving.connect().request("GET", "/", TOLD, b"").text().to_owned()
}

#[tokio::test]
async fn the_word_of_a_trusted_proxy_counts() {
    assert_eq!(ask(["loopback"]).await, "192.0.2.7 Https 4");
    assert_eq!(ask(vec!["127.0.0.1".to_owned()]).await, "192.0.2.7 Https 4");
    let by = |header| TrustedProxies::new(["loopback"]).header(header);
    assert_eq!(ask(by(ProxyHeader::Forwarded)).await, "198.51.100.1 Https 4");
    assert_eq!(ask(by(ProxyHeader::XRealIp)).await, "203.0.113.5 Https 4");
}

#[tokio::test]
async fn security_45_the_word_of_others_does_not_count_and_is_taken_out() {
    assert_eq!(ask(["10.0.0.0/8", "unix"]).await, "127.0.0.1 Http 0");
    // Who names no proxies reads the fields as they came, and is told of none.
    assert_eq!(ask([] as [&str; 0]).await, "127.0.0.1 Http 4");
}

/// A call believed nobody, and passed on what strangers say.
#[tokio::test]
async fn a_call_comes_from_loopback() {
    for (proxies, expect) in
        [("127.0.0.1", "192.0.2.7 Https 2"), ("10.0.0.0/8", "127.0.0.1 Http 0")]
    {
        let serving = serving(Server::new("web").trusted_proxies([proxies]).service(who())).await;
        let request = Request::get("/")
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-forwarded-proto", "https");
        let request = request.body(()).expect("a request");
        let answer = serving.running.call("web", request).await.expect("an answer");
        assert_eq!(answer.into_body().read_to_end(100).await.expect("a body"), expect);
    }
}

#[tokio::test]
async fn serve_takes_them_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = stead::serve(listener, who()).workers(1).trusted_proxies(["loopback"]);
    let serve = tokio::spawn(serve.into_future());
    let answer = tokio::task::spawn_blocking(move || {
        Client::connect(address).request("GET", "/", TOLD, b"").text().to_owned()
    });
    assert_eq!(answer.await.expect("an answer"), "192.0.2.7 Https 4");
    serve.abort();
}

#[tokio::test]
async fn what_is_no_network_stops_the_start() {
    async fn ignore(_: tokio::net::TcpStream) {}
    let web = Server::new("web").listen("127.0.0.1:0").service(who());
    let raw = Server::new("raw").listen("127.0.0.1:0").tcp(ignore);
    let started = Stead::new()
        .server(web.trusted_proxies(["10.0.0.1/8", "loopback", "proxy"]))
        .server(raw.trusted_proxies(["loopback"]))
        .start()
        .await;
    let Err(StartError::Servers(errors)) = started else { panic!("three errors") };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "server web: `10.0.0.1/8` is no network: the address has bits beyond the prefix: \
             write `10.0.0.0/8`",
            "server web: `proxy` is no network: write an address, a network such as \
             `10.0.0.0/8`, `private`, `loopback` or `unix`",
            "server raw: `tcp` reads no fields of proxies: take `.trusted_proxies(…)` out",
        ]
    );
}
