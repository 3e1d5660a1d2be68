//! axum's `WebSocketUpgrade`, as under `axum::serve`, with a client of `tungstenite`.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};
use stead::Stead;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as ClientMessage};

use crate::{Client, serve};

fn router() -> Router {
    Router::new()
        .route("/echo", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/leave", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(leave) }))
        .route("/flood", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(flood) }))
        .route(
            "/chat",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.protocols(["v2.chat", "v1.chat"]).on_upgrade(echo)
            }),
        )
        .route("/plain", get(|| async { "plain" }))
        .route("/teapot", get(|| async { (StatusCode::IM_A_TEAPOT, "no") }))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let is_echoed = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_echoed && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn leave(mut socket: WebSocket) {
    let reason = Utf8Bytes::from_static("enough");
    let frame = CloseFrame { code: 4001, reason };
    drop(socket.send(Message::Close(Some(frame))).await);
    while let Some(Ok(_)) = socket.recv().await {}
}

/// Sends 64 MiB, as fast as they are taken.
async fn flood(mut socket: WebSocket) {
    let piece = axum::body::Bytes::from(vec![7; 1 << 20]);
    for _ in 0..64 {
        if socket.send(Message::Binary(piece.clone())).await.is_err() {
            return;
        }
    }
    drop(socket.send(Message::Close(None)).await);
}

#[tokio::test]
async fn messages_go_both_ways_in_any_size() {
    let serving = serve(router()).await;
    let (mut socket, answer) =
        connect_async(format!("ws://{}/echo", serving.address)).await.expect("a switch");
    assert_eq!(answer.status(), 101);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = "x".repeat(size);
        socket.send(ClientMessage::text(text.clone())).await.expect("sent");
        let echoed = socket.next().await.expect("a message").expect("no error");
        assert_eq!(echoed.into_text().expect("text").as_str(), text);
    }
    socket.send(ClientMessage::Ping("are you there".into())).await.expect("sent");
    let pong = socket.next().await.expect("a message").expect("no error");
    assert_eq!(pong, ClientMessage::Pong("are you there".into()));
    socket.close(None).await.expect("closed");
    assert!(matches!(socket.next().await, Some(Ok(ClientMessage::Close(_))) | None));
}

/// The service is called, and its socket lives, on the program's own runtime.
#[tokio::test]
async fn a_service_on_another_runtime_switches_too() {
    let theirs = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("theirs")
        .enable_all()
        .build()
        .expect("a runtime");
    let router = Router::new().route(
        "/",
        any(|upgrade: WebSocketUpgrade| async {
            upgrade.on_upgrade(|mut socket| async move {
                let name = std::thread::current().name().unwrap_or_default().to_owned();
                drop(socket.send(Message::text(name)).await);
                echo(socket).await;
            })
        }),
    );
    let serving = serve(stead::App::on_runtime(router, theirs.handle().clone())).await;
    let (mut socket, _) = connect_async(format!("ws://{}/", serving.address)).await.expect("101");
    let mut heard = async || {
        let message = socket.next().await.expect("a message").expect("no error");
        message.into_text().expect("text").to_string()
    };
    assert_eq!(heard().await, "theirs");
    socket.send(ClientMessage::text("echo")).await.expect("sent");
    let echoed = socket.next().await.expect("a message").expect("no error");
    assert_eq!(echoed.into_text().expect("text").as_str(), "echo");
    drop((socket, serving));
    theirs.shutdown_background();
}

#[tokio::test]
async fn close_codes_survive_both_ways() {
    let serving = serve(router()).await;
    let url = |path: &str| format!("ws://{}{path}", serving.address);
    let (mut socket, _) = connect_async(url("/leave")).await.expect("a switch");
    let Some(Ok(ClientMessage::Close(Some(frame)))) = socket.next().await else {
        panic!("a close frame")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "enough"));
    assert!(socket.next().await.is_none(), "and then the connection ends");
    let (mut socket, _) = connect_async(url("/echo")).await.expect("a switch");
    let frame = tungstenite::protocol::CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.close(Some(frame)).await.expect("sent");
    let Some(Ok(ClientMessage::Close(Some(frame)))) = socket.next().await else {
        panic!("the close is answered")
    };
    assert_eq!(frame.code, CloseCode::Away);
}

#[tokio::test]
async fn a_protocol_is_chosen() {
    use tungstenite::client::IntoClientRequest;
    let serving = serve(router()).await;
    let mut request =
        format!("ws://{}/chat", serving.address).into_client_request().expect("a request");
    let offered = "v1.chat, other".parse().expect("a value");
    request.headers_mut().insert("Sec-WebSocket-Protocol", offered);
    let (_socket, answer) = connect_async(request).await.expect("a switch");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "v1.chat");
}

#[tokio::test]
async fn a_slow_reader_holds_its_sender_back() {
    let serving = serve(router()).await;
    let (mut socket, _) =
        connect_async(format!("ws://{}/flood", serving.address)).await.expect("a switch");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut bytes = 0;
    while let Some(Ok(ClientMessage::Binary(piece))) = socket.next().await {
        bytes += piece.len();
    }
    assert_eq!(bytes, 64 << 20);
}

