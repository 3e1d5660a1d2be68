//! Who may ask, how often, and how many at once: the real binary, asked by curl, with users by
//! htpasswd.

use std::process::Command;
use std::time::{Duration, Instant};

use stead_e2e::process::run;
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, until};

/// A server that shows whom it sees as its client.
fn start(folder: &Folder, server: &str, middleware: &str) -> Stead {
    folder.write("public/page.html", "<p>page</p>");
    let config = format!(
        r#"[log]
access = {{ file = "access.log" }}
format = "json"
[server.web]
listen = ["127.0.0.1:0", "unix:web.sock"]
{server}
middleware = [
    {{ headers = {{ response = {{ set = {{ X-Client = "{{client_ip}} {{scheme}}" }} }} }} }},
    {middleware}
]
[[server.web.route]]
path = "/"
respond = "in\n"
[[server.web.route]]
path = "/{{*file}}"
files = {{ root = "public" }}
"#
    );
    folder.make("public");
    Stead::start(folder, &config)
}

/// The status, and the headers with the body.
fn curl(arguments: &[&str]) -> (u16, String) {
    let mut curl = Command::new("curl");
    let outcome =
        run(curl.args(["-q", "-sS", "-i", "--noproxy", "*", "--max-time", "60"]).args(arguments));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let status = outcome.stdout.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), outcome.stdout)
}

#[test]
fn security_46_the_client_behind_trusted_proxies_is_the_one_everywhere() {
    let folder = Folder::new();
    let trusted = "trusted_proxies = ['loopback', 'unix', '10.0.0.0/8']";
    let mut stead = start(&folder, trusted, "{ deny = ['192.0.2.66'] }");
    let url = stead.url("web", "/");
    let seen = |header: &str| {
        let (_, answer) = curl(&["-H", header, "-H", "X-Forwarded-Proto: https", &url]);
        let line = answer.lines().find_map(|line| line.strip_prefix("X-Client: "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(seen("X-Forwarded-For: 198.51.100.1, 192.0.2.7, 10.0.0.9"), "192.0.2.7 https");
    assert_eq!(seen("X-Forwarded-For: [2001:db8::7]:4711"), "2001:db8::7 https");
    assert_eq!(seen("X-Forwarded-For: 192.0.2.7, unknown"), "127.0.0.1 https");
    let denied = curl(&["-H", "X-Forwarded-For: 192.0.2.66", &url]);
    assert_eq!(denied.0, 403, "{denied:?}");
    let socket = folder.join("web.sock");
    let through = ["--unix-socket", socket.to_str().unwrap(), "-H", "X-Forwarded-For: 192.0.2.8"];
    assert_eq!(curl(&[&through[..], &["http://a/"]].concat()).0, 200);
    stead.stop();
    let log = folder.read("access.log");
    for client in ["192.0.2.7", "2001:db8::7", "127.0.0.1", "192.0.2.66", "192.0.2.8"] {
        assert!(log.contains(&format!("\"{client}\"")), "{client}: {log}");
    }
}

#[test]
fn security_45_who_is_no_proxy_is_not_believed() {
    let folder = Folder::new();
    let stead =
        start(&folder, "trusted_proxies = { networks = ['10.0.0.0/8'], header = 'forwarded' }", "");
    let forged = [
        "-H",
        "X-Forwarded-For: 192.0.2.7",
        "-H",
        "Forwarded: for=192.0.2.7;proto=https",
        "-H",
        "X-Real-IP: 192.0.2.7",
        "-H",
        "X-Forwarded-Proto: https",
    ];
    let (_, answer) = curl(&[&forged[..], &[&stead.url("web", "/")]].concat());
    assert!(answer.contains("X-Client: 127.0.0.1 http\r\n"), "{answer}");
}

#[test]
fn listed_networks_are_let_in_or_kept_out() {
    let folder = Folder::new();
    folder.write("blocked.txt", "# ours\n127.0.0.0/8\n");
    for (middleware, status) in [
        ("{ allow = ['10.0.0.0/8'] }", 403),
        ("{ allow = ['loopback'] }", 200),
        ("{ deny = { file = 'blocked.txt' } }", 403),
        ("{ deny = ['private'] }", 200),
    ] {
        let stead = start(&folder, "", middleware);
        assert_eq!(curl(&[&stead.url("web", "/")]).0, status, "{middleware}");
        let denied = u64::from(status == 403);
        assert_eq!(stead.outcome("client_denied"), denied, "{middleware}");
    }
}

#[test]
fn a_rate_is_kept_over_all_workers_and_connections() {
    let folder = Folder::new();
    let stead = start(&folder, "", "{ rate_limit = { rate = '1/h', burst = 5 } }");
    let url = stead.url("web", "/");
    let answers: Vec<(u16, String)> = (0..8).map(|_| curl(&[&url])).collect();
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let refusal = &answers[5].1;
    for line in ["Retry-After: 3600\r\n", "RateLimit-Policy: \"default\";q=5;w=18000\r\n"] {
        assert!(refusal.contains(line), "{refusal}");
    }
    assert!(refusal.contains("RateLimit: \"default\";r=0;t="), "{refusal}");
    assert_eq!(stead.outcome("rate_limited"), 3);
}

#[test]
fn a_delay_spreads_requests_out() {
    let folder = Folder::new();
    let limit = "{ rate_limit = { rate = '20/s', burst = 1, delay = '10s' } }";
    let stead = start(&folder, "", limit);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..11 {
            scope.spawn(|| assert_eq!(stead.fetch("web", "/").status, 200));
        }
    });
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(500), "ten intervals of 50 ms: {took:?}");
}

