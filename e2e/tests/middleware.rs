//! Middleware through the real binary: each kind once, round errors too, and how lists of them are
//! put together.

use std::fs;
use std::process::Command;

use stead_e2e::process::run;
use stead_e2e::stead::once;
use stead_e2e::{Answer, Folder, Stead, until, wait::SOON};

const APP: &str = "https://app.example.com";

/// A server `web` with these lines, and routes.
fn start(folder: &Folder, lines: &str) -> Stead {
    let head = "[log]\naccess = \"off\"\n[server.web]\nlisten = [\"127.0.0.1:0\"]\n";
    Stead::start(folder, &format!("{head}{lines}"))
}

fn ask(stead: &Stead, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    stead.connect("web").request(method, target, fields)
}

#[test]
fn pages_of_listed_origins_may_read_answers_and_errors() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"middleware = [{ cors = { origins = ["https://app.example.com", "https://*.example.org"] } }]
[[server.web.route]]
path = "/a"
methods = ["GET"]
respond = "a"
"#,
    );
    for (method, target, status) in [("GET", "/a", 200), ("GET", "/b", 404), ("PUT", "/a", 405)] {
        let answer = ask(&stead, method, target, &[("Origin", APP)]);
        assert_eq!(answer.status, status);
        assert_eq!(answer.value("access-control-allow-origin"), APP, "{method} {target}");
        assert_eq!(answer.value("vary"), "Origin");
        let answer = ask(&stead, method, target, &[("Origin", "https://evil.example")]);
        assert_eq!((answer.status, answer.value("access-control-allow-origin")), (status, "-"));
        assert_eq!(answer.value("vary"), "Origin");
    }
    let answer = ask(&stead, "GET", "/a", &[("Origin", "https://x.example.org")]);
    assert_eq!(answer.value("access-control-allow-origin"), "https://x.example.org");
}

#[test]
fn a_preflight_is_answered_for_the_route_that_it_asks_about() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"[middleware.api_cors]
kind = "cors"
origins = "https://app.example.com"
methods = ["GET", "PUT"]
headers = ["X-Own"]
credentials = true
[[server.web.route]]
path = "/a"
methods = ["GET"]
respond = "a"
[[server.web.route]]
path = "/a"
methods = ["PUT"]
middleware = ["api_cors"]
respond = "put"
"#,
    );
    let preflight = |method: &str| {
        let question = format!("Access-Control-Request-Method: {method}");
        let origin = format!("Origin: {APP}");
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sSi", "--noproxy", "*", "-X", "OPTIONS", "-H", &origin]);
        curl.args(["-H", &question, "-H", "Access-Control-Request-Headers: x-own"]);
        run(curl.arg(stead.url("web", "/a"))).stdout
    };
    let answer = preflight("PUT");
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    for line in [
        "Access-Control-Allow-Origin: https://app.example.com",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, PUT",
        "Access-Control-Allow-Headers: X-Own",
        "Access-Control-Max-Age: 600",
        "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    ] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line}: {answer}");
    }
    // The route for GET has no such middleware.
    let answer = preflight("GET");
    assert!(answer.starts_with("HTTP/1.1 204 ") && !answer.contains("Access-Control"), "{answer}");
}

#[test]
fn files_are_served_at_the_rewritten_path() {
    let folder = Folder::new();
    folder.write("public/a.txt", "a");
    folder.write("public/dir/index.html", "dir");
    folder.write("public/v2/b.txt", "b");
    let stead = start(
        &folder,
        r#"middleware = [{ headers = { response = { set = { X-Path = "{path}" } } } }]
[[server.web.route]]
path = "/static/{*file}"
middleware = [{ strip_prefix = "/static" }]
files = "public"
[[server.web.route]]
path = "/old/{*rest}"
middleware = [{ rewrite = { regex = '^/old/(?<name>[a-z]+)\.html$', to = "/v2/{name}.txt" } }]
files = "public"
[[server.web.route]]
path = "/q/{*rest}"
middleware = [{ rewrite = "/safe/{query}" }]
respond = "q"
[[server.web.route]]
path = "/one/{*rest}"
middleware = [{ rewrite = "/dir" }]
files = "public"
"#,
    );
    for (target, status, body, path) in [
        ("/static/a.txt?x=1", 200, "a", "/a.txt"),
        ("/static/dir/", 200, "dir", "/dir/"),
        ("/static/dir/../a.txt", 200, "a", "/a.txt"),
        ("/old/b.html", 200, "b", "/v2/b.txt"),
        ("/q/x?a/b", 200, "q", "/safe/a%2Fb"),
    ] {
        let answer = stead.fetch("web", target);
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{target}");
        assert_eq!(answer.value("x-path"), path);
    }
    let answer = stead.fetch("web", "/static/dir");
    assert_eq!((answer.status, answer.value("location")), (308, "/static/dir/"));
    for (target, status) in [
        ("/q/x?..", 400),
        ("/old/b.txt", 404),
        ("/static//a.txt", 404),
        // A slash more would lead to the same directory again.
        ("/one/x", 404),
    ] {
        assert_eq!(stead.fetch("web", target).status, status, "{target}");
    }
}

