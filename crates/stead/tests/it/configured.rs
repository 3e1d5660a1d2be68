//! A configuration and code together.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use http::Request;
use stead::kinds::{
    BuildContext, Config, Diagnostics, Exchange, Flow, Handler, HandlerKind, Middleware,
    MiddlewareKind, Name, NamedHandler, NamedMiddleware, Reply, Settings, StatusCode,
};
use stead::{Body, Running, Server, StartError, Stead};

use crate::Client;

/// Marks every answer: `mark = { text = "…" }`.
struct Mark(String);

#[derive(Config)]
struct MarkConfig {
    /// What the answer is marked with.
    text: String,
}

impl Middleware for Mark {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(response) = exchange.response_mut() {
            response.fields.set(Name::Other(b"X-Mark"), self.0.as_bytes());
        }
        Flow::Continue
    }
}

impl NamedMiddleware for Mark {
    const KIND: MiddlewareKind = MiddlewareKind::new("mark", build_mark)
        .summary("mark every answer")
        .settings::<MarkConfig>();
}

fn build_mark(
    settings: &Settings,
    _: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    Ok(Box::new(Mark(settings.decode::<MarkConfig>()?.text)))
}

/// Answers with the path's length.
struct Length;

impl Handler for Length {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let text = exchange.path().len().to_string();
        Reply::Ready(exchange.respond(StatusCode::OK).with_body(text.into_bytes()))
    }
}

impl NamedHandler for Length {
    const KIND: HandlerKind =
        HandlerKind::new("length", |_, _| Ok(Box::new(Length))).summary("the path's length");
}

const TEXT: &str = r#"
log.access = "off"
[middleware.seen]
kind = "mark"
text = "seen"
[server.web]
listen = ["127.0.0.1:0"]
middleware = ["seen"]
limits = { body = "10B" }
[[server.web.route]]
path = "/api/{*rest}"
service = "api"
[[server.web.route]]
path = "/length"
length = {}
[[server.web.route]]
path = "/"
respond = "from the file\n"
"#;

fn api() -> Router {
    Router::new()
        .route("/api/hello", get(|| async { "from the code" }).post(|body: String| async { body }))
}

fn write(folder: &Path, text: &str) -> Stead {
    let path = folder.join("stead.toml");
    std::fs::write(&path, text).expect("written");
    Stead::from_config(path).expect("it is there")
}

async fn text(running: &Running, server: &str, path: &str) -> (u16, String, String) {
    let request = Request::get(path).body(()).expect("a request");
    let response = running.call(server, request).await.expect("an answer");
    let mark = response.headers().get("x-mark").map(|mark| mark.to_str().unwrap_or("").to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().read_to_end(1000).await.expect("a body");
    (status, String::from_utf8(body.into()).expect("text"), mark.unwrap_or_default())
}

#[tokio::test]
async fn services_kinds_and_servers_of_code_stand_beside_those_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let stead = write(folder.path(), TEXT).service("api", api());
    let more = Server::new("more").listen("127.0.0.1:0").service(api());
    let stead = stead.middleware::<Mark>().handler::<Length>().server(more);
    let running = stead.workers(1).start().await.expect("it starts");
    let found = |status: u16, text: &str| (status, text.to_owned(), "seen".to_owned());
    assert_eq!(text(&running, "web", "/api/hello").await, found(200, "from the code"));
    assert_eq!(text(&running, "web", "/length").await, found(200, "7"));
    assert_eq!(text(&running, "web", "/").await, found(200, "from the file\n"));
    assert_eq!(text(&running, "web", "/none").await.0, 404);
    assert_eq!(text(&running, "more", "/api/hello").await.1, "from the code");
    let mut client = Client::connect(running.addresses("web")[0]);
    assert_eq!(client.request("POST", "/api/hello", "", b"0123456789").text(), "0123456789");
    assert_eq!(client.request("POST", "/api/hello", "", b"0123456789x").status, 413);
    let port = running.addresses("more")[0];
    assert_eq!(Client::connect(port).get("/api/hello").text(), "from the code");
    drop(Body::empty());
}

