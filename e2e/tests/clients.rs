//! Real clients that do more than fetch: uploads by curl, load by wrk, pipelined load by h2load.

use std::process::Command;

use serde_json::Value;
use stead_e2e::process::{Outcome, run};
use stead_e2e::{Folder, Stead};

const CONFIG: &str = r#"[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0", "unix:web.sock"]
[[server.web.route]]
path = "/fixed"
respond = "hello, world\n"
[[server.web.route]]
path = "/files/{*file}"
files = { root = "public" }
"#;

fn start(folder: &Folder) -> Stead {
    folder.write("public/page.html", "<p>page</p>\n".repeat(100));
    Stead::start(folder, CONFIG)
}

#[test]
fn curl_uploads_what_nobody_wants_and_still_gets_its_answer() {
    let folder = Folder::new();
    let stead = start(&folder);
    let (fixed, files) = (stead.url("web", "/fixed"), stead.url("web", "/files/page.html"));
    for size in [0, 1, 1_000, 100_000, 3_000_000] {
        let body = folder.write("body", vec![b'x'; size]);
        let body = format!("@{}", body.display());
        let upload = ["--data-binary", body.as_str(), "-w", " %{http_code}"];
        let length: &[&str] = &[];
        let chunked: &[&str] = &["-H", "Transfer-Encoding: chunked"];
        let unasked: &[&str] = &["-H", "Expect:"];
        for more in [length, chunked, unasked] {
            let outcome = curl(&[&upload[..], more, &[fixed.as_str()]].concat());
            assert_eq!(outcome.stdout, "hello, world\n 200", "{size} {more:?}: {outcome:?}");
            let quiet = ["-o", "/dev/null", files.as_str()];
            let outcome = curl(&[&upload[..], more, &quiet].concat());
            assert_eq!(outcome.stdout, " 405", "{size} {more:?}: {outcome:?}");
        }
    }
    assert_eq!(stead.counter("panics"), 0);
}

#[test]
fn curl_speaks_every_way_it_can() {
    let folder = Folder::new();
    let stead = start(&folder);
    let url = stead.url("web", "/fixed");
    let socket = folder.join("web.sock");
    for options in [
        &["--http1.0"][..],
        &["--http1.1"],
        &["--http1.0", "-H", "Connection: keep-alive"],
        &["-H", "Connection: close"],
        &["-H", "Upgrade: h2c", "-H", "Connection: Upgrade"],
        &["--unix-socket", socket.to_str().unwrap()],
    ] {
        let outcome = curl(&[options, &[url.as_str(), url.as_str()]].concat());
        assert_eq!(outcome.stdout, "hello, world\n".repeat(2), "{options:?}: {outcome:?}");
    }
    let head = curl(&["-I", &url]);
    assert!(head.stdout.starts_with("HTTP/1.1 200 OK\r\n"), "{head:?}");
    assert!(head.stdout.contains("\r\nContent-Length: 13\r\n"), "{head:?}");
    let options = curl(&["-X", "OPTIONS", "-i", &stead.url("web", "/files/page.html")]);
    assert!(options.stdout.starts_with("HTTP/1.1 204 "), "{options:?}");
    assert!(options.stdout.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{options:?}");
}

#[test]
fn load_is_served_without_an_error_and_recorded_whole() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    let (fixed, page) = (stead.url("web", "/fixed"), stead.url("web", "/files/page.html"));
    let wrk = run(Command::new("wrk").args(["-t", "1", "-c", "50", "-d", "2s", &fixed]));
    assert_eq!(wrk.code, Some(0), "{wrk:?}");
    for bad in ["Socket errors", "Non-2xx"] {
        assert!(!wrk.stdout.contains(bad), "{}", wrk.stdout);
    }
    let mut h2load = Command::new("h2load");
    h2load.args(["--h1", "-n", "20000", "-c", "20", "-m", "16", &fixed, &page]);
    let h2load = run(&mut h2load);
    let summary = "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored";
    assert!(h2load.stdout.contains(summary), "{}", h2load.stdout);
    let status = stead.status();
    let count = |value: &Value| value.as_u64().unwrap();
    let counters = &status["counters"];
    let (requests, dropped) =
        (count(&counters["requests"]), count(&counters["access_records_dropped"]));
    assert!(requests > 20_000, "{status}");
    // wrk leaves in the middle: at most one request of each of its connections.
    assert!(requests - count(&status["outcomes"]["ok"]) <= 50, "{status}");
    stead.stop();
    let records = folder.read("access.log").lines().count() as u64;
    assert_eq!(records + dropped, requests, "every request has its record");
}

fn curl(arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    run(curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments))
}
