//! Sites: who answers a host, what they inherit and override, and what their errors look like.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Answer, Connection, Folder, Stead, binary, process, until};

const SERVER: &str = r#"include = ["sites/*.toml"]
[process]
workers = 1
[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0"]
unknown_host = 404
limits = { body = "1KiB" }
timeouts = { body_idle = "20s" }
errors = { 404 = "pages/404.html", 4xx = "pages/4xx.html" }
middleware = [{ headers = { response = { set = { X-From = "{host}" } } } }]
[[server.web.route]]
path = "/heartbeat"
respond = "ok\n"
access_log = "off"
"#;

/// Twelve sites in twelve files, on one listener.
fn twelve() -> Folder {
    let folder = Folder::new();
    folder.write("stead.toml", SERVER);
    folder.write("pages/404.html", "<p>lost</p>");
    folder.write("pages/4xx.html", "<p>no</p>");
    folder.write("pages/own.txt", "own");
    for number in 1..=12 {
        let name = format!("s{number}");
        folder.write(
            &format!("sites/{name}.toml"),
            format!(
                "[server.web.site.{name}]\nhosts = [\"{name}.example\"]\n\
                 [[server.web.site.{name}.route]]\npath = \"/{{*file}}\"\n\
                 files = {{ root = \"../{name}\" }}\n"
            ),
        );
        folder.write(&format!("{name}/index.html"), &name);
    }
    folder.write(
        "sites/z.toml",
        r#"[server.web.site.z]
hosts = ["z.example"]
limits = { body = "4KiB" }
timeouts = { body_idle = "500ms" }
errors = { 404 = "../pages/own.txt" }
access_log = "off"
[[server.web.site.z.route]]
path = "/large"
limits = { body = "off" }
access_log = "on"
respond = "large"
[[server.web.site.z.route]]
path = "/small"
limits = { body = "10B" }
respond = "small"
[[server.web.site.z.route]]
path = "/meant"
respond = { status = 404, body = "meant" }
[[server.web.site.z.route]]
path = "/z"
respond = "z"
"#,
    );
    folder
}

fn start(folder: &Folder) -> Stead {
    Stead::start_file(&folder.join("stead.toml"), &runtime_in(folder))
}

fn ask(stead: &Stead, host: &str, method: &str, target: &str) -> Answer {
    stead.connect("web").request(method, target, &[("Host", host)])
}

fn post(stead: &Stead, host: &str, target: &str, bytes: usize) -> u16 {
    let mut connection = stead.connect("web");
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {bytes}\r\n\r\n{}",
        "x".repeat(bytes)
    );
    connection.send(head);
    connection.answer("POST").status
}

#[test]
fn twelve_sites_of_twelve_files_answer_on_one_listener() {
    let folder = twelve();
    let stead = start(&folder);
    for number in 1..=12 {
        let host = format!("s{number}.example");
        let answer = ask(&stead, &host, "GET", "/");
        assert_eq!((answer.status, answer.text()), (200, format!("s{number}")));
        assert_eq!(answer.value("x-from"), host);
        assert_eq!(ask(&stead, &host, "GET", "/heartbeat").status, 404, "its own wildcard");
    }
    assert_eq!(ask(&stead, "z.example", "GET", "/heartbeat").text(), "ok\n");
}

#[test]
fn a_host_of_no_site_is_404_or_closed_or_gets_the_servers_own_routes() {
    let folder = twelve();
    let stead = start(&folder);
    let answer = ask(&stead, "strange.example", "GET", "/heartbeat");
    assert_eq!((answer.status, answer.text()), (404, "<p>lost</p>".to_owned()));
    assert_eq!(answer.value("x-from"), "strange.example", "the server's middleware are around it");
    drop(stead);
    folder.write("stead.toml", SERVER.replace("unknown_host = 404", "unknown_host = \"close\""));
    let stead = start(&folder);
    let mut connection = stead.connect("web");
    connection.send("GET /heartbeat HTTP/1.1\r\nHost: strange.example\r\n\r\n");
    assert_eq!(connection.rest(), b"");
    assert_eq!(stead.status()["outcomes"]["unknown_host"], 1);
    drop(stead);
    folder.write("stead.toml", SERVER.replace("unknown_host = 404", ""));
    let stead = start(&folder);
    assert_eq!(ask(&stead, "strange.example", "GET", "/heartbeat").text(), "ok\n");
}