#[tokio::test]
async fn an_unknown_service_is_an_error_with_the_known_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let start =
        |text: &str| write(folder.path(), text).service("api", api()).service("rpc", api()).start();
    let wrong = TEXT.replace("\"api\"", "\"apo\"").replace("length = {}", "respond = 'x'");
    let started =
        start(&wrong.replace("kind = \"mark\"\ntext = \"seen\"", "kind = \"request_id\"")).await;
    let Err(StartError::Configuration(text)) = started else { panic!("no such service") };
    assert!(text.contains("no service is called `apo`"), "{text}");
    assert!(
        text.contains(r#"write one of those that the program gives: `"api"`, `"rpc"`"#),
        "{text}"
    );
    assert!(text.contains("stead.toml:11:11"), "{text}");
    assert!(matches!(Stead::from_config("/nowhere.toml"), Err(StartError::System(..))));
    let web = Server::new("web").listen("127.0.0.1:0").service(api());
    let good =
        "[server.web]\nlisten = ['127.0.0.1:0']\n[[server.web.route]]\npath = '/'\nrespond = 'x'";
    let started = write(folder.path(), good).server(web).start().await;
    let Err(StartError::Servers(errors)) = started else { panic!("the name is taken") };
    assert!(errors[0].message.contains("has a server of this name"), "{}", errors[0]);
}

/// A kind of the program's own under a built-in name was there in vain.
#[tokio::test]
async fn a_kind_whose_name_is_taken_is_an_error() {
    struct Files;
    impl Handler for Files {
        fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
            Length.call(exchange)
        }
    }
    impl NamedHandler for Files {
        const KIND: HandlerKind = HandlerKind::new("files", |_, _| Ok(Box::new(Files)));
    }
    let web = || Server::new("web").listen("127.0.0.1:0").service(api());
    let stead = Stead::new().server(web()).handler::<Files>().handler::<Length>();
    let started = stead.middleware::<Mark>().middleware::<Mark>().start().await;
    let Err(StartError::Kinds(errors)) = started else { panic!("two names are taken") };
    let names: Vec<_> = errors.iter().map(|error| (error.sort, &*error.name)).collect();
    assert_eq!(names, [("handler", "files"), ("middleware", "mark")]);
    assert!(errors[0].to_string().contains(r#""files" is there already"#), "{}", errors[0]);
    let started = Stead::new().start().await;
    let said = started.err().expect("no server").to_string();
    assert_eq!(said, "nothing to serve: add `.server(Server::new(\"web\"))`");
}

/// The usual key of `rate_limit` is a placeholder: each route had a limit of its own.
#[tokio::test]
async fn middleware_that_uses_no_capture_is_one_for_all_that_it_stands_around() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "log.access = 'off'\n\
        middleware.named = { kind = 'rate_limit', rate = '1/h' }\n\
        middleware.shown = { kind = 'headers', response = { set = { X-Mark = '{host}' } } }\n\
        server.all = { listen = ['127.0.0.1:0'], middleware = [{ rate_limit = '1/h' }], route = [\n\
            { path = '/{host}', respond = 'a' },\n\
            { path = '/a/{id}', respond = 'b' } ] }\n\
        server.some = { listen = ['127.0.0.1:0'], route = [\n\
            { path = '/a', middleware = ['shown', 'named'], respond = 'a' },\n\
            { path = '/{host}', middleware = ['shown', 'named'], respond = 'b' },\n\
            { path = '/own', middleware = [{ rate_limit = '1/h' }], respond = 'c' } ] }\n";
    let running = write(folder.path(), text).workers(2).start().await.expect("it starts");
    let ask = async |server: &str, path: &str| {
        let (status, _, mark) = self::text(&running, server, path).await;
        (status, mark)
    };
    assert_eq!(ask("all", "/x").await.0, 200);
    assert_eq!(ask("all", "/a/7").await.0, 429);
    assert_eq!(ask("all", "/nothing/there").await.0, 429, "around what no route answers too");
    assert_eq!(ask("some", "/a").await, (200, "localhost".to_owned()));
    assert_eq!(ask("some", "/b").await, (429, "b".to_owned()));
    assert_eq!(ask("some", "/own").await.0, 200, "another one");
}

