//! Behind proxies that pass connections on: the PROXY protocol as curl and `HAProxy` speak it.

use std::path::PathBuf;
use std::process::Command;

use stead_e2e::haproxy::HaProxy;
use stead_e2e::process::{Outcome, run};
use stead_e2e::wait::SOON;
use stead_e2e::{Folder, Stead, until};

const CONFIG: &str = r#"[log]
access = { file = "access.log" }
format = "json"
[process]
workers = 1
[server.web]
listen = [
  { address = "127.0.0.1:0", proxy_protocol = ["loopback"] },
  { address = "unix:web.sock", proxy_protocol = ["unix"] },
]
limits = { connections_per_ip = 8 }
middleware = [{ headers = { response = { set = { X-Client = "{client_ip} {scheme}" } } } }]
[[server.web.route]]
path = "/"
respond = "ok\n"
"#;

fn curl(arguments: &[&str]) -> Outcome {
    let quiet = ["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%header{x-client}"];
    run(Command::new("curl").args(quiet).args(arguments))
}

/// Whom Stead took a request for that came by `proxy` from `from`.
fn seen_from(from: &str, proxy: &HaProxy) -> String {
    let url = format!("http://127.0.0.1:{}/", proxy.port());
    let outcome = curl(&["--interface", from, &url]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn security_48_curl_is_served_with_a_header_only() {
    let folder = Folder::new();
    let mut stead = Stead::start(&folder, CONFIG);
    assert_eq!(stead.status()["servers"][0]["listeners"][0]["proxy_protocol"], true);
    let url = stead.url("web", "/");
    let outcome = curl(&["--haproxy-protocol", "--interface", "127.0.0.7", &url]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "127.0.0.7 http"), "{outcome:?}");
    let outcome = curl(&[&url]);
    assert!(matches!(outcome.code, Some(52 | 56)), "empty, or reset: {outcome:?}");
    assert_eq!(stead.outcome("bad_proxy_header"), 1);
    stead.stop();
    let log = folder.read("access.log");
    assert!(log.contains("\"127.0.0.7\"") && !log.contains("\"127.0.0.1\""), "{log}");
}

#[test]
fn security_48_who_is_not_listed_is_closed() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, &CONFIG.replace("[\"loopback\"]", "[\"127.0.0.7\"]"));
    let url = stead.url("web", "/");
    let outcome = curl(&["--haproxy-protocol", "--interface", "127.0.0.7", &url]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "127.0.0.7 http"), "{outcome:?}");
    let outcome = curl(&["--haproxy-protocol", "--interface", "127.0.0.8", &url]);
    assert!(matches!(outcome.code, Some(52 | 55 | 56)), "{outcome:?}");
    assert_eq!(stead.outcome("proxy_source_refused"), 1);
}

#[test]
fn security_48_the_client_behind_haproxy_is_the_peer() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, CONFIG);
    let port = stead.port("web");
    for options in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,cert-cn,authority",
    ] {
        let proxy = HaProxy::before(&format!("127.0.0.1:{port} {options}"));
        for from in ["127.0.0.7", "127.0.0.8"] {
            assert_eq!(seen_from(from, &proxy), format!("{from} http"), "{options}");
        }
    }
    let socket = folder.join("web.sock");
    let proxy = HaProxy::before(&format!("unix@{} send-proxy-v2", socket.display()));
    assert_eq!(seen_from("127.0.0.7", &proxy), "127.0.0.7 http");
    assert_eq!(stead.outcome("bad_proxy_header"), 0);
}

#[test]
fn haproxys_checks_speak_for_itself() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, CONFIG);
    let port = stead.port("web");
    // A server that fails its checks gets nothing.
    let check = "check inter 50ms rise 2 fall 1 check-send-proxy";
    let proxy = HaProxy::before(&format!("127.0.0.1:{port} send-proxy-v2 {check}"));
    let come = until(SOON, || (stead.counter("connections_accepted") > 5).then_some(()));
    assert!(come.is_some(), "no checks");
    assert_eq!(seen_from("127.0.0.7", &proxy), "127.0.0.7 http");
    assert_eq!(stead.outcome("bad_proxy_header"), 0);
}

/// A certificate with its key in one file.
fn certificate(folder: &Folder) -> PathBuf {
    let (key, pem) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.args(["-nodes", "-days", "30", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost"]).arg("-keyout").arg(&key);
    assert_eq!(run(command.arg("-out").arg(&pem)).code, Some(0));
    let both = [folder.read("certificate.pem"), folder.read("key.pem")].concat();
    folder.write("both.pem", both)
}

/// Whom Stead took a request for that came over TLS from 127.0.0.7.
fn seen_over_tls(proxy: &HaProxy, version: &str) -> String {
    let url = format!("https://localhost:{}/", proxy.port());
    let outcome = curl(&["-4k", version, "--interface", "127.0.0.7", &url]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn where_haproxy_ends_tls_the_scheme_is_https() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, CONFIG);
    let (port, pem) = (stead.port("web"), certificate(&folder));
    for (options, version, expect) in [
        ("send-proxy-v2-ssl", "--http1.1", "127.0.0.7 https"),
        // HAProxy chooses it with the client, and passes it on in the clear.
        ("send-proxy-v2-ssl", "--http2", "127.0.0.7 https"),
        ("send-proxy-v2-ssl-cn", "--http1.1", "127.0.0.7 https"),
        ("send-proxy-v2", "--http1.1", "127.0.0.7 http"),
        ("send-proxy", "--http1.1", "127.0.0.7 http"),
    ] {
        let proxy = HaProxy::ending_tls(&format!("127.0.0.1:{port} {options}"), &pem);
        assert_eq!(seen_over_tls(&proxy, version), expect, "{options} {version}");
    }
}

#[test]
fn tls_that_haproxy_passes_on_begins_behind_the_header() {
    let folder = Folder::new();
    certificate(&folder);
    let config = CONFIG.replace(
        "proxy_protocol = [\"loopback\"]",
        "tls = [\"main\"], proxy_protocol = [\"loopback\"]",
    );
    let tls = "[tls.main]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n";
    let stead = Stead::start(&folder, &[&config, tls].concat());
    let address = stead.urls("web")[0].strip_prefix("https://").expect("TLS");
    for options in ["send-proxy", "send-proxy-v2"] {
        let proxy = HaProxy::before(&format!("{address} {options}"));
        for version in ["--http1.1", "--http2"] {
            assert_eq!(seen_over_tls(&proxy, version), "127.0.0.7 https", "{options} {version}");
        }
    }
}
