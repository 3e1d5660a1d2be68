//! Every ordered pair of middleware kinds around the same routes, through a real configuration and
//! over real connections: what must hold of any answer, whatever stands around its handler.
//!
//! Each kind stands outermost on a server of its own; inside it every kind stands once on a site
//! and once on the routes of a site, so that both ways of inheriting are seen. What is found wrong
//! is gathered and told at the end, with the pair and the request.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::{get, post};
use futures_util::stream;
use http::{HeaderValue, Request};
use stead::{Running, Stead};
use tokio::runtime::Handle;

use crate::Client;
use crate::client::Answer;

/// One kind with settings under which it does something.
struct Around {
    name: &'static str,
    /// As a list of middleware has it.
    settings: String,
}

/// Every registered kind: with the settings of its example, unless others show more.
fn all_kinds() -> Vec<Around> {
    let mut all = Vec::new();
    for kind in stead_middleware::KINDS {
        let own: &[&str] = match kind.name {
            "basic_auth" => &[USERS],
            "cache_control" => &[
                "cache_control = 'no-cache'",
                "cache_control = { value = { max_age = '1h', public = true } }",
            ],
            "compress" => &["compress = { minimum = '0B' }"],
            "concurrency_limit" => {
                &["concurrency_limit = { requests = 1, queue = 1, wait = '5s' }"]
            }
            "deny" => &["deny = ['192.0.2.0/24']", "deny = ['loopback']"],
            "maintenance" => &["maintenance = { body = 'soon', retry_after = '1m' }"],
            "rate_limit" => &["rate_limit = { rate = '1/1d', burst = 20000, announce = true }"],
            "rewrite" => &["rewrite = { regex = '^/app/old$', to = '/app/own?x=1' }"],
            "strip_prefix" => &["strip_prefix = '/files'"],
            "trailing_slash" => &["trailing_slash = 'remove'", "trailing_slash = 'add'"],
            _ => &[kind.facts().example],
        };
        let around = |settings: &&str| Around { name: kind.name, settings: (*settings).to_owned() };
        all.extend(own.iter().map(around));
    }
    all
}

/// One server for each outermost kind.
fn configuration(all: &[Around], folder: &Path) -> String {
    let mut text = "log.access = 'off'\n".to_owned();
    for (i, outer) in all.iter().enumerate() {
        let _ = write!(
            text,
            "[server.o{i}]\nlisten = ['127.0.0.1:0']\ntrusted_proxies = ['loopback']\n\
             middleware = [{{ {} }}]\n",
            outer.settings
        );
        for (j, inner) in all.iter().enumerate() {
            let list = format!("middleware = [{{ {} }}]\n", inner.settings);
            for (place, site, route) in [("s", &*list, ""), ("r", "", &*list)] {
                let name = format!("server.o{i}.site.{place}{j}");
                let hosts = format!("['{place}{j}.example', 'www.{place}{j}.example']");
                let _ = write!(
                    text,
                    "[{name}]\nhosts = {hosts}\n{site}errors = {{ 404 = '{}/404.html' }}\n",
                    folder.display()
                );
                for (path, handler) in [
                    ("/page", format!("respond = '{PAGE}'")),
                    (
                        "/varied",
                        format!(
                            "respond = {{ body = '{PAGE}', headers = {{ vary = 'accept-encoding', \
                             etag = '\"1\"' }} }}"
                        ),
                    ),
                    ("/files/{*rest}", format!("files = '{}'", folder.display())),
                    ("/app/{*rest}", "service = 'app'".to_owned()),
                ] {
                    let _ = write!(text, "[[{name}.route]]\npath = '{path}'\n{route}{handler}\n");
                }
                for method in ["GET", "PUT"] {
                    let _ = write!(
                        text,
                        "[[{name}.route]]\npath = '/split'\nmethods = ['{method}']\n{route}\
                         respond = '{PAGE}'\n"
                    );
                }
                let mut inherited = BTreeSet::from([outer.name]);
                inherited.extend((place == "s").then_some(inner.name));
                let without: Vec<String> =
                    inherited.iter().map(|name| format!("'-{name}'")).collect();
                let _ = write!(
                    text,
                    "[[{name}.route]]\npath = '/bare'\nmiddleware = [{}]\nrespond = '{PAGE}'\n",
                    without.join(", ")
                );
            }
        }
    }
    text
}