#[test]
fn security_50_passwords_of_htpasswd_let_curl_in() {
    let folder = Folder::new();
    let file = folder.join("users.htpasswd");
    let htpasswd = |arguments: &[&str]| {
        let outcome =
            run(Command::new("htpasswd").args(arguments).arg(&file).args(["alice", "se cret:ü"]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    };
    htpasswd(&["-c", "-b", "-B", "-C", "6"]);
    let auth = "{ basic_auth = { file = 'users.htpasswd', realm = 'Office', failures = '3/h' } }";
    let mut stead = start(&folder, "", auth);
    let url = stead.url("web", "/");
    let (status, answer) = curl(&[&url]);
    assert_eq!(status, 401);
    assert!(answer.contains("WWW-Authenticate: Basic realm=\"Office\", charset=\"UTF-8\"\r\n"));
    for _ in 0..5 {
        assert_eq!(curl(&["-u", "alice:se cret:ü", &url]).0, 200);
    }
    for user in ["alice:hunter2", "mallory:hunter2", "alice:"] {
        assert_eq!(curl(&["-u", user, &url]).0, 401, "{user}");
    }
    let (status, answer) = curl(&["-u", "bob:hunter2", &url]);
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    assert_eq!((stead.outcome("unauthorized"), stead.outcome("too_many_failures")), (4, 1));
    let outcome = stead.stop();
    let log = folder.read("access.log");
    for text in [&log, &outcome.stdout, &outcome.stderr] {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVy"), "{text}");
    }
}

#[test]
fn weak_hashes_stop_the_start() {
    let folder = Folder::new();
    let file = folder.join("users.htpasswd");
    let outcome =
        run(Command::new("htpasswd").args(["-c", "-b", "-m"]).arg(&file).args(["alice", "x"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    folder.write(
        "stead.toml",
        "[server.web]\nlisten = [':0']\nmiddleware = [{ basic_auth = 'users.htpasswd' }]\n\
         [[server.web.route]]\npath = '/'\nrespond = 'in'\n",
    );
    let outcome = stead_e2e::stead::once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains(":1: the password of `alice` is an MD5 hash"), "{outcome:?}");
    assert!(outcome.stderr.contains("htpasswd -nB alice"), "{outcome:?}");
}

/// Asks for a large file and reads nothing of it, so that the answer stays under way.
fn occupy(stead: &Stead) -> Connection {
    let mut connection = stead.connect("web");
    connection.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    connection
}

/// Waits until so many requests are under way.
fn under_way(stead: &Stead, count: u64) {
    let enough = || (stead.counter("requests_active") >= count).then_some(());
    assert!(until(SOON, enough).is_some(), "{count} under way");
}

#[test]
fn only_so_many_requests_are_under_way_at_once() {
    let folder = Folder::new();
    folder.write("public/large", vec![b'x'; 64 << 20]);
    let limit = "{ concurrency_limit = { requests = 2, queue = 1, wait = '30s' } }";
    let stead = start(&folder, "", limit);
    let occupied = [occupy(&stead), occupy(&stead)];
    under_way(&stead, 2);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stead.fetch("web", "/").status);
        under_way(&stead, 3);
        let (status, answer) = curl(&[&stead.url("web", "/")]);
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
        drop(occupied);
        assert_eq!(waiting.join().unwrap(), 200, "a client that is gone makes room");
    });
    assert_eq!(stead.outcome("concurrency_limited"), 1);
    for _ in 0..5 {
        assert_eq!(curl(&[&stead.url("web", "/")]).0, 200);
    }
}
