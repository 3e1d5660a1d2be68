//! TLS on listeners: versions, certificates by name, clients' certificates, resumption, files that
//! change, and peers that are slow, plain or wrong. Clients are curl and openssl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use stead_e2e::process::{Outcome, run};
use stead_e2e::stead::once;
use stead_e2e::wait::{SOON, until};
use stead_e2e::{Authority, Connection, Folder, SClient, Stead};

/// A Stead with one certificate for `localhost` and 127.0.0.1, `more` in its server's table.
fn start(folder: &Folder, more: &str) -> Stead {
    let authority = Authority::new();
    authority.write(folder, "ca.pem");
    authority.sign(folder, "main", &["localhost", "127.0.0.1"]);
    start_with(folder, r#""main""#, more, "")
}

/// The same with certificates that are there already, and `tables` behind.
fn start_with(folder: &Folder, tls: &str, more: &str, tables: &str) -> Stead {
    let config = config(tls, more, tables);
    folder.write("public/small.txt", "small\n");
    folder.write("public/large.bin", large());
    Stead::start(folder, &config)
}

fn config(tls: &str, more: &str, tables: &str) -> String {
    format!(
        r#"[process]
workers = 4
[log]
access = {{ file = "access.log" }}
format = "json"
[server.web]
listen = [{{ address = "127.0.0.1:0", tls = {tls} }}]
{more}
[[server.web.route]]
path = "/fixed"
respond = "fixed\n"
[[server.web.route]]
path = "/who"
respond = "who\n"
middleware = [{{ headers = {{ response = {{ set = {{ X-Who = "{{tls_version}} {{scheme}} {{tls_server_name}} {{client_certificate_subject}}" }} }} }} }}]
[[server.web.route]]
path = "/{{*file}}"
files = {{ root = "public" }}
[tls.main]
certificate = "main.pem"
key = "main.key"
{tables}"#
    )
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn curl(folder: &Folder, arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert"]);
    run(curl.arg(folder.join("ca.pem")).args(arguments))
}

/// One GET of a host that resolves to this machine: status and body.
fn fetch(folder: &Folder, stead: &Stead, host: &str, path: &str, more: &[&str]) -> Outcome {
    let port = stead.port("web");
    let resolve = format!("{host}:{port}:127.0.0.1");
    let url = format!("https://{host}:{port}{path}");
    let common = ["--resolve", &resolve, "-w", " %{http_code}", &url];
    curl(folder, &[more, &common].concat())
}

/// What the server says of the connection of one GET.
fn who(folder: &Folder, stead: &Stead, host: &str, more: &[&str]) -> Outcome {
    let port = stead.port("web");
    let (resolve, url) = (format!("{host}:{port}:127.0.0.1"), format!("https://{host}:{port}/who"));
    let common = ["--resolve", &resolve, "-o", "/dev/null", "-w", "%header{x-who}", &url];
    curl(folder, &[more, &common].concat())
}

#[test]
fn curl_reads_answers_over_both_versions() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    assert!(stead.urls("web")[0].starts_with("https://127.0.0.1:"), "{:?}", stead.urls("web"));
    for (version, shown) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let least = format!("--tlsv{version}");
        let options = [least.as_str(), "--tls-max", version];
        let fixed = fetch(&folder, &stead, "localhost", "/fixed", &options);
        assert_eq!(fixed.stdout, "fixed\n 200", "{fixed:?}");
        let who = who(&folder, &stead, "localhost", &options);
        assert_eq!(who.stdout.trim_end(), format!("{shown} https localhost"), "{who:?}");
        let file = folder.join("received");
        let saved = ["-o", file.to_str().unwrap()];
        let file =
            fetch(&folder, &stead, "localhost", "/large.bin", &[&options[..], &saved].concat());
        assert_eq!(file.stdout, " 200", "{file:?}");
        assert!(folder.bytes("received") == large());
        let range = [&options[..], &["-r", "1000000-2000000"], &saved].concat();
        assert_eq!(fetch(&folder, &stead, "localhost", "/large.bin", &range).stdout, " 206");
        assert!(folder.bytes("received") == large()[1_000_000..=2_000_000]);
        let body = folder.write("body", vec![b'x'; 2_000_000]);
        let body = format!("@{}", body.display());
        let upload = [&options[..], &["--http1.1", "--data-binary", &body]].concat();
        assert_eq!(fetch(&folder, &stead, "localhost", "/fixed", &upload).stdout, "fixed\n 200");
    }
    assert_eq!(stead.counter("panics"), 0);
    let is_logged =
        || folder.read("access.log").contains(r#""tls_version":"TLSv1.2""#).then_some(());
    assert!(until(SOON, is_logged).is_some(), "{}", folder.read("access.log"));
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let folder = Folder::new();
    let authority = Authority::new();
    authority.write(&folder, "ca.pem");
    authority.sign(&folder, "main", &["localhost", "127.0.0.1"]);
    authority.sign(&folder, "wild", &["*.shop.test"]);
    authority.sign(&folder, "exact", &["a.shop.test"]);
    let tables = "[tls.wild]\ncertificate = \"wild.pem\"\nkey = \"wild.key\"\n\
                  [tls.exact]\ncertificate = \"exact.pem\"\nkey = \"exact.key\"\n";
    let stead = start_with(&folder, r#"["main", "wild", "exact"]"#, "", tables);
    let subject = |arguments: &[&str]| {
        let mut client = SClient::connect(stead.port("web"), &folder.join("ca.pem"), arguments);
        client.send("GET /fixed HTTP/1.0\r\n\r\n");
        let outcome = client.finish();
        let line = outcome.stdout.lines().find(|line| line.starts_with("subject="));
        line.unwrap_or_else(|| panic!("{outcome:?}")).rsplit(" = ").next().unwrap().to_owned()
    };
    for (arguments, expected) in [
        (&["-servername", "a.shop.test"][..], "a.shop.test"),
        (&["-servername", "A.Shop.Test"], "a.shop.test"),
        (&["-servername", "b.shop.test"], "*.shop.test"),
        (&["-servername", "b.c.shop.test"], "localhost"),
        (&["-servername", "unknown.test"], "localhost"),
        (&["-noservername"], "localhost"),
    ] {
        assert_eq!(subject(arguments), expected, "{arguments:?}");
    }
    for host in ["a.shop.test", "b.shop.test", "localhost"] {
        assert_eq!(fetch(&folder, &stead, host, "/fixed", &[]).stdout, "fixed\n 200", "{host}");
    }
}

#[test]
fn security_47_a_host_that_the_handshake_did_not_prove_is_refused() {
    let folder = Folder::new();
    let authority = Authority::new();
    authority.write(&folder, "ca.pem");
    authority.sign(&folder, "main", &["localhost", "127.0.0.1", "*.shop.test"]);
    authority.sign(&folder, "strict", &["admin.shop.test"]);
    authority.sign(&folder, "same", &["same.shop.test"]);
    authority.sign(&folder, "client", &["client"]);
    let tables = "[tls.strict]\ncertificate = \"strict.pem\"\nkey = \"strict.key\"\n\
                  clients = { ca = \"ca.pem\" }\n\
                  [tls.same]\ncertificate = \"same.pem\"\nkey = \"same.key\"\n";
    let stead = start_with(&folder, r#"["main", "strict", "same"]"#, "", tables);
    // The host in the handshake, the host in the request, whether the client shows a certificate.
    for (name, host, shows, status) in [
        ("localhost", "localhost", false, 200),
        ("localhost", "LOCALHOST", false, 200),
        ("localhost", "127.0.0.1", false, 200),
        ("localhost", "b.shop.test", false, 200),
        // Under another certificate, which asks for the same.
        ("localhost", "same.shop.test", false, 200),
        ("same.shop.test", "localhost", false, 421),
        ("localhost", "other.test", false, 421),
        // Covered by the wildcard, but its own entry asks clients for a certificate.
        ("localhost", "admin.shop.test", false, 421),
        ("b.shop.test", "admin.shop.test", false, 421),
        ("admin.shop.test", "admin.shop.test", true, 200),
        ("admin.shop.test", "localhost", true, 421),
        // The unproved name gets the first certificate.
        ("unknown.test", "unknown.test", false, 421),
        ("unknown.test", "localhost", false, 200),
    ] {
        let field = format!("Host: {host}");
        let mut options = vec!["-k", "-o", "/dev/null", "-H", &field];
        let (certificate, key) = (folder.join("client.pem"), folder.join("client.key"));
        if shows {
            options.extend(["--cert", certificate.to_str().unwrap()]);
            options.extend(["--key", key.to_str().unwrap()]);
        }
        let outcome = fetch(&folder, &stead, name, "/fixed", &options);
        assert_eq!(outcome.stdout, format!(" {status}"), "{name} {host}: {outcome:?}");
    }
    assert_eq!(stead.outcome("misdirected_request"), 6);
    // Without its certificate nobody comes in, by a session that was begun elsewhere neither.
    let refused = fetch(&folder, &stead, "admin.shop.test", "/fixed", &[]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let session = folder.join("session");
    let session = session.to_str().unwrap();
    let port = stead.port("web");
    for (name, option, shown) in
        [("b.shop.test", "-sess_out", "New, "), ("admin.shop.test", "-sess_in", "New, ")]
    {
        let arguments = ["-servername", name, option, session];
        let mut client = SClient::connect(port, &folder.join("ca.pem"), &arguments);
        let request = format!("GET /fixed HTTP/1.0\r\nHost: {name}\r\n\r\n");
        client.send(&request);
        let outcome = client.finish();
        assert!(
            outcome.stdout.contains(shown) && !outcome.stdout.contains("Reused"),
            "{outcome:?}"
        );
        let is_answered = outcome.stdout.contains("fixed");
        assert_eq!(is_answered, name == "b.shop.test", "{outcome:?}");
    }
    // Without a host a request reaches what any host would, and one of them wants certificates.
    let arguments = ["-servername", "b.shop.test"];
    let mut client = SClient::connect(port, &folder.join("ca.pem"), &arguments);
    client.send("GET /fixed HTTP/1.0\r\n\r\n");
    assert!(client.finish().stdout.contains("HTTP/1.1 421 "));
}

#[test]
fn clients_show_certificates() {
    let folder = Folder::new();
    let (authority, foreign) = (Authority::new(), Authority::new());
    authority.write(&folder, "ca.pem");
    authority.sign(&folder, "main", &["localhost", "127.0.0.1"]);
    authority.sign(&folder, "optional", &["optional.test"]);
    authority.sign(&folder, "ann", &["ann"]);
    foreign.sign(&folder, "eve", &["eve"]);
    let tables = "clients = { ca = \"ca.pem\", required = true }\n\
                  [tls.optional]\ncertificate = \"optional.pem\"\nkey = \"optional.key\"\n\
                  clients = { ca = \"ca.pem\", required = false }\n";
    let stead = start_with(&folder, r#"["main", "optional"]"#, "", tables);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for version in ["1.2", "1.3"] {
        for (host, shown, subject) in [
            ("localhost", Some("ann"), Some("CN=ann")),
            ("localhost", Some("eve"), None),
            ("localhost", None, None),
            ("optional.test", Some("ann"), Some("CN=ann")),
            ("optional.test", Some("eve"), None),
            ("optional.test", None, Some("")),
        ] {
            let mut options = vec!["--tls-max".to_owned(), version.to_owned()];
            if let Some(name) = shown {
                options.extend(["--cert".to_owned(), path(&format!("{name}.pem"))]);
                options.extend(["--key".to_owned(), path(&format!("{name}.key"))]);
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let outcome = who(&folder, &stead, host, &options);
            let expected = subject.map(|subject| format!("TLSv{version} https {host} {subject}"));
            match expected {
                Some(expected) => assert_eq!(outcome.stdout.trim_end(), expected.trim_end()),
                None => assert_ne!(outcome.code, Some(0), "{host} {shown:?}: {outcome:?}"),
            }
        }
    }
    assert_eq!(stead.outcome("tls_handshake_failed"), 6);
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    let session = folder.join("session");
    let session = session.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let connect = |option: &str| {
            let ca = folder.join("ca.pem");
            let arguments = ["-servername", "localhost", version, option, session];
            let mut client = SClient::connect(stead.port("web"), &ca, &arguments);
            // Tickets come before the answers.
            client.send("GET /fixed HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client.send("GET /fixed HTTP/1.0\r\nHost: localhost\r\n\r\n");
            let outcome = client.finish();
            assert_eq!(outcome.stdout.matches("fixed\n").count(), 2, "{outcome:?}");
            outcome.stdout.contains("Reused")
        };
        assert!(!connect("-sess_out"));
        // The kernel spreads them over the workers.
        assert!((0..8).all(|_| connect("-sess_in")), "{version}");
    }
}

#[test]
fn a_connection_rests_and_wakes_with_its_session() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    let ca = folder.join("ca.pem");
    let mut client = SClient::connect(stead.port("web"), &ca, &["-servername", "localhost"]);
    client.send("GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let parked = || (stead.counter("connections_parked") == 1).then_some(());
    for _ in 0..3 {
        assert!(until(SOON, parked).is_some(), "it does not rest");
        client.send("GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(until(SOON, parked).is_some(), "it does not rest again");
    client.send("GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let outcome = client.finish();
    assert_eq!(outcome.stdout.matches("TLSv1.3 https localhost").count(), 4, "{outcome:?}");
    assert!(outcome.stdout.contains("small\n"));
    // The end was announced: nobody could have cut the answer.
    assert!(!outcome.stderr.contains("unexpected eof"), "{outcome:?}");
}

#[test]
fn an_idle_connection_is_told_that_it_ends() {
    let folder = Folder::new();
    let stead = start(&folder, "timeouts = { idle = \"1s\" }");
    let ca = folder.join("ca.pem");
    let mut client = SClient::connect(stead.port("web"), &ca, &["-servername", "localhost"]);
    client.send("GET /fixed HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let outcome = client.finish();
    assert!(outcome.stdout.contains("fixed\n"), "{outcome:?}");
    assert!(!outcome.stderr.contains("unexpected eof"), "{outcome:?}");
    assert_eq!(stead.outcome("idle_timeout"), 1);
}

#[test]
fn files_that_change_are_read_again() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    let first = Authority::new();
    let works = || fetch(&folder, &stead, "localhost", "/fixed", &[]).code == Some(0);
    assert!(works());
    // Broken: said, counted, and the old one stays.
    let fitting = folder.bytes("main.pem");
    folder.write("main.pem", "nonsense");
    let is_said = || stead.running.stderr().contains("the old certificate stays").then_some(());
    assert!(until(SOON, is_said).is_some(), "{}", stead.running.stderr());
    assert!(works());
    folder.write("main.pem", fitting);
    assert!(works());
    // Another one, put in place as tools do, by a link.
    first.sign(&folder, "other", &["localhost"]);
    std::fs::remove_file(folder.join("main.key")).unwrap();
    std::os::unix::fs::symlink(folder.join("other.key"), folder.join("main.key")).unwrap();
    std::fs::rename(folder.join("other.pem"), folder.join("main.pem")).unwrap();
    first.write(&folder, "ca.pem");
    assert!(until(SOON, || works().then_some(())).is_some(), "{}", stead.running.stderr());
    assert_eq!(stead.running.stderr().matches("the old certificate stays").count(), 1);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_by_check() {
    let folder = Folder::new();
    let (authority, other) = (Authority::new(), Authority::new());
    let day = Duration::from_hours(24);
    authority.sign(&folder, "main", &["localhost"]);
    let good = |name: &str| folder.bytes(name);
    let (pem, key) = (good("main.pem"), good("main.key"));
    other.sign(&folder, "other", &["localhost"]);
    authority.sign_for(&folder, "old", &["localhost"], Duration::ZERO);
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let outcome = run(command.args(arguments).current_dir(folder.path()));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    };
    openssl(&["pkey", "-in", "main.key", "-aes128", "-passout", "pass:x", "-out", "locked.key"]);
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        "weak.key",
        "-out",
        "weak.pem",
        "-days",
        "10",
        "-subj",
        "/CN=localhost",
    ]);
    openssl(&["x509", "-in", "main.pem", "-outform", "der", "-out", "main.der"]);
    std::thread::sleep(Duration::from_millis(1100));
    let wrong_order = [pem.as_slice(), &good("other.pem")].concat();
    for (pem, key, said) in [
        (Some(pem.clone()), Some(key.clone()), "no errors"),
        (None, Some(key.clone()), "name a file that is there"),
        (Some(Vec::new()), Some(key.clone()), "the file is empty"),
        (Some(good("main.der")), Some(key.clone()), "the file is DER, not PEM"),
        (Some(key.clone()), Some(key.clone()), "the file holds no certificate"),
        (Some(pem.clone()), Some(pem.clone()), "the file holds no private key"),
        (Some(pem.clone()), Some(good("other.key")), "the key does not belong to the certificate"),
        (Some(good("old.pem")), Some(good("old.key")), "the certificate expired at 20"),
        (Some(good("weak.pem")), Some(good("weak.key")), "the RSA key has only 1024 bits"),
        (Some(pem.clone()), Some(good("locked.key")), "the key is encrypted"),
        (Some(wrong_order), Some(key.clone()), "the chain is out of order"),
    ] {
        for (name, content) in [("main.pem", pem), ("main.key", key)] {
            let _ = std::fs::remove_file(folder.join(name));
            if let Some(content) = content {
                folder.write(name, content);
            }
        }
        folder.make("public");
        let path = folder.write("stead.toml", config(r#""main""#, "", ""));
        let outcome = once(&folder, &["check", "-c", path.to_str().unwrap()]);
        let is_fine = said == "no errors";
        assert_eq!(outcome.code, Some(if is_fine { 0 } else { 2 }), "{said}: {outcome:?}");
        let all = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(all.contains(said), "{said}: {all}");
        assert!(is_fine || all.contains("stead.toml:"), "{all}");
    }
    // Before its end it is announced.
    authority.sign_for(&folder, "main", &["localhost"], day * 5);
    let stead = Stead::start(&folder, &config(r#""main""#, "", ""));
    let is_said =
        || stead.running.stderr().contains("tls.main: the certificate ends in").then_some(());
    assert!(until(SOON, is_said).is_some(), "{}", stead.running.stderr());
    let status = stead.status();
    assert_eq!(status["certificates"][0]["ends_soon"], true, "{status}");
    assert_eq!(status["certificates_ending"], 1, "{status}");
}

#[test]
fn plain_http_is_answered_in_plain_http() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    let answer = stead.fetch("web", "/fixed");
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert!(answer.text().contains("TLS"), "{}", answer.text());
    assert_eq!(stead.outcome("plain_http"), 1);
    // What is neither gets nothing.
    let mut other = stead.connect("web");
    other.send("\x00\x01\x02\x03nonsense");
    assert_eq!(other.rest(), b"");
    assert_eq!(stead.outcome("bad_client_hello"), 1);
}

#[test]
fn a_certificate_signs_itself_and_is_kept() {
    let folder = Folder::new();
    let config = "[server.web]\nlisten = [{ address = \"127.0.0.1:0\", tls = \"self_signed\" }]\n\
                  [server.web.site.shop]\nhosts = [\"shop.test\"]\n\
                  [[server.web.site.shop.route]]\npath = \"/fixed\"\nrespond = \"shop\"\n\
                  [[server.web.route]]\npath = \"/fixed\"\nrespond = \"fixed\"\n";
    let path = folder.write("stead.toml", config);
    let start = || {
        let mut command = stead_e2e::binary::command(["run", "-c", path.to_str().unwrap()]);
        command.env("STATE_DIRECTORY", folder.join("state"));
        Stead::start_command(command, &folder.join("run"))
    };
    let mut kept = None;
    for is_open in [false, true] {
        let mut stead = start();
        std::fs::copy(folder.join("state/self_signed.pem"), folder.join("ca.pem")).unwrap();
        for (host, body) in [("localhost", "fixed 200"), ("shop.test", "shop 200")] {
            let outcome = fetch(&folder, &stead, host, "/fixed", &[]);
            assert_eq!(outcome.stdout, body, "{outcome:?}");
        }
        let certificate = folder.read("ca.pem");
        assert_eq!(*kept.get_or_insert(certificate.clone()), certificate, "made once");
        let said = stead.stop().stderr;
        assert_eq!(said.contains("can be written by others (chmod go-w)"), is_open, "{said}");
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.join("state"), everybody).unwrap();
    }
}

#[test]
fn status_tells_of_certificates() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    for _ in 0..2 {
        assert_eq!(fetch(&folder, &stead, "localhost", "/fixed", &[]).stdout, "fixed\n 200");
    }
    let untrusting =
        ["-k", "--tlsv1.3", "--ciphers", "aNULL", "--tls13-ciphers", "TLS_AES_128_CCM_SHA256"];
    assert_ne!(fetch(&folder, &stead, "localhost", "/fixed", &untrusting).code, Some(0));
    let certificate = &stead.status()["certificates"][0];
    assert_eq!(certificate["name"], "main");
    assert_eq!(certificate["names"], serde_json::json!(["localhost", "127.0.0.1"]));
    // Whole days: within its first second it has all of them.
    let days = certificate["days_left"].as_u64().unwrap();
    assert!((89..=90).contains(&days), "{certificate}");
    assert_eq!(certificate["handshakes"]["full"], 2, "{certificate}");
    assert_eq!(certificate["handshakes"]["failed"], 1, "{certificate}");
    let shown = stead.ask(&["status"]).stdout;
    assert!(shown.contains("tls.main   localhost 127.0.0.1   "), "{shown}");
    assert!(shown.contains(" days left   handshakes 2 full, 0 resumed, 1 failed"), "{shown}");
}

#[test]
fn what_comes_in_the_clear_is_sent_to_tls() {
    let folder = Folder::new();
    let authority = Authority::new();
    authority.write(&folder, "ca.pem");
    authority.sign(&folder, "main", &["localhost"]);
    let port = stead_e2e::ports::free().unwrap();
    let config = format!(
        "[server.web]\nlisten = [\"127.0.0.1:0\", {{ address = \"127.0.0.1:{port}\", tls = \"main\" }}]\n\
         redirect = \"https\"\n[[server.web.route]]\npath = \"/here\"\nrespond = \"here\"\n\
         [tls.main]\ncertificate = \"main.pem\"\nkey = \"main.key\"\n"
    );
    let stead = Stead::start(&folder, &config);
    let clear = stead.port("web");
    let resolve = [clear, port].map(|port| format!("localhost:{port}:127.0.0.1"));
    let url = format!("http://localhost:{clear}/here");
    let [one, other] = &resolve;
    let follow = ["-L", "--resolve", one, "--resolve", other, "-w", " %{url_effective}", &url];
    let outcome = curl(&folder, &follow);
    assert_eq!(outcome.stdout, format!("here https://localhost:{port}/here"), "{outcome:?}");
}

/// The `ClientHello` that openssl sends.
fn hello() -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "localhost"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = listener.accept().unwrap().0;
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut hello = header.to_vec();
    hello.resize(5 + usize::from(header[3]) * 256 + usize::from(header[4]), 0);
    stream.read_exact(&mut hello[5..]).unwrap();
    drop(stream);
    client.wait().unwrap();
    hello
}

#[test]
fn security_33_a_handshake_has_its_time() {
    let folder = Folder::new();
    let stead = start(&folder, "timeouts = { tls_handshake = \"1s\" }");
    let hello = hello();
    // Nothing more, half of a hello, a byte now and then: all end after the same time.
    let began = Instant::now();
    let mut silent: Vec<Connection> = [1, 100, hello.len()]
        .into_iter()
        .map(|count| {
            let mut connection = stead.connect("web");
            connection.send(&hello[..count]);
            connection
        })
        .collect();
    let mut slow = stead.connect("web");
    for byte in &hello[..30] {
        if slow.try_send([*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    for connection in silent.iter_mut().chain([&mut slow]) {
        connection.rest();
    }
    let took = began.elapsed();
    // Far less than the default of 20 s.
    assert!((Duration::from_millis(900)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(stead.outcome("tls_handshake_timeout"), 4);
    // An honest one beside them, which a busy machine may hold up once.
    let ask = || fetch(&folder, &stead, "localhost", "/fixed", &[]).stdout;
    assert!(until(SOON, || (ask() == "fixed\n 200").then_some(())).is_some(), "{}", ask());
}

#[test]
fn security_34_a_connection_without_a_byte_costs_no_session() {
    let folder = Folder::new();
    let stead = start(&folder, "timeouts = { first_byte = \"1s\", tls_handshake = \"20s\" }");
    // A busy machine may not see all of them within their second.
    let (mut closed, mut have_rested) = (0, false);
    while !have_rested && closed < 500 {
        let began = Instant::now();
        let silent: Vec<Connection> = (0..50).map(|_| stead.connect("web")).collect();
        while !have_rested && began.elapsed() < Duration::from_secs(1) {
            have_rested = stead.counter("connections_parked") == 50;
        }
        for mut connection in silent {
            assert_eq!(connection.rest(), b"");
        }
        closed += 50;
        assert_eq!(stead.outcome("first_byte_timeout"), closed);
    }
    assert!(have_rested, "they rest: no task, no session");
    assert_eq!(stead.outcome("tls_handshake_timeout"), 0);
}

/// Passes bytes on to a port, those of the client one at a time.
fn drip(to: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let client = listener.accept().unwrap().0;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let answers = std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        let (mut client, mut server) = (client, server);
        let mut byte = [0];
        while let Ok(1) = client.read(&mut byte) {
            if server.write_all(&byte).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        drop(answers.join());
    });
    port
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let folder = Folder::new();
    let stead = start(&folder, "");
    for version in ["1.2", "1.3"] {
        let port = drip(stead.port("web"));
        let resolve = format!("localhost:{port}:127.0.0.1");
        let url = format!("https://localhost:{port}/large.bin");
        let options = ["--resolve", &resolve, "--tls-max", version, "-o", "/dev/null"];
        let size = ["-w", "%{size_download}", "-H", "Connection: close", &url];
        let outcome = curl(&folder, &[&options[..], &size].concat());
        assert_eq!(outcome.stdout, "3000000", "{outcome:?}");
    }
}
