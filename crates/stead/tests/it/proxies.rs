//! Trusted proxies of servers made in code, and proxies that pass connections on.

use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, Request};
use stead::{ConnectInfo, Listen, ProxyHeader, Server, StartError, Stead, TrustedProxies};

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

const HEADER: &str = "PROXY TCP4 192.0.2.1 192.0.2.9 49152 80\r\n";

fn behind(proxies: &[&str]) -> Listen {
    Listen::from("127.0.0.1:0").proxy_protocol(proxies)
}

#[tokio::test]
async fn security_48_the_client_of_a_proxy_header_is_the_peer() {
    let web = Server::new("web").listen(behind(&["loopback"])).service(who());
    let running = Stead::new().server(web).start().await.expect("it starts");
    let mut client = Client::connect(running.addresses("web")[0]);
    client.send(HEADER);
    assert_eq!(client.get("/").text(), "192.0.2.1 Http 0");
    let mut without = Client::connect(running.addresses("web")[0]);
    without.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(without.is_closed());
    running.shutdown().await;
}

/// What stands behind the header is the function's, from its first byte.
#[tokio::test]
async fn raw_connections_begin_behind_their_header() {
    async fn echo(mut stream: tokio::net::TcpStream) {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    }
    let raw = Server::new("raw").listen(behind(&["loopback"])).tcp(echo);
    let running = Stead::new().server(raw).start().await.expect("it starts");
    let mut client = Client::connect(running.addresses("raw")[0]);
    client.send([HEADER, "PROXY and more"].concat());
    assert_eq!(client.take(14), b"PROXY and more");
    client.send("later");
    assert_eq!(client.take(5), b"later");
    drop(client);
    running.shutdown().await;
}

#[tokio::test]
async fn what_is_no_network_of_a_proxy_header_stops_the_start() {
    let web = Server::new("web").listen(behind(&["10.0.0.1/8"])).service(who());
    let started = Stead::new().server(web).start().await;
    let Err(StartError::Servers(errors)) = started else { panic!("an error") };
    assert!(errors[0].to_string().contains("write `10.0.0.0/8`"), "{errors:?}");
}