const ASK: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What is no switch is an ordinary answer on a connection that goes on.
#[tokio::test]
async fn a_refused_switch_leaves_the_connection() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    let plain = client.request("GET", "/plain", ASK, b"");
    assert_eq!((plain.status, plain.text()), (200, "plain"));
    assert_eq!(client.request("GET", "/teapot", ASK, b"").status, 418);
    let old = ASK.replace("13", "12");
    assert_eq!(client.request("GET", "/echo", &old, b"").status, 400);
    assert_eq!(client.request("GET", "/echo", "", b"").status, 400, "nobody asked for a switch");
    assert_eq!(client.request("GET", "/nothing", ASK, b"").status, 404);
    let odd = client.request("GET", "/echo?<>`", ASK, b"");
    assert_eq!(odd.status, 400, "once 500, and a line in the log as of a service that failed");
    let switched = client.request("GET", "/echo", ASK, b"");
    assert_eq!(switched.status, 101);
    assert_eq!(switched.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(switched.field("upgrade"), Some("websocket"));
    // "Hi" as a masked text frame whose mask is 0, sent with nothing between it and the head.
    client.send(b"\x81\x82\0\0\0\0Hi");
    assert_eq!(client.take(4), b"\x81\x02Hi");
}

/// A frame right behind the request reaches the socket.
#[tokio::test]
async fn bytes_behind_the_request_belong_to_the_socket() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    client.send(format!("GET /echo HTTP/1.1\r\nHost: a\r\n{ASK}\r\n"));
    client.send(b"\x81\x82\0\0\0\0Hi");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.take(4), b"\x81\x02Hi");
    client.finish();
    assert!(client.is_closed(), "the end of the peer's side is seen");
}

#[tokio::test]
async fn a_shutdown_waits_for_sockets_and_then_cuts_them() {
    let serving = serve(router()).await;
    let (mut socket, _) =
        connect_async(format!("ws://{}/echo", serving.address)).await.expect("a switch");
    socket.send(ClientMessage::text("one")).await.expect("sent");
    drop(socket.next().await.expect("an echo"));
    let ended = serving.running.shutdown();
    tokio::pin!(ended);
    let early = tokio::time::timeout(Duration::from_millis(300), ended.as_mut()).await;
    assert!(early.is_err(), "the socket is open");
    socket.send(ClientMessage::text("two")).await.expect("it still works");
    assert_eq!(
        socket.next().await.expect("an echo").expect("no error"),
        ClientMessage::text("two")
    );
    socket.close(None).await.expect("closed");
    while let Some(Ok(_)) = socket.next().await {}
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends with the socket");
}

/// It held the end up for the whole drain, 25 s, and left no record when it was cut.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "our own log")]
async fn an_open_socket_holds_no_shutdown_up_and_leaves_its_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let text = format!(
        "[log]\naccess = {{ file = {log:?} }}\nformat = \"json\"\n\
         [server.web]\nlisten = [\"127.0.0.1:0\"]\n\
         [[server.web.route]]\npath = \"/{{*rest}}\"\nservice = \"app\"\n"
    );
    let never = get(|| async { std::future::pending::<&str>().await });
    let app = router().route("/never", never);
    // With nothing else open, and cut by the end of a drain that a request took up.
    for (drain, asks) in [(Duration::from_secs(25), false), (Duration::from_millis(300), true)] {
        let stead = Stead::from_text(text.as_str()).service("app", app.clone()).drain(drain);
        let running = stead.start().await.expect("it starts");
        let address = running.addresses("web")[0];
        let (mut socket, _) =
            connect_async(format!("ws://{address}/echo")).await.expect("a switch");
        socket.send(ClientMessage::text("hello")).await.expect("sent");
        socket.next().await.expect("a message").expect("no error");
        let mut client = Client::connect(address);
        if asks {
            client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let began = Instant::now();
        running.shutdown().await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(!matches!(socket.next().await, Some(Ok(_))), "cut");
        let records = std::fs::read_to_string(&log).expect("a log");
        let is_it = |line: &&str| {
            line.contains(r#""status":101"#) && line.contains(r#""reason":"drained""#)
        };
        assert_eq!(records.lines().filter(is_it).count(), 1 + usize::from(asks), "{records}");
    }
}

/// What an exchange still has to say to a socket arrives, also from another worker.
#[tokio::test]
async fn a_socket_outlasts_the_exchanges_of_a_drain() {
    let (say, _) = tokio::sync::broadcast::channel::<&str>(4);
    let hear = say.clone();
    let listen = move |upgrade: WebSocketUpgrade| {
        let mut heard = hear.subscribe();
        async move {
            upgrade.on_upgrade(async move |mut socket| {
                while let Ok(text) = heard.recv().await {
                    drop(socket.send(Message::Text(Utf8Bytes::from_static(text))).await);
                }
            })
        }
    };
    let slow = async move || {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        say.send("last words").expect("somebody listens");
        "said"
    };
    let serving =
        serve(Router::new().route("/listen", any(listen)).route("/slow", get(slow))).await;
    let url = format!("ws://{}/listen", serving.address);
    let (mut socket, _) = connect_async(url).await.expect("a switch");
    let mut client = serving.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    tokio::time::sleep(Duration::from_millis(100)).await;
    serving.running.shutdown().await;
    assert!(client.read_to_close().ends_with(b"said"));
    assert_eq!(socket.next().await.expect("a message").expect("no error"), "last words".into());
    assert!(!matches!(socket.next().await, Some(Ok(_))), "and then it is cut");
}