const PATHS: &[&str] = &[
    "/page",
    "/split",
    "/varied",
    "/files/page.txt",
    "/files/none",
    "/none",
    "/page/",
    "/app/stream",
    "/app/own",
    "/app/coded",
    "/app/none",
    "/app/old",
];

/// What a client asks, and with what.
struct Question<'a> {
    method: &'a str,
    path: &'a str,
    fields: &'a str,
}

const ORIGIN: &str = "Origin: https://app.example.com\r\n";
const FOREIGN: &str = "Origin: https://other.example\r\n";
const CODINGS: &str = "Accept-Encoding: gzip, br, zstd\r\n";
const PREFLIGHT: &str = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n";

/// What is wrong, with which pairs, and the first answer of which it is so.
type Problems = BTreeMap<String, (Vec<String>, String)>;

/// Every pair whose outer kind is the `i`th.
fn around(all: &[Around], i: usize, running: &Running, runtime: &Handle) -> Problems {
    let server = format!("o{i}");
    let address = running.addresses(&server)[0];
    let mut wrong = Problems::new();
    for (place, by) in [("s", "site"), ("r", "route")] {
        for (j, inner) in all.iter().enumerate() {
            let mut pair = Pair {
                title: format!("{} > {} ({by})", all[i].settings, inner.settings),
                kinds: [&all[i], inner],
                by_route: by == "route",
                credentials: CREDENTIALS,
                host: format!("{place}{j}.example"),
                address,
                client: Client::connect(address),
                server: server.clone(),
                running,
                runtime,
                wrong: &mut wrong,
            };
            pair.check();
        }
    }
    wrong
}

