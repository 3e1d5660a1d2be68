//! Certificates that an authority issues: the real binary beside the real pebble, which rejects
//! good nonces and wants new proofs at random.

use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use stead_e2e::folder::text_of;
use stead_e2e::process::{Outcome, run};
use stead_e2e::stead::{once, quoted, runtime_in};
use stead_e2e::wait::SOON;
use stead_e2e::{Folder, Pebble, PebbleOptions, Stead, binary, ports, until};

/// How long two certificates may take, with all that pebble does on the way.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts a Stead that keeps what is issued in `state`.
fn start(folder: &Folder, config: &str, state: &Path) -> Stead {
    let path = folder.write("stead.toml", config);
    let mut command = binary::command(["run"]);
    command.arg("-c").arg(path).env("STATE_DIRECTORY", state);
    Stead::start_command(command, &runtime_in(folder))
}

/// A configuration with two hosts on these listeners.
fn config(pebble: &Pebble, listen: &str, more: &str) -> String {
    format!(
        "[acme]\ndirectory = \"{}\"\nca = {}\nemail = \"who@example.org\"\n{more}\n\
         [server.web]\nlisten = [{listen}]\n\
         [server.web.site.main]\nhosts = [\"a.example\", \"b.example\"]\n\
         [[server.web.site.main.route]]\npath = \"/\"\nrespond = \"of two hosts\\n\"\n\
         [[server.web.route]]\npath = \"/\"\nrespond = \"anybody\\n\"\n",
        pebble.directory(),
        quoted(&pebble.ca()),
    )
}

fn tls(port: u16) -> String {
    format!("{{ address = \"127.0.0.1:{port}\", tls = \"auto\" }}")
}

/// One GET of a host's page by curl, which trusts `root` alone.
fn get(root: &Path, host: &str, port: u16) -> Outcome {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--write-out", "%{certs}"]);
    curl.arg("--cacert").arg(root);
    curl.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
    run(curl.arg(format!("https://{host}:{port}/")))
}

/// Waits until a host's page comes over TLS; gives it with the certificates.
fn wait_for(stead: &Stead, root: &Path, host: &str, port: u16) -> String {
    let mut last = None;
    let page = until(PATIENCE, || {
        let outcome = get(root, host, port);
        let page = (outcome.code == Some(0)).then(|| outcome.stdout.clone());
        last = Some(outcome);
        page
    });
    page.unwrap_or_else(|| panic!("{last:?}\n{}", stead.running.stderr()))
}

/// What `status` says of a host.
fn report(stead: &Stead, host: &str) -> Value {
    let status = stead.status();
    let all = status["issued"].as_array().unwrap_or_else(|| panic!("{status}")).clone();
    let found = all.into_iter().find(|report| report["host"] == host);
    found.unwrap_or_else(|| panic!("no {host}: {status}"))
}

#[test]
fn two_hosts_are_proved_over_http() {
    let (pebble, folder) = (Pebble::start(&PebbleOptions::default()), Folder::new());
    // What proves is not what serves, and it redirects everybody else.
    let port = ports::free().expect("a port");
    let config = config(&pebble, &tls(port), "")
        + &format!(
            "[server.plain]\nlisten = [\"127.0.0.1:{}\"]\nredirect = \"https\"\n",
            pebble.http_port()
        );
    let mut stead = start(&folder, &config, &folder.path().join("state"));
    let root = pebble.root();
    for host in ["a.example", "b.example"] {
        let page = wait_for(&stead, &root, host, port);
        assert!(page.starts_with("of two hosts\n"), "{page}");
        let report = report(&stead, host);
        assert_eq!(report["state"], "valid", "{report}");
        assert!(report["valid_until"].is_string() && report["renews_at"].is_string(), "{report}");
        assert!((89..=90).contains(&report["days_left"].as_u64().unwrap()), "{report}");
        assert_eq!(report["ends_soon"], false, "{report}");
        assert!(report["handshakes"]["full"].as_u64() >= Some(1), "{report}");
    }
    let told = stead.ask(&["status"]).stdout;
    assert!(told.contains("a.example   valid   until 20"), "{told}");
    assert_eq!(told.matches("   handshakes ").count(), 2, "{told}");
    assert_eq!(stead.status()["certificates_ending"], 0);
    assert_eq!(pebble.issued(), 2);
    assert!(pebble.running.stdout().contains("Attempting to validate w/ HTTP"));

    // What was asked for is not there any more, and the redirect is.
    let old = stead.fetch("plain", "/.well-known/acme-challenge/x");
    assert_eq!(old.status, 308, "{old:?}");

    // The next process finds both at once, and orders nothing.
    assert_eq!(stead.stop().code, Some(0));
    let stead = start(&folder, &config, &folder.path().join("state"));
    assert_eq!(get(&root, "a.example", port).code, Some(0));
    assert_eq!(report(&stead, "b.example")["state"], "valid");
    assert_eq!(pebble.issued(), 2);
}