/// A method that `files` does not take was refused by the site: without the route's middleware,
/// page and password.
#[tokio::test]
async fn what_a_handler_does_not_take_is_refused_by_its_route() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("no.html"), "<p>no").expect("written");
    let text = "log.access = 'off'\n\
        server.web = { listen = ['127.0.0.1:0'], route = [\n\
            { path = '/{*rest}', files = '.', errors = { 405 = 'no.html' },\n\
              middleware = [{ mark = { text = 'route' } }] } ] }\n";
    let stead = write(folder.path(), text).middleware::<Mark>().workers(1);
    let running = stead.start().await.expect("it starts");
    for (method, status, body) in [("POST", 405, "<p>no"), ("OPTIONS", 204, "")] {
        let request = Request::builder().method(method).uri("/a").body(()).expect("a request");
        let response = running.call("web", request).await.expect("an answer");
        assert_eq!(response.status(), status, "{method}");
        assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
        assert_eq!(response.headers()["x-mark"], "route");
        assert_eq!(response.into_body().read_to_end(100).await.expect("a body"), body);
    }
}

/// Whoever asked while another password was being checked counted as a failure for that long: of
/// many right ones at once, from one address, most got 429.
#[tokio::test]
async fn right_passwords_at_once_are_no_failures() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "log.access = 'off'\n\
        server.web = { listen = ['127.0.0.1:0'], route = [{ path = '/', respond = 'in' }],\n\
          middleware = [{ basic_auth = { failures = '2/h', users = { alice = \
          '$2y$04$MhRZKUpC/5Wdk.Qw59xQCeM/97u4S9I8yKHMVduVxosSx02GOzfu2' } } }] }\n";
    let running = write(folder.path(), text).workers(2).start().await.expect("it starts");
    let ask = |credentials: &'static str| {
        let request = Request::get("/").header("authorization", format!("Basic {credentials}"));
        let called = running.call("web", request.body(()).expect("a request"));
        async { called.await.expect("an answer").status().as_u16() }
    };
    let right = "YWxpY2U6Z2VoZWltOiDDvA==";
    let statuses = futures_util::future::join_all((0..40).map(|_| ask(right))).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let wrong = "YWxpY2U6d3Jvbmc=";
    let statuses = futures_util::future::join_all((0..40).map(|_| ask(wrong))).await;
    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!((2..=4).contains(&tried), "two, and one more a worker: {statuses:?}");
    assert_eq!(ask(wrong).await, 429);
}

/// A server's own `basic_auth` stands around its redirect, and asked in the clear unsaid.
#[test]
fn a_password_before_the_redirect_to_tls_is_warned_of() {
    let users =
        "users = { alice = '$2y$04$MhRZKUpC/5Wdk.Qw59xQCeM/97u4S9I8yKHMVduVxosSx02GOzfu2' }";
    let check = |of_server: &str, of_route: &str, redirect: &str| {
        let text = format!(
            "[middleware.office]\nkind = 'basic_auth'\n{users}\n[server.web]\nlisten = [':1']\n\
             trusted_proxies = ['loopback']\n{redirect}\nmiddleware = [{of_server}]\n\
             [[server.web.route]]\npath = '/'\nmiddleware = [{of_route}]\nrespond = 'x'\n"
        );
        let files = std::collections::BTreeMap::from([("stead.toml".into(), text)]);
        let checked = stead::command::check_files("stead.toml".as_ref(), &files, &|_| None);
        assert!(checked.is_ok(), "it is no error");
        let messages = checked.diagnostics.iter().map(|wrong| wrong.message.clone());
        messages.collect::<Vec<_>>()
    };
    let warning = "this password is asked for in the clear, before the redirect";
    let inline = format!("{{ basic_auth = {{ {users} }} }}");
    assert_eq!(check("'office'", "", "redirect = 'https'"), [warning]);
    assert_eq!(check(&inline, "", "redirect = 'https'"), [warning]);
    assert!(check("", "'office'", "redirect = 'https'").is_empty());
    assert!(check("'office'", "", "").is_empty());
}