/// What a program may answer.
fn app() -> Router {
    let stream = || async {
        let chunks = stream::iter([Ok::<_, Infallible>(&PAGE[..10]), Ok(&PAGE[10..])]);
        ([("content-type", "text/plain")], AxumBody::from_stream(chunks))
    };
    let own = [
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("vary", "Origin"),
        ("strict-transport-security", "max-age=1"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-request-id", "7"),
        ("set-cookie", "a=b"),
        ("retry-after", "7"),
    ];
    Router::new()
        .route("/app/stream", get(stream))
        .route("/app/own", get(move || async move { (own, PAGE) }))
        .route("/app/coded", get(|| async { ([("content-encoding", "br"), ("vary", "*")], "x") }))
        .route("/app/post", post(|body: String| async { body }))
}

/// Asks about one pair.
struct Pair<'a> {
    title: String,
    kinds: [&'a Around; 2],
    /// Whether the inner one stands on the routes, not on their site.
    by_route: bool,
    credentials: &'static str,
    host: String,
    address: SocketAddr,
    client: Client,
    server: String,
    running: &'a Running,
    runtime: &'a Handle,
    wrong: &'a mut Problems,
}

impl Pair<'_> {
    fn check(&mut self) {
        for path in PATHS {
            self.check_path(path);
        }
        if self.has("basic_auth") {
            self.credentials = "";
            self.check_path("/page");
            self.check_path("/none");
        }
        self.credentials = CREDENTIALS;
        self.check_preflight();
        self.check_not_modified();
        self.check_posts();
        self.check_redirects();
        let part = "Range: bytes=0-9\r\n";
        self.ask(&Question { method: "GET", path: "/files/page.txt", fields: part });
        self.ask(&Question { method: "DELETE", path: "/split", fields: "" });
        self.check_bare();
        for path in ["/page", "/files/page.txt", "/app/own", "/app/stream", "/none"] {
            self.check_call(path);
        }
    }

    /// What is taken out of the lists does nothing.
    fn check_bare(&mut self) {
        self.credentials = "";
        for fields in ["", CODINGS, ORIGIN] {
            let answer = self.ask_both("/bare", fields);
            let names: Vec<String> = lasting(&answer).1.into_iter().map(|field| field.0).collect();
            let is_bare = answer.status == 200 && names == ["content-type", "server"];
            if !is_bare {
                self.report("what is taken out still stands there", &answer.head);
            }
        }
        self.credentials = CREDENTIALS;
    }

    /// A call without a socket is answered as over a connection.
    fn check_call(&mut self, path: &str) {
        for method in ["GET", "HEAD"] {
            let over = self.ask(&Question { method, path, fields: ORIGIN });
            let mut request =
                Request::builder().method(method).uri(path).header("host", &self.host);
            let fields = format!("{}{ORIGIN}", self.constant_fields());
            for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
                request = request.header(name, value);
            }
            let request = request.body(()).expect("a request");
            let answer = self.runtime.block_on(self.running.call(&self.server, request));
            let (head, body) = answer.expect("an answer").into_parts();
            let body = self.runtime.block_on(body.read_to_end(1 << 20)).expect("a body");
            let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
            let called = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
            let called: Vec<_> = called.filter(|(name, _)| is_lasting(name)).collect();
            let called = BTreeSet::from_iter(called);
            let mut on_wire = BTreeSet::from_iter(lasting(&over).1);
            on_wire.retain(|(name, _)| name != "server");
            if (head.status.as_u16(), &called, &body[..]) != (over.status, &on_wire, &over.body) {
                let answers = format!("{}{called:?}", over.head);
                self.report(&format!("{method} {path} is another by a call"), &answers);
            }
        }
    }

    fn check_posts(&mut self) {
        for (path, good) in
            [("/page", &[200][..]), ("/files/page.txt", &[405]), ("/app/post", &[200])]
        {
            for fields in ["", ORIGIN, CODINGS, "Expect: 100-continue\r\n"] {
                let fields = format!("{fields}Content-Length: {}\r\n", PAGE.len());
                let answer = self.send(&Question { method: "POST", path, fields: &fields }, PAGE);
                if !self.refuses(path) && !self.has("trailing_slash") {
                    let is_good = good.contains(&answer.status);
                    self.expect(is_good, &format!("POST {path} is {}", answer.status));
                }
            }
        }
    }

    /// A browser that follows arrives somewhere. `trailing_slash` says of itself that it does not
    /// go with directories.
    fn check_redirects(&mut self) {
        if self.has("trailing_slash") {
            return;
        }
        for path in ["/files/more", "/files/more/", "/files/more/index.html", "/page/", "/none/"] {
            let mut seen = vec![path.to_owned()];
            loop {
                let path = seen[seen.len() - 1].clone();
                let answer = self.ask(&Question { method: "GET", path: &path, fields: "" });
                let Some(location) = answer.field("location").filter(|_| answer.status < 400)
                else {
                    break;
                };
                let next = location.split_once("://").map_or(location, |(_, rest)| {
                    rest.find('/').map_or("/", |slash| &rest[slash..])
                });
                let turns = seen.iter().any(|earlier| earlier == next);
                seen.push(next.to_owned());
                if turns {
                    self.report(&format!("redirects go round: {}", seen.join(" to ")), "");
                    break;
                }
            }
        }
    }

    fn check_path(&mut self, path: &str) {
        let plain = self.ask_both(path, "");
        if path != "/page/" && !self.has("trailing_slash") && !self.refuses(path) {
            let expected = match path {
                "/none" | "/page/" if self.by_route && self.kinds[0].name != "basic_auth" => 404,
                _ if self.has("basic_auth") && self.credentials.is_empty() => 401,
                "/app/old" if self.has("rewrite") => 200,
                _ if path.ends_with("none") || path == "/app/old" => 404,
                _ => 200,
            };
            self.expect(plain.status == expected, &format!("GET {path} is {}", plain.status));
        }
        self.expect(!(self.refuses(path) && plain.status == 200), "it is let through");
        for (fields, vary) in [
            (CODINGS, "accept-encoding"),
            (ORIGIN, "origin"),
            (FOREIGN, "origin"),
            ("Accept: text/html\r\n", "accept"),
        ] {
            let other = match vary {
                "accept-encoding" => self.ask_both(path, fields),
                _ => self.ask(&Question { method: "GET", path, fields }),
            };
            let differ = lasting(&plain) != lasting(&other) || plain.body != other.body;
            for answer in [&plain, &other] {
                let says = names(answer, "vary").iter().any(|name| name == vary || name == "*");
                self.expect(!differ || says, &format!("{path} differs by {vary} without Vary"));
            }
        }
    }

    fn check_preflight(&mut self) {
        for path in ["/page", "/files/page.txt"] {
            let asked = self.ask(&Question { method: "OPTIONS", path, fields: PREFLIGHT });
            if self.has("cors") && !self.refuses(path) && !self.has("trailing_slash") {
                let allows = asked.field("access-control-allow-origin").is_some();
                self.expect(allows && asked.status == 204, "a preflight is refused");
            }
        }
    }

    /// RFC 9110 §15.4.5: 304 has what 200 had.
    fn check_not_modified(&mut self) {
        for fields in ["", CODINGS, ORIGIN] {
            let path = "/files/page.txt";
            let full = self.ask(&Question { method: "GET", path, fields });
            let Some(tag) = full.field("etag").filter(|_| full.status == 200) else { continue };
            let fields = format!("{fields}If-None-Match: {tag}\r\n");
            let short = self.ask_both(path, &fields);
            self.expect(short.status == 304, &format!("its own tag makes {}", short.status));
            for name in ["cache-control", "etag", "expires"] {
                // A 304 names no type, by which `cache_control` may choose.
                self.expect(
                    full.field(name) == short.field(name),
                    &format!("304 has another {name}: {:?}", short.field(name)),
                );
            }
            self.expect(names(&full, "vary") == names(&short, "vary"), "304 has another vary");
        }
    }

    /// GET, which HEAD must agree with.
    fn ask_both(&mut self, path: &str, fields: &str) -> Answer {
        let full = self.ask(&Question { method: "GET", path, fields });
        let head = self.ask(&Question { method: "HEAD", path, fields });
        let same = full.status == head.status && lasting(&full) == lasting(&head);
        if !same {
            let answers = format!("{}{}", full.head, head.head);
            self.report(&format!("HEAD {path} {fields:?} is another than GET"), &answers);
        }
        if let (Some(said), true) = (head.field("content-length"), full.status != 304) {
            let is_right = full.field("content-length") == Some(said);
            self.expect(is_right, &format!("HEAD {path} {fields:?} has another length"));
        }
        if let (Some(before), Some(after)) = (left(&full), left(&head)) {
            self.expect(before == after + 1, &format!("{path} counts {before} to {after}"));
        }
        full
    }

    /// One answer, of which what holds for all is checked.
    fn ask(&mut self, question: &Question<'_>) -> Answer {
        self.send(question, "")
    }

    fn send(&mut self, question: &Question<'_>, body: &str) -> Answer {
        let Question { method, path, fields } = question;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}{fields}\r\n{body}",
            self.host,
            self.constant_fields()
        );
        self.client.send(head);
        let mut answer = self.client.answer_to(method);
        while answer.status == 100 {
            answer = self.client.answer_to(method);
        }
        if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.client = Client::connect(self.address);
        }
        let asked = format!("{method} {path} {fields:?}");
        for problem in problems(&answer) {
            self.report(&format!("{asked}: {problem}"), &answer.head);
        }
        let shared = ["public", "s-maxage", "must-revalidate"];
        let control = names(&answer, "cache-control");
        let is_shared = control.iter().any(|word| shared.iter().any(|it| word.starts_with(it)));
        self.expect(!(is_shared && self.has("basic_auth")), "what is behind a password is public");
        answer
    }

    fn constant_fields(&self) -> String {
        let credentials = if self.has("basic_auth") { self.credentials } else { "" };
        format!("X-Forwarded-Proto: https\r\n{credentials}")
    }

    fn has(&self, name: &str) -> bool {
        self.kinds.iter().any(|kind| kind.name == name)
    }

    /// Whether one of the two lets nobody through. Of one kind twice the inner one counts; what
    /// stands on a route does not stand where there is none.
    fn refuses(&self, path: &str) -> bool {
        let refuses =
            |kind: &Around| kind.name == "maintenance" || kind.settings == "deny = ['loopback']";
        let [outer, inner] = self.kinds;
        if self.by_route && matches!(path, "/none" | "/page/") {
            return refuses(outer);
        }
        refuses(inner) || (refuses(outer) && outer.name != inner.name)
    }

    fn expect(&mut self, holds: bool, problem: &str) {
        if !holds {
            self.report(problem, "");
        }
    }

    fn report(&mut self, problem: &str, answers: &str) {
        let new = || (Vec::new(), answers.to_owned());
        self.wrong.entry(problem.to_owned()).or_insert_with(new).0.push(self.title.clone());
    }
}