#[test]
fn two_hosts_are_proved_over_tls() {
    let options =
        PebbleOptions { nonces_rejected: 30, proofs_reused: 0, ..PebbleOptions::default() };
    let (pebble, folder) = (Pebble::start(&options), Folder::new());
    let port = pebble.tls_port();
    // What orders runs beside workers whose descriptors are their own.
    let config = config(&pebble, &tls(port), "key_type = \"p384\"")
        + "[process]\nprivate_descriptors = true\n";
    let stead = start(&folder, &config, &folder.path().join("state"));
    let root = pebble.root();
    for host in ["a.example", "b.example"] {
        wait_for(&stead, &root, host, port);
    }
    assert!(stead.outcome("acme_challenge") >= 2);

    // A name that is nobody's gets an alert and no other's certificate.
    let outcome = get(&root, "c.example", port);
    assert_eq!(outcome.code, Some(35), "{outcome:?}");
    assert!(stead.outcome("unknown_server_name") >= 1);
}

#[test]
fn a_certificate_is_renewed_while_it_is_served() {
    let (pebble, folder) = (Pebble::start(&PebbleOptions::default()), Folder::new());
    let (root, port) = (pebble.root(), ports::free().expect("a port"));
    let listen = format!("\"127.0.0.1:{}\", {}", pebble.http_port(), tls(port));
    let (config, state) = (config(&pebble, &listen, ""), folder.path().join("state"));
    let mut stead = start(&folder, &config, &state);
    let first = wait_for(&stead, &root, "a.example", port);
    wait_for(&stead, &root, "b.example", port);
    // Served first, then written.
    let kept =
        |host| record(&state, host).filter(|(_, record)| record["issued_at_unix_s"].is_u64());
    let all = until(SOON, || {
        ["a.example", "b.example"].into_iter().all(|host| kept(host).is_some()).then_some(())
    });
    assert!(all.is_some(), "{}", stead.running.stderr());
    stead.stop();
    // Not by short lives: what a busy machine does not renew in time would be expired.
    age(&state, "a.example", Duration::from_secs(3));
    let stead = start(&folder, &config, &state);
    let second = until(PATIENCE, || {
        let outcome = get(&root, "a.example", port);
        assert_eq!(outcome.code, Some(0), "{outcome:?}\n{}", stead.running.stderr());
        (outcome.stdout != first).then_some(())
    });
    assert!(second.is_some(), "{}", stead.running.stderr());
    let told =
        until(SOON, || (report(&stead, "a.example")["issued"].as_u64() >= Some(1)).then_some(()));
    assert!(told.is_some(), "{}", stead.running.stderr());
    assert_eq!(report(&stead, "b.example")["issued"], 0);
    assert_eq!(pebble.issued(), 3);
}

/// What is remembered of a host, and where.
fn record(state: &Path, host: &str) -> Option<(PathBuf, Value)> {
    let authority = read_dir(state.join("acme")).ok()?;
    let mut paths = authority.flatten().map(|entry| entry.path().join(format!("{host}.json")));
    let path = paths.find(|path| path.is_file())?;
    let record = serde_json::from_str(&text_of(&path)).ok()?;
    Some((path, record))
}

/// Has the certificate of a host renewed after `wait`, as if it had been issued weeks ago.
fn age(state: &Path, host: &str, wait: Duration) {
    let (path, mut record) = record(state, host).expect("a record");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    let weeks = Duration::from_hours(60 * 24);
    record["issued_at_unix_s"] = now.saturating_sub(weeks).as_secs().into();
    record["renew_at_unix_s"] = (now + wait).as_secs().into();
    record["ask_at_unix_s"] = (now + weeks).as_secs().into();
    std::fs::write(&path, record.to_string()).expect("writes");
}

