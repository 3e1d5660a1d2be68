//! Layers and services of `tower` and `tower-http`.

use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimitLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::serve;

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(100)).await;
    "slow"
}

fn layered(files: &std::path::Path) -> Router {
    let cors = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::PUT]);
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50));
    Router::new()
        .route("/text", get(|| async { "word ".repeat(1_000) }))
        .route("/slow", get(slow).layer(timeout))
        .route("/small", post(|body: String| async { body }).layer(RequestBodyLimitLayer::new(10)))
        .nest_service("/files", ServeDir::new(files))
        .layer(CompressionLayer::new())
        .layer(cors)
        .layer(TraceLayer::new_for_http())
}

#[tokio::test]
async fn compression_cors_timeouts_limits_and_files() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "0123456789").expect("a file");
    let serving = serve(layered(folder.path())).await;
    let mut client = serving.connect();
    let packed = client.request("GET", "/text", "Accept-Encoding: gzip\r\n", b"");
    assert_eq!(packed.field("content-encoding"), Some("gzip"));
    assert!(packed.body.starts_with(b"\x1f\x8b") && packed.body.len() < 1_000);
    assert_eq!(client.get("/text").body.len(), 5_000);
    assert_eq!(client.get("/slow").status, 504);
    assert_eq!(client.request("POST", "/small", "", b"ok").text(), "ok");
    assert_eq!(client.request("POST", "/small", "", b"much too long").status, 413);
    let mut client = serving.connect();
    let asks = "Origin: http://b\r\nAccess-Control-Request-Method: PUT\r\n";
    let preflight = client.request("OPTIONS", "/text", asks, b"");
    assert_eq!(preflight.field("access-control-allow-methods"), Some("GET,PUT"));
    assert_eq!(client.get("/files/a.txt").text(), "0123456789");
    let part = client.request("GET", "/files/a.txt", "Range: bytes=2-4\r\n", b"");
    assert_eq!((part.status, part.text()), (206, "234"));
    let head = client.request("HEAD", "/files/a.txt", "", b"");
    assert_eq!(head.field("content-length"), Some("10"));
    assert_eq!(client.get("/files/none").status, 404);
}

/// Files of `ServeDir` left in chunks: only their fields told the length, and those were dropped.
#[tokio::test]
async fn files_of_a_service_keep_their_length() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "x".repeat(100_000)).expect("a file");
    let serving = serve(Router::new().fallback_service(ServeDir::new(folder.path()))).await;
    let mut client = serving.connect();
    let whole = client.get("/a.txt");
    assert_eq!((whole.field("content-length"), whole.body.len()), (Some("100000"), 100_000));
    assert_eq!(whole.field("transfer-encoding"), None);
    let part = client.request("GET", "/a.txt", "Range: bytes=10-69999\r\n", b"");
    assert_eq!((part.status, part.field("content-length")), (206, Some("69990")));
    assert_eq!((part.field("transfer-encoding"), part.body.len()), (None, 69_990));
    let head = client.request("HEAD", "/a.txt", "", b"");
    assert_eq!((head.status, head.field("content-length")), (200, Some("100000")));
    let since = format!("If-Modified-Since: {}\r\n", whole.field("last-modified").expect("a time"));
    let known = client.request("GET", "/a.txt", &since, b"");
    assert_eq!((known.status, known.field("transfer-encoding")), (304, None));
    assert_eq!(client.get("/a.txt").body.len(), 100_000, "and the connection goes on");
}

/// A service that is not ready keeps its callers waiting, each by itself.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_awaited() {
    let limited = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Router::new().route("/slow", get(slow)));
    let serving = serve(limited).await;
    let started = std::time::Instant::now();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = serving.connect();
            std::thread::spawn(move || client.get("/slow").status)
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), 200);
    }
    assert!(started.elapsed() >= Duration::from_millis(400), "one at a time");
}