/// What no answer may be.
fn problems(answer: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut count = BTreeMap::<String, usize>::new();
    for (name, _) in fields(answer) {
        *count.entry(name).or_default() += 1;
    }
    for name in SINGLE {
        if count.get(*name).is_some_and(|count| *count > 1) {
            wrong.push(format!("several {name}"));
        }
    }
    let vary = names(answer, "vary");
    if vary.iter().collect::<BTreeSet<_>>().len() != vary.len() {
        wrong.push("a name twice in Vary".to_owned());
    }
    if answer.field("content-encoding").is_some()
        && !vary.iter().any(|n| n == "accept-encoding" || n == "*")
    {
        wrong.push("coded without Vary".to_owned());
    }
    let wants = match answer.status {
        200 | 204 | 206 | 304 | 403 | 404 => None,
        301 | 302 | 307 | 308 => Some("location"),
        401 => Some("www-authenticate"),
        405 => Some("allow"),
        429 | 503 => Some("retry-after"),
        _ => return vec!["a status that nobody asked for".to_owned()],
    };
    if let Some(name) = wants.filter(|name| answer.field(name).is_none()) {
        wrong.push(format!("no {name}"));
    }
    if answer.status == 204 && count.contains_key("content-length") {
        wrong.push("a length of nothing".to_owned());
    }
    if answer.status == 200
        && answer.field("content-encoding").is_none()
        && !answer.body.is_empty()
        && answer.body != PAGE.as_bytes()
    {
        wrong.push("another body".to_owned());
    }
    wrong
}