#[test]
fn a_page_has_one_address() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"middleware = [{ www = "remove" }, { trailing_slash = "add" }]
[[server.web.route]]
path = "/{*rest}"
respond = "ok"
"#,
    );
    let location = |host: &str, target: &str| {
        let answer = ask(&stead, "GET", target, &[("Host", host)]);
        (answer.status, answer.value("location").to_owned())
    };
    let moved = |to: &str| (308, to.to_owned());
    let stays = (200, "-".to_owned());
    assert_eq!(location("www.example.com:81", "/a/?b"), moved("http://example.com:81/a/?b"));
    assert_eq!(location("example.com", "/a?b"), moved("/a/?b"));
    assert_eq!(location("example.com", "/a.css"), stays);
    assert_eq!(location("127.0.0.1", "/"), stays);
    assert_eq!(ask(&stead, "POST", "/a", &[("Host", "example.com")]).status, 200);
}

#[test]
fn security_43_redirects_of_middleware_stay_on_this_host() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"middleware = [{ trailing_slash = "remove" }]
[[server.web.route]]
path = "/{*rest}"
respond = "ok"
"#,
    );
    for target in ["//evil.com/", "///evil.com//", "/%2e//evil.com/"] {
        let answer = stead.fetch("web", target);
        assert_eq!((answer.status, answer.value("location")), (308, "/evil.com"), "{target}");
    }
}

#[test]
fn a_file_switches_maintenance_on_and_off() {
    let folder = Folder::new();
    folder.write("soon.html", "<p>soon");
    folder.write("none.html", "<p>none");
    let stead = start(
        &folder,
        r#"errors = { 404 = "none.html", 503 = "none.html" }
middleware = [{ maintenance = { page = "soon.html", retry_after = "10m", when = "on" } }]
[[server.web.route]]
path = "/"
respond = "ok"
[[server.web.route]]
path = "/healthz"
middleware = ["-maintenance"]
health = "live"
"#,
    );
    assert_eq!(stead.fetch("web", "/").status, 200);
    let switch = folder.write("on", "");
    until(SOON, || (stead.fetch("web", "/").status == 503).then_some(())).unwrap();
    // Each worker looks for itself.
    let closed = until(SOON, || {
        let answers: Vec<Answer> = (0..20).map(|_| stead.fetch("web", "/none")).collect();
        answers.iter().all(|answer| answer.status == 503).then_some(answers)
    });
    let answer = &closed.unwrap()[0];
    assert_eq!((answer.text().as_str(), answer.value("retry-after")), ("<p>soon", "600"));
    assert_eq!(answer.value("content-type"), "text/html; charset=utf-8");
    assert_eq!(stead.fetch("web", "/healthz").status, 200);
    assert!(stead.outcome("maintenance") >= 20);
    fs::remove_file(switch).unwrap();
    until(SOON, || (stead.fetch("web", "/").status == 200).then_some(())).unwrap();
}

#[test]
fn fields_for_browsers_stand_on_every_answer() {
    let folder = Folder::new();
    folder.write("public/a.html", "a");
    folder.write("public/a.js", "a");
    let stead = start(
        &folder,
        r#"middleware = [
  "hsts",
  { secure_headers = { csp = "default-src 'self'", referrer = "off" } },
  { cache_control = { value = "max-age=60", types = { "text/html" = "no-cache" }, extensions = { js = { max_age = "365d", immutable = true } } } },
]
[[server.web.route]]
path = "/{*file}"
files = "public"
[[server.web.route]]
path = "/own"
respond = { body = "own", headers = { X-Frame-Options = "DENY", Cache-Control = "no-store" } }
"#,
    );
    let shown = |target: &str| {
        let answer = stead.fetch("web", target);
        let names = [
            "x-content-type-options",
            "x-frame-options",
            "content-security-policy",
            "referrer-policy",
            "strict-transport-security",
            "cache-control",
        ];
        let values: Vec<String> = names.iter().map(|name| answer.value(name).to_owned()).collect();
        format!("{} {}", answer.status, values.join(" | "))
    };
    let fields = |status: u16, frame: &str, cache: &str| {
        format!("{status} nosniff | {frame} | default-src 'self' | - | - | {cache}")
    };
    assert_eq!(shown("/a.html"), fields(200, "SAMEORIGIN", "no-cache"));
    assert_eq!(shown("/a.js"), fields(200, "SAMEORIGIN", "max-age=31536000, immutable"));
    assert_eq!(shown("/own"), fields(200, "DENY", "no-store"));
    assert_eq!(shown("/none"), fields(404, "SAMEORIGIN", "-"));
    let etag = stead.fetch("web", "/a.js").value("etag").to_owned();
    let held = ask(&stead, "GET", "/a.js", &[("If-None-Match", &etag)]);
    assert_eq!(held.status, 304);
    assert_eq!(held.value("cache-control"), "max-age=31536000, immutable");
}

