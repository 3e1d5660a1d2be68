//! HTTP/2 as clients speak it: curl, nghttp, h2load and a browser, by prior knowledge and over TLS.

use std::process::Command;

use serde_json::Value;
use stead_e2e::chromium::Chromium;
use stead_e2e::process::{Outcome, run};
use stead_e2e::wait::SOON;
use stead_e2e::{Folder, Stead, until};

const CONFIG: &str = r#"[log]
access = { file = "access.log" }
format = "json"
[tls.main]
certificate = "certificate.pem"
key = "key.pem"
[server.web]
listen = ["127.0.0.1:0"]
[[server.web.route]]
path = "/fixed"
respond = "hello, world\n"
[[server.web.route]]
path = "/{*file}"
files = { root = "public" }
[server.secure]
listen = [{ address = "127.0.0.1:0", tls = ["main"] }]
middleware = ["compress"]
[[server.secure.route]]
path = "/fixed"
respond = "hello, world\n"
[[server.secure.route]]
path = "/{*file}"
files = { root = "public" }
[server.old]
listen = [{ address = "127.0.0.1:0", tls = ["main"], http2 = false }]
[[server.old.route]]
path = "/fixed"
respond = "hello, world\n"
"#;

fn start(folder: &Folder) -> Stead {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "30", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.arg("-keyout").arg(folder.join("key.pem"));
    let made = run(openssl.arg("-out").arg(folder.join("certificate.pem")));
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut page = "<title>page</title>".to_owned();
    for n in 0..40 {
        page.extend(["<link rel=stylesheet href=part", &n.to_string(), ".css>"]);
        folder.write(&format!("public/part{n}.css"), format!(".part{n} {{ color: red }}\n"));
    }
    folder.write("public/page.html", page + "<p>text</p>");
    folder.write("public/large.bin", large());
    Stead::start(folder, CONFIG)
}

/// More than every window and buffer on the way.
fn large() -> Vec<u8> {
    (0_u32..1_500_000).flat_map(u32::to_le_bytes).collect()
}

fn url(stead: &Stead, server: &str, target: &str) -> String {
    format!("{}{target}", stead.urls(server)[0])
}

fn curl(arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    run(curl.args(["-q", "-sS", "-k", "--noproxy", "*", "--max-time", "60"]).args(arguments))
}

/// Has curl tell the status.
const CODE: &str = "%{http_code}";

/// The flag with which curl speaks HTTP/2 to each of these, and the server.
const WAYS: [(&str, &str); 2] = [("--http2-prior-knowledge", "web"), ("--http2", "secure")];