/// The fields of an answer, names in lower case.
fn fields(answer: &Answer) -> impl Iterator<Item = (String, String)> {
    let lines = answer.head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
}

/// The elements of a list field, in lower case.
fn names(answer: &Answer, field: &str) -> Vec<String> {
    let of = fields(answer).filter(|(name, _)| name == field);
    of.flat_map(|(_, value)| {
        value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect::<Vec<_>>()
    })
    .collect()
}

/// Status and fields, without what is new in each answer or tells of its length.
fn lasting(answer: &Answer) -> (u16, Vec<(String, String)>) {
    let mut lasting: Vec<_> = fields(answer).filter(|(name, _)| is_lasting(name)).collect();
    lasting.sort();
    (answer.status, lasting)
}

fn is_lasting(name: &str) -> bool {
    !["date", "x-request-id", "ratelimit", "content-length", "transfer-encoding"].contains(&name)
}

/// How many requests `rate_limit` says are left.
fn left(answer: &Answer) -> Option<u32> {
    let (_, rest) = answer.field("ratelimit")?.split_once("r=")?;
    rest.split(';').next()?.parse().ok()
}

const SINGLE: &[&str] = &[
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
];

const USERS: &str = "basic_auth = { users = { alice = \
    '$2y$04$MhRZKUpC/5Wdk.Qw59xQCeM/97u4S9I8yKHMVduVxosSx02GOzfu2' } }";

/// Alice's: `geheim: ü`.
const CREDENTIALS: &str = "Authorization: Basic YWxpY2U6Z2VoZWltOiDDvA==\r\n";

const PAGE: &str = "what is said often is said shortly, what is said often is said shortly, \
                    what is said often is said shortly, what is said often is said shortly";

#[tokio::test]
async fn every_pair_of_middleware_answers_as_http_says() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("more")).expect("a folder");
    for name in ["page.txt", "404.html", "more/index.html"] {
        let mut file = File::create(folder.path().join(name)).expect("created");
        file.write_all(PAGE.as_bytes()).expect("written");
        // What was just written has another tag soon.
        file.set_modified(SystemTime::UNIX_EPOCH).expect("another time");
    }
    let all = all_kinds();
    let text = configuration(&all, folder.path());
    let running =
        Stead::from_text(text).service("app", app()).workers(2).start().await.expect("it starts");
    let (all, running) = (Arc::new(all), Arc::new(running));
    let mut checks = Vec::new();
    for i in 0..all.len() {
        let (all, running) = (Arc::clone(&all), Arc::clone(&running));
        let runtime = Handle::current();
        checks.push(tokio::task::spawn_blocking(move || around(&all, i, &running, &runtime)));
    }
    let mut wrong = Problems::new();
    for check in checks {
        for (problem, (pairs, answers)) in check.await.expect("no panic") {
            wrong.entry(problem).or_insert((Vec::new(), answers)).0.extend(pairs);
        }
    }
    let mut told = String::new();
    for (problem, (pairs, answers)) in &wrong {
        let _ = writeln!(told, "{problem}\nin {} pairs: {}\n{answers}", pairs.len(), pairs[0]);
    }
    assert!(wrong.is_empty(), "{} problems:\n{told}", wrong.len());
}
