//! Requests without a socket.

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{any, get, post};
use http::{HeaderValue, Request, StatusCode};
use stead::{Body, CallError, Reason, Stead};

use crate::serve;

#[tokio::test]
async fn a_call_goes_through_router_and_service() {
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|body: AxumBody| async { body }))
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route(
            "/socket",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(|_| async {}) }),
        );
    let serving = serve(router).await;
    let call = |request: Request<Body>| serving.running.call("web", request);
    let request = |path: &str| Request::get(path).body(Body::empty()).expect("a request");
    let response = call(request("/")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.into_body().read_to_end(100).await.expect("a body"), "hello");
    let large = "x".repeat(1 << 20);
    let echo = Request::post("/echo").body(AxumBody::from(large.clone())).expect("a request");
    let response = call(echo.map(Body::new)).await.expect("an answer");
    assert!(response.into_body().read_to_end(2 << 20).await.expect("a body") == large);
    assert_eq!(call(request("/none")).await.expect("an answer").status(), 404);
    assert_eq!(call(request("/panic")).await.expect("an answer").status(), 500);
    let too_long = call(request("/")).await.expect("an answer").into_body().read_to_end(4).await;
    assert_eq!(too_long.expect_err("longer").reason(), Reason::BodyTooLarge);
}

/// An answer to HEAD came with the body of GET.
#[tokio::test]
async fn an_answer_ends_where_it_would_end_on_the_wire() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "five\n").expect("written");
    let text = "log.access = 'off'\n[server.web]\nlisten = ['127.0.0.1:0']\n\
                [[server.web.route]]\npath = '/{*rest}'\nfiles = '.'\n\
                [[server.web.route]]\npath = '/text'\nrespond = 'text'\n";
    let path = folder.path().join("stead.toml");
    std::fs::write(&path, text).expect("written");
    let running = Stead::from_config(path).expect("it is there").start().await.expect("it starts");
    for (path, length, body) in [("/a.txt", "5", "five\n"), ("/text", "4", "text")] {
        let request = Request::head(path).body(()).expect("a request");
        let response = running.call("web", request).await.expect("an answer");
        assert_eq!(
            (response.status(), &response.headers()["content-length"]),
            (StatusCode::OK, &HeaderValue::from_static(length))
        );
        assert_eq!(response.into_body().read_to_end(100).await.expect("a body"), "");
        let request = Request::get(path).body(()).expect("a request");
        let response = running.call("web", request).await.expect("an answer");
        assert_eq!(response.into_body().read_to_end(100).await.expect("a body"), body);
    }
}

#[tokio::test]
async fn what_cannot_be_called_says_so() {
    let router = Router::new().route(
        "/socket",
        any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(|_| async {}) }),
    );
    let serving = serve(router).await;
    let request = |path: &str| Request::get(path).body(()).expect("a request");
    let missing = serving.running.call("none", request("/")).await;
    assert_eq!(missing.expect_err("no server"), CallError::NoServer("none".to_owned()));
    let switch = Request::get("/socket")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .expect("a request");
    let switched = serving.running.call("web", switch).await;
    assert_eq!(switched.expect_err("a switch"), CallError::Switch);
    let bad = Request::get("/").header("host", "a b").body(()).expect("a request");
    let refused = serving.running.call("web", bad).await;
    assert_eq!(refused.expect_err("a bad host"), CallError::Refused(Reason::BadHost));
    serving.running.shutdown().await;
    let late = serving.running.call("web", request("/")).await;
    assert_eq!(late.expect_err("ended"), CallError::Ended);
}
