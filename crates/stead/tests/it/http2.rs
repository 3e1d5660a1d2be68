//! A router over HTTP/2: the same one, without a line of its own.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::routing::{get, post};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use tokio::net::TcpStream;

use crate::serve;

/// A client's end of a connection to a router.
async fn connect(router: Router) -> (crate::harness::Serving, h2::client::SendRequest<Bytes>) {
    let serving = serve(router).await;
    let stream = TcpStream::connect(serving.address).await.expect("a connection");
    let (client, connection) = h2::client::handshake(stream).await.expect("settings");
    tokio::spawn(connection);
    (serving, client)
}

fn request(method: &str, path: &str) -> http::Request<()> {
    let uri = format!("http://a.example{path}");
    http::Request::builder().method(method).uri(uri).body(()).expect("a request")
}

async fn text(body: &mut h2::RecvStream) -> String {
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a piece");
        body.flow_control().release_capacity(piece.len()).expect("an open window");
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_router_answers_streams_of_one_connection() {
    let router = Router::new().route(
        "/{name}",
        get(|request: Request| async move {
            assert_eq!(request.version(), Version::HTTP_2);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            format!("{} {:?}", request.uri(), request.headers().get("host"))
        }),
    );
    let (_serving, client) = connect(router).await;
    let asking = (0..50).map(|n| {
        let mut client = client.clone();
        async move {
            let asked = client.send_request(request("GET", &format!("/{n}")), true);
            let answer = asked.expect("a stream").0.await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            let told = text(&mut answer.into_body()).await;
            assert_eq!(told, format!("/{n} Some(\"a.example\")"));
        }
    });
    futures_util::future::join_all(asking).await;
}

/// Pieces come back while more are on their way, and trailers go both ways.
#[tokio::test]
async fn bodies_stream_both_ways_with_trailers() {
    let router = Router::new().route(
        "/",
        post(|body: Body| async move {
            StreamBody::new(body.into_data_stream().map(|piece| {
                piece.map(|piece| http_body::Frame::data(Bytes::from(piece.to_ascii_uppercase())))
            }))
            .with_trailers(async {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(trailers))
            })
            .into_response_body()
        }),
    );
    let (_serving, mut client) = connect(router).await;
    let (answer, mut out) = client.send_request(request("POST", "/"), false).expect("a stream");
    out.send_data(Bytes::from_static(b"one"), false).expect("an open stream");
    let mut body = answer.await.expect("an answer").into_body();
    assert_eq!(body.data().await.expect("a piece").expect("no error"), "ONE");
    out.send_data(Bytes::from_static(b"two"), true).expect("an open stream");
    assert_eq!(body.data().await.expect("a piece").expect("no error"), "TWO");
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.expect("no error").expect("trailers");
    assert_eq!(trailers.get("grpc-status").map(HeaderValue::as_bytes), Some(&b"0"[..]));
}

trait IntoResponseBody {
    fn into_response_body(self) -> Body;
}

impl<B> IntoResponseBody for B
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    fn into_response_body(self) -> Body {
        Body::new(self)
    }
}

#[tokio::test]
async fn a_service_sees_the_trailers_of_a_request() {
    let router = Router::new().route(
        "/",
        post(|body: Body| async move {
            let collected = body.collect().await.expect("a whole body");
            let trailers = collected.trailers().cloned().unwrap_or_default();
            format!("{} {:?}", collected.to_bytes().len(), trailers.get("x-sum"))
        }),
    );
    let (_serving, mut client) = connect(router).await;
    let (answer, mut out) = client.send_request(request("POST", "/"), false).expect("a stream");
    out.send_data(Bytes::from_static(b"abc"), false).expect("an open stream");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("294"));
    out.send_trailers(trailers).expect("an open stream");
    let told = text(&mut answer.await.expect("an answer").into_body()).await;
    assert_eq!(told, "3 Some(\"294\")");
}