#[test]
fn curl_asks_and_uploads() {
    let folder = Folder::new();
    let stead = start(&folder);
    for (flag, server) in WAYS {
        let (fixed, file) = (url(&stead, server, "/fixed"), url(&stead, server, "/large.bin"));
        let told = curl(&[flag, "-w", "%{http_version} %{http_code}\n", &fixed]);
        assert_eq!(told.stdout, "hello, world\n2 200\n", "{told:?}");
        let got = folder.join("got");
        let outcome = curl(&[flag, "-o", got.to_str().unwrap(), &file]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let same = run(Command::new("cmp").arg(&got).arg(folder.join("public/large.bin")));
        assert_eq!(same.code, Some(0), "{server}: {same:?}");
        let part = curl(&[flag, "-r", "4000-4003", "-w", " %{http_code}", &file]);
        assert!(part.stdout.ends_with(" 206"), "{part:?}");
        let head = curl(&[flag, "-I", &file]);
        assert!(head.stdout.contains("\r\ncontent-length: 6000000\r\n"), "{head:?}");
        for size in [0, 1_000, 60_000, 70_000, 1 << 20] {
            let body = folder.write("body", vec![b'x'; size]);
            let body = format!("@{}", body.display());
            for more in [&[][..], &["-H", "Expect: 100-continue"]] {
                let upload = [&[flag, "--data-binary", &body, &fixed][..], more].concat();
                let outcome = curl(&upload);
                assert_eq!(outcome.stdout, "hello, world\n", "{size}: {outcome:?}");
                assert_eq!(outcome.code, Some(0), "{size}: {outcome:?}");
            }
            // It stops by itself once it has read of an error.
            let told = curl(&[flag, "-o", "/dev/null", "-w", CODE, "--data-binary", &body, &file]);
            assert_eq!((&*told.stdout, told.code), ("405", Some(0)), "{size}: {told:?}");
        }
        // One that takes too long is stopped: curl 7.88 says so, and does not wait for ever.
        let body = format!("@{}", folder.write("body", vec![b'x'; 1 << 20]).display());
        let slow = ["--limit-rate", "200K", "--data-binary", &body, "-w", CODE];
        let told = curl(&[&[flag, &fixed][..], &slow].concat());
        assert_eq!((told.code, told.stdout.contains("200")), (Some(92), true), "{told:?}");
        let missing = curl(&[flag, "-o", "/dev/null", "-w", "%{http_code}", &format!("{file}x")]);
        assert_eq!(missing.stdout, "404");
    }
    // By prior knowledge curl 7.88 cannot use a connection twice, with nginx neither.
    let fixed = url(&stead, "secure", "/fixed");
    let told = curl(&["--http2", "-w", "%{num_connects}\n", &fixed, &fixed]);
    assert_eq!(told.stdout, "hello, world\n1\nhello, world\n0\n", "{told:?}");
    let old = url(&stead, "old", "/fixed");
    let told = curl(&["--http2", "-w", "%{http_version}", &old]);
    assert_eq!(told.stdout, "hello, world\n1.1", "{told:?}");
    assert_eq!(stead.counter("panics"), 0);
}

#[test]
fn nghttp_loads_a_page_with_its_parts() {
    let folder = Folder::new();
    let stead = start(&folder);
    for (_, server) in WAYS {
        let url = url(&stead, server, "/page.html");
        let outcome = run(Command::new("nghttp").args(["-ans", "--no-verify-peer", &url]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let loaded = outcome.stdout.lines().filter(|line| line.contains(" 200 ")).count();
        assert_eq!(loaded, 41, "{}", outcome.stdout);
    }
    let body = folder.write("body", vec![b'x'; 4 << 20]);
    for (_, server) in WAYS {
        let url = url(&stead, server, "/fixed");
        let mut nghttp = Command::new("nghttp");
        let told = run(nghttp.args(["--no-verify-peer", "-d"]).arg(&body).arg(&url));
        assert_eq!(told.stdout, "hello, world\n", "{told:?}");
    }
    assert_eq!(stead.outcome("http2_flood"), 0);
}

#[test]
fn load_by_h2load_is_answered_whole_and_recorded() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    let mut expected = 0;
    for (_, server) in WAYS {
        for (target, requests, streams) in [("/fixed", 4_000, 100), ("/large.bin", 60, 10)] {
            let (requests, streams) = (requests.to_string(), streams.to_string());
            let url = url(&stead, server, target);
            let load = ["-n", &requests, "-c", "6", "-m", &streams, &url];
            let outcome = run(Command::new("h2load").args(load));
            let all = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
            assert!(outcome.stdout.contains(&all), "{target}: {outcome:?}");
            expected += requests.parse::<usize>().unwrap();
        }
    }
    for reason in ["http2_flood", "http2_resets", "http2_protocol", "write_idle_timeout"] {
        assert_eq!(stead.outcome(reason), 0, "{reason}");
    }
    stead.stop();
    let log = folder.read("access.log");
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut seen = 0;
    for record in records {
        assert_eq!((&record["protocol"], &record["status"]), (&"HTTP/2.0".into(), &200.into()));
        seen += 1;
    }
    assert_eq!(seen, expected);
}

#[test]
fn chromium_loads_a_page_over_http2() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    let mut browser = Chromium::start_with(&["--ignore-certificate-errors"]);
    browser.open(&url(&stead, "secure", "/page.html"));
    let protocols = browser.evaluate(
        "[...performance.getEntriesByType('navigation'), \
         ...performance.getEntriesByType('resource')].map(e => e.nextHopProtocol)",
    );
    let protocols = protocols.as_array().expect("a list");
    assert!(protocols.len() > 40, "{protocols:?}");
    let others = protocols.iter().filter(|protocol| *protocol != "h2").count();
    assert!(others <= 1, "but for an icon that nobody has: {protocols:?}");
    let fetched = "fetch('/large.bin').then(a => a.arrayBuffer()).then(b => b.byteLength)";
    assert_eq!(browser.evaluate(fetched), 6_000_000);
    for (path, answer) in [("/fixed", "hello, world\n"), ("/large.bin", "405 Method Not Allowed\n")]
    {
        let posted = format!(
            "fetch('{path}', {{ method: 'POST', body: new Uint8Array(8 << 20) }}) \
             .then(a => a.text())"
        );
        assert_eq!(browser.evaluate(&posted), answer);
    }
    drop(browser);
    assert_eq!(stead.outcome("http2_flood"), 0);
    stead.stop();
    assert!(folder.read("access.log").contains("\"path\":\"/part39.css\""));
}

#[test]
fn a_drain_lets_streams_end() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    let url = url(&stead, "web", "/large.bin");
    let load = ["-n", "40", "-c", "2", "-m", "4", &url].map(str::to_owned);
    let loading = std::thread::spawn(move || run(Command::new("h2load").args(load)));
    let busy = until(SOON, || (stead.counter("requests") > 2).then_some(()));
    assert!(busy.is_some(), "nothing is loaded");
    let stopped = stead.stop();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let outcome = loading.join().unwrap();
    let log = folder.read("access.log");
    let cut = log.lines().filter(|line| !line.contains("\"reason\":\"ok\"")).count();
    assert_eq!(cut, 0, "{log}\n{outcome:?}");
}

/// As over HTTP/1: the record of the exchange after which the connection had to end says why, and
/// it is counted once.
#[test]
fn records_say_why_the_connection_ends() {
    let folder = Folder::new();
    let config = r#"[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0"]
limits = { keepalive_requests = 2 }
[[server.web.route]]
path = "/fixed"
respond = "hello, world\n"
"#;
    let mut stead = Stead::start(&folder, config);
    let fixed = url(&stead, "web", "/fixed");
    let outcome = run(Command::new("nghttp").args(["-n", &fixed, &format!("{fixed}?again")]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(stead.outcome("keepalive_requests"), 1);
    stead.stop();
    let log = folder.read("access.log");
    let told = |line: &&str| line.contains("\"closes\":\"keepalive_requests\"");
    assert_eq!((log.lines().count(), log.lines().filter(told).count()), (2, 1), "{log}");
}