#[test]
fn limits_are_overridden_up_and_down() {
    let folder = twelve();
    let stead = start(&folder);
    assert_eq!(post(&stead, "z.example", "/heartbeat", 1024), 200);
    assert_eq!(post(&stead, "s1.example", "/x", 1025), 413, "the server's");
    assert_eq!(post(&stead, "z.example", "/z", 4096), 200, "the site's");
    assert_eq!(post(&stead, "z.example", "/z", 4097), 413);
    assert_eq!(post(&stead, "z.example", "/small", 10), 200, "the route's, down");
    assert_eq!(post(&stead, "z.example", "/small", 11), 413);
    assert_eq!(post(&stead, "z.example", "/large", 1 << 20), 200, "the route's, lifted");
    // The next request of the same connection is judged by its own route.
    let mut connection = stead.connect("web");
    for (target, bytes, status) in [("/small", 10, 200), ("/z", 4096, 200), ("/small", 11, 413)] {
        let body = "x".repeat(bytes);
        connection.send(format!(
            "POST {target} HTTP/1.1\r\nHost: z.example\r\nContent-Length: {bytes}\r\n\r\n{body}"
        ));
        assert_eq!(connection.answer("POST").status, status, "{target}");
    }
}

#[test]
fn a_timeout_of_a_site_counts_there_only() {
    let folder = twelve();
    let stead = start(&folder);
    let hang = |host: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", stead.port("web"))).expect("connect");
        let head = format!("POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nx");
        stream.write_all(head.as_bytes()).expect("send");
        Connection::of_tcp(stream).expect("a connection")
    };
    let (mut own, mut inherited) = (hang("z.example"), hang("s1.example"));
    own.rest();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!inherited.is_ended(), "20 s are not over");
    inherited.finish();
}

#[test]
fn error_pages_are_those_of_the_innermost_level() {
    let folder = twelve();
    let stead = start(&folder);
    let page = |host, method, target| {
        let answer = ask(&stead, host, method, target);
        (answer.status, answer.text(), answer.value("content-type").to_owned())
    };
    let html = || "text/html; charset=utf-8".to_owned();
    assert_eq!(page("s1.example", "GET", "/no"), (404, "<p>lost</p>".to_owned(), html()));
    assert_eq!(page("s1.example", "PUT", "/"), (405, "<p>no</p>".to_owned(), html()));
    let own = (404, "own".to_owned(), "text/plain; charset=utf-8".to_owned());
    assert_eq!(page("z.example", "GET", "/no"), own);
    assert_eq!(page("z.example", "GET", "/meant").1, "meant", "what a handler means to say stays");
    let head = ask(&stead, "z.example", "HEAD", "/no");
    assert_eq!((head.status, head.value("content-length")), (404, "3"));
    let refused = ask(&stead, "s1.example", "PUT", "/");
    assert_eq!(refused.value("allow"), "GET, HEAD, OPTIONS", "fields stay");
}

#[test]
fn a_site_or_a_route_is_left_out_of_the_log() {
    let folder = twelve();
    let stead = start(&folder);
    for (host, target) in [
        ("z.example", "/heartbeat"),
        ("z.example", "/z"),
        ("z.example", "/nothing"),
        ("z.example", "/large"),
        ("s1.example", "/"),
    ] {
        ask(&stead, host, "GET", target);
    }
    let lines = until(SOON, || {
        let log = folder.read("access.log");
        log.contains("s1.example").then_some(log)
    });
    let lines = lines.expect("a record");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("/large"), "{lines}");
}

#[test]
fn a_server_may_send_everybody_to_tls() {
    let folder = Folder::new();
    let config = "[server.plain]\nlisten = [\"127.0.0.1:0\"]\nredirect = \"https\"\n";
    let stead = Stead::start(&folder, config);
    let mut connection = stead.connect("plain");
    let answer = connection.request("GET", "/a/b?c=d", &[("Host", "www.example.com:8080")]);
    let location = "https://www.example.com/a/b?c=d";
    assert_eq!((answer.status, answer.value("location")), (308, location));
}

