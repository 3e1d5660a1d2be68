//! What authorities ask for is shown before anything else of a server, and only while it is there.

use stead_core::{Exchange, Flow, Middleware, StatusCode};

use crate::handlers::{Fixed, Make, text};
use crate::harness::Recipe;

const PATH: &str = "/.well-known/acme-challenge/token";

/// Refuses everybody, but not who comes by `/show` and `/forget`.
struct Refuse;

impl Middleware for Refuse {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        match exchange.path() {
            "/show" | "/forget" => Flow::Continue,
            _ => Flow::Respond(exchange.respond(StatusCode::FORBIDDEN)),
        }
    }
}

#[test]
fn a_text_is_shown_round_all_middleware_as_long_as_it_is_there() {
    let harness = Recipe::default()
        .around(Refuse)
        .route(
            "/show",
            Make(|exchange: &mut Exchange| {
                exchange.worker().process.challenges.show("token", "token.thumb");
                text(exchange, b"")
            }),
        )
        .route(
            "/forget",
            Make(|exchange: &mut Exchange| {
                exchange.worker().process.challenges.forget("token");
                text(exchange, b"")
            }),
        )
        .route("/{*rest}", Fixed("the site's own"))
        .start();
    let mut client = harness.connect();
    assert_eq!(client.get(PATH).status, 403);
    client.get("/show");
    let answer = client.get(PATH);
    assert_eq!((answer.status, answer.text()), (200, "token.thumb"));
    assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
    assert_eq!(client.get("/.well-known/acme-challenge/other").status, 403);
    let posted = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client.send(posted);
    assert_eq!(client.answer().status, 403);
    client.get("/forget");
    assert_eq!(client.get(PATH).status, 403);
}
