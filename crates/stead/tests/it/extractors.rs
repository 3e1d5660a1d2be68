//! axum's extractors and responses.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{
    ConnectInfo, DefaultBodyLimit, MatchedPath, Multipart, OriginalUri, Path, Query, State,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::serve;

#[derive(Clone, Default)]
struct App {
    hits: Arc<AtomicU64>,
}

fn router() -> Router {
    Router::new()
        .route(
            "/hits",
            get(|State(app): State<App>| async move {
                app.hits.fetch_add(1, Ordering::Relaxed).to_string()
            }),
        )
        .route(
            "/users/{id}/{*rest}",
            get(|Path((id, rest)): Path<(u32, String)>| async move { format!("{id} {rest}") }),
        )
        .route(
            "/query",
            get(|Query(all): Query<HashMap<String, String>>| async move {
                format!("{} {}", all["a"], all["b"])
            }),
        )
        .route(
            "/json",
            post(|Json(value): Json<Value>| async move { Json(json!({ "got": value })) }),
        )
        .route(
            "/line",
            get(|method: Method, uri: Uri, version: Version| async move {
                format!("{method} {uri} {version:?}")
            }),
        )
        .route(
            "/fields",
            get(|fields: HeaderMap| async move {
                let all = fields.get_all("x-twice").iter();
                all.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join("+")
            }),
        )
        .route(
            "/info",
            get(|Extension(info): Extension<stead::ConnectInfo>| async move {
                format!("{} {}", info.scheme.as_str(), info.address())
            }),
        )
        .route("/away", get(|| async { Redirect::to("/hits") }))
        .route("/upload", post(upload))
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .nest("/nested", Router::new().route("/{name}", get(nested)))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here") })
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(App::default())
}

async fn nested(matched: MatchedPath, OriginalUri(uri): OriginalUri) -> String {
    format!("{} {uri}", matched.as_str())
}

async fn upload(mut form: Multipart) -> Result<String, StatusCode> {
    let mut parts = Vec::new();
    while let Some(part) = form.next_field().await.map_err(|error| error.status())? {
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(|error| error.status())?;
        parts.push(format!("{name}={}", bytes.len()));
    }
    Ok(parts.join(" "))
}

#[tokio::test]
async fn state_path_query_json_and_fields() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    assert_eq!(client.get("/hits").text(), "0");
    assert_eq!(serving.connect().get("/hits").text(), "1", "one state for all workers");
    assert_eq!(client.get("/users/7/a%20b/c").text(), "7 a b/c");
    assert_eq!(client.get("/users/seven/x").status, 400);
    assert_eq!(client.get("/query?a=1&b=two+words").text(), "1 two words");
    let kind = "Content-Type: application/json\r\n";
    assert_eq!(client.request("POST", "/json", kind, b"[1]").text(), r#"{"got":[1]}"#);
    assert_eq!(client.request("POST", "/json", kind, b"[1").status, 400);
    assert_eq!(client.request("POST", "/json", "", b"[1]").status, 415);
    assert_eq!(client.get("/line?x=%20y").text(), "GET /line?x=%20y HTTP/1.1");
    let fields = "X-Twice: a\r\nx-twice: b\r\n";
    assert_eq!(client.request("GET", "/fields", fields, b"").text(), "a+b");
    let away = client.get("/away");
    assert_eq!((away.status, away.field("location")), (303, Some("/hits")));
    assert_eq!(client.get("/nested/x?q").text(), "/nested/{name} /nested/x?q");
    let own = client.stream.local_addr().expect("an address");
    assert_eq!(client.get("/info").text(), format!("http {own}"));
    assert_eq!(client.get("/none").text(), "nothing here");
}

/// The service sees the path that Stead's own router and log see.
#[tokio::test]
async fn the_path_is_canonical() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    for path in ["/a/../line", "/%6cine", "/./line", "http://a/line"] {
        assert_eq!(client.get(path).text(), "GET /line HTTP/1.1", "{path}");
    }
    let bad = client.get("/%zz");
    assert_eq!((bad.status, client.is_closed()), (400, true));
}

#[tokio::test]
async fn multipart_uploads_and_their_limit() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    let form = |size: usize| {
        let mut body =
            b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhello\r\n".to_vec();
        body.extend(b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n");
        body.extend(vec![b'x'; size]);
        body.extend(b"\r\n--b--\r\n");
        body
    };
    let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
    assert_eq!(client.request("POST", "/upload", kind, &form(500_000)).text(), "a=5 f=500000");
    assert_eq!(client.request("POST", "/upload", kind, &form(2_000_000)).status, 413);
}

#[tokio::test]
async fn requests_follow_each_other_and_may_overtake_their_answers() {
    let serving = serve(router()).await;
    let mut client = serving.connect();
    let mut all = String::new();
    for number in 0..100 {
        write!(all, "GET /line?{number} HTTP/1.1\r\nHost: a\r\n\r\n").expect("to a string");
    }
    client.send(all);
    for number in 0..100 {
        assert_eq!(client.answer().text(), format!("GET /line?{number} HTTP/1.1"));
    }
    client.send("GET /line HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().text(), "GET /line HTTP/1.0");
    assert!(client.is_closed());
}

#[tokio::test]
async fn a_panic_is_a_500_and_concerns_nobody_else() {
    let serving = serve(router()).await;
    let mut neighbour = serving.connect();
    assert_eq!(neighbour.get("/line").status, 200);
    let mut client = serving.connect();
    assert_eq!(client.get("/panic").status, 500);
    assert!(client.is_closed());
    assert_eq!(neighbour.get("/line").status, 200);
}

/// As under `axum::serve`.
#[tokio::test]
async fn connect_info_of_axum_needs_the_make_service() {
    async fn peer(ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>) -> String {
        peer.to_string()
    }
    let serving = serve(Router::new().route("/", get(peer))).await;
    assert_eq!(serving.connect().get("/").status, 500);
}