#[test]
fn what_a_trusted_proxy_says_counts() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"trusted_proxies = ["loopback"]
middleware = ["hsts", { www = "add" }, { maintenance = { allow = ["192.0.2.0/24"] } }]
[[server.web.route]]
path = "/{*rest}"
respond = "ok"
"#,
    );
    let ask = |host: &str, client: &str, proto: &str| {
        let fields = [("Host", host), ("X-Forwarded-For", client), ("X-Forwarded-Proto", proto)];
        ask(&stead, "GET", "/a", &fields)
    };
    let answer = ask("example.com", "192.0.2.1", "https");
    assert_eq!((answer.status, answer.value("location")), (308, "https://www.example.com/a"));
    assert_eq!(answer.value("strict-transport-security"), "max-age=31536000");
    let answer = ask("www.example.com", "192.0.2.1", "http");
    assert_eq!((answer.status, answer.value("strict-transport-security")), (200, "-"));
    assert_eq!(ask("www.example.com", "198.51.100.1", "http").status, 503);
}

#[test]
fn lists_are_put_together_from_the_server_inward() {
    let folder = Folder::new();
    let stead = start(
        &folder,
        r#"middleware = ["mark", "secure_headers", { cache_control = "no-cache" }]
[[server.web.route]]
path = "/plain"
middleware = ["-secure_headers", "-mark"]
respond = "plain"
[[server.web.route]]
path = "/other"
middleware = [{ cache_control = "no-store" }, { rewrite = "/inner" }]
respond = "other"
[server.web.site.shop]
hosts = ["shop.example.com"]
middleware = ["shop_mark"]
[[server.web.site.shop.route]]
path = "/"
respond = "shop"
[middleware.mark]
kind = "headers"
response = { set = { X-Mark = "server {path}" } }
[middleware.shop_mark]
kind = "headers"
response = { set = { X-Mark = "shop" } }
"#,
    );
    let shown = |host: &str, target: &str| {
        let answer = ask(&stead, "GET", target, &[("Host", host)]);
        let values = ["x-mark", "x-frame-options", "cache-control"]
            .map(|name| answer.value(name).to_owned());
        format!("{} {}", answer.status, values.join(" | "))
    };
    assert_eq!(shown("a", "/plain"), "200 - | - | no-cache");
    // The answer passes the outermost last: it sees what is further in did to the path.
    assert_eq!(shown("a", "/other"), "200 server /inner | SAMEORIGIN | no-store");
    // One kind, named again further in, is replaced in its place.
    assert_eq!(shown("shop.example.com", "/"), "200 shop | SAMEORIGIN | no-cache");
    assert_eq!(shown("shop.example.com", "/none"), "404 shop | SAMEORIGIN | -");
    assert_eq!(shown("a", "/none"), "404 server /none | SAMEORIGIN | -");
}

#[test]
fn what_is_wrong_with_a_list_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write(
        "stead.toml",
        r#"[server.web]
listen = [":0"]
middleware = ["hsts", "hsts", { www = "add" }, { www = "remove" }, "unknown", "wwww"]
[[server.web.route]]
path = "/"
middleware = ["-compres", { cors = { origins = "*", credentials = true } }, { hsts = "1" }]
respond = "ok"
[middleware.cross]
kind = "corz"
"#,
    );
    let outcome = once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for (place, words) in [
        ("3:23", "`hsts` is named twice"),
        ("3:50", "`www` is named twice"),
        ("3:68", "unknown middleware `unknown`"),
        ("3:79", "write `\"www\"`"),
        ("6:15", "compres"),
        ("6:67", "`credentials` wants the origins named"),
        ("6:86", "`\"1s\"`"),
        ("9:8", "write `\"cors\"`"),
    ] {
        let is_told = outcome.stderr.split("\n\n").any(|error| {
            error.contains(&format!("--> stead.toml:{place}\n")) && error.contains(words)
        });
        assert!(is_told, "{place} {words}\n{}", outcome.stderr);
    }
}