#[test]
fn what_a_trusted_proxy_received_over_tls_is_not_sent_there_again() {
    // It once was, for ever.
    let folder = Folder::new();
    let config = r#"[server.web]
listen = ["127.0.0.1:0"]
trusted_proxies = ["127.0.0.1"]
redirect = "https"
unknown_host = 404
[[server.web.route]]
path = "/"
respond = "front"
[server.web.site.shop]
hosts = ["shop.example"]
middleware = [{ headers = { response = { set = { X-Site = "shop" } } } }]
[[server.web.site.shop.route]]
path = "/{*rest}"
respond = "shop"
"#;
    let stead = Stead::start(&folder, config);
    let mut connection = stead.connect("web");
    let mut ask = |host: &str, proto: Option<&str>, path: &str| {
        let proto = proto.map(|proto| ("X-Forwarded-Proto", proto));
        let fields: Vec<_> = [("Host", host)].into_iter().chain(proto).collect();
        let answer = connection.request("GET", path, &fields);
        let location = answer.field("location").unwrap_or_default().to_owned();
        (answer.status, location, answer.field("x-site").is_some())
    };
    let to = |location: &str| (308, location.to_owned(), false);
    assert_eq!(ask("shop.example", None, "/a?b=c"), to("https://shop.example/a?b=c"));
    assert_eq!(ask("shop.example", Some("http"), "/a"), to("https://shop.example/a"));
    assert_eq!(ask("shop.example", Some("https"), "/a?b=c"), (200, String::new(), true));
    assert_eq!(ask("shop.example", None, "/a"), to("https://shop.example/a"), "each by itself");
    assert_eq!(ask("other.example", None, "/").0, 404, "no host that is not ours");
}

#[test]
fn a_redirect_without_routes_has_nothing_for_what_came_over_tls() {
    let folder = Folder::new();
    let config = "[server.plain]\nlisten = [\"127.0.0.1:0\"]\nredirect = \"https\"\n\
                  trusted_proxies = [\"127.0.0.1\"]\n";
    let stead = Stead::start(&folder, config);
    let mut connection = stead.connect("plain");
    let fields = [("Host", "a.example"), ("X-Forwarded-Proto", "https")];
    assert_eq!(connection.request("GET", "/", &fields).status, 404);
    assert_eq!(connection.request("GET", "/", &fields[..1]).status, 308);
    let explain = |url: &str| {
        let mut command = binary::command(["explain", url]);
        process::run(command.current_dir(folder.path())).stdout
    };
    assert!(explain("http://a.example/").contains("308 to https"));
    assert!(explain("https://a.example/").contains("404 no_route"));
}

#[test]
fn explain_shows_which_line_won() {
    let folder = twelve();
    let explain = |url: &str| {
        let mut command = binary::command(["explain", url]);
        process::run(command.current_dir(folder.path())).stdout
    };
    let check = |url: &str, parts: &[&str]| {
        let text = explain(url);
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
    };
    check("http://z.example/small", &["body = 10B   sites/z.toml:14", "body_idle = 500ms"]);
    check("http://z.example/z", &["body = 4KiB   sites/z.toml:3", "by default: first_byte = 10s"]);
    check("http://s1.example/x", &["body = 1KiB   stead.toml:10"]);
    check("http://strange.example/", &["404 unknown_host"]);
    check("http://z.example/z", &["middleware headers   stead.toml:13"]);
    check("http://z.example/z", &["errors 404 = sites/../pages/own.txt   sites/z.toml:5"]);
    check("http://z.example/z", &["errors 4xx = pages/4xx.html   stead.toml:12"]);
    check("http://z.example/z", &["access_log off   sites/z.toml:6"]);
    check("http://z.example/large", &["access_log on   sites/z.toml:10"]);
    check("http://s1.example/x", &["errors 404 = pages/404.html   stead.toml:12", "access_log on"]);
    assert!(!explain("http://z.example/z").contains("pages/404.html"), "the site has its own");
}

#[test]
fn what_counts_before_the_route_is_known_stays_at_the_server() {
    let folder = Folder::new();
    folder.write(
        "stead.toml",
        "[server.web]\nlisten = [\":0\"]\nredirect = \"https\"\nunknown_host = 403\n\
         errors = { 200 = \"x\", 404 = \"missing.html\" }\n[[server.web.route]]\npath = \"/\"\n\
         respond = \"x\"\nlimits = { header_size = \"1KiB\", body = 0 }\n\
         timeouts = { idle = \"1s\", request = \"1s\" }\n",
    );
    let mut command = binary::command(["check"]);
    let outcome = process::run(command.current_dir(folder.path()));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for part in [
        "with this `redirect` no request reaches the routes",
        "write 404, `\"close\"`, or `\"routes\"`",
        "`200` is no error status",
        "`header_size` counts before it is known which route will answer",
        "write it in `limits` of the server",
        "`idle` counts before",
        "`body` cannot be 0",
    ] {
        assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.stderr);
    }
}