#[test]
fn two_processes_with_one_state_order_once_and_prove_for_each_other() {
    let options = PebbleOptions { is_slow: true, ..PebbleOptions::default() };
    let (pebble, folder, other) = (Pebble::start(&options), Folder::new(), Folder::new());
    let state = folder.path().join("state");
    let port = ports::free().expect("a port");
    // The first orders, and only the second is where the authority looks.
    let first = format!("\"127.0.0.1:0\", {}", tls(port));
    let first = start(&folder, &config(&pebble, &first, ""), &state);
    for host in ["a.example", "b.example"] {
        let text = format!("ordering a certificate for {host}");
        let orders = until(SOON, || first.running.stderr().contains(&text).then_some(()));
        assert!(orders.is_some(), "{}", first.running.stderr());
    }
    let second = format!("\"127.0.0.1:{}\", {}", pebble.http_port(), tls(pebble.tls_port()));
    let second = start(&other, &config(&pebble, &second, ""), &state);
    let root = pebble.root();
    for host in ["a.example", "b.example"] {
        let page = wait_for(&first, &root, host, port);
        let same = wait_for(&second, &root, host, pebble.tls_port());
        assert_eq!(page, same, "the same certificate");
    }
    assert_eq!(pebble.issued(), 2);
    assert_eq!(report(&second, "a.example")["issued"], 0, "{}", second.running.stderr());
}

#[test]
fn an_authority_may_ask_for_an_account_of_its_own() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let options = PebbleOptions { bindings: &[("kid-1", KEY)], ..PebbleOptions::default() };
    let (pebble, folder) = (Pebble::start(&options), Folder::new());
    let port = pebble.tls_port();
    let more = format!("key_type = \"rsa2048\"\neab = {{ kid = \"kid-1\", key = \"{KEY}\" }}");
    let config = config(&pebble, &tls(port), &more);
    let stead = start(&folder, &config, &folder.path().join("state"));
    wait_for(&stead, &pebble.root(), "a.example", port);
}

#[test]
fn the_rest_serves_while_a_certificate_is_pending() {
    // Nobody listens where proofs are looked for.
    let (pebble, folder) = (Pebble::start(&PebbleOptions::default()), Folder::new());
    let port = ports::free().expect("a port");
    let listen = format!("\"127.0.0.1:0\", {}", tls(port));
    let stead = start(&folder, &config(&pebble, &listen, ""), &folder.path().join("state"));
    assert_eq!(stead.fetch("web", "/").text(), "anybody\n");
    let outcome = get(&pebble.root(), "a.example", port);
    assert_eq!(outcome.code, Some(35), "{outcome:?}");
    assert!(stead.outcome("certificate_pending") >= 1);
    let failed = until(PATIENCE, || {
        let report = report(&stead, "a.example");
        (report["failures"].as_u64() >= Some(2)).then_some(report)
    });
    let failed = failed.unwrap_or_else(|| panic!("{}", stead.running.stderr()));
    assert_eq!(failed["state"], "pending");
    assert!(failed["last_error"].as_str().is_some_and(|error| error.contains("connect")));
    assert!(failed["next_try_at"].is_string(), "{failed}");
    assert!(stead.running.stderr().contains("no certificate for a.example"));
    assert_eq!(stead.fetch("web", "/").text(), "anybody\n");
}

#[test]
fn check_asks_for_hosts_and_for_files_that_are_there() {
    let folder = Folder::new();
    folder.write(
        "stead.toml",
        "[acme]\nca = \"nowhere.pem\"\neab = { kid = \"k\", key = \"!\" }\n\
         [server.web]\nlisten = [{ address = \":0\", tls = \"auto\" }]\n\
         [[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n",
    );
    let outcome = once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for message in ["`auto` has no host", "nowhere.pem", "no base64url"] {
        assert!(outcome.stderr.contains(message), "{message}: {}", outcome.stderr);
    }
    folder.write(
        "stead.toml",
        "[acme]\nemail = \"who@example.org\"\n[server.web]\nlisten = [\":0\"]\n\
         [[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n",
    );
    let outcome = once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("`[acme]` is for nobody"), "{}", outcome.stderr);
}
